//! One terminal's connection: bytes out, a reply back, with the patience and the faults of
//! firmware.
//!
//! Replies are read as narrowly as old clients read them: ` 200 ` at its fixed place, the
//! letters `Date:` and `text/plain` anywhere in the head, a fixed length or the end of the
//! connection. A chunked reply cannot be read. A terminal that asked for `Connection: close`
//! waits for the server to close. No reply is ever guessed: what cannot be read is a failure,
//! and a failure keeps the records.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::target::Target;

/// Longest reply that a terminal takes, head and body.
const LONGEST_REPLY: usize = 256 * 1024;
/// Pause between the two writes of a terminal that sends head and body apart.
const SPLIT_PAUSE: Duration = Duration::from_millis(20);

/// How the bytes of a request go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one write.
    Whole,
    /// Head and body in two writes with a pause between them.
    Split,
    /// The body byte by byte, so far apart.
    Slow(Duration),
    /// Half of the body, then the connection is closed.
    Half,
    /// Everything, then the connection is dropped without reading the reply: at once, or when
    /// the reply has arrived.
    LoseReply {
        /// True to wait for the reply before dropping it.
        answered: bool,
    },
}

/// A reply; its body stays in the connection's buffer, see [`Connection::body`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status as a number, 0 when there is none at its place.
    pub(crate) status: u16,
    /// ` 200 ` stands where old firmware looks for it.
    pub(crate) is_200: bool,
    /// The head holds the letters `Date:`.
    pub(crate) has_date: bool,
    /// The head holds the letters `text/plain`.
    pub(crate) has_text_plain: bool,
    body_at: usize,
    body_end: usize,
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection came about.
    Connect,
    /// The connection ended or broke too early.
    Broken,
    /// The reply is no HTTP that a terminal reads.
    Unreadable,
    /// The terminal's patience ended.
    Timeout,
    /// The fleet was told to stop.
    Stopped,
}

/// What happened to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A reply was read.
    Replied(Reply),
    /// The delivery ended on purpose without reading one.
    CutOff,
}

/// The connection of one terminal, kept open or opened for each request.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    input: Vec<u8>,
    reconnects: u64,
}

impl Connection {
    /// Sends a request whose body begins at `body_at` and reads the reply. `close` says that
    /// the request asks for the connection's end.
    ///
    /// A kept connection that the server closed meanwhile is opened anew once, without
    /// counting as a failure: every client does that. A delivery that will be cut off gets a
    /// connection of its own, so that the fault surely reaches the server.
    pub(crate) async fn exchange(
        &mut self,
        target: &Target,
        request: &[u8],
        body_at: usize,
        delivery: Delivery,
        close: bool,
    ) -> Result<Exchange, Failure> {
        let cut_off = matches!(delivery, Delivery::Half | Delivery::LoseReply { .. });
        if let Some(kept) = self.stream.take().filter(|_| !cut_off) {
            let outcome = self.attempt(kept, request, body_at, delivery, close).await;
            let stale = outcome == Err(Failure::Broken) && self.input.is_empty();
            if !stale {
                return outcome;
            }
            self.reconnects += 1;
        }
        let fresh = connect(target).await.map_err(|_| Failure::Connect)?;
        self.attempt(fresh, request, body_at, delivery, close).await
    }

    /// The body of the reply read last.
    pub(crate) fn body(&self, reply: &Reply) -> &[u8] {
        self.input
            .get(reply.body_at..reply.body_end)
            .unwrap_or_default()
    }

    /// Forgets the connection, as a terminal does after a failure.
    pub(crate) fn hang_up(&mut self) {
        self.stream = None;
    }

    /// Gives back memory that a long reply took.
    pub(crate) fn rest(&mut self) {
        self.input.clear();
        self.input.shrink_to(512);
    }

    /// How often a kept connection had to be opened anew since the last time asked.
    pub(crate) fn take_reconnects(&mut self) -> u64 {
        std::mem::take(&mut self.reconnects)
    }

