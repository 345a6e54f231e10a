//! A TCP proxy that cuts a MySQL connection around COMMIT, on demand: before the server has
//! seen it, or after the server has answered and before the client hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Where to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never sees the COMMIT.
    BeforeServer = 1,
    /// The server commits; its answer is swallowed.
    AfterServer = 2,
}

/// The proxy's handle.
pub(crate) struct Proxy {
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    armed: Arc<AtomicU8>,
    done: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy to `server` (`host:port`).
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (armed, done) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU64::new(0)));
        let (server, arm, count) = (server.to_owned(), Arc::clone(&armed), Arc::clone(&done));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let upstream = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pump(client, upstream, Arc::clone(&arm), Arc::clone(&count)));
            }
        });
        Self { port, armed, done }
    }

    /// Cuts the next connection that sends COMMIT.
    pub(crate) fn cut_next_commit(&self, cut: Cut) {
        self.armed.store(cut as u8, Ordering::SeqCst);
    }

    /// Connections cut so far.
    pub(crate) fn cuts(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }
}

async fn pump(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: Arc<AtomicU8>,
    done: Arc<AtomicU64>,
) {
    let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut swallow = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Some(sent) = read.ok().filter(|n| *n > 0).map(|n| &up[..n]) else { return };
                // A COM_QUERY packet: 4 bytes of header, 0x03, the text.
                if sent.ends_with(b"\x03COMMIT") {
                    let cut = armed.swap(0, Ordering::SeqCst);
                    done.fetch_add(u64::from(cut != 0), Ordering::SeqCst);
                    if cut == Cut::BeforeServer as u8 {
                        return;
                    }
                    swallow = cut == Cut::AfterServer as u8;
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Some(got) = read.ok().filter(|n| *n > 0).map(|n| &down[..n]) else { return };
                if swallow || client.write_all(got).await.is_err() {
                    return;
                }
            }
        }
    }
}
