//! The units that timers start, and the one that ships the binary log: each really runs, because its
//! own timer fired or it was enabled, on MariaDB and SQLite together, inside a fence where a call
//! outside of the filter ends the process.

use std::time::Duration;

use anyhow::{Result, ensure};
use promises::Container;

use super::{ACTIVE, SOON, installed};

/// A client on MariaDB beside the registry, and one with a SQLite file of its own.
const CONFIGURATION: &str = r#"
state_dir = "/var/lib/satellite"
[store]
url = "mysql://USER@127.0.0.1:3306/satellite"
password_file = "mysql"
[[tenant]]
id = "acme"
name = "Acme"
time_zone = "America/Mexico_City"
keep = { alarm = "1825d" }
[[tenant]]
id = "otro"
name = "Otro"
time_zone = "America/Mexico_City"
keep = { punch = "30d" }
url = "sqlite:///var/lib/satellite/otro.db"
[backup]
folder = "/var/lib/satellite/backup"
second = "/mnt/respaldo"
recipients = ["KEY", "SPARE"]
identity_file = "backup-key"
user = "satellite_backup"
password_file = "mysql"
binary_log = true
[enrolment]
unknown = "accept"
accept_into = "otro"
"#;

/// Accounts, keys and tables as the manuals have them; every password is the one of `grants.sql`.
const PREPARE: &str = "
cd /srv
age-keygen -o key 2>/dev/null
age-keygen -o spare 2>/dev/null
install -m 0640 -o root -g satellite key /etc/satellite/secrets/backup-key
printf change-me > password
install -m 0640 -o root -g satellite password /etc/satellite/secrets/mysql
install -d -o satellite -g satellite /mnt/respaldo
sed -i \"s|KEY|$(age-keygen -y key)|; s|SPARE|$(age-keygen -y spare)|\" configuration
for user in satellite satellite_admin satellite_upkeep; do
    sed \"s|USER|$user|\" configuration > $user.toml
done
cp satellite.toml /etc/satellite/satellite.toml
install -m 0640 -o root -g satellite satellite_upkeep.toml /etc/satellite/upkeep.toml
grants=/usr/share/doc/satellite/examples/grants.sql
mariadb < $grants 2>/dev/null || true
satellite db migrate --config satellite_admin.toml
mariadb < $grants
sed -n 's/^-- GRANT/GRANT/p' $grants | mariadb
systemctl restart satellite
";

/// Those that fire together, as after a night without power: first a copy, then what looks at it.
const COPY: [&str; 2] = ["satellite-backup", "satellite-upkeep"];
const LOOK: [&str; 2] = ["satellite-verify", "satellite-drill"];
/// Ships the binary log behind the copy, from then on.
const SHIP: &str = "satellite-ship";
/// How long one of them may take.
const JOB: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_timer_starts_works_inside_its_fence_and_makes_no_call_outside_of_it() -> Result<()>
{
    let Some(container) = installed().await? else {
        return Ok(());
    };
    container.start_mariadb().await?;
    container.lend(&["age", "age-keygen"]).await?;
    std::fs::write(container.file("/srv/configuration"), CONFIGURATION)?;
    container.sh(PREPARE).await?;
    container
        .until(ACTIVE, SOON, |state| state == "active")
        .await?;
    container
        .sh("terminals run --count 2 --backlog 50 --duration 1s --error-delay 1s 2>/dev/null")
        .await?;
    let upkeep = "mkdir -p /etc/systemd/system/satellite-upkeep.service.d && printf \
                  '[Service]\\nEnvironment=CONFIG=/etc/satellite/upkeep.toml\\n' \
                  > /etc/systemd/system/satellite-upkeep.service.d/account.conf";
    container.sh(upkeep).await?;
    for unit in [&COPY[..], &LOOK, &[SHIP]].concat() {
        fence(&container, unit).await?;
    }
    for job in [COPY, LOOK].concat() {
        at_once(&container, job).await?;
    }
    container.sh("systemctl daemon-reload").await?;
    together(&container, &COPY).await?;
    ships(&container).await?;
    together(&container, &LOOK).await?;
    proofs(&container).await
}

