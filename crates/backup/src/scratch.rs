//! A private MariaDB server in which a copy is restored to be proven.
//!
//! Its data is in a temporary folder, it listens on a socket in there and on no address, it reads
//! no option file of the machine, and it ends with this value. It can never be taken for the real
//! one: nothing here knows the address of any other server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use store::{AnyEngine, Target};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};

use crate::{Problem, programs};

/// How long making the tables of a server and its start may take, each.
const START: Duration = Duration::from_secs(120);
/// Between two tries to reach it.
const TURN: Duration = Duration::from_millis(50);
/// The longest path of a socket that the kernel takes, with room for its name.
const SOCKET_PATH: usize = 100;

/// The server; it ends with this value.
pub(crate) struct Scratch {
    folder: PathBuf,
    process: Child,
    databases: u32,
}

impl Scratch {
    /// Makes and starts one below this folder, which must be empty and ours.
    pub(crate) async fn start(folder: &Path) -> Result<Self, Problem> {
        let server = programs::find(&["mariadbd", "mysqld"], "mariadb-server")?;
        let tables = programs::find(&["mariadb-install-db"], "mariadb-server")?;
        let data = format!("--datadir={}", folder.join("data").display());
        // A server that starts empties its temporary folder of every server's tables.
        let temporary = format!("--tmpdir={}", folder.display());
        if folder.as_os_str().len() > SOCKET_PATH {
            let shown = folder.display();
            return Err(failed(format!(
                "{shown} is too long for a socket; set TMPDIR to a shorter path"
            )));
        }
        let mut make = programs::command(&tables);
        make.args(["--no-defaults", &data, &temporary, "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal");
        as_ourselves(&mut make);
        let mut made = programs::start(&mut make)?;
        let made = tokio::time::timeout(START, programs::ended(&mut made)).await;
        made.map_err(failed)?.map_err(failed)?;
        let mut command = watched(&server);
        command
            .args([
                "--no-defaults",
                &data,
                "--skip-networking",
                "--skip-log-bin",
            ])
            .arg(format!("--socket={}", folder.join("s").display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(&temporary)
            // Nothing in it has to outlive a power cut.
            .args([
                "--innodb-flush-log-at-trx-commit=0",
                "--max-allowed-packet=1G",
            ])
            .arg("--character-set-server=utf8mb4")
            .stderr(Stdio::null());
        as_ourselves(&mut command);
        let process = programs::start(&mut command)?;
        let mut scratch = Self {
            folder: folder.to_owned(),
            process,
            databases: 0,
        };
        scratch.wait().await?;
        Ok(scratch)
    }

    async fn wait(&mut self) -> Result<(), Problem> {
        let socket = self.folder.join("s");
        let ready = async {
            while UnixStream::connect(&socket).await.is_err() {
                if let Ok(Some(status)) = self.process.try_wait() {
                    return Err(failed(format!("mariadbd ended: {status}")));
                }
                tokio::time::sleep(TURN).await;
            }
            Ok(())
        };
        tokio::time::timeout(START, ready).await.map_err(failed)?
    }

    /// A new empty database, under its own name where it has one, and the client that fills it.
    pub(crate) async fn fill(&mut self, name: Option<&str>) -> Result<(String, Filling), Problem> {
        self.databases += 1;
        let database = name.map_or_else(|| format!("scratch{}", self.databases), str::to_owned);
        let quoted = database.replace('`', "``");
        let mut client = self.client();
        client.args([
            "--execute",
            &format!("CREATE OR REPLACE DATABASE `{quoted}`"),
        ]);
        let mut created = programs::start(&mut client)?;
        programs::ended(&mut created).await.map_err(failed)?;
        let mut client = self.client();
        client.arg(&database).stdin(Stdio::piped());
        let mut client = programs::start(&mut client)?;
        let pipe = client.stdin.take();
        Ok((database, Filling { client, pipe }))
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Command {
        let program = programs::find(&["mariadb", "mysql"], "mariadb-client");
        let mut command = programs::command(&program.unwrap_or_else(|_| PathBuf::from("mariadb")));
        command
            .args(["--no-defaults", "--user=root", "--protocol=SOCKET"])
            .arg(format!("--socket={}", self.folder.join("s").display()))
            .args([
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
                "--binary-mode",
            ]);
        command
    }

    /// A connection to one of its databases.
    pub(crate) async fn connect(&self, database: &str) -> Result<AnyEngine, Problem> {
        let socket = self.folder.join("s");
        let url = format!(
            "mysql://root@localhost/{database}?socket={}",
            socket.display()
        );
        let target = Target::mysql(&url, None, "scratch");
        target
            .connect()
            .await
            .map_err(|failure| failed(failure.text))
    }
}

/// A restore on its way.
pub(crate) struct Filling {
    client: Child,
    pipe: Option<ChildStdin>,
}

impl Filling {
    /// The next bytes of the dump.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        if pipe.write_all(bytes).await.is_ok() {
            return Ok(());
        }
        // The pipe breaks when the client ends; why it ended says more.
        self.pipe = None;
        let said = programs::ended(&mut self.client).await.err();
        Err(refused(said.unwrap_or_default()))
    }

    /// Waits until all of it is there.
    pub(crate) async fn finish(mut self) -> Result<(), Problem> {
        drop(self.pipe.take());
        programs::ended(&mut self.client).await.map_err(refused)
    }
}

/// A program that ends with us however we end, where the system has the means.
fn watched(program: &PathBuf) -> Command {
    match programs::find(&["setpriv"], "util-linux") {
        Ok(setpriv) => {
            let mut command = programs::command(&setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        Err(_) => programs::command(program),
    }
}

/// The server refuses to run as root unless it is told to.
fn as_ourselves(command: &mut Command) {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        command.arg("--user=root");
    }
}

fn failed(said: impl std::fmt::Display) -> Problem {
    Problem::new(
        "the private server for the proof did not start or answer; see that mariadb-server is installed and the temporary folder has room",
        "el servidor privado para la comprobación no arrancó o no contesta; vea que mariadb-server esté instalado y haya espacio en la carpeta temporal",
    )
    .because(said)
}

pub(crate) fn refused(said: String) -> Problem {
    Problem::new(
        "the copy cannot be restored: the server refused it; make another one (`satellite backup run`) and verify that",
        "la copia no se puede restaurar: el servidor la rechazó; haga otra (`satellite backup run`) y compruébela",
    )
    .because(said)
}
