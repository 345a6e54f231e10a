//! The door for terminals: accepts connections and keeps them within limits.
//!
//! `crowd` counts what all peers use, `pace` times each one, `wire` sits under HTTP,
//! `connection` serves one peer, after `handshake` where it speaks TLS; `zkteco` (with `greeting`),
//! `hikvision`, `ingest` and `edge` are the only modules that know what is asked. The accept loop never waits for
//! anything a peer does.

mod body;
mod bucket;
mod connection;
mod crowd;
mod edge;
mod exchange;
mod greeting;
mod handshake;
mod head;
mod hikvision;
mod ingest;
mod pace;
mod sender;
mod settle;
mod token_post;
mod twins;
mod wire;
mod zkteco;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use bucket::Bucket;
pub(crate) use crowd::{Crowd, Room, group};
pub(crate) use handshake::{Failed as HandshakeFailed, VERSIONS as TLS_VERSIONS};
pub(crate) use token_post::{No, REASONS as TOKEN_REASONS, not_taken};
pub(crate) use twins::Twins;

use crate::clock;
use crate::hub::Hub;

/// Longest head of a request, in bytes; the longest seen is below one KiB.
pub(super) const HEAD_LIMIT: usize = 8 * 1024;

/// Pause after the system refused to give us another connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the loop turns when nobody comes.
const TURN: Duration = Duration::from_secs(5);
/// Longest that it may not turn.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    /// Its address.
    pub(super) address: IpAddr,
    /// The door it came through.
    pub(super) transport: Transport,
}

/// How a terminal speaks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Plain HTTP.
    Plain,
    /// HTTP inside TLS.
    Tls,
    /// By an edge.
    Edge,
}

impl Transport {
    /// The word in `/devices` and lists.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
            Self::Edge => "edge",
        }
    }
}

/// Accepts connections until the end begins.
pub(crate) async fn run(hub: Arc<Hub>, listener: TcpListener, transport: Transport) {
    let end = hub.drain.token();
    let name = match transport {
        Transport::Plain | Transport::Edge => "accept",
        Transport::Tls => "accept_tls",
    };
    let heartbeat = hub.progress.heartbeat(name, STUCK_AFTER, Instant::now());
    let mut turn = tokio::time::interval(TURN);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = turn.tick() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(&hub, stream, peer, transport),
                Err(error) => not_accepted(&error).await,
            },
        }
        heartbeat.beat(Instant::now());
    }
    heartbeat.stop();
}

fn welcome(hub: &Arc<Hub>, stream: TcpStream, peer: SocketAddr, transport: Transport) {
    let address: IpAddr = peer.ip().to_canonical();
    match hub.crowd.admit(address, &hub.config.load().limits) {
        Ok(slot) => {
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%address, %error, "a connection was gone at once");
                return;
            }
            let (hub, origin) = (Arc::clone(hub), Origin { address, transport });
            match transport {
                Transport::Plain | Transport::Edge => {
                    drop(
                        hub.drain
                            .spawn(connection::serve(Arc::clone(&hub), stream, origin, slot)),
                    )
                }
                Transport::Tls => {
                    drop(
                        hub.drain
                            .spawn(handshake::serve(Arc::clone(&hub), stream, origin, slot)),
                    )
                }
            }
        }
        // Closed without a word: an answer would need the resources that are used up.
        Err(reason) => hub.refusals.note(reason, None, address, "", clock::now()),
    }
}

/// Small replies leave at once, and a peer that vanished is noticed within a minute.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

async fn not_accepted(error: &io::Error) {
    let gone = [
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
    ];
    if gone.contains(&error.kind()) {
        return;
    }
    // Out of file descriptors or memory: at once again would only burn the processor.
    tracing::error!(%error, "no connection can be accepted");
    tokio::time::sleep(PAUSE).await;
}
