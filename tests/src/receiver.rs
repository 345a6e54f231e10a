//! A receiver of webhooks that writes down what it takes, and fails in every way that is asked for.
//!
//! Each event goes into its file, and the file to disk, before the delivery is answered. So the file
//! is what a customer's program would have, and judges satellite without asking it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::free_port;

/// What it does with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Writes it down and says 200.
    Takes,
    /// Says this status and writes nothing down.
    Says(u16),
    /// Reads it and never answers.
    Hangs,
    /// Writes it down and is gone before it answers.
    TakesAndDies,
    /// Sends it elsewhere.
    Redirects(SocketAddr),
    /// Says this status to each delivery with an event of this person, and takes all others.
    Rejects(u16, &'static str),
}

/// An event as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The terminal.
    pub serial: String,
    /// Its number in the feed.
    pub seq: i64,
    /// Its name.
    pub uid: String,
}

/// A receiver at an address of its own.
pub struct Receiver {
    address: SocketAddr,
    file: PathBuf,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<u64>>,
    task: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens; what it takes goes into `name` in `folder`.
    ///
    /// # Errors
    /// There is no port, or the file cannot be made.
    pub async fn start(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(name);
        File::create(&file)?;
        let mut receiver = Self {
            address: free_port()?,
            file,
            mood: Arc::new(Mutex::new(Mood::Takes)),
            asked: Arc::default(),
            task: None,
        };
        receiver.up()?;
        Ok(receiver)
    }

    /// Where deliveries go.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/in?from=satellite", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it does from now on.
    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// Deliveries that reached it whole, taken or not.
    #[must_use]
    pub fn asked(&self) -> u64 {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
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
        let listener = socket.listen(64)?;
        let out = OpenOptions::new().append(true).open(&self.file)?;
        let (mood, asked) = (Arc::clone(&self.mood), Arc::clone(&self.asked));
        self.task = Some(tokio::spawn(serve(listener, Arc::new(out), mood, asked)));
        Ok(())
    }

    /// What arrived, in its order, repetitions included.
    ///
    /// # Errors
    /// The file is not as it was written.
    pub fn arrivals(&self) -> Result<Vec<Arrival>> {
        let text = std::fs::read_to_string(&self.file)?;
        let read = text.lines().map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().context("a line is cut");
            Ok(Arrival {
                serial: next()?.to_owned(),
                seq: next()?.parse()?,
                uid: next()?.to_owned(),
            })
        });
        read.collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

async fn serve(
    listener: TcpListener,
    out: Arc<File>,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<u64>>,
) {
    // Ends with this task, so that a receiver that is down has no connection left.
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (out, mood, asked) = (Arc::clone(&out), Arc::clone(&mood), Arc::clone(&asked));
        open.spawn(async move {
            if let Err(error) = answer(stream, &out, &mood, &asked).await {
                println!("receiver: {error:#}");
            }
        });
        while open.try_join_next().is_some() {}
    }
}

async fn answer(
    mut stream: TcpStream,
    out: &File,
    mood: &Mutex<Mood>,
    asked: &Mutex<u64>,
) -> Result<()> {
    let (head, body) = request(&mut stream).await?;
    ensure!(
        head.starts_with("POST /in?from=satellite HTTP/1.1\r\n"),
        "{head}"
    );
    ensure!(
        head.to_lowercase().contains("x-satellite-signature: t="),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    *asked.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    let now = *mood.lock().unwrap_or_else(PoisonError::into_inner);
    let status = match now {
        Mood::Takes => keep(out, &body)?,
        Mood::Says(status) => status,
        Mood::Hangs => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return Ok(());
        }
        Mood::TakesAndDies => {
            keep(out, &body)?;
            return Ok(());
        }
        Mood::Redirects(to) => {
            let answer = format!(
                "HTTP/1.1 307 Moved\r\nLocation: http://{to}/in\r\nContent-Length: 0\r\n\r\n"
            );
            return Ok(stream.write_all(answer.as_bytes()).await?);
        }
        Mood::Rejects(status, person) => {
            let events = body["events"].as_array().context("no events")?;
            if events.iter().any(|event| event["person"] == person) {
                status
            } else {
                keep(out, &body)?
            }
        }
    };
    let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n");
    Ok(stream.write_all(answer.as_bytes()).await?)
}

/// Head and body of a request.
async fn request(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        ensure!(stream.read_buf(&mut bytes).await? > 0, "cut in the head");
    };
    let body = bytes.split_off(end);
    let head = String::from_utf8(bytes)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let length: usize = length.context("no length")?;
    let mut body = body;
    while body.len() < length {
        ensure!(stream.read_buf(&mut body).await? > 0, "cut in the body");
    }
    Ok((head, body))
}

/// Writes a delivery down, to disk.
fn keep(mut out: &File, body: &serde_json::Value) -> Result<u16> {
    let mut lines = String::new();
    for event in body["events"].as_array().context("no events")? {
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        let serial = text("serial").context("no serial")?;
        let uid = text("event_uid").context("no event_uid")?;
        let seq = event["seq"].as_i64().context("no seq")?;
        lines += &format!("{serial} {seq} {uid}\n");
    }
    out.write_all(lines.as_bytes())?;
    out.sync_data()?;
    Ok(200)
}
