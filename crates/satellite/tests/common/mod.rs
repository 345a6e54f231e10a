//! A folder with a configuration, the real program run in it, and a running daemon: what tests
//! of the commands share. Commands are given the same file as the daemon, and nothing of the
//! environment that would change their language or their log.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_satellite");

/// A folder with a configuration.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
}

/// What a command left.
pub(crate) struct Left {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        // Nobody answers at port 1; where a daemon runs, it takes free ports.
        house.configure("admin = \"127.0.0.1:1\"");
        house
    }

    pub(crate) fn configure(&self, listen: &str) {
        let text = format!(
            "state_dir = {:?}\n\n[listen]\n{listen}\npublic_url = \"http://satelite.example.mx:8081\"\n\n\
             [[tenant]]\nid = \"acme\"\nname = \"Acme\"\ntime_zone = \"America/Mexico_City\"\n\n\
             [[tenant]]\nid = \"beta\"\ntime_zone = \"America/Tijuana\"\n",
            self.folder.path()
        );
        std::fs::write(self.file("satellite.toml"), text).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .arg("--config")
            .arg(self.file("satellite.toml"));
        for name in [
            "LC_ALL",
            "LC_MESSAGES",
            "LANG",
            "JOURNAL_STREAM",
            "INVOCATION_ID",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("USER", "ana").env_remove("SUDO_USER");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Left {
        let output = self.command(args).output().unwrap();
        Left {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn fine(&self, args: &[&str]) -> String {
        let left = self.run(args);
        assert_eq!(left.status, 0, "{args:?}: {}{}", left.out, left.err);
        left.out
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.fine(args)).unwrap()
    }

    pub(crate) fn failed(&self, args: &[&str]) -> String {
        let left = self.run(args);
        assert_eq!(left.status, 1, "{args:?}: {}{}", left.out, left.err);
        left.err
    }
}

/// A running `satellite run`, ended by its id.
pub(crate) struct Daemon {
    child: Child,
    /// Where terminals are served.
    pub(crate) devices: String,
}

impl Daemon {
    /// Starts it and reads its two addresses from its log.
    pub(crate) fn start(house: &House) -> Self {
        Self::start_with(house, "")
    }

    /// The same with more lines under `[listen]`, each with its line feed.
    pub(crate) fn start_with(house: &House, more: &str) -> Self {
        house.configure(&format!(
            "{more}devices = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\""
        ));
        let mut child = house
            .command(&["run"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains("satellite takes events"));
        let line = line.unwrap_or_else(|| panic!("the daemon ended before it was ready"));
        let address = |name: &str| {
            let rest = line.split_once(&format!("{name}=")).unwrap().1;
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let (devices, admin) = (address("devices"), address("admin"));
        // Commands read the file, so it has to name the port that was given.
        house.configure(&format!("admin = \"{admin}\""));
        // Its log must not fill the pipe.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, devices }
    }

    pub(crate) fn stop(mut self) -> i32 {
        let command = format!("kill -s TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &command])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already unless a test failed half way.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
