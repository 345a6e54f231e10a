//! Promise: the packages install, run, restart, upgrade and leave as a service should, under a
//! real systemd.
//!
//! Each test boots a minimal system of its own and does in it what an operator does. Where no
//! system can be made each says loudly that it tested nothing; `cargo xtask test` then shows its
//! step `container` as skipped.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::{Checker, Container, Place, attlog, full};

mod bare;
mod contents;
mod manuals;
mod post;
mod tls;
mod units;

/// The page that a newcomer follows.
const PAGE: &str = include_str!("../../../docs/es/instalacion.md");
const ACTIVE: &str = "systemctl is-active satellite";
const SOON: Duration = Duration::from_secs(30);
/// What a newcomer is promised, from the package to the first event.
const NEWCOMER: Duration = Duration::from_secs(5 * 60);
/// From the moment at which a program freezes until another one is in its place.
const FROZEN: Duration = Duration::from_secs(45);

/// The commands of the first block below a heading of the page.
fn commands(heading: &str) -> Vec<&'static str> {
    let below = PAGE.split_once(heading).map_or("", |(_, below)| below);
    let block = below.split("```sh\n").nth(1).unwrap_or_default();
    let block = block.split("```").next().unwrap_or_default();
    block
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect()
}

async fn installed() -> Result<Option<Container>> {
    let Some(container) = Container::boot().await? else {
        return Ok(None);
    };
    container.install("satellite", 1).await?;
    container
        .until(ACTIVE, SOON, |state| state == "active")
        .await?;
    Ok(Some(container))
}

