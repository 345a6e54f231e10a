//! Dumping a database of MySQL or MariaDB with the distribution's own program.
//!
//! One transaction, no lock, no tables of the server's own. The password goes into an option file
//! that only we can read and that is gone when the dump has ended; it never stands in an argument.
//! A dump that ended well and lacks its last line is still no copy.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use daemon::config::{MysqlUrl, Secret};
use store::contents::Contents;
use tokio::io::AsyncReadExt as _;

use crate::dump_text::DumpText;
use crate::log::{LogMark, folder_of};
use crate::seal::{PIECE, Sealed};
use crate::{Problem, programs};

/// How the dump is made: consistent, binary values readable, nothing that needs more than the
/// rights to read tables and views.
const OPTIONS: [&str; 9] = [
    "--single-transaction",
    "--quick",
    "--hex-blob",
    "--tz-utc",
    "--skip-lock-tables",
    "--skip-add-locks",
    "--skip-triggers",
    "--no-tablespaces",
    "--max-allowed-packet=1G",
];

/// Who logs in where to dump.
pub struct Login {
    /// The address of the database; its user is replaced by `user`.
    pub url: MysqlUrl,
    /// The account that may read.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<Secret>,
}

impl Login {
    /// What an option file has: one line for each thing.
    pub(crate) fn options(&self) -> Vec<(String, String)> {
        let url = &self.url;
        let word = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut options = vec![
            word("user", &self.user),
            word("host", &url.host),
            word("port", &url.port.to_string()),
        ];
        let socket = url.options.iter().find(|(name, _)| name == "socket");
        options.push(word(
            "protocol",
            if socket.is_some() { "SOCKET" } else { "TCP" },
        ));
        if let Some(password) = &self.password {
            options.push(word("password", password.expose()));
        }
        for (name, value) in &url.options {
            match (name.as_str(), value.to_ascii_lowercase().as_str()) {
                ("ssl-mode", "disabled") => options.push(word("skip-ssl", "")),
                ("ssl-mode", "required") => options.push(word("ssl", "")),
                ("ssl-mode", "verify_ca" | "verify_identity") => {
                    options.push(word("ssl-verify-server-cert", ""));
                }
                ("ssl-mode", _) => {}
                _ => options.push(word(name, value)),
            }
        }
        options
    }
}

/// The option file; gone with this value.
pub(crate) struct OptionFile(PathBuf);

impl OptionFile {
    pub(crate) fn write(folder: &Path, options: &[(String, String)]) -> Result<Self, Problem> {
        let path = folder.join("client.cnf");
        let wrong = |error| Problem::file(&path, &error);
        let mut how = OpenOptions::new();
        let file = how
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        let mut file = file.map_err(wrong)?;
        let guarded = Self(path.clone());
        file.write_all(text(options).as_bytes()).map_err(wrong)?;
        Ok(guarded)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OptionFile {
    fn drop(&mut self) {
        // The folder goes a moment later with what is in it.
        std::fs::remove_file(&self.0).ok();
    }
}

/// An option file's text. Values stand in quotes, so that no letter of a password ends them.
fn text(options: &[(String, String)]) -> String {
    let mut text = String::from("[client]\n");
    for (name, value) in options {
        if value.is_empty() {
            text += &format!("{name}\n");
            continue;
        }
        let mut quoted = String::new();
        for letter in value.chars() {
            match letter {
                '\\' | '"' => quoted.extend(['\\', letter]),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                other => quoted.push(other),
            }
        }
        text += &format!("{name}=\"{quoted}\"\n");
    }
    text
}

/// Dumps the database into `to`; what was in it, and where it stands in the server's binary log
/// when that is wanted and there is one. `private` is a folder that only we can read.
pub(crate) async fn dump(
    login: &Login,
    with_log: bool,
    private: &Path,
    to: &mut Sealed,
) -> Result<(Contents, Option<LogMark>), Problem> {
    let options = OptionFile::write(private, &login.options())?;
    let names = ["mariadb-dump", "mysqldump"];
    let mut command = programs::command(&programs::find(&names, "mariadb-client")?);
    // The option file has to stand first.
    command
        .arg(format!("--defaults-file={}", options.0.display()))
        .args(OPTIONS)
        .arg("--default-character-set=utf8mb4");
    if with_log && keeps_log(&options).await? {
        // A comment in the dump; MariaDB knows it of the transaction, without a lock.
        command.arg("--master-data=2");
    }
    command.arg(&login.url.database).stdout(Stdio::piped());
    let mut program = programs::start(&mut command)?;
    let Some(mut pipe) = program.stdout.take() else {
        return Err(failed("it has no output"));
    };
    let (mut text, mut piece, mut out) = (DumpText::new(), vec![0; PIECE], Vec::new());
    loop {
        let read = pipe.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            break;
        }
        out.clear();
        text.feed(piece.get(..read).unwrap_or_default(), &mut out);
        to.write(&out).await?;
    }
    programs::ended(&mut program).await.map_err(failed)?;
    if !text.is_whole() {
        return Err(failed("it ended without its last line"));
    }
    let log = text.log().map(|(file, position)| LogMark {
        server: folder_of(&login.url),
        database: login.url.database.clone(),
        file,
        position,
    });
    Ok((text.contents(), log))
}

/// Whether the server keeps a binary log.
pub(crate) async fn keeps_log(options: &OptionFile) -> Result<bool, Problem> {
    let names = ["mariadb", "mysql"];
    let mut client = programs::command(&programs::find(&names, "mariadb-client")?);
    client
        .arg(format!("--defaults-file={}", options.path().display()))
        .args(["--skip-column-names", "--execute=SELECT @@log_bin"])
        .stdout(Stdio::piped());
    let mut client = programs::start(&mut client)?;
    let mut said = String::new();
    if let Some(pipe) = &mut client.stdout {
        pipe.read_to_string(&mut said).await.map_err(failed)?;
    }
    programs::ended(&mut client).await.map_err(failed)?;
    Ok(said.trim() == "1")
}

fn failed(said: impl std::fmt::Display) -> Problem {
    let said = said.to_string();
    let denied = ["Access denied", "command denied", "insufficient privileges"];
    if denied.iter().any(|words| said.contains(words)) {
        return Problem::new(
            "the account may not dump the database; give it the rights of grants.sql (satellite_backup) and name it in backup.user",
            "la cuenta no puede respaldar la base de datos; dele los permisos de grants.sql (satellite_backup) y nómbrela en backup.user",
        )
        .because(said);
    }
    Problem::new(
        "the dump failed; `satellite doctor` says whether the database answers; the last good copy is untouched",
        "el respaldo de la base de datos falló; `satellite doctor` dice si contesta; la última copia buena sigue intacta",
    )
    .because(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn no_letter_of_a_password_leaves_its_quotes_and_nobody_else_reads_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let options = [("password".to_owned(), "a\"b\\c#d\n[x]".to_owned())];
        let file = OptionFile::write(folder.path(), &options).unwrap();
        let path = file.0.clone();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "[client]\npassword=\"a\\\"b\\\\c#d\\n[x]\"\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
    }
}
