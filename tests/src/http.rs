//! HTTP by hand: whole requests as bytes, replies read as they come.
//!
//! A client library would refuse to send what these tests have to send, and would read replies
//! that no terminal can read. A reply counts as read when its Content-Length is complete or the
//! connection has ended; nothing is guessed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest that an exchange may take: more than any deadline of satellite's own door.
const PATIENCE: Duration = Duration::from_secs(45);

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 0 when the first line holds none.
    pub status: u16,
    /// The head without its empty line.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// What a terminal takes for success: 200 and exactly `OK: n`.
    #[must_use]
    pub fn accepts(&self, records: usize) -> bool {
        self.status == 200 && self.body.trim_end() == format!("OK: {records}")
    }

    /// A refusal that no firmware can take for success: another status than 200, and the
    /// letters of `OK` nowhere in the body.
    #[must_use]
    pub fn refuses(&self) -> bool {
        (400..600).contains(&self.status) && !self.body.to_uppercase().contains("OK")
    }

    /// The value of a line `key=value` of an option block.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        let pairs = self.body.lines().filter_map(|line| line.split_once('='));
        let mut found = pairs
            .filter(|(name, _)| *name == key)
            .map(|(_, value)| value.trim());
        found.next_back()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, body) = split(bytes)?;
        let head = String::from_utf8_lossy(head).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Some(Self {
            status: status.unwrap_or(0),
            body: String::from_utf8_lossy(body).into_owned(),
            head,
        })
    }
}

/// An attendance upload, whole.
#[must_use]
pub fn attlog(serial: &str, stamp: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /iclock/cdata?SN={serial}&table=ATTLOG&Stamp={stamp} HTTP/1.1\r\n\
         Host: satellite\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A GET without a body.
#[must_use]
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: satellite\r\n\r\n").into_bytes()
}

/// A terminal's first request.
#[must_use]
pub fn handshake(serial: &str) -> Vec<u8> {
    get(&format!(
        "/iclock/cdata?SN={serial}&options=all&pushver=2.4.1&language=69&PushOptionsFlag=1"
    ))
}

/// Sends a request on a connection of its own and reads the reply.
///
/// # Errors
/// No connection, no reply, or none within 45 s.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Result<Reply> {
    let reply = knock(address, request, false).await?;
    reply.context("the connection ended without a reply")
}

/// Sends bytes that may be refused half-way, and reads whatever reply comes; `None` when the
/// connection ended without one. `done` closes our half after the last byte, as a client does
/// that promised more than it has.
///
/// # Errors
/// No connection, or neither a reply nor an end within 45 s.
pub async fn knock(address: SocketAddr, bytes: &[u8], done: bool) -> Result<Option<Reply>> {
    let talk = async {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        let (mut input, mut output) = stream.into_split();
        let sending = async {
            // A peer that has heard enough may close before the end; its reply says why.
            let sent = output.write_all(bytes).await;
            if done && sent.is_ok() {
                output.shutdown().await.ok();
            }
            // Kept open: otherwise dropping the half would tell of an end.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            reply = read_reply(&mut input) => Ok(reply),
            () = sending => bail!("sending ended"),
        }
    };
    let limited = tokio::time::timeout(PATIENCE, talk).await;
    limited.context("neither a reply nor an end within 45 s")?
}

/// Reads one reply; `None` when the connection ends before its head is complete.
pub async fn read_reply(input: &mut (impl AsyncRead + Unpin)) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        if is_whole(&bytes) {
            return Reply::parse(&bytes);
        }
        match input.read(&mut part).await {
            Ok(length) if length > 0 => bytes.extend_from_slice(&part[..length]),
            // An end, or a reset after what was said: what is there is all there is.
            _ => return Reply::parse(&bytes),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end + 4..)?))
}

/// Whether a head with a Content-Length is there and so is its body.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else {
        return false;
    };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reply_is_read_to_its_length_or_to_the_end() {
        let whole: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nOK: 1\nHTTP/1.1";
        let reply = read_reply(&mut &whole[..whole.len() - 8]).await.unwrap();
        assert!(reply.accepts(1) && !reply.accepts(2) && !reply.refuses());
        let open: &[u8] = b"HTTP/1.0 503 Busy\r\n\r\nDatabase not available";
        let reply = read_reply(&mut &*open).await.unwrap();
        assert!(reply.refuses() && reply.status == 503);
        assert_eq!(
            read_reply(&mut &b"HTTP/1.1 200 OK\r\nConte"[..]).await,
            None
        );
    }

    #[test]
    fn a_refusal_that_some_firmware_takes_for_success_is_none() {
        let reply = |status, body: &str| Reply {
            status,
            head: String::new(),
            body: body.to_owned(),
        };
        assert!(reply(503, "Busy").refuses());
        assert!(!reply(503, "tokens missing").refuses());
        assert!(!reply(200, "Busy").refuses());
        let block = reply(200, "GET OPTION FROM: S\nATTLOGStamp=9\nDelay=10\n");
        assert_eq!(block.option("ATTLOGStamp"), Some("9"));
        assert_eq!(block.option("Stamp"), None);
    }
}