/// Lets every terminal in that knocks, as a first customer does while he installs his clocks.
async fn accept_everybody(container: &Container) -> Result<()> {
    let more = "printf '[enrolment]\\nunknown = \"accept\"\\n' >> /etc/satellite/satellite.toml";
    container.sh(more).await?;
    container.sh("systemctl restart satellite").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spanish_page_takes_a_newcomer_to_the_first_event() -> Result<()> {
    let Some(container) = Container::boot().await? else {
        return Ok(());
    };
    container.sh("rm /srv/*-2_*.deb").await?;
    let commands = commands("## De cero al primer registro");
    ensure!((2..=6).contains(&commands.len()), "{commands:?}");
    let began = Instant::now();
    let mut printed = String::new();
    for command in &commands {
        // A person is asked and says yes.
        let command = command.replace("apt install", "apt-get install -y");
        printed = container.sh(&format!("cd /srv && {command}")).await?;
    }
    let took = began.elapsed();
    println!("{} commands, {took:?}", commands.len());
    ensure!(took <= NEWCOMER, "it took {took:?}");
    let rows = printed.lines().filter(|line| line.contains("SIM0000001"));
    ensure!(rows.count() == 5, "{printed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_the_group_runs_commands_and_a_stranger_reads_nothing() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    container
        .sh("useradd --create-home --groups satellite operador")
        .await?;
    container.sh("useradd --create-home ajeno").await?;
    let add = "satellite devices add --tenant main --vendor zkteco --serial SIM0000001";
    container.sh(&format!("su operador -c '{add}'")).await?;
    container
        .sh("terminals run --count 1 --backlog 3 --duration 2s --error-delay 1s 2>/dev/null")
        .await?;
    let events = container
        .sh("su operador -c 'satellite events --format json'")
        .await?;
    ensure!(events.lines().count() == 3, "{events}");
    container
        .sh("su operador -c 'satellite devices block SIM0000001'")
        .await?;
    for refused in [
        "satellite events",
        "cat /var/lib/satellite/events.db",
        "ls /etc/satellite/secrets",
    ] {
        let output = container
            .output(&format!("su ajeno -c '{refused}'"))
            .await?;
        ensure!(!output.status.success(), "a stranger may: {refused}");
    }
    // The daemon goes on after what others wrote.
    container.sh("systemctl restart satellite").await?;
    container
        .until(ACTIVE, SOON, |state| state == "active")
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_satellite_and_a_frozen_sentinel_are_restarted_by_their_watchdogs() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    container.install("sentinel", 1).await?;
    let main = |unit: &str| format!("systemctl show {unit} --property MainPID --value");
    let mut frozen = Vec::new();
    for unit in ["satellite", "sentinel"] {
        let active = format!("systemctl is-active {unit}");
        container.until(&active, SOON, |it| it == "active").await?;
        let before = container.sh(&main(unit)).await?.trim().to_owned();
        container.sh(&format!("kill -STOP {before}")).await?;
        frozen.push((unit, before));
    }
    let begun = Instant::now();
    for (unit, before) in frozen {
        let restarted = |id: &str| id != before && id != "0";
        container.until(&main(unit), FROZEN, restarted).await?;
        let took = begun.elapsed();
        println!("{unit}, frozen to restarted: {took:?}");
        ensure!(took <= FROZEN, "{unit}: {took:?}");
        let active = format!("systemctl is-active {unit}");
        container.until(&active, SOON, |it| it == "active").await?;
        let journal = format!("journalctl -u {unit} --no-pager");
        let journal = container.sh(&journal).await?;
        ensure!(journal.contains("Watchdog timeout"), "{journal}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_and_upgrades_under_load_refuse_no_terminal_and_lose_nothing() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    accept_everybody(&container).await?;
    let (restarts, upgrades) = if full() { (50, 10) } else { (6, 2) };
    let load = "systemd-run --unit load --property StandardOutput=file:/srv/summary.json \
                --property StandardError=null \
                terminals run --count 200 --rate 60 --duration 600s --poll 2s --error-delay 1s \
                --ledger /srv/ledger.jsonl --json";
    container.sh(load).await?;
    let acked = "test -s /srv/ledger.jsonl && echo yes";
    container.until(acked, SOON, |said| said == "yes").await?;
    for _ in 0..restarts {
        // More than ten starts in a minute count as a crash loop, unless somebody says otherwise.
        container
            .sh("systemctl reset-failed satellite && systemctl restart satellite && sleep 1")
            .await?;
    }
    for number in 0..upgrades {
        container.install("satellite", 2 - number % 2).await?;
        container
            .until(ACTIVE, SOON, |state| state == "active")
            .await?;
    }
    container.sh("systemctl kill --signal=INT load").await?;
    let ended = "systemctl is-active load";
    container
        .until(ended, Duration::from_secs(90), |state| state != "active")
        .await?;
    container
        .sh("systemctl stop satellite-devices.socket satellite-admin.socket satellite")
        .await?;
    let summary = std::fs::read(container.file("/srv/summary.json"))?;
    let summary: serde_json::Value = serde_json::from_slice(&summary)?;
    println!("{restarts} restarts, {upgrades} upgrades: {summary}");
    ensure!(
        summary["failures"]["connect"] == 0,
        "refused connections: {summary}"
    );
    ensure!(summary["pending"] == 0, "not delivered: {summary}");
    let place = Place::sqlite(&container.file("/var/lib/satellite"));
    compare(&place, &container.file("/srv/ledger.jsonl")).await
}

async fn compare(place: &Place, ledger: &Path) -> Result<()> {
    let mut checker = Checker::open(place).await?;
    checker.compare(&[ledger]).await?.exact()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_what_was_configured_and_a_purge_deletes_what_it_was_told_to() -> Result<()>
{
    let Some(container) = installed().await? else {
        return Ok(());
    };
    accept_everybody(&container).await?;
    container
        .sh("terminals run --count 1 --backlog 3 --duration 3s 2>/dev/null")
        .await?;
    let stored = container.sh("satellite events --format json").await?;
    ensure!(stored.lines().count() == 3, "{stored}");
    for revision in [2, 1] {
        container.install("satellite", revision).await?;
        container
            .until(ACTIVE, SOON, |state| state == "active")
            .await?;
        container
            .sh("grep -q accept /etc/satellite/satellite.toml")
            .await?;
        ensure!(
            container.sh("satellite events --format json").await? == stored,
            "other events"
        );
    }
    purged(&container, "satellite", "events.db").await?;
    container.install("sentinel", 1).await?;
    let active = "systemctl is-active sentinel";
    container.until(active, SOON, |it| it == "active").await?;
    purged(&container, "sentinel", "sentinel.db").await
}

/// A purge of what is installed, without anybody to ask, and after somebody said yes.
async fn purged(container: &Container, package: &str, file: &str) -> Result<()> {
    let data = container.file(&format!("/var/lib/{package}/{file}"));
    ensure!(data.exists(), "{package} keeps nothing in {file}");
    let purge = format!("apt-get purge -y {package}");
    container.sh(&purge).await?;
    ensure!(data.exists(), "a purge that asked nobody deleted {file}");
    let configuration = format!("/etc/{package}/{package}.toml");
    ensure!(
        !container.file(&configuration).exists(),
        "{configuration} is left"
    );
    container.install(package, 1).await?;
    let yes = format!("echo {package} {package}/purge-data boolean true | debconf-set-selections");
    container.sh(&yes).await?;
    container.sh(&purge).await?;
    ensure!(!data.exists(), "{file} is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_as_a_credential_and_its_absence_ends_with_78() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    let database = "sed -i 's|^url = .*|url = \"mysql://satellite@127.0.0.1:3306/satellite\"\\n\
                    password_file = \"mysql\"|' /etc/satellite/satellite.toml";
    container.sh(database).await?;
    container.output("systemctl restart satellite").await?;
    let status = "systemctl show satellite --property ExecMainStatus --value";
    container.until(status, SOON, |code| code == "78").await?;

    let credential = "mkdir -p /etc/systemd/system/satellite.service.d && umask 077 && \
                      printf secreto > /srv/password && \
                      printf '[Service]\\nLoadCredential=mysql:/srv/password\\n' \
                      > /etc/systemd/system/satellite.service.d/credential.conf && \
                      chmod 644 /etc/systemd/system/satellite.service.d/credential.conf && \
                      systemctl daemon-reload && systemctl restart satellite";
    container.sh(credential).await?;
    container
        .until(ACTIVE, SOON, |state| state == "active")
        .await?;
    let journal = container.sh("journalctl -u satellite --no-pager").await?;
    ensure!(
        !journal.contains("secreto"),
        "the password is in the journal"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_are_fenced_in_and_nothing_steps_over_the_fence() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    container.install("sentinel", 1).await?;
    let letter = "systemd-analyze security --no-pager --threshold=15 sentinel-failed.service";
    container.sh(letter).await?;
    for unit in ["satellite", "sentinel"] {
        let security = format!("systemd-analyze security --no-pager --threshold=15 {unit}.service");
        let printed = container.sh(&security).await?;
        println!("{}", printed.lines().last().unwrap_or_default());
        let file = format!("systemd-analyze verify {unit}.service");
        let verified = container.output(&file).await?;
        ensure!(
            verified.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&verified.stderr)
        );
        // A call outside of the filter now ends the process instead of answering EPERM.
        let strict = format!(
            "mkdir -p /etc/systemd/system/{unit}.service.d && \
             printf '[Service]\\nSystemCallErrorNumber=\\n' > /etc/systemd/system/{unit}.service.d/strict.conf"
        );
        container.sh(&strict).await?;
    }
    let every = "cd /lib/systemd/system && systemd-analyze verify satellite* sentinel*";
    let verified = container.output(every).await?;
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    ensure!(said.is_empty(), "{said}");
    container.sh("systemctl daemon-reload").await?;
    accept_everybody(&container).await?;
    container.sh("systemctl restart sentinel").await?;
    container
        .sh("terminals run --count 20 --backlog 20 --rate 60 --duration 10s --error-delay 1s 2>/dev/null")
        .await?;
    container
        .sh("systemctl reload satellite sentinel && sleep 2")
        .await?;
    for unit in ["satellite", "sentinel"] {
        let state = format!("systemctl show {unit} --property ActiveState,NRestarts,Result");
        let state = container.sh(&state).await?;
        let good = ["ActiveState=active", "NRestarts=0", "Result=success"];
        ensure!(
            good.iter().all(|wanted| state.contains(wanted)),
            "{unit}: {state}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_upkeep_archives_what_keep_names_and_nothing_of_a_held_client() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    // The last section of the shipped file is the client's.
    let keep = "echo 'keep = { punch = \"30d\" }' >> /etc/satellite/satellite.toml";
    container.sh(keep).await?;
    let add = "satellite devices add --tenant main --vendor zkteco --serial SIM0000001";
    container
        .sh(&format!("{add} && systemctl restart satellite"))
        .await?;
    let old = attlog("SIM0000001", "1", b"7\t2019-05-01 08:00:00\t0\t1\n");
    std::fs::write(container.file("/srv/old"), old)?;
    let send =
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8081; cat /srv/old >&3; timeout 10 head -n 1 <&3'";
    let answer = container.sh(send).await?;
    ensure!(answer.contains("200"), "{answer}");
    let events = "satellite events --format json --since 2019-01-01";
    ensure!(
        container.sh(events).await?.lines().count() == 1,
        "not stored"
    );
    container.sh("satellite db hold on --reason juicio").await?;
    let held = container.output("systemctl start satellite-upkeep").await?;
    ensure!(!held.status.success(), "a held client was no fault");
    let journal = "journalctl -u satellite-upkeep --no-pager --output cat";
    let said = container.sh(journal).await?;
    ensure!(said.contains("hold off --tenant main"), "{said}");
    container.sh("satellite db hold off").await?;
    container.sh("systemctl start satellite-upkeep").await?;
    ensure!(container.sh(events).await?.is_empty(), "it is still there");
    let whole = "cd /var/lib/satellite/archive && sha256sum -c *.sha256 && zcat *.gz";
    let whole = container.sh(whole).await?;
    ensure!(whole.contains("2019-05-01 08:00:00"), "{whole}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_shows_fields() -> Result<()> {
    let Some(container) = installed().await? else {
        return Ok(());
    };
    let script =
        "journalctl -u satellite --output json --no-pager | grep SYSLOG_IDENTIFIER | tail -1";
    let line = container.sh(script).await?;
    let entry: serde_json::Value = serde_json::from_str(line.trim())?;
    let all = container
        .sh("journalctl -u satellite _COMM=satellite --output cat --no-pager")
        .await?;
    ensure!(entry["_SYSTEMD_UNIT"].is_string(), "{entry}");
    ensure!(all.lines().count() > 0, "satellite wrote nothing");
    for line in all.lines() {
        let fields: serde_json::Value = serde_json::from_str(line).context("no JSON")?;
        ensure!(
            fields["level"].is_string() && fields["message"].is_string(),
            "{line}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_fails_for_good_writes_its_last_letter() -> Result<()> {
    let Some(container) = Container::boot().await? else {
        return Ok(());
    };
    container.install("sentinel", 1).await?;
    let postbox = post::outside(&container).await?;
    let people = "printf '[mail]\\nfrom = \"s@example.mx\"\\nrelays = [\"smtp://127.0.0.1:2525\"]\\n\
                  [[level]]\\nname = \"Uno\"\\nto = [{ address = \"uno@example.mx\" }]\\n' \
                  >> /etc/sentinel/sentinel.toml && systemctl restart sentinel";
    container.sh(people).await?;
    let failed = "systemctl is-failed sentinel";
    for _ in 0..12 {
        container
            .output("systemctl kill --signal=KILL sentinel")
            .await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    container
        .until(failed, SOON, |state| state == "failed")
        .await?;
    let last = |letter: &promises::Post| {
        letter.to == "uno@example.mx" && letter.wire.contains("systemctl reset-failed sentinel")
    };
    postbox.wait(Duration::from_secs(60), last).await.map(drop)
}
