//! Programs that nobody here wrote, which judge our simulated terminals and what is shipped for
//! Prometheus and for proxies: fetched through the ordinary clients of their registries into `target/judges`, and
//! installed nowhere else on the machine. The distribution's packages are unpacked and not
//! installed, so that no service of theirs ever starts.
//!
//! What cannot be had is skipped by name and loudly; the rest judges all the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::report::Outcome;

/// The judge written in Python, with the version that the promises were written for.
const PYTHON: &str = "pyzk==0.9";
/// Those written for Node.
const NODE: [&str; 2] = ["zkteco-js@1.7.2", "node-zklib@1.3.0"];

/// The distribution's packages with the judges of alerts and metrics.
const PROMETHEUS: [&str; 2] = ["prometheus", "prometheus-alertmanager"];
/// Those with the proxies that terminals are served through, and the libraries that a machine
/// without them lacks.
const PROXIES: [&str; 4] = ["nginx", "apache2-bin", "libapr1", "libaprutil1"];

/// Installs the judges; answers which variables name them, and how the step ended.
pub(crate) fn install() -> (Vec<(&'static str, String)>, Outcome) {
    let folder = cargo::root().join("target").join("judges");
    let mut variables = Vec::new();
    let mut missing = Vec::new();
    match python(&folder) {
        Ok(place) => variables.push(("SATELLITE_JUDGE_PYTHON", place)),
        Err(why) => missing.push(format!("{PYTHON} ({why})")),
    }
    match node(&folder) {
        Ok(place) => variables.push(("SATELLITE_JUDGE_NODE", place)),
        Err(why) => missing.push(format!("{} ({why})", NODE.join(", "))),
    }
    match prometheus(&folder) {
        Ok(place) => variables.push(("SATELLITE_JUDGE_PROMETHEUS", place)),
        Err(why) => missing.push(format!("{} ({why})", PROMETHEUS.join(", "))),
    }
    match proxies(&folder) {
        Ok(place) => variables.push(("SATELLITE_JUDGE_PROXIES", place)),
        Err(why) => missing.push(format!("{} ({why})", PROXIES.join(", "))),
    }
    let outcome = if missing.is_empty() {
        Outcome::Fine
    } else {
        Outcome::Skipped(format!("NOT judged by {}", missing.join("; ")))
    };
    (variables, outcome)
}

fn python(folder: &Path) -> Result<String, String> {
    let home = folder.join("python");
    let program = home.join("bin").join("python");
    if !program.exists() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    }
    let mut check = Command::new(&program);
    if done(check.args(["-c", "import zk"])).is_err() {
        let pip = ["-m", "pip", "install", "--quiet", PYTHON];
        done(Command::new(&program).args(pip))?;
    }
    // The link is not followed: a followed one is the system's program, without the package.
    absolute(&home).map(|home| home.join("bin/python").display().to_string())
}

fn node(folder: &Path) -> Result<String, String> {
    let home = folder.join("node");
    let modules = home.join("node_modules");
    let has = |package: &&str| {
        let name = package.split('@').next().unwrap_or_default();
        modules.join(name).is_dir()
    };
    if !NODE.iter().all(has) {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        done(install.arg(&home).args(NODE))?;
    }
    done(Command::new("node").arg("--version"))?;
    absolute(&modules).map(|modules| modules.display().to_string())
}

fn prometheus(folder: &Path) -> Result<String, String> {
    let programs = ["prometheus", "promtool", "amtool"].map(|name| format!("usr/bin/{name}"));
    let root = unpacked(folder, &PROMETHEUS, &programs)?;
    let programs = root.join("usr/bin");
    done(Command::new(programs.join("promtool")).arg("--version"))?;
    Ok(programs.display().to_string())
}

fn proxies(folder: &Path) -> Result<String, String> {
    let programs = ["nginx", "apache2"].map(|name| format!("usr/sbin/{name}"));
    let root = unpacked(folder, &PROXIES, &programs)?;
    done(Command::new(root.join("usr/sbin/nginx")).arg("-v"))?;
    Ok(root.display().to_string())
}

/// The root under which these packages of the distribution are unpacked; done only where one of
/// these files is not there yet.
fn unpacked(folder: &Path, packages: &[&str], files: &[String]) -> Result<PathBuf, String> {
    let root = folder.join("debian");
    if files.iter().all(|file| root.join(file).exists()) {
        return absolute(&root);
    }
    let name = packages.first().copied().unwrap_or_default();
    let fetched = folder.join("fetched").join(name);
    fs::create_dir_all(&fetched).map_err(|error| error.to_string())?;
    let mut fetch = Command::new("apt-get");
    fetch
        .args(["-qq", "download"])
        .args(packages)
        .current_dir(&fetched);
    if done(&mut fetch).is_err() {
        // The lists of what there is may never have been read on this machine.
        done(Command::new("apt-get").args(["-qq", "update"]))?;
        done(&mut fetch)?;
    }
    let fetched = fs::read_dir(&fetched).map_err(|error| error.to_string())?;
    for package in fetched.flatten() {
        let mut unpack = Command::new("dpkg-deb");
        done(unpack.arg("--extract").arg(package.path()).arg(&root))?;
    }
    absolute(&root)
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    path.canonicalize().map_err(|error| error.to_string())
}

/// Runs a command to its end; what it printed last is the reason when it fails.
fn done(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.unwrap_or("no reason given").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_or_fails_gives_its_reason() {
        let none = done(&mut Command::new("no-such-judge")).unwrap_err();
        assert!(!none.is_empty());
        let failed = done(Command::new("sh").args(["-c", "echo first >&2; echo why >&2; exit 3"]));
        assert_eq!(failed, Err("why".to_owned()));
    }
}