    async fn attempt(
        &mut self,
        mut stream: TcpStream,
        request: &[u8],
        body_at: usize,
        delivery: Delivery,
        close: bool,
    ) -> Result<Exchange, Failure> {
        self.input.clear();
        let sent = send(&mut stream, request, body_at, delivery).await;
        sent.map_err(|_| Failure::Broken)?;
        match delivery {
            Delivery::Half => return Ok(Exchange::CutOff),
            Delivery::LoseReply { answered } => {
                if answered {
                    stream.readable().await.map_err(|_| Failure::Broken)?;
                }
                return Ok(Exchange::CutOff);
            }
            Delivery::Whole | Delivery::Split | Delivery::Slow(_) => {}
        }
        let (reply, keep) = read_reply(&mut stream, &mut self.input, close).await?;
        if keep && !close {
            self.stream = Some(stream);
        }
        Ok(Exchange::Replied(reply))
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = match target.address() {
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect(target.name()).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send(
    stream: &mut TcpStream,
    request: &[u8],
    body_at: usize,
    delivery: Delivery,
) -> io::Result<()> {
    let (head, body) = request.split_at(body_at.min(request.len()));
    match delivery {
        Delivery::Whole | Delivery::LoseReply { .. } => stream.write_all(request).await,
        Delivery::Split => {
            stream.write_all(head).await?;
            tokio::time::sleep(SPLIT_PAUSE).await;
            stream.write_all(body).await
        }
        Delivery::Slow(pause) => {
            stream.write_all(head).await?;
            for byte in body {
                tokio::time::sleep(pause).await;
                stream.write_all(std::slice::from_ref(byte)).await?;
            }
            Ok(())
        }
        Delivery::Half => {
            stream.write_all(head).await?;
            stream.write_all(body.split_at(body.len() / 2).0).await?;
            stream.shutdown().await
        }
    }
}

/// Reads one reply into `input`; the flag says whether the connection can be used again.
async fn read_reply(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    close: bool,
) -> Result<(Reply, bool), Failure> {
    let mut looked_at = 0;
    let body_at = loop {
        let from = usize::saturating_sub(looked_at, 3);
        if let Some(at) = find(input.get(from..).unwrap_or_default(), b"\r\n\r\n") {
            break from + at + 4;
        }
        looked_at = input.len();
        if !more(stream, input).await? {
            return Err(Failure::Broken);
        }
    };
    let (head, _) = input.split_at(body_at);
    let (reply, framing) = read_head(head)?;
    let body_end = match framing.length {
        Some(length) => {
            let end = body_at
                .checked_add(length)
                .filter(|&end| end <= LONGEST_REPLY);
            let end = end.ok_or(Failure::Unreadable)?;
            while input.len() < end {
                if !more(stream, input).await? {
                    return Err(Failure::Broken);
                }
            }
            if close {
                // The whole reply is here; how the connection then ends does not matter.
                while more(stream, input).await.unwrap_or(false) {}
            }
            end
        }
        None if close || framing.closes => {
            while more(stream, input).await? {}
            input.len()
        }
        None => return Err(Failure::Unreadable),
    };
    Ok((
        Reply {
            body_at,
            body_end,
            ..reply
        },
        !framing.closes,
    ))
}

/// Reads more; false at the end of the connection.
async fn more(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<bool, Failure> {
    if input.len() > LONGEST_REPLY {
        return Err(Failure::Unreadable);
    }
    input.reserve(512);
    let read = stream.read_buf(input).await.map_err(|_| Failure::Broken)?;
    Ok(read > 0)
}

/// How the reply's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Framing {
    length: Option<usize>,
    closes: bool,
}

/// Reads the head of a reply, the empty line included.
fn read_head(head: &[u8]) -> Result<(Reply, Framing), Failure> {
    if !head.starts_with(b"HTTP/1.") {
        return Err(Failure::Unreadable);
    }
    let mut framing = Framing {
        length: None,
        closes: head.starts_with(b"HTTP/1.0"),
    };
    for line in head.split(|&byte| byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).map_err(|_| Failure::Unreadable)?;
            framing.length = Some(text.parse().map_err(|_| Failure::Unreadable)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Failure::Unreadable);
        } else if name.eq_ignore_ascii_case(b"connection") {
            framing.closes = match value {
                _ if value.eq_ignore_ascii_case(b"close") => true,
                _ if value.eq_ignore_ascii_case(b"keep-alive") => false,
                _ => framing.closes,
            };
        }
    }
    let digits = head
        .get(9..12)
        .and_then(|text| std::str::from_utf8(text).ok());
    let reply = Reply {
        status: digits.and_then(|text| text.parse().ok()).unwrap_or(0),
        is_200: head.get(8..13) == Some(b" 200 "),
        has_date: find(head, b"Date:").is_some(),
        has_text_plain: find(head, b"text/plain").is_some(),
        body_at: 0,
        body_end: 0,
    };
    Ok((reply, framing))
}

/// Where `what` first stands in `within`, by its exact letters.
pub(crate) fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_for_what_old_firmware_looks_for() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=UTF-8\r\n\
                     CONTENT-length: 5\r\nDate: Sat, 21 Nov 2026 09:15:30 GMT\r\n\r\n";
        let (reply, framing) = read_head(head).unwrap();
        assert!(reply.is_200 && reply.has_date && reply.has_text_plain);
        assert_eq!(
            (reply.status, framing),
            (
                200,
                Framing {
                    length: Some(5),
                    closes: false
                }
            )
        );
    }

    #[test]
    fn lower_case_names_hide_the_date_and_other_statuses_are_not_200() {
        let head = b"HTTP/1.1 202 Accepted\r\ndate: x\r\nconnection: close\r\n\r\n";
        let (reply, framing) = read_head(head).unwrap();
        assert!(!reply.is_200 && !reply.has_date && !reply.has_text_plain);
        assert_eq!(
            (reply.status, framing),
            (
                202,
                Framing {
                    length: None,
                    closes: true
                }
            )
        );
        // Three digits that only begin with 200 are not at the fixed place either.
        assert!(!read_head(b"HTTP/1.1 2000 x\r\n\r\n").unwrap().0.is_200);
    }

    #[test]
    fn chunked_replies_and_other_languages_cannot_be_read() {
        for head in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"SSH-2.0-server\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert_eq!(read_head(head).unwrap_err(), Failure::Unreadable);
        }
    }

    #[test]
    fn an_http_1_0_reply_closes_unless_it_says_otherwise() {
        let closes = |head: &[u8]| read_head(head).unwrap().1.closes;
        assert!(closes(b"HTTP/1.0 200 OK\r\n\r\n"));
        assert!(!closes(
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"
        ));
        assert!(closes(b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n"));
    }
}
