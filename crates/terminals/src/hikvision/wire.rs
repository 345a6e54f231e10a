//! The web server of a device: requests in, answers out, by hand.
//!
//! As narrow as the small servers in these devices: a head of at most 16 KiB, a body with a
//! `Content-Length`, one request at a time. A request that cannot be read closes the
//! connection without a word. The stream writes to the socket itself; nothing here knows
//! what is asked.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::find;

const LONGEST_HEAD: usize = 16 * 1024;
const LONGEST_BODY: usize = 256 * 1024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as they stand in the request line.
    pub(super) target: String,
    pub(super) authorization: Option<String>,
    pub(super) close: bool,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    /// Header lines of its own, each with its end.
    pub(super) lines: String,
    pub(super) body: Vec<u8>,
}

impl Response {
    pub(super) fn xml(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind: "application/xml; charset=\"UTF-8\"",
            lines: String::new(),
            body: body.into(),
        }
    }

    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: "application/json; charset=\"UTF-8\"",
            ..Self::xml(status, body)
        }
    }
}

/// A connection from the server's side.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            input: Vec::new(),
        }
    }

    /// The next request; `None` when there will be none, or none that can be read, or none
    /// within this time.
    pub(super) async fn request(&mut self, patience: Duration) -> Option<Request> {
        tokio::time::timeout(patience, self.read()).await.ok()?
    }

    async fn read(&mut self) -> Option<Request> {
        let head_end = loop {
            if let Some(at) = find(&self.input, b"\r\n\r\n") {
                break at + 4;
            }
            if self.input.len() > LONGEST_HEAD || !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8_lossy(self.input.get(..head_end)?).into_owned();
        let (mut request, length) = read_head(&head)?;
        let end = head_end.checked_add(length.filter(|&n| n <= LONGEST_BODY)?)?;
        while self.input.len() < end {
            if !self.more().await {
                return None;
            }
        }
        request.body = self.input.get(head_end..end)?.to_vec();
        self.input.drain(..end);
        self.input.shrink_to(1024);
        Some(request)
    }

    async fn more(&mut self) -> bool {
        self.input.reserve(1024);
        let read = self.socket.read_buf(&mut self.input).await;
        read.is_ok_and(|count| count > 0)
    }

    /// Sends an answer.
    pub(super) async fn reply(&mut self, response: &Response, close: bool) -> io::Result<()> {
        let connection = if close { "close" } else { "keep-alive" };
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nServer: webserver\r\nConnection: {connection}\r\n{}\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            response.status,
            reason(response.status),
            response.lines,
            response.kind,
            response.body.len(),
        )
        .into_bytes();
        bytes.extend_from_slice(&response.body);
        self.socket.write_all(&bytes).await
    }
}

/// Reads the head; a length that is no number makes the request unreadable.
fn read_head(head: &str) -> Option<(Request, Option<usize>)> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Request::default()
    };
    request.close = words.next()? == "HTTP/1.0";
    let mut length = Some(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok(),
            "transfer-encoding" => return None,
            "authorization" => request.authorization = Some(value.to_owned()),
            "connection" => {
                if value.eq_ignore_ascii_case("close") {
                    request.close = true;
                } else if value.eq_ignore_ascii_case("keep-alive") {
                    request.close = false;
                }
            }
            _ => {}
        }
    }
    Some((request, length))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_and_a_length_that_is_no_number_is_not_guessed() {
        let head = "POST /ISAPI/x?format=json HTTP/1.1\r\nHost: h\r\nauthorization: Digest a\r\n\
                    Content-Length: 12\r\nConnection: close\r\n\r\n";
        let (request, length) = read_head(head).unwrap();
        assert_eq!((request.path(), length), ("/ISAPI/x", Some(12)));
        assert_eq!(request.authorization.as_deref(), Some("Digest a"));
        assert!(request.close);
        let wrong = "GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n";
        assert_eq!(read_head(wrong).unwrap().1, None);
        assert!(read_head("GET /\r\n\r\n").is_none());
    }
}
