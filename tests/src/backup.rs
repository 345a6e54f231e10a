//! Copies of a database as an operator makes them, and the way back: a file of SQLite, a dump of
//! MariaDB.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::{Checker, Place, blocking};

/// An older copy of a database.
pub enum Backup {
    /// A file.
    Sqlite(PathBuf),
    /// What `mariadb-dump` wrote.
    Dump(String),
}

impl Backup {
    /// Copies a database in use; a file of it goes into `folder`.
    ///
    /// # Errors
    /// The database cannot be read, or the copy cannot be written.
    pub async fn take(place: &Place, folder: &Path) -> Result<Self> {
        match place {
            Place::Sqlite(_) => {
                let file = folder.join("copy.db");
                Checker::open(place).await?.copy_sqlite(&file).await?;
                Ok(Self::Sqlite(file))
            }
            Place::Mariadb { server, database } => {
                let output = tokio::process::Command::new("mariadb-dump")
                    .args([
                        "--no-defaults",
                        "--protocol=TCP",
                        "--host=127.0.0.1",
                        "--user=root",
                    ])
                    .arg(format!("--port={}", server.port()))
                    .args(["--single-transaction", "--hex-blob", database])
                    .output()
                    .await
                    .context("mariadb-dump did not start")?;
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "mariadb-dump: {said}");
                Ok(Self::Dump(String::from_utf8(output.stdout)?))
            }
        }
    }

    /// Puts the copy in the place of the database, which nobody may have open.
    ///
    /// # Errors
    /// Somebody has it open, or it cannot be written.
    pub async fn restore(self, place: &Place) -> Result<()> {
        match (self, place) {
            (Self::Sqlite(copy), Place::Sqlite(_)) => place.put_back(&copy).await?,
            (Self::Dump(dump), Place::Mariadb { server, database }) => {
                let script = format!(
                    "DROP DATABASE `{database}`; CREATE DATABASE `{database}`; \
                     USE `{database}`;\n{dump}"
                );
                let server = server.clone();
                blocking(move || server.sql(&script)).await?;
            }
            _ => bail!("a copy of another engine"),
        }
        Ok(())
    }
}
