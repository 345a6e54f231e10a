//! A folder with a configuration, the real program run in it, and a running daemon: what tests
//! of the program share. Commands are given the same file as the daemon, and nothing of the
//! environment that would change their language or their log.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_satellite");

/// `devices add` for a Hikvision device of `acme`, with more arguments.
pub(crate) fn add_hikvision<'a>(serial: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let add = [
        "devices",
        "add",
        "--tenant",
        "acme",
        "--vendor",
        "hikvision",
        "--serial",
        serial,
    ];
    [&add[..], more].concat()
}

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
    log: Arc<Mutex<Vec<String>>>,
    /// Where terminals are served.
    pub(crate) devices: String,
    /// Where operators are.
    pub(crate) admin: String,
}

impl Daemon {
    /// Starts it and reads its two addresses from its log.
    pub(crate) fn start(house: &House) -> Self {
        Self::start_with(house, "")
    }

    /// The same with more lines under `[listen]`, each with its line feed.
    pub(crate) fn start_with(house: &House, more: &str) -> Self {
        Self::start_at(house, more, "info")
    }

    /// The same with another level of its log.
    pub(crate) fn start_at(house: &House, more: &str, level: &str) -> Self {
        house.configure(&format!(
            "{more}devices = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\""
        ));
        let mut child = house
            .command(&["run"])
            .env("RUST_LOG", level)
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
        let kept = Arc::<Mutex<Vec<String>>>::default();
        let keeps = Arc::clone(&kept);
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                keeps.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            log: kept,
            devices,
            admin,
        }
    }

    /// The lines of its log with that text, as far as they have come.
    pub(crate) fn log(&self, text: &str) -> Vec<String> {
        let lines = self.log.lock().unwrap();
        lines
            .iter()
            .filter(|line| line.contains(text))
            .cloned()
            .collect()
    }

    /// Posts attendance records; answers the reply's body and whether it was a success.
    pub(crate) fn post(&self, serial: &str, body: &str) -> (bool, String) {
        ask(
            &self.devices,
            &format!(
                "POST /iclock/cdata?SN={serial}&table=ATTLOG&Stamp=9999 HTTP/1.1\r\nHost: x\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    }

    /// The value of a metric's series.
    pub(crate) fn metric(&self, series: &str) -> String {
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let (_, text) = ask(&self.admin, request);
        let line = text.lines().find(|line| line.starts_with(series));
        let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
        line.rsplit(' ').next().unwrap().to_owned()
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

fn ask(address: &str, request: &str) -> (bool, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let patience = Some(std::time::Duration::from_secs(10));
    stream.set_read_timeout(patience).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.starts_with("HTTP/1.1 200"), body.to_owned())
}
