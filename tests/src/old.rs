//! The program that ran before satellite: a small receiver of push terminals with a ledger of its own.
//!
//! It shares no code with satellite. Each record goes into its file, and the file to disk, before it
//! is acknowledged, so that the file is what a customer's old program would have. It hands out a
//! command at every poll when it is told to, which no terminal may ever see through satellite.
//! [`Switchboard`] is the menu of the terminals: it says which receiver each of them is pointed to.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Punch;
use crate::free_port;

/// Longest head of a request.
const HEAD: usize = 8 * 1024;

/// What it saw of requests that bring no records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// Greetings.
    pub greetings: u64,
    /// Polls.
    pub polls: u64,
    /// Results of commands.
    pub results: u64,
}

#[derive(Debug)]
struct Room {
    file: PathBuf,
    hands_out: bool,
    signs: Mutex<Signs>,
}

/// A receiver at an address of its own.
pub struct OldReceiver {
    address: SocketAddr,
    room: Arc<Room>,
    task: Option<JoinHandle<()>>,
}

impl OldReceiver {
    /// Listens; what it takes goes into `name` in `folder`. With `hands_out` it has a command for
    /// whoever polls.
    ///
    /// # Errors
    /// There is no port, or the file cannot be made.
    pub fn start(folder: &Path, name: &str, hands_out: bool) -> Result<Self> {
        let file = folder.join(name);
        File::create(&file)?;
        let room = Room {
            file,
            hands_out,
            signs: Mutex::default(),
        };
        let mut receiver = Self {
            address: free_port()?,
            room: Arc::new(room),
            task: None,
        };
        receiver.up()?;
        Ok(receiver)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Is gone: connections are refused, and those that stand are cut.
    pub fn down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Listens again at the same address.
    ///
    /// # Errors
    /// The address is not free any more.
    pub fn up(&mut self) -> Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        let listener = socket.listen(256)?;
        let room = Arc::clone(&self.room);
        self.task = Some(tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(converse(stream, Arc::clone(&room)));
                while open.try_join_next().is_some() {}
            }
        }));
        Ok(())
    }

    /// Requests without records so far.
    #[must_use]
    pub fn signs(&self) -> Signs {
        *self
            .room
            .signs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The attendance records that it has.
    ///
    /// # Errors
    /// The file is not as it was written.
    pub fn punches(&self) -> Result<BTreeSet<Punch>> {
        let text = std::fs::read_to_string(&self.room.file)?;
        let read = text.lines().map(|line| {
            let mut words = line.split('\t').map(str::to_owned);
            let mut next = || words.next().context("a line is cut");
            Ok(Punch {
                serial: next()?,
                person: next()?,
                time: next()?,
            })
        });
        read.collect()
    }
}

impl Drop for OldReceiver {
    fn drop(&mut self) {
        self.down();
    }
}

