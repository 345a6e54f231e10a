//! Under the client library: cuts a message that is too long before it comes into memory.
//!
//! The library ends a connection at a packet that is longer than it may be, and a session brings the
//! same packet again: one such message would hold up all others for ever. So of a PUBLISH that is
//! too long only the first [`LIMIT`] bytes pass, as a packet of exactly that length, by which whoever
//! reads it knows that it was cut; the rest is read and forgotten. Everything else passes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Stream;

/// Longest message that passes whole is one byte shorter: topic, packet number and payload, in bytes.
pub(crate) const LIMIT: usize = 128 * 1024;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Longest fixed header of a packet, in bytes.
const HEAD: usize = 5;

/// What comes next of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The fixed header of a packet.
    Head,
    /// So many bytes that pass, and then so many that do not.
    Body(usize, usize),
    /// No MQTT: everything passes, for the library to refuse.
    Foreign,
}

/// Bytes that were read, and how far they are used.
struct Kept<const N: usize> {
    bytes: Box<[u8; N]>,
    from: usize,
    to: usize,
}

impl<const N: usize> Kept<N> {
    fn new() -> Self {
        Self {
            bytes: Box::new([0; N]),
            from: 0,
            to: 0,
        }
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.from..self.to).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.to) {
            *place = byte;
            self.to += 1;
        }
    }

    fn set(&mut self, bytes: &[u8]) {
        (self.from, self.to) = (0, 0);
        bytes.iter().for_each(|byte| self.push(*byte));
    }

    /// Moves what fits, at most so much, and answers how much it was.
    fn move_to(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let left = self.left();
        let moved = left.len().min(most).min(out.remaining());
        out.put_slice(left.get(..moved).unwrap_or_default());
        self.from += moved;
        moved
    }
}

/// The stream of which long messages come cut.
pub(crate) struct Sieve {
    inner: Box<dyn Stream>,
    read: Kept<CHUNK>,
    /// A fixed header: as far as it has come, and then on its way out.
    head: Kept<HEAD>,
    next: Next,
}

impl Sieve {
    pub(crate) fn over(inner: Box<dyn Stream>) -> Self {
        Self {
            inner,
            read: Kept::new(),
            head: Kept::new(),
            next: Next::Head,
        }
    }

    /// Takes one byte of a fixed header; true when it is complete and on its way out.
    fn take_head(&mut self, byte: u8) -> bool {
        self.head.push(byte);
        let told = self.head.left();
        let Some((kind, length)) = told.split_first().filter(|(_, length)| !length.is_empty())
        else {
            return false;
        };
        if byte & 0x80 != 0 {
            // Four bytes of a length and no end of it: no MQTT.
            let is_foreign = length.len() == HEAD - 1;
            if is_foreign {
                self.next = Next::Foreign;
            }
            return is_foreign;
        }
        let of = |(place, byte): (usize, &u8)| usize::from(byte & 0x7f) << (7 * place);
        let length: usize = length.iter().enumerate().map(of).sum();
        let is_message = kind >> 4 == 3;
        if is_message && length >= LIMIT {
            let mut head = vec![*kind];
            head.extend(written(LIMIT));
            self.head.set(&head);
            self.next = Next::Body(LIMIT, length - LIMIT);
        } else {
            self.next = Next::Body(length, 0);
        }
        true
    }

    /// Moves what can be moved; false when more has to be read first.
    fn advance(&mut self, out: &mut ReadBuf<'_>) -> bool {
        match self.next {
            Next::Head => {
                let Some(byte) = self.read.left().first().copied() else {
                    return false;
                };
                self.read.from += 1;
                if self.take_head(byte) {
                    self.head.move_to(out, HEAD);
                }
            }
            _ if !self.head.left().is_empty() => {
                self.head.move_to(out, HEAD);
            }
            Next::Body(0, 0) => {
                self.head.set(&[]);
                self.next = Next::Head;
            }
            Next::Foreign => return self.read.move_to(out, CHUNK) > 0,
            Next::Body(0, skipped) => {
                let passed = self.read.left().len().min(skipped);
                self.read.from += passed;
                self.next = Next::Body(0, skipped - passed);
                return passed > 0;
            }
            Next::Body(whole, skipped) => {
                let moved = self.read.move_to(out, whole);
                self.next = Next::Body(whole - moved, skipped);
                return moved > 0;
            }
        }
        true
    }
}

/// A length as a fixed header has it.
fn written(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD - 1);
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return bytes;
        }
    }
}

impl AsyncRead for Sieve {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = out.filled().len();
        loop {
            while out.remaining() > 0 && this.advance(out) {}
            if out.filled().len() > before || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(this.read.bytes.as_mut_slice());
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut buffer))?;
            let came = buffer.filled().len();
            (this.read.from, this.read.to) = (0, came);
            if came == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Sieve {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut all = vec![kind];
        all.extend(written(body.len()));
        all.extend_from_slice(body);
        all
    }

    /// What comes out when this goes in, in pieces of that size.
    async fn sieved(sent: Vec<u8>, piece: usize) -> Vec<u8> {
        let (mut near, far) = tokio::io::duplex(piece);
        let mut sieve = Sieve::over(Box::new(far));
        let send = async move {
            near.write_all(&sent).await.unwrap();
        };
        let mut came = Vec::new();
        let (_, read) = tokio::join!(send, sieve.read_to_end(&mut came));
        read.unwrap();
        came
    }

    #[tokio::test]
    async fn of_a_message_that_is_too_long_the_beginning_passes_and_of_everything_else_all() {
        let short = packet(0x32, b"\0\x01t\0\x07short");
        let edge = packet(0x32, &vec![b'e'; LIMIT - 1]);
        let long = packet(0x3a, &vec![b'l'; 3 * LIMIT + 7]);
        let other = packet(0x90, &vec![b'o'; LIMIT + 9]);
        let sent = [&short[..], &edge, &long, &other, &short].concat();
        let cut = packet(0x3a, &vec![b'l'; LIMIT]);
        let wanted = [&short[..], &edge, &cut, &other, &short].concat();
        for piece in [7, 4_096, 1 << 20] {
            let came = sieved(sent.clone(), piece).await;
            assert!(came == wanted, "pieces of {piece}: {} bytes", came.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_broker_sends_passes_or_is_cut_and_nothing_stands_still(
            bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..64,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let came = runtime.block_on(sieved(bytes.clone(), piece));
            // Two hundred bytes hold the beginning of one long message at most.
            prop_assert!(came.len() <= bytes.len() + HEAD);
        }
    }
}
