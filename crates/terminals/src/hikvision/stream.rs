//! The alert stream: an answer that does not end, and everything that can be wrong with it.
//!
//! A device streams first what it stored while nobody was connected, slowly and in order, and
//! goes on with live events only when that is done; how far it came stays with it when the
//! connection goes. It ends without a word, stands still in the middle of a part, or leads a
//! reader astray with lengths and boundaries, as its options say. Heartbeats come in between.
//! Nothing that a client does on this connection is read but its end.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::device::Inner;
use super::documents::refusal_xml;
use super::machine::Placed;
use super::options::{Boundary, Heartbeat, PartLength, StreamHead, StreamOptions, Words};
use super::wire::Wire;
use super::words::{self, Telling};

/// `deployExceedMax`.
const TOO_MANY_ARMED: u32 = 0x6000_6018;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Text,
    Picture,
}

/// Makes the bytes of heads and parts.
#[derive(Debug)]
struct Parts<'a> {
    options: &'a StreamOptions,
    token: &'static str,
    end: &'static str,
    /// Parts made, so that wrong lengths are wrong in both directions.
    made: usize,
}

impl<'a> Parts<'a> {
    fn new(options: &'a StreamOptions) -> Self {
        Self {
            options,
            token: if options.head == StreamHead::Http10 {
                "boundary"
            } else {
                "MIME_boundary"
            },
            end: if options.line_feeds { "\n" } else { "\r\n" },
            made: 0,
        }
    }

    /// The head of the answer; `first` is the length of the first part.
    fn head(&self, first: usize) -> String {
        let token = self.token;
        let named = match self.options.boundary {
            Boundary::Plain => format!("boundary={token}"),
            Boundary::Quoted => format!("boundary=\"{token}\""),
            Boundary::OtherCase if self.options.head == StreamHead::Http10 => {
                "boundary=Boundary".to_owned()
            }
            Boundary::OtherCase => format!("boundary={}", token.to_ascii_lowercase()),
            Boundary::Dashed => format!("boundary=--{token}"),
            Boundary::Undeclared => String::new(),
        };
        let typed = |kind: &str, blank: &str| match named.as_str() {
            "" => format!("Content-Type: {kind}\r\n"),
            named => format!("Content-Type: {kind};{blank}{named}\r\n"),
        };
        let mixed = typed("multipart/mixed", " ");
        match self.options.head {
            StreamHead::Mixed => format!("HTTP/1.1 200 OK\r\n{mixed}\r\n"),
            StreamHead::Http10 => format!(
                "HTTP/1.0 200 OK\r\nMIME-Version: 1.0\r\n{}\r\n",
                typed("multipart/mixed", "")
            ),
            StreamHead::FormData => format!(
                "HTTP/1.1 200 OK\r\nMIME-Version: 1.0\r\nConnection: close\r\n{}\r\n",
                typed("multipart/form-data", "")
            ),
            StreamHead::Chunked => {
                format!("HTTP/1.1 200 OK\r\n{mixed}Transfer-Encoding: chunked\r\n\r\n")
            }
            StreamHead::LyingLength => {
                format!("HTTP/1.1 200 OK\r\n{mixed}Content-Length: {first}\r\n\r\n")
            }
        }
    }

    /// One part with its delimiter before it.
    fn part(&mut self, kind: PartKind, mut body: Vec<u8>) -> Vec<u8> {
        self.made += 1;
        let (options, end) = (self.options, self.end);
        if options.glued && body.last() != Some(&b'\n') {
            body.push(b'\n');
        }
        let told = match options.part_length {
            PartLength::Exact => Some(body.len()),
            PartLength::Absent => None,
            PartLength::Wrong if self.made.is_multiple_of(2) => Some(body.len() + 7),
            PartLength::Wrong => Some(body.len().saturating_sub(5)),
        };
        let types = match (kind, options.words) {
            (PartKind::Picture, _) => format!(
                "Content-Disposition: form-data; name=\"Picture\"; filename=\"Picture.jpg\"{end}\
                 Content-Type:image/jpeg{end}"
            ),
            (PartKind::Text, Words::Xml) => {
                format!("Content-Type: application/xml; charset=\"UTF-8\"{end}")
            }
            (PartKind::Text, _) => {
                format!("Content-Type: application/json; charset=\"UTF-8\"{end}")
            }
        };
        let length = told.map_or_else(String::new, |n| format!("Content-Length: {n}{end}"));
        let mut bytes = format!("--{}{end}{types}{length}{end}", self.token).into_bytes();
        bytes.append(&mut body);
        if !options.glued {
            bytes.extend_from_slice(end.as_bytes());
        }
        bytes
    }
}

