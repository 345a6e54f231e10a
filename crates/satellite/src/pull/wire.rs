//! One socket to one terminal, TCP or UDP.
//!
//! Bytes only: what they mean is the session's matter. Every write has a deadline, and reading
//! takes no memory while nothing comes, because a thousand of these wait at any time. After an
//! error a wire is dropped, never used again.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use zkteco_pull::{Session, Transport};

use crate::dial::socket::{self, NotOpen};

/// Longest for one write.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes taken by one read; no datagram is longer.
const READ: usize = 64 * 1024;
/// Bytes that may wait in the kernel for one UDP socket: a window of the log comes all at once.
const UDP_BUFFER: usize = 1 << 20;

/// A socket.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Wire {
    /// Opens one; over UDP nothing is sent yet.
    pub(super) async fn open(address: &str, transport: Transport) -> Result<Self, NotOpen> {
        match transport {
            Transport::Tcp => socket::open(address).await.map(Self::Tcp),
            Transport::Udp => udp(address).await.map(Self::Udp).map_err(NotOpen::Other),
        }
    }

    /// Returns when there may be something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Udp(socket) => socket.readable().await,
        }
    }

    /// Hands everything that has come so far, up to a limit, to the session, and before it to whoever
    /// notes it. False when nothing had come.
    pub(super) fn hear(
        &self,
        session: &mut Session,
        now: event::Millis,
        note: impl FnOnce(&[u8]),
    ) -> io::Result<bool> {
        let mut buffer = [0; READ];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut buffer),
            Self::Udp(socket) => socket.try_recv(&mut buffer),
        };
        match (read, self) {
            (Ok(0), Self::Tcp(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Ok(length), _) => {
                let heard = buffer.get(..length).unwrap_or_default();
                note(heard);
                session.heard(heard, now);
                Ok(true)
            }
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            (Err(error), _) => Err(error),
        }
    }

    /// Writes all of it, or over UDP one datagram.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            match self {
                Self::Tcp(stream) => {
                    use tokio::io::AsyncWriteExt as _;
                    stream.write_all(bytes).await
                }
                Self::Udp(socket) => socket.send(bytes).await.map(drop),
            }
        };
        tokio::time::timeout(WRITE_WITHIN, writing).await?
    }

    /// Sends if that is possible at once, for a last word.
    pub(super) fn write_now(&self, bytes: &[u8]) {
        let sent = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Udp(socket) => socket.try_send(bytes),
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "a session ends without its last word");
        }
    }
}

async fn udp(address: &str) -> io::Result<UdpSocket> {
    let mut found = tokio::net::lookup_host(address).await?;
    let to = found.next().ok_or(io::ErrorKind::NotFound)?;
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).await?;
    // The system may grant less; then more has to be asked for again.
    socket2::SockRef::from(&socket).set_recv_buffer_size(UDP_BUFFER)?;
    socket.connect(to).await?;
    Ok(socket)
}
