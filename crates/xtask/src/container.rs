//! What the tests of the packages need: the packages, and a minimal system with systemd in which
//! they are installed.
//!
//! The system is made once by debootstrap, of the distribution and from the mirror that this
//! machine itself uses, under `target/container`; each test boots a copy with systemd-nspawn.
//! Only root can do that. Where it cannot be done the step is skipped loudly, and the tests say
//! that they tested nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};

use crate::report::Outcome;
use crate::{inspect, package, packages};

/// What a minimal system needs besides its essential packages.
const INCLUDED: &str = "systemd,systemd-sysv,dbus,libsystemd0,debconf,procps";

/// The system that is being made, beside other work.
pub(crate) struct Making(JoinHandle<Result<String>>);

impl Making {
    /// Begins to make it: mostly waiting for a mirror and unpacking, on one core.
    pub(crate) fn begin() -> Self {
        Self(std::thread::spawn(system))
    }

    /// Waits until it is made; it goes on for minutes behind whoever does not wait.
    pub(crate) fn end(self) -> Result<String> {
        let made = self.0.join();
        made.unwrap_or_else(|_| bail!("making the system ended in a panic"))
    }
}

/// Packs the programs that are built and waits for the system; answers the variables that name both,
/// and how the step ended.
pub(crate) fn prepare(
    built: &[PathBuf],
    making: Making,
) -> Result<(Vec<(&'static str, String)>, Outcome)> {
    // Compressed in a hurry they are larger than those that are handed out.
    let debs = package::pack(built, "dev", &["--fast"])?;
    // What formats each manual page costs four times as much as all the rest and is left to
    // `cargo xtask package`.
    let inspection = inspect::begin(&debs, &["--dont-check-part", "documentation/manual"])?;
    package::renumber()?;
    let debs = text(&package::folder())?;
    let variables = |root: Option<String>| {
        let root = root.map(|root| ("SATELLITE_TEST_SYSTEM", root));
        let mut all = vec![("SATELLITE_TEST_PACKAGES", debs.clone())];
        all.extend(root);
        all
    };
    let (variables, booted) = match making.end() {
        Ok(root) => (variables(Some(root)), Outcome::Fine),
        Err(why) => {
            let what = format!("packages were NOT installed under systemd: {why:#}");
            (variables(None), Outcome::Skipped(what))
        }
    };
    Ok((variables, inspection.end()?.and(booted)))
}

/// The minimal system, made when it is not there.
fn system() -> Result<String> {
    ensure!(is_root(), "only root can make and boot a system");
    packages::for_container()?;
    let codename = codename()?;
    let root = package::folder()
        .with_file_name("container")
        .join(&codename);
    let done = root.with_extension("made");
    if !done.exists() {
        // What an interrupted run left behind is no system.
        fs::remove_dir_all(&root).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        fs::create_dir_all(&root)?;
        println!("Making a minimal {codename} system. This takes about two minutes, once.");
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", "--include", INCLUDED, &codename]);
        command.arg(&root).arg(mirror(&codename)?);
        let status = command.stdout(Stdio::null()).status()?;
        ensure!(status.success(), "debootstrap: {status}");
        // It keeps services from starting, which is what shall be seen here.
        let hindrance = root.join("usr/sbin/policy-rc.d");
        if hindrance.exists() {
            fs::remove_file(hindrance)?;
        }
        fs::write(&done, "")?;
    }
    text(&root)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The name of this machine's distribution: programs built here run there.
fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release")?;
    let line = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let name = line.context("/etc/os-release names no VERSION_CODENAME")?;
    Ok(name.trim_matches('"').to_owned())
}

/// The mirror from which this machine takes the packages of that distribution.
fn mirror(codename: &str) -> Result<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(CODENAME) $(SUITE) $(REPO_URI)",
        ])
        .output()?;
    ensure!(output.status.success(), "apt-get knows no mirror");
    let listed = String::from_utf8(output.stdout)?;
    for line in listed.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(_), Some(mirror)) = (words.next(), words.next(), words.next())
            && name == codename
        {
            return Ok(mirror.to_owned());
        }
    }
    bail!("apt-get names no mirror for {codename}")
}

fn text(path: &Path) -> Result<String> {
    let path = path.to_str().map(str::to_owned);
    path.context("the path of this copy is no text")
}