async fn converse(mut stream: TcpStream, room: Arc<Room>) {
    let mut bytes = Vec::new();
    // Whatever goes wrong on a connection ends it; the terminal comes again.
    while let Ok(Some((head, body))) = request(&mut stream, &mut bytes).await {
        let Ok(answer) = answer(&room, &head, &body) else {
            return;
        };
        let whole = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(whole.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(room: &Room, head: &str, body: &[u8]) -> Result<String> {
    let target = head.split(' ').nth(1).context("no target")?;
    let serial = value(target, "SN").context("no serial")?;
    let mut signs = room.signs.lock().unwrap_or_else(PoisonError::into_inner);
    if target.contains("/getrequest") {
        signs.polls += 1;
        let orders = if room.hands_out {
            "C:666:REBOOT\n"
        } else {
            "OK"
        };
        return Ok(orders.to_owned());
    }
    if target.contains("/devicecmd") {
        signs.results += 1;
        return Ok("OK".to_owned());
    }
    if head.starts_with("GET ") {
        signs.greetings += 1;
        return Ok(format!(
            "GET OPTION FROM: {serial}\nATTLOGStamp=0\nErrorDelay=1\nDelay=1\nRealtime=1\n"
        ));
    }
    drop(signs);
    if value(target, "table") != Some("ATTLOG") {
        return Ok("OK".to_owned());
    }
    keep(room, serial, body)
}

/// Writes records down, to disk, and counts them.
fn keep(room: &Room, serial: &str, body: &[u8]) -> Result<String> {
    let mut out = OpenOptions::new().append(true).open(&room.file)?;
    let (mut lines, mut count) = (String::new(), 0);
    for line in std::str::from_utf8(body)?
        .lines()
        .filter(|it| !it.is_empty())
    {
        lines += &format!("{serial}\t{line}\n");
        count += 1;
    }
    out.write_all(lines.as_bytes())?;
    out.sync_data()?;
    Ok(format!("OK: {count}"))
}

/// A value of the query.
fn value<'a>(target: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The next request of a connection; `None` when it has ended between two.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<(String, Vec<u8>)>> {
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(bytes.len() < HEAD, "an endless head");
        if stream.read_buf(bytes).await? == 0 {
            ensure!(bytes.is_empty(), "cut in the head");
            return Ok(None);
        }
    };
    let rest = bytes.split_off(end);
    let head = String::from_utf8(std::mem::replace(bytes, rest))?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or(0);
    while bytes.len() < length {
        ensure!(stream.read_buf(bytes).await? > 0, "cut in the body");
    }
    let rest = bytes.split_off(length);
    Ok(Some((head, std::mem::replace(bytes, rest))))
}

type Lines = Arc<Mutex<HashMap<String, watch::Sender<SocketAddr>>>>;

/// Where each terminal is pointed to: it stands between terminals and receivers and cuts what is under
/// way when somebody changes the address in a terminal's menu.
pub struct Switchboard {
    address: SocketAddr,
    lines: Lines,
    first: SocketAddr,
    task: JoinHandle<()>,
}

impl Switchboard {
    /// Everybody is pointed to `first`.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(first: SocketAddr) -> Result<Self> {
        let address = free_port()?;
        let listener = TcpListener::bind(address).await?;
        let lines = Lines::default();
        let known = Arc::clone(&lines);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(connect(stream, Arc::clone(&known), first));
                while open.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            lines,
            first,
            task,
        })
    }

    /// What terminals are given.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Points a terminal elsewhere, in the middle of whatever it does.
    pub fn point(&self, serial: &str, to: SocketAddr) {
        line(&self.lines, serial, self.first).send_replace(to);
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn line(lines: &Lines, serial: &str, first: SocketAddr) -> watch::Sender<SocketAddr> {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    let line = lines.entry(serial.to_owned());
    line.or_insert_with(|| watch::channel(first).0).clone()
}

async fn connect(mut terminal: TcpStream, lines: Lines, first: SocketAddr) {
    let mut begun = Vec::new();
    let serial = loop {
        let read = terminal.read_buf(&mut begun).await;
        if !matches!(read, Ok(1..)) || begun.len() > HEAD {
            return;
        }
        let text = String::from_utf8_lossy(&begun);
        let after = text.split_once("SN=").map(|(_, after)| after);
        let ended = after.and_then(|after| after.find(['&', ' ']).map(|end| (after, end)));
        if let Some((after, end)) = ended {
            break after[..end].to_owned();
        }
    };
    let mut pointed = line(&lines, &serial, first).subscribe();
    let to = *pointed.borrow_and_update();
    let Ok(mut receiver) = TcpStream::connect(to).await else {
        return;
    };
    let talk = async {
        receiver.write_all(&begun).await?;
        tokio::io::copy_bidirectional(&mut terminal, &mut receiver).await
    };
    tokio::select! {
        _ = pointed.changed() => {}
        _ = tokio::time::timeout(Duration::from_secs(600), talk) => {}
    }
}
