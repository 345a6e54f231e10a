//! A question to the running satellite's own door for operators.
//!
//! One GET, one answer, over plain TCP to a local address; enough HTTP for that one server and
//! no more. Never used towards terminals or strangers. Everything is bounded by time and size.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for the whole answer.
const WITHIN: Duration = Duration::from_secs(2);
/// Longest answer read, in bytes.
const LIMIT: u64 = 32 << 20;
/// Terminals of one page of `/devices`.
const PAGE: usize = 1_000;

/// Fetches a page; answers its status and body. `path` must be free of blanks.
///
/// # Errors
/// Nobody answers there in time, or not in HTTP.
pub(crate) async fn get(listener: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let bytes = tokio::time::timeout(WITHIN, exchange(reachable(listener), path));
    let bytes = bytes.await.map_err(late)??;
    parse(&bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// A page of `/devices`, of which `T` is what is read of a terminal.
#[derive(Deserialize)]
struct Devices<T> {
    devices: Vec<T>,
    /// Absent where an older version runs, whose only page is the whole list.
    next: Option<String>,
}

/// The terminals that the running satellite lists, page by page; `asked` is what else stands in the
/// question, such as `&serial=ABC1`.
///
/// # Errors
/// It does not answer, or not in its own words.
pub(crate) async fn devices<T: DeserializeOwned>(
    door: SocketAddr,
    asked: &str,
) -> io::Result<Vec<T>> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/devices?limit={PAGE}{asked}{after}");
        let (status, body) = get(door, &path).await?;
        if status != 200 {
            return Err(io::Error::other(format!("HTTP {status}")));
        }
        let page: Devices<T> = serde_json::from_str(&body)?;
        all.extend(page.devices);
        let Some(next) = page.next else {
            return Ok(all);
        };
        after = "&after=".to_owned();
        after.extend(form_urlencoded::byte_serialize(next.as_bytes()));
    }
}

async fn exchange(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LIMIT).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Where a listener on that address is reached from the same machine.
pub(crate) fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Status and body of an answer that ends with its connection.
fn parse(bytes: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    let status = rest.get(..3)?.parse().ok()?;
    version
        .starts_with("HTTP/1.")
        .then(|| (status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn an_answer_gives_status_and_body_and_anything_else_nothing() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nnot yet\n";
        assert_eq!(parse(answer), Some((503, "not yet\n".to_owned())));
        for wrong in [
            "",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:9810"), "127.0.0.1:9810");
        assert_eq!(at("[::]:9810"), "[::1]:9810");
        assert_eq!(at("10.0.0.1:9810"), "10.0.0.1:9810");
    }

    #[tokio::test]
    async fn a_listener_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = get(silent.local_addr().unwrap(), "/status")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