/// Lets their timers fire, and waits until each job has ended well.
async fn together(container: &Container, jobs: &[&str]) -> Result<()> {
    let timers: Vec<String> = jobs.iter().map(|job| format!("{job}.timer")).collect();
    let enable = format!("systemctl enable --now {}", timers.join(" "));
    container.sh(&enable).await?;
    for job in jobs {
        ended_well(container, job).await?;
    }
    Ok(())
}

/// What came after the copy lies behind it at both places, and the service runs on.
async fn ships(container: &Container) -> Result<()> {
    // Of a server on which nothing happened there is nothing to ship.
    let punches = "terminals run --count 2 --backlog 60 --duration 1s --error-delay 1s 2>/dev/null";
    container.sh(punches).await?;
    let hold = "satellite db hold on --tenant acme && satellite db hold off --tenant acme";
    container.sh(hold).await?;
    container
        .sh(&format!("systemctl enable --now {SHIP}"))
        .await?;
    for place in ["/var/lib/satellite/backup", "/mnt/respaldo"] {
        let pieces = format!("ls {place}/*.binlog/*/*.age 2>/dev/null | head -n 1");
        let shipped = container.until(&pieces, JOB, |it| !it.is_empty()).await;
        if let Err(late) = shipped {
            let said = format!("journalctl --unit {SHIP} --no-pager --output cat");
            anyhow::bail!("{late}: {}", container.sh(&said).await?);
        }
    }
    let state = format!("systemctl show {SHIP} --property ActiveState,NRestarts,Result");
    let state = container.sh(&state).await?;
    let good = ["ActiveState=active", "NRestarts=0", "Result=success"];
    ensure!(good.iter().all(|wanted| state.contains(wanted)), "{state}");
    Ok(())
}

/// Judges the unit, and sharpens it: a call outside of its filter ends the process instead of
/// answering EPERM.
async fn fence(container: &Container, unit: &str) -> Result<()> {
    let security = format!("systemd-analyze security --no-pager --threshold=15 {unit}.service");
    let printed = container.sh(&security).await?;
    println!("{}", printed.lines().last().unwrap_or_default());
    let sharpen = format!(
        "cd /etc/systemd/system && mkdir -p {unit}.service.d && \
         printf '[Service]\\nSystemCallErrorNumber=\\n' > {unit}.service.d/strict.conf"
    );
    container.sh(&sharpen).await.map(drop)
}

/// Its timer fires as soon as it is started.
async fn at_once(container: &Container, job: &str) -> Result<()> {
    let soon = format!(
        "cd /etc/systemd/system && mkdir -p {job}.timer.d && \
         printf '[Timer]\\nOnActiveSec=1s\\nRandomizedDelaySec=0\\nAccuracySec=1ms\\n' > {job}.timer.d/soon.conf"
    );
    container.sh(&soon).await.map(drop)
}

/// Waits until what the timer started has ended well.
async fn ended_well(container: &Container, job: &str) -> Result<()> {
    let ended = format!("systemctl show {job} --property InactiveEnterTimestampMonotonic --value");
    let took = container.until(&ended, JOB, |at| at != "0").await?;
    let result = format!("systemctl show {job} --property Result --value");
    let result = container.sh(&result).await?;
    let said = format!("journalctl --unit {job} --no-pager --output cat");
    let said = container.sh(&said).await?;
    ensure!(result.trim() == "success", "{job}: {result}{said}");
    println!("{job}: {took:?}");
    Ok(())
}

/// What the jobs left: copies of both databases at both places, proven, exercised, and an upkeep
/// that used the account which may do nothing else.
async fn proofs(container: &Container) -> Result<()> {
    for place in ["/var/lib/satellite/backup", "/mnt/respaldo"] {
        for database in ["store", "otro"] {
            container
                .sh(&format!("ls -d {place}/{database}/2*"))
                .await?;
        }
    }
    let evidence = "cd /var/lib/satellite/backup-evidence && sha256sum --check *.sha256";
    let evidence = container.sh(evidence).await?;
    for of in ["store-", "otro-", "drill-"] {
        ensure!(evidence.contains(of), "no evidence of {of}: {evidence}");
    }
    let upkeep = container
        .sh("journalctl --unit satellite-upkeep --no-pager --output cat")
        .await?;
    ensure!(
        upkeep.contains("acme alarm") && upkeep.contains("otro punch"),
        "{upkeep}"
    );
    Ok(())
}
