//! The empty data directory that every private server starts from.
//!
//! `mariadb-install-db` takes a second or more; a copy takes a few milliseconds. So the first
//! server of a version makes a template below cargo's target directory, and the others copy
//! it. A finished template is never written again: it is built beside its place and renamed,
//! so that processes which start at the same moment cannot see half of one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use crate::programs;

/// Puts an empty data directory at `data`, which must not exist yet.
pub(crate) fn lay_out(data: &Path, as_root: bool) -> Result<()> {
    let Some(target) = target_directory() else {
        return install(data, as_root);
    };
    let templates = target.join("mariadb-templates");
    let template = templates.join(version()?);
    if !template.is_dir() {
        build(&templates, &template, as_root)?;
    }
    copy(&template, data).with_context(|| format!("cannot copy {}", template.display()))
}

/// Cargo's target directory, found from where this program stands by the mark that cargo
/// leaves there. `None` when the program was installed somewhere else.
fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
}

/// The server's version as a file name: another version lays its tables out differently.
fn version() -> Result<String> {
    let output = Command::new(programs::find("mariadbd")?)
        .args(["--no-defaults", "--version"])
        .output()
        .context("mariadbd did not start")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .skip_while(|word| *word != "Ver")
        .nth(1);
    let version = version.with_context(|| format!("mariadbd calls itself `{text}`"))?;
    Ok(version.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"))
}

fn build(templates: &Path, template: &Path, as_root: bool) -> Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(templates)
        .with_context(|| format!("cannot make {}", templates.display()))?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let building = templates.join(format!("building-{}-{number}", std::process::id()));
    let built = install(&building, as_root);
    // A rename onto a template that another process finished first fails; theirs serves too.
    if built.is_ok() && fs::rename(&building, template).is_ok() {
        return Ok(());
    }
    if building.exists() {
        fs::remove_dir_all(&building)
            .with_context(|| format!("cannot remove {}", building.display()))?;
    }
    built?;
    if !template.is_dir() {
        bail!("{} could not be put in its place", template.display());
    }
    Ok(())
}

fn install(data: &Path, as_root: bool) -> Result<()> {
    let mut command = Command::new(programs::find("mariadb-install-db")?);
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        // A server that starts empties its temporary folder of every server's tables, and several
        // test processes may do this at once.
        .arg(format!("--tmpdir={}", data.display()))
        .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
        // Small logs: a server that wants larger ones makes them when it starts.
        .args(["--skip-name-resolve", "--innodb-log-file-size=5M"])
        .stdin(Stdio::null());
    if as_root {
        command.arg("--user=root");
    }
    let output = command
        .output()
        .context("mariadb-install-db did not start")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "mariadb-install-db failed: {}",
            String::from_utf8_lossy(&said).trim()
        );
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
