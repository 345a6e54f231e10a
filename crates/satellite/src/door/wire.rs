//! The stream under HTTP: notes when things happen, mends first lines, watches lengths.
//!
//! Bytes that arrive while the connection is idle begin a request; its head is held back until
//! it is complete, never more than a head may be long. All other bytes pass untouched and
//! uncopied. A request that a peer sends before it has the reply to the one before is not
//! looked at here; no terminal does that.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::HEAD_LIMIT;
use super::head::{Announced, Verdict, examine};
use super::pace::{Pace, Phase};

/// What was seen of a request that HTTP does not tell its reader: of its length, and whether it
/// is one at all.
#[derive(Debug, Default)]
pub(super) struct Framing {
    twice: AtomicBool,
    surplus: AtomicBool,
    tls: AtomicBool,
}

impl Framing {
    /// True when the head announces a length and chunks, so that a proxy in front may have read
    /// another request than we do.
    pub(super) fn is_announced_twice(&self) -> bool {
        self.twice.load(Ordering::Relaxed)
    }

    /// True when the peer began to speak TLS on this plain connection.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.load(Ordering::Relaxed)
    }

    /// True when more came with the body than its head announced, as far as it is here yet. To
    /// acknowledge the announced part would make the sender forget all of it.
    pub(super) fn has_surplus(&self) -> bool {
        self.surplus.load(Ordering::Relaxed)
    }
}

/// Bytes read at most while a request is waited for; a longer body is read by HTTP.
const AT_ONCE: usize = 8 * 1024;

/// A stream with its clock.
pub(super) struct Wire<S> {
    stream: S,
    pace: Arc<Pace>,
    framing: Arc<Framing>,
    /// What is still to come of the body; unknown for chunks and after surplus bytes.
    left: Option<u64>,
    /// The start of a request whose head is not complete.
    held: Vec<u8>,
    /// Bytes that are ready for the reader, from `given` on.
    mended: Vec<u8>,
    given: usize,
    /// The head has passed.
    passed: bool,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>, framing: Arc<Framing>) -> Self {
        Self {
            stream,
            pace,
            framing,
            left: None,
            held: Vec::new(),
            mended: Vec::new(),
            given: 0,
            passed: false,
        }
    }

    /// Takes back bytes that its reader had and made nothing of.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        let rest = self.mended.get(self.given..).unwrap_or_default();
        (self.mended, self.given) = ([bytes, rest].concat(), 0);
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
        let all = if self.held.is_empty() {
            fresh
        } else {
            self.held.extend_from_slice(fresh);
            &self.held
        };
        let verdict = examine(all);
        if verdict == Verdict::Tls {
            self.framing.tls.store(true, Ordering::Relaxed);
        }
        match verdict {
            Verdict::Whole(head) => {
                let body = all.get(head.length..).unwrap_or_default();
                self.left = begin(&self.framing, head.body);
                self.left = follow(&self.framing, self.left, body);
                if let Some(mended) = head.instead {
                    self.held = Vec::new();
                    self.mended = mended;
                } else if self.held.is_empty() {
                    self.passed = true;
                    return true;
                } else {
                    self.mended = std::mem::take(&mut self.held);
                }
            }
            // HTTP will say so.
            Verdict::Other | Verdict::Tls if self.held.is_empty() => {
                self.passed = true;
                return true;
            }
            Verdict::More if all.len() < HEAD_LIMIT => {
                if self.held.is_empty() {
                    self.held = fresh.to_vec();
                }
                buf.set_filled(before);
                return false;
            }
            // Too long for any head, or none at all: HTTP will say so, too.
            Verdict::More if self.held.is_empty() => self.mended = fresh.to_vec(),
            Verdict::More | Verdict::Other | Verdict::Tls => {
                self.mended = std::mem::take(&mut self.held)
            }
        }
        self.passed = true;
        buf.set_filled(before);
        self.give(buf);
        true
    }
}

/// Starts counting the body of a new request.
fn begin(framing: &Framing, body: Announced) -> Option<u64> {
    let twice = body == Announced::Twice;
    framing.twice.store(twice, Ordering::Relaxed);
    framing.surplus.store(false, Ordering::Relaxed);
    match body {
        Announced::Bytes(bytes) => Some(bytes),
        Announced::Nothing => Some(0),
        Announced::Unsaid | Announced::Twice => None,
    }
}

