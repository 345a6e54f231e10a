//! The stream under HTTP: notes when things happen, and mends first lines.
//!
//! Bytes that arrive while the connection is idle begin a request; its first line is held back
//! until it is complete, never more than a head may be long. All other bytes pass untouched and
//! uncopied. A request that a peer sends before it has the reply to the one before is not
//! looked at here; no terminal does that.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::HEAD_LIMIT;
use super::pace::{Pace, Phase};
use super::request_line::{Verdict, examine};

/// A stream with its clock.
pub(super) struct Wire<S> {
    stream: S,
    pace: Arc<Pace>,
    /// The start of a request whose first line is not complete.
    held: Vec<u8>,
    /// Bytes that are ready for the reader, from `given` on.
    mended: Vec<u8>,
    given: usize,
    /// The first line has passed.
    passed: bool,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self {
            stream,
            pace,
            held: Vec::new(),
            mended: Vec::new(),
            given: 0,
            passed: false,
        }
    }

    /// Gives as much of the mended bytes as the reader has room for.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let left = self.mended.get(self.given..).unwrap_or_default();
        let now = left
            .get(..buf.remaining().min(left.len()))
            .unwrap_or_default();
        buf.put_slice(now);
        self.given += now.len();
        if self.given == self.mended.len() {
            (self.mended, self.given) = (Vec::new(), 0);
        }
    }

    /// Judges what was just read into `buf` after `before`; true when the reader may have it
    /// (what it may have is then in `buf`).
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let verdict = if self.held.is_empty() {
            examine(fresh)
        } else {
            self.held.extend_from_slice(fresh);
            examine(&self.held)
        };
        match verdict {
            Verdict::Pass if self.held.is_empty() => {
                self.passed = true;
                return true;
            }
            Verdict::Pass => self.mended = std::mem::take(&mut self.held),
            Verdict::Instead(mended) => {
                self.held = Vec::new();
                self.mended = mended;
            }
            Verdict::More => {
                if self.held.is_empty() {
                    self.held = fresh.to_vec();
                }
                if self.held.len() < HEAD_LIMIT {
                    buf.set_filled(before);
                    return false;
                }
                // Too long for any head: HTTP will say so.
                self.mended = std::mem::take(&mut self.held);
            }
        }
        self.passed = true;
        buf.set_filled(before);
        self.give(buf);
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.mended.is_empty() {
            this.give(buf);
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                // The peer is done; a line that stays incomplete is HTTP's to refuse.
                this.mended = std::mem::take(&mut this.held);
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            if this.pace.phase() == Phase::Idle {
                this.pace.enter(Phase::Head, Instant::now());
                this.passed = false;
            }
            if this.passed || this.judge(buf, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Notes whether the peer takes what is written.
    fn noted<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.pace.stalled(done.is_pending(), Instant::now());
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.noted(done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.noted(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.pace.phase() == Phase::Flush {
            this.pace.enter(Phase::Idle, Instant::now());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::pace::Patience;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn wire() -> (
        Wire<tokio::io::DuplexStream>,
        tokio::io::DuplexStream,
        Arc<Pace>,
    ) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let second = Duration::from_secs(1);
        let patience = Patience {
            head: second,
            body: second,
            idle: second,
        };
        let pace = Arc::new(Pace::new(patience, Instant::now()));
        (Wire::new(ours, Arc::clone(&pace)), theirs, pace)
    }

    #[tokio::test]
    async fn a_line_in_pieces_is_mended_whole_and_given_in_small_reads() {
        let (mut wire, mut peer, pace) = wire();
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            let mut small = [0; 7];
            loop {
                match wire.read(&mut small).await.unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&small[..n]),
                }
            }
        });
        for piece in [
            "GET /a?x=1",
            " 2 HT",
            "TP/1.1\r\nA: b\r\n\r\nbo",
            "dy x y\n",
        ] {
            peer.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(peer);
        let got = String::from_utf8(reader.await.unwrap()).unwrap();
        assert_eq!(got, "GET /a?x=1%202 HTTP/1.1\r\nA: b\r\n\r\nbody x y\n");
        assert_eq!(pace.phase(), Phase::Head);
    }

    #[tokio::test]
    async fn an_endless_first_line_is_not_held_beyond_the_limit() {
        let (mut wire, mut peer, _) = wire();
        peer.write_all(&vec![b'a'; HEAD_LIMIT + 100]).await.unwrap();
        let mut got = vec![0; HEAD_LIMIT];
        wire.read_exact(&mut got).await.unwrap();
        assert!(wire.held.is_empty());
    }

    #[tokio::test]
    async fn a_flushed_reply_ends_the_request_and_the_next_byte_begins_another() {
        let (mut wire, mut peer, pace) = wire();
        peer.write_all(b"GET /a b HTTP/1.1\r\n\r\n").await.unwrap();
        let mut buf = [0; 100];
        let n = wire.read(&mut buf).await.unwrap();
        assert_eq!(&buf[..n], b"GET /a%20b HTTP/1.1\r\n\r\n");
        pace.enter(Phase::Flush, Instant::now());
        wire.write_all(b"reply").await.unwrap();
        wire.flush().await.unwrap();
        assert_eq!(pace.phase(), Phase::Idle);
        peer.write_all(b"GET /c d HTTP/1.1\r\n\r\n").await.unwrap();
        let n = wire.read(&mut buf).await.unwrap();
        assert_eq!(&buf[..n], b"GET /c%20d HTTP/1.1\r\n\r\n");
    }
}
