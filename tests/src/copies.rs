//! Copies of databases as an operator makes and opens them: keys, folders, the way back by hand.
//!
//! What is restored here is restored with `age`, `gunzip` and `mariadb` and never by satellite,
//! so that a copy is judged by what the world can open.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{Place, blocking};

/// The folders and keys of an installation that copies.
pub struct Copies {
    folder: TempDir,
    second: TempDir,
}

impl Copies {
    /// Two key pairs, a first location, and a second one in memory where the system has that: it
    /// counts as another disk.
    ///
    /// # Errors
    /// `age` is not installed, or a folder cannot be made.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let second = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        for name in ["key", "spare", "foreign"] {
            let file = folder.path().join(name);
            let made = Command::new("age-keygen").arg("-o").arg(&file).output();
            let made = made.context("age is not installed: run `cargo xtask test`")?;
            ensure!(made.status.success(), "age-keygen failed");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        Ok(Self { folder, second })
    }

    /// The first location.
    #[must_use]
    pub fn first(&self) -> PathBuf {
        self.folder.path().join("copies")
    }

    /// The second location.
    #[must_use]
    pub fn second(&self) -> &Path {
        self.second.path()
    }

    /// The secret key of that name: `key`, `spare`, `foreign`.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The table of the configuration, with `more` at its end.
    ///
    /// # Errors
    /// A key cannot be read.
    pub fn table(&self, more: &str) -> Result<String> {
        let (key, spare) = (self.public("key")?, self.public("spare")?);
        Ok(format!(
            "[backup]\nfolder = \"{}\"\nsecond = \"{}\"\nrecipients = [\"{key}\", \"{spare}\"]\n\
             identity_file = \"{}\"\n{more}\n",
            self.first().display(),
            self.second().display(),
            self.key("key").display(),
        ))
    }

    fn public(&self, name: &str) -> Result<String> {
        let output = Command::new("age-keygen")
            .arg("-y")
            .arg(self.key(name))
            .output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The named copies of a store in a location, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn named(location: &Path, store: &str) -> Result<Vec<PathBuf>> {
        let folder = location.join(store);
        let mut found = Vec::new();
        if folder.exists() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if !entry.file_name().to_string_lossy().starts_with('.') {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found.reverse();
        Ok(found)
    }

    /// Restores a copy with the spare key into an empty place, by hand.
    ///
    /// # Errors
    /// What a program of the pipe said.
    pub async fn restore(&self, copy: &Path, to: &Place) -> Result<()> {
        let open =
            "sha256sum --quiet -c SHA256SUMS && age --decrypt -i \"$KEY\" data.*.gz.age | gunzip";
        let (script, target) = match to {
            Place::Sqlite(file) => (format!("{open} > \"$TO\""), file.display().to_string()),
            Place::Mariadb { server, database } => (
                format!(
                    "{open} | mariadb --no-defaults --protocol=TCP --host=127.0.0.1 --port={} \
                     --user=satellite --default-character-set=utf8mb4 \"$TO\"",
                    server.port()
                ),
                database.clone(),
            ),
        };
        let (key, copy) = (self.key("spare"), copy.to_owned());
        blocking(move || {
            let mut shell = Command::new("bash");
            shell
                .args(["-o", "pipefail", "-c", &script])
                .current_dir(&copy);
            let output = shell.env("KEY", key).env("TO", target).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {said}", copy.display());
            Ok(())
        })
        .await
    }
}