/// Arms, streams until somebody ends it, and disarms.
pub(super) async fn serve(device: &Arc<Inner>, wire: &mut Wire, from: IpAddr) {
    let Some(_slot) = device.arm(from) else {
        device.counts.arming_refused.fetch_add(1, Relaxed);
        let sub = "deployExceedMax";
        let refused = refusal_xml(403, 4, "Invalid Operation", sub, TOO_MANY_ARMED);
        // The connection closes either way.
        wire.reply(&refused, true).await.ok();
        return;
    };
    device.counts.streams.fetch_add(1, Relaxed);
    device.note_arming(true).await;
    let mut feed = Feed::new(device, &mut wire.socket);
    // How it ended does not matter: the position moved with each part that went out.
    feed.run().await.ok();
    device.note_arming(false).await;
}

/// One stream while it lasts.
struct Feed<'a> {
    device: &'a Arc<Inner>,
    socket: &'a mut TcpStream,
    parts: Parts<'a>,
    caught_up: bool,
}

impl<'a> Feed<'a> {
    fn new(device: &'a Arc<Inner>, socket: &'a mut TcpStream) -> Self {
        Self {
            device,
            socket,
            parts: Parts::new(&device.options.stream),
            caught_up: false,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        let device = self.device;
        let options = &device.options.stream;
        let mut killed = device.killed.subscribe();
        let mut news = device.machine.watch();
        if options.replay {
            device.machine.rewind(options.redeliver);
        } else {
            device.machine.skip_to_newest();
        }
        let began = Instant::now();
        let ends = options
            .close_after_s
            .map(|seconds| began + Duration::from_secs(seconds));
        let gap = Duration::from_secs_f64(1.0 / options.replay_per_s);
        let beat = Duration::from_millis(options.heartbeat_ms);
        let mut next_beat = began + beat;
        let mut next_event = began;
        self.open().await?;
        loop {
            let due = device.machine.next_upload();
            if due.is_none() {
                self.caught_up = true;
            }
            let event_at = if self.caught_up { began } else { next_event };
            let mut ignored = [0_u8; 64];
            tokio::select! {
                biased;
                _ = killed.changed() => return self.go_silent().await,
                read = self.socket.read(&mut ignored) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                () = at(ends) => return Ok(()),
                () = tokio::time::sleep_until(event_at), if due.is_some() => {
                    if let Some(placed) = due {
                        self.event(&placed).await?;
                    }
                    next_event = Instant::now() + gap;
                }
                () = tokio::time::sleep_until(next_beat), if beats(options) => {
                    let part = self.heartbeat();
                    self.send(&part).await?;
                    device.counts.heartbeats.fetch_add(1, Relaxed);
                    next_beat = Instant::now() + beat;
                }
                _ = news.changed() => {}
            }
        }
    }

    /// The head, and with it the first heartbeat where there are any.
    async fn open(&mut self) -> io::Result<()> {
        let first = if beats(self.parts.options) {
            self.heartbeat()
        } else {
            Vec::new()
        };
        let head = self.parts.head(first.len().max(100));
        self.socket.write_all(head.as_bytes()).await?;
        self.send(&first).await
    }

    fn heartbeat(&mut self) -> Vec<u8> {
        let options = self.parts.options;
        let videoloss = options.heartbeat == Heartbeat::Videoloss;
        let machine = &self.device.machine;
        let body = words::heartbeat(machine, self.device.port, videoloss, options.words);
        self.parts.part(PartKind::Text, body)
    }

    async fn event(&mut self, placed: &Placed) -> io::Result<()> {
        let (device, options) = (self.device, self.parts.options);
        let pictured = options.picture_bytes > 0 && !placed.row.person.is_empty();
        let told = Telling {
            port: device.port,
            current: Some(self.caught_up),
            serials: options.serials,
            front: device.machine.front(),
            pictures: u8::from(pictured),
        };
        let body = words::event(&device.machine, placed, told, options.words);
        let mut bytes = self.parts.part(PartKind::Text, body);
        if pictured {
            let picture = words::picture(options.picture_bytes).to_vec();
            bytes.append(&mut self.parts.part(PartKind::Picture, picture));
        }
        self.send(&bytes).await?;
        device.machine.mark_uploaded(placed, true);
        device.machine.mark_streamed(placed);
        device.counts.streamed.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Sends bytes, in chunks where the stream is chunked; a stalled device stops half-way.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let stalled = self.device.stalled();
        let chunked = self.parts.options.head == StreamHead::Chunked;
        if stalled.is_none() && !chunked {
            return self.socket.write_all(bytes).await;
        }
        for (half, wait) in [(first, stalled), (second, None)] {
            if chunked && !half.is_empty() {
                let size = format!("{:x}\r\n", half.len());
                self.socket.write_all(size.as_bytes()).await?;
                self.socket.write_all(half).await?;
                self.socket.write_all(b"\r\n").await?;
            } else {
                self.socket.write_all(half).await?;
            }
            if let Some(until) = wait {
                tokio::time::sleep_until(until).await;
            }
        }
        Ok(())
    }

    /// Nothing more, and no end either, until the client gives up.
    async fn go_silent(&mut self) -> io::Result<()> {
        let mut ignored = [0_u8; 64];
        while self.socket.read(&mut ignored).await? > 0 {}
        Ok(())
    }
}

fn beats(options: &StreamOptions) -> bool {
    options.heartbeat != Heartbeat::None
}

/// Sleeps until then, or for ever.
async fn at(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(change: fn(&mut StreamOptions)) -> (String, String) {
        let mut options = StreamOptions::default();
        change(&mut options);
        let mut parts = Parts::new(&options);
        let bytes = parts.part(PartKind::Text, b"{0123456789}".to_vec());
        let head = parts.head(bytes.len());
        (head, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn parts_are_told_exactly_wrongly_or_not_at_all() {
        let kind = "Content-Type: application/json; charset=\"UTF-8\"\r\n";
        let (_, exact) = part(|_| {});
        let want = format!("--MIME_boundary\r\n{kind}Content-Length: 12\r\n\r\n{{0123456789}}\r\n");
        assert_eq!(exact, want);
        let (_, wrong) = part(|o| o.part_length = PartLength::Wrong);
        assert!(wrong.contains("Content-Length: 7\r\n"), "{wrong}");
        let (_, absent) = part(|o| o.part_length = PartLength::Absent);
        assert!(!absent.contains("Content-Length"), "{absent}");
        let (_, glued) = part(|o| o.glued = true);
        assert!(glued.ends_with("{0123456789}\n"), "{glued}");
        let (_, feeds) = part(|o| o.line_feeds = true);
        assert!(!feeds.contains('\r'), "{feeds}");
    }

    #[test]
    fn heads_have_the_shapes_of_the_field() {
        let (head, first) = part(|o| o.head = StreamHead::LyingLength);
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", first.len())));
        let (head, _) = part(|o| o.head = StreamHead::Http10);
        let want = "HTTP/1.0 200 OK\r\nMIME-Version: 1.0\r\n\
                    Content-Type: multipart/mixed;boundary=boundary\r\n\r\n";
        assert_eq!(head, want);
        for (boundary, named) in [
            (Boundary::Quoted, "; boundary=\"MIME_boundary\"\r\n"),
            (Boundary::OtherCase, "; boundary=mime_boundary\r\n"),
            (Boundary::Dashed, "; boundary=--MIME_boundary\r\n"),
            (Boundary::Undeclared, "multipart/mixed\r\n"),
        ] {
            let options = StreamOptions {
                boundary,
                ..StreamOptions::default()
            };
            let head = Parts::new(&options).head(0);
            assert!(head.contains(named), "{head}");
        }
    }
}