/// Counts bytes that came after the head; answers what is still to come. Line ends and NULs
/// after a body are a habit of terminals and mean nothing.
fn follow(framing: &Framing, left: Option<u64>, bytes: &[u8]) -> Option<u64> {
    let left = left?;
    let came = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if came <= left {
        return Some(left - came);
    }
    let idle = |b: &u8| matches!(b, b'\r' | b'\n' | b'\t' | b' ' | 0);
    let body = usize::try_from(left).unwrap_or(usize::MAX);
    let after = bytes.get(body..).unwrap_or_default();
    let Some(meant) = after.iter().position(|b| !idle(b)) else {
        return Some(0);
    };
    let surplus = after.get(meant..).unwrap_or_default();
    let is_request = |method: &[u8]| surplus.starts_with(method) || method.starts_with(surplus);
    if !is_request(b"GET ") && !is_request(b"POST ") {
        framing.surplus.store(true, Ordering::Relaxed);
    }
    None
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads until there is a request to give: a whole head, or what HTTP has to refuse. False
    /// when the peer is done.
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.mended.is_empty() {
            let mut room = [MaybeUninit::uninit(); AT_ONCE];
            let mut buf = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut buf))?;
            self.unread(buf.filled());
        }
        Poll::Ready(Ok(!self.mended.is_empty()))
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
                // The peer is done; a head that stays incomplete is HTTP's to refuse.
                this.mended = std::mem::take(&mut this.held);
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            if this.pace.phase() == Phase::Idle {
                this.pace.enter(Phase::Head, Instant::now());
                this.passed = false;
            }
            if this.passed {
                let fresh = buf.filled().get(before..).unwrap_or_default();
                this.left = follow(&this.framing, this.left, fresh);
                return Poll::Ready(Ok(()));
            }
            if this.judge(buf, before) {
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

    /// Ends what we say, where that is possible without waiting for the peer.
    pub(super) async fn say_goodbye(&mut self) {
        poll_fn(|cx| {
            drop(Pin::new(&mut self.stream).poll_shutdown(cx));
            Poll::Ready(())
        })
        .await;
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
            this.pace.answered(Instant::now());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // What we say last goes out; nothing else is waited for.
        if this.pace.phase() == Phase::Idle {
            this.pace.enter(Phase::Flush, Instant::now());
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
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
        let framing = Arc::default();
        (Wire::new(ours, Arc::clone(&pace), framing), theirs, pace)
    }

    #[tokio::test]
    async fn a_head_in_pieces_is_mended_whole_and_given_in_small_reads() {
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
    async fn an_endless_head_is_not_held_beyond_the_limit() {
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
    #[tokio::test]
    async fn what_a_length_leaves_out_is_noticed_and_line_ends_are_not() {
        let cases: [(&str, &[&str], bool); 7] = [
            ("Content-Length: 3", &["abc"], false),
            ("Content-Length: 3", &["abc\r\n\0"], false),
            ("Content-Length: 3", &["ab", "cGET /x HTTP/1.1"], false),
            ("Content-Length: 3", &["abcdef"], true),
            ("Content-Length: 3", &["ab", "c\r\nd"], true),
            ("Host: s", &["abc"], true),
            (
                "Transfer-Encoding: chunked",
                &["3\r\nabc\r\n0\r\n\r\n"],
                false,
            ),
        ];
        for (header, pieces, surplus) in cases {
            let (mut wire, mut peer, _) = wire();
            let head = format!("POST /a HTTP/1.1\r\n{header}\r\n\r\n");
            let mut buf = [0; 200];
            for piece in std::iter::once(&head.as_str()).chain(pieces) {
                peer.write_all(piece.as_bytes()).await.unwrap();
                assert_eq!(wire.read(&mut buf).await.unwrap(), piece.len());
            }
            assert_eq!(wire.framing.has_surplus(), surplus, "{header} {pieces:?}");
            assert!(!wire.framing.is_announced_twice());
        }
    }
}
