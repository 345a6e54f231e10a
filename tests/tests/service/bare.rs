//! Promise: on a bare machine the Spanish page's commands lead from the package, the key and the
//! off-site copy to a satellite that serves, with everything that the copy held.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use promises::Container;

use crate::{ACTIVE, SOON, installed};

/// The page of the day on which the server is lost.
const PAGE: &str = include_str!("../../../docs/es/equipo-nuevo.md");
/// The customer is promised five hours, and the page half an hour.
const PROMISED: Duration = Duration::from_secs(30 * 60);

/// Programs of Debian that a copy needs. The container's network holds nothing, so that they come
/// from this machine, which runs the same distribution.
fn with_age(container: &Container) -> Result<()> {
    for program in ["age", "age-keygen"] {
        let here = format!("/usr/bin/{program}");
        std::fs::copy(&here, container.file(&here)).with_context(|| here.clone())?;
    }
    Ok(())
}

/// Everything below a folder of one container goes into another.
fn carry(from: &Container, to: &Container, path: &str) -> Result<()> {
    let into = to.file(path);
    let into = into.parent().context("no folder")?;
    std::fs::create_dir_all(into)?;
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(from.file(path))
        .arg(into)
        .status()?;
    ensure!(copied.success(), "{path} was not carried");
    Ok(())
}

/// The commands of the page, as a person who says yes types them.
fn commands() -> Vec<String> {
    let below = PAGE.split_once("## Las órdenes").map_or("", |it| it.1);
    let block = below.split("```sh\n").nth(1).unwrap_or_default();
    let block = block.split("```").next().unwrap_or_default();
    let typed = |line: &str| {
        line.replace("apt install age ", "apt-get install -y ")
            .replace("satellite restore", "satellite restore --yes all")
    };
    block.lines().map(typed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_leads_from_a_bare_machine_to_a_satellite_that_serves() -> Result<()> {
    let Some(old) = installed().await? else {
        return Ok(());
    };
    with_age(&old)?;
    let prepare = "mkdir /mnt/respaldo && chown satellite /mnt/respaldo && \
        age-keygen -o /srv/llave 2>/dev/null && age-keygen -o /srv/repuesto 2>/dev/null && \
        install -m 0640 -o root -g satellite /srv/llave /etc/satellite/secrets/backup-key && \
        printf '[enrolment]\\nunknown = \"accept\"\\n[backup]\\nfolder = \"/var/lib/satellite/backup\"\\n\
        second = \"/mnt/respaldo\"\\nidentity_file = \"backup-key\"\\nrecipients = [\"%s\", \"%s\"]\\n' \
        \"$(age-keygen -y /srv/llave)\" \"$(age-keygen -y /srv/repuesto)\" >> /etc/satellite/satellite.toml && \
        systemctl restart satellite";
    old.sh(prepare).await?;
    old.sh("terminals run --count 3 --backlog 20 --duration 3s 2>/dev/null")
        .await?;
    let count = "satellite events --since 3650d --format json | wc -l";
    let before = old.sh(count).await?.trim().to_owned();
    ensure!(before.parse::<u32>()? >= 60, "{before} events");
    old.sh("systemctl start satellite-backup").await?;

    let Some(new) = Container::boot().await? else {
        return Ok(());
    };
    with_age(&new)?;
    new.sh("rm /srv/*-2_*.deb").await?;
    carry(&old, &new, "/mnt/respaldo")?;
    carry(&old, &new, "/srv/llave")?;
    drop(old);
    let (begun, commands) = (Instant::now(), commands());
    ensure!(commands.len() >= 10, "{commands:?}");
    // One shell, as a person has one: what a command sets holds for those after it.
    let script = commands.join("\n");
    let printed = new.sh(&format!("set -ex; cd /srv; {script}")).await?;
    new.until(ACTIVE, SOON, |state| state == "active").await?;
    let took = begun.elapsed();
    println!("{} commands, {took:?}\n{printed}", commands.len());
    ensure!(took < PROMISED, "it took {took:?}");
    let after = new.sh(count).await?.trim().to_owned();
    ensure!(
        after.parse::<u32>()? >= before.parse::<u32>()?,
        "{before} events before, {after} after"
    );
    Ok(())
}
