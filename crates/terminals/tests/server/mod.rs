//! A server that is no server: it reads requests off a socket and does what a test tells it.
//!
//! It stands for everything that a real server could do wrong, so it is written by hand and
//! shares nothing with the code under test. Every request is kept for the test to look at.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The request line without its end.
    pub(crate) line: String,
    /// The head, request line included.
    pub(crate) head: String,
    /// The body, as much of it as came.
    pub(crate) body: String,
    /// The length that the head announced.
    pub(crate) announced: usize,
    /// Milliseconds since the server was started.
    pub(crate) at_ms: u128,
}

impl Request {
    pub(crate) fn is_upload(&self) -> bool {
        self.line.starts_with("POST") && self.line.contains("table=ATTLOG")
    }

    pub(crate) fn is_poll(&self) -> bool {
        self.line.contains("/getrequest")
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.body.len() == self.announced
    }

    /// The body's lines without their ends and without a NUL after them.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.body
            .trim_end_matches('\0')
            .lines()
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn serial(&self) -> String {
        let from = self.line.split("SN=").nth(1).unwrap_or_default();
        from.split(['&', ' ']).next().unwrap_or_default().to_owned()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Play {
    /// A proper reply with this status line and body.
    Reply(&'static str, String),
    /// These bytes, then the connection is closed.
    Raw(String),
    /// The connection is closed without a reply.
    Drop,
}

/// The reply of a server that accepts.
pub(crate) fn ok() -> Play {
    Play::Reply("200 OK", "OK".to_owned())
}

type Script = dyn Fn(usize, &Request) -> Play + Send + Sync;

/// The server. It ends when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    _end: oneshot::Sender<()>,
}

impl Server {
    /// Starts a server. Handshakes and polls are served properly; for every upload the script
    /// is asked, with the number of whole uploads seen before.
    pub(crate) async fn start(
        script: impl Fn(usize, &Request) -> Play + Send + Sync + 'static,
    ) -> Self {
        Self::with(move |uploads, request| {
            if request.is_upload() {
                return script(uploads, request);
            }
            if request.line.contains("options=all") {
                return Play::Reply("200 OK", block(&request.serial()));
            }
            ok()
        })
        .await
    }

    /// Starts a server whose script is asked for every request.
    pub(crate) async fn with(
        script: impl Fn(usize, &Request) -> Play + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (end, mut ended) = oneshot::channel();
        let script: Arc<Script> = Arc::new(script);
        let kept = Arc::clone(&seen);
        let began = std::time::Instant::now();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut ended => return,
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.unwrap();
                        tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&script), began));
                    }
                }
            }
        });
        Self {
            url,
            seen,
            _end: end,
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn uploads(&self) -> Vec<Request> {
        self.requests()
            .into_iter()
            .filter(Request::is_upload)
            .collect()
    }
}

/// An option block for that serial.
pub(crate) fn block(serial: &str) -> String {
    format!(
        "GET OPTION FROM: {serial}\nATTLOGStamp=0\nErrorDelay=30\nDelay=10\nTimeZone=-6\n\
         PushOptionsFlag=1\n"
    )
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Request>>>,
    script: Arc<Script>,
    began: std::time::Instant,
) {
    while let Some(mut request) = read(&mut stream).await {
        request.at_ms = began.elapsed().as_millis();
        let uploads = {
            let mut seen = seen.lock().unwrap();
            let before = seen
                .iter()
                .filter(|r| r.is_upload() && r.is_whole())
                .count();
            seen.push(request.clone());
            before
        };
        if !request.is_whole() {
            return;
        }
        let close = request
            .head
            .to_ascii_lowercase()
            .contains("connection: close");
        match script(uploads, &request) {
            Play::Drop => return,
            Play::Raw(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok();
                return;
            }
            Play::Reply(status, body) => {
                let reply = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
                     Date: Sat, 21 Nov 2026 09:15:30 GMT\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(reply.as_bytes()).await.is_err() || close {
                    return;
                }
            }
        }
    }
}

/// Reads one request; a body that ends early is kept as far as it came.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let lower = head.to_ascii_lowercase();
    let announced = lower
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    while bytes.len() < head_end + announced {
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let body = String::from_utf8_lossy(&bytes[head_end..]).into_owned();
    let line = head.lines().next()?.to_owned();
    Some(Request {
        line,
        head,
        body,
        announced,
        at_ms: 0,
    })
}
