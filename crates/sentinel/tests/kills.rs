//! Sentinel killed again and again while alerts are decided, written, sent and taken: none is
//! lost, and at most one mail is repeated for each kill.
//!
//! The child is this same program, told by its environment where its state is. Each life sees
//! one thing wrong that no other life sees, so that each can open an incident and ends that of
//! the life before; each has a reader of its own, so that no cap holds a letter back. For the
//! first third of the kills the only relay refuses everything, and that third lasts 72 hours:
//! each life's wall clock stands further ahead than that of the life before (libfaketime). What
//! is compared is sentinel's own file with what the mail server took.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use daemon::config::Source;
use jiff::Timestamp;
use sentinel::database::{Database, Which};
use sentinel::{Config, Kind, Look, Observation, Round, Sentinel, Subject, Trouble};

const STATE: &str = "SENTINEL_CHILD_STATE";
const RELAY: &str = "SENTINEL_CHILD_RELAY";
const LIFE: &str = "SENTINEL_CHILD_LIFE";

/// Sees that something of this life's own is wrong.
struct Seen(String);

#[async_trait]
impl Look for Seen {
    fn name(&self) -> &str {
        "canary:acme"
    }
    fn every(&self) -> Duration {
        Duration::from_millis(100)
    }
    fn deadline(&self) -> Duration {
        Duration::from_millis(90)
    }
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }
    async fn look(&self, now: Timestamp) -> Round {
        let trouble = Trouble::new(Kind::AcknowledgedNotFound);
        let subject = Subject::check("acme", &self.0);
        Round::whole(vec![Observation::wrong(subject, now, vec![trouble])])
    }
}

#[ignore = "the child of the test below, which starts it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let value = |name: &str| std::env::var(name).unwrap();
    let (state, relay, life) = (value(STATE), value(RELAY), value(LIFE));
    let text = format!(
        "state_dir = '{state}'\n[listen]\nadmin = '127.0.0.1:0'\n\
         [mail]\nfrom = 's@example.mx'\nrelays = ['smtp://{relay}']\n\
         [[level]]\nto = [{{ address = 'reader{life}@example.mx' }}]\n"
    );
    let config = Config::read(&Source::new("t.toml", text)).unwrap();
    let look: Arc<dyn Look> = Arc::new(Seen(format!("life{life}")));
    let _running = Sentinel::start_with(config, vec![look]).await.unwrap();
    println!("RUNS");
    std::future::pending::<()>().await;
}

/// Longest that the relay is away, in hours of sentinel's clock.
const AWAY_HOURS: usize = 72;
/// What puts a process's clock ahead; of the package `faketime`.
const AHEAD: &str = "faketime/libfaketimeMT.so.1";

/// Where that library is, if it is installed.
fn clock_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.map_while(Result::ok);
    let found = folders.map(|folder| folder.path().join(AHEAD));
    found.into_iter().find(|path| path.exists())
}

fn live(state: &Path, relay: &str, life: usize, minutes: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some(library) = clock_library() {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("+{minutes}m"))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    let mut child = command
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(STATE, state)
        .env(RELAY, relay)
        .env(LIFE, life.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let runs = out
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("RUNS"));
    assert!(runs, "life {life} did not begin");
    child
}

/// A mail server that keeps what it takes and is a little slow about it.
#[derive(Clone, Default)]
struct Server {
    refuses: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        address
    }

    /// Ends when the other side does, also when that is killed in the middle.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?);
        stream.write_all(b"220 here\r\n").ok()?;
        loop {
            let mut line = String::new();
            if lines.by_ref().take(4096).read_line(&mut line).ok()? == 0 {
                return None;
            }
            let reply = match line.get(..4)? {
                "MAIL" if self.refuses.load(Ordering::SeqCst) => "451 later\r\n",
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").ok()?;
                    let mut text = String::new();
                    while !text.ends_with("\r\n.\r\n") {
                        if lines.read_line(&mut text).ok()? == 0 {
                            return None;
                        }
                    }
                    self.taken.lock().unwrap().push(text);
                    std::thread::park_timeout(Duration::from_millis(15));
                    "250 kept\r\n"
                }
                "QUIT" => return None,
                _ => "250 fine\r\n",
            };
            stream.write_all(reply.as_bytes()).ok()?;
        }
    }

    /// How often each letter was taken, by its Message-ID, and everything that was.
    fn copies(&self) -> (HashMap<String, usize>, String) {
        let taken = self.taken.lock().unwrap();
        let mut copies: HashMap<String, usize> = HashMap::new();
        for mail in taken.iter() {
            let mut lines = mail.lines();
            let name = lines.find_map(|line| line.strip_prefix("Message-ID: "));
            *copies.entry(name.unwrap().trim().to_owned()).or_default() += 1;
        }
        (copies, taken.join("\n"))
    }
}

/// Every incident that was ever written, by its number.
async fn opened(state: &Path) -> Vec<String> {
    let mut database = Database::existing(state).await.unwrap();
    // Sentinel's clock stands ahead of ours.
    let ever = Which::Between(Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let rows = database.incidents(ever).await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_sentinel_and_72_hours_without_a_relay_lose_no_alert_and_repeat_at_most_one_mail_each()
 {
    let full = std::env::var_os("SATELLITE_TEST_FULL").is_some_and(|it| it == "1");
    let kills = if full { 1_000 } else { 30 };
    if clock_library().is_none() {
        eprintln!("72 HOURS NOT PROVEN HERE, only kills: apt-get install faketime");
    }
    let minutes = |life: usize| life * 60 * AWAY_HOURS * 3 / kills;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let server = Server::default();
    let relay = server.listen();
    server.refuses.store(true, Ordering::SeqCst);
    for life in 0..kills {
        if life == kills / 3 {
            assert!(server.copies().0.is_empty(), "the relay was away");
            server.refuses.store(false, Ordering::SeqCst);
        }
        let mut child = live(&state, &relay, life, minutes(life));
        // Over one and a half of its rounds, at any moment of them.
        let pause = u64::try_from(life * 7_919 % 1_500).unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut last = live(&state, &relay, kills, minutes(kills));
    let end = Instant::now() + Duration::from_secs(120);
    let lost = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_, all) = server.copies();
        let mut missing = opened(&state).await;
        missing.retain(|id| !all.contains(id.as_str()));
        if missing.is_empty() || Instant::now() > end {
            break missing;
        }
    };
    last.kill().unwrap();
    last.wait().unwrap();
    let incidents = opened(&state).await.len();
    let (copies, _) = server.copies();
    let repeated: usize = copies.values().map(|count| count - 1).sum();
    println!(
        "{kills} kills, {AWAY_HOURS} h without a relay: {incidents} incidents, {} letters, {} lost, {repeated} repeated",
        copies.len(),
        lost.len()
    );
    assert!(
        incidents > kills / 4,
        "only {incidents} incidents in {kills} lives"
    );
    assert!(lost.is_empty(), "{lost:?}");
    assert!(repeated <= kills, "{repeated} repeated");
}
