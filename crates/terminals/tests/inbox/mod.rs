//! A place to post to: reads whole requests off a socket, bytes and all, and answers the
//! status that a test tells it.
//!
//! Written by hand and shared with nothing. Bodies stay bytes, because pictures are no text.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A post as it came.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The number after `"serialNo":` of the event; `None` for a heartbeat.
    pub(crate) fn serial_no(&self) -> Option<u64> {
        super::asking::serials_in(&self.text()).first().copied()
    }
}

type Seen = Arc<Mutex<Vec<Posted>>>;
type Script = dyn Fn(usize) -> u16 + Send + Sync;

/// The place. It ends with the test.
pub(crate) struct Inbox {
    pub(crate) url: String,
    seen: Seen,
}

impl Inbox {
    /// Answers post number n (from 0) with the status that the script gives.
    pub(crate) async fn start(script: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hikvision/t0ken", listener.local_addr().unwrap());
        let seen = Seen::default();
        let (kept, script) = (Arc::clone(&seen), Arc::from(script) as Arc<Script>);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(socket, Arc::clone(&kept), Arc::clone(&script)));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn posts(&self) -> Vec<Posted> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut socket: TcpStream, seen: Seen, script: Arc<Script>) {
    let mut bytes = Vec::new();
    loop {
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let length = head.split("Content-Length: ").nth(1).unwrap();
        let end = head_end + length.lines().next().unwrap().parse::<usize>().unwrap();
        while bytes.len() < end {
            if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = bytes[head_end..end].to_vec();
        bytes.drain(..end);
        let status = {
            let mut seen = seen.lock().unwrap();
            let status = script(seen.len());
            seen.push(Posted { head, body });
            status
        };
        let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        socket.write_all(reply.as_bytes()).await.ok();
    }
}
