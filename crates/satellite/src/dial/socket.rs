//! A TCP connection to a device, opened within a deadline.
//!
//! A connection whose other end vanished is noticed within a minute even when nobody says so.
//! What kept one from opening is told apart, because it decides what is tried next.

use std::time::Duration;

use tokio::net::TcpStream;

/// Longest that a connection may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(8);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpen {
    /// Nobody answers at the address.
    #[error("it does not answer within {} s", OPEN_WITHIN.as_secs())]
    Silent,
    /// The host answers, and nothing listens there.
    #[error("the connection is refused")]
    Refused,
    /// Something else: no route, no such name.
    #[error("{0}")]
    Other(std::io::Error),
}

/// Opens a connection. `address` is `host:port`.
pub(crate) async fn open(address: &str) -> Result<TcpStream, NotOpen> {
    let connecting = TcpStream::connect(address);
    let stream = match tokio::time::timeout(OPEN_WITHIN, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return Err(NotOpen::Refused);
        }
        Ok(Err(error)) => return Err(NotOpen::Other(error)),
        Err(_) => return Err(NotOpen::Silent),
    };
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive));
    prepared.map_err(NotOpen::Other)?;
    Ok(stream)
}
