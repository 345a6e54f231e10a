//! The line between two programs, which can be cut, healed, and made to lose answers.
//!
//! It listens where the one is told that the other is. What is lost is lost on the way back only
//! after the other side has had the whole request and has answered it: so whatever was committed is
//! committed, and nobody hears of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::free_port;

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Carries both ways.
    Whole,
    /// Carries nothing; what is under way is broken off.
    Cut,
    /// Carries requests, and loses the answers.
    LosesAnswers,
}

/// A line.
pub struct Link {
    address: SocketAddr,
    state: watch::Sender<Line>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Link {
    /// A whole line to that address.
    ///
    /// # Errors
    /// There is no port.
    pub async fn to(other: SocketAddr) -> Result<Self> {
        let address = free_port()?;
        let listener = TcpListener::bind(address).await?;
        let (state, seen) = watch::channel(Line::Whole);
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(carry(stream, other, seen.clone(), Arc::clone(&count)));
                while open.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            state,
            lost,
            task,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn is(&self, line: Line) {
        self.state.send_replace(line);
    }

    /// Answers that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut near: TcpStream,
    other: SocketAddr,
    mut state: watch::Receiver<Line>,
    lost: Arc<AtomicU64>,
) {
    let line = *state.borrow_and_update();
    if line == Line::Cut {
        return;
    }
    let Ok(mut far) = TcpStream::connect(other).await else {
        return;
    };
    let talk = async {
        if line == Line::Whole {
            return tokio::io::copy_bidirectional(&mut near, &mut far)
                .await
                .is_ok();
        }
        let (mut from_near, _) = near.split();
        let (mut from_far, mut to_far) = far.split();
        let mut answer = [0; 64];
        tokio::select! {
            _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
            read = from_far.read(&mut answer) => {
                if matches!(read, Ok(1..)) {
                    lost.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        to_far.shutdown().await.is_ok()
    };
    tokio::select! {
        _ = state.changed() => {}
        _ = tokio::time::timeout(Duration::from_secs(120), talk) => {}
    }
}
