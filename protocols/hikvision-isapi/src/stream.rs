//! The alert stream: the raw bytes of a connection after our request, to what the device said.
//!
//! The head is read here and not by an HTTP library, because a compliant client would stop where
//! these devices go on: some state the length of the first part as that of the whole response.
//! A multipart response is therefore de-chunked when it says so, else read until the connection
//! ends, and a second response head in the middle is another response. What is not a stream (a
//! 401, a refusal, the answer to a search on the same connection) comes out whole as
//! [`Item::Body`]. Memory is bounded, and nothing here waits, connects or knows a clock.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chunked::{Chunk, Chunked};
use crate::head::{self, HEAD_LIMIT, ResponseHead};
use crate::multipart::{Found, Multipart, PIECE, Part, Skip};

/// Longest body of an answer that is no stream, in bytes.
pub const BODY_LIMIT: usize = 64 * 1024;

/// What came from the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The head of a response; those with a status of 1xx are passed over.
    Head(ResponseHead),
    /// A text part of the stream, for [`crate::read_part`].
    Part(Part),
    /// A picture went by.
    Picture {
        /// Its length.
        bytes: u64,
    },
    /// Something was passed over.
    Skipped {
        /// Why.
        why: Skip,
        /// Its first bytes, for [`crate::read_skipped`]; empty for what was no part.
        cut: Bytes,
    },
    /// The whole body of an answer that is no stream, also when it is empty. It ends the
    /// response; another head may follow.
    Body(Bytes),
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The bytes do not begin like an HTTP/1 response.
    #[error("the device did not answer with an HTTP/1 response")]
    NotHttp,
    /// A response head of more than 8 KiB.
    #[error("a response head of more than 8 KiB")]
    HeadTooLong,
    /// The chunks of a chunked response do not fit together.
    #[error("broken chunked coding")]
    Chunking,
}

impl StreamError {
    /// True when the next bytes of the connection can still be understood. None of the errors
    /// leaves that hope: what can be passed over is an [`Item::Skipped`] instead.
    pub fn can_go_on(&self) -> bool {
        match self {
            Self::NotHttp | Self::HeadTooLong | Self::Chunking => false,
        }
    }
}

/// The reader of one connection.
#[derive(Debug)]
pub struct AlertStream {
    phase: Phase,
    items: VecDeque<Item>,
    error: Option<StreamError>,
}

#[derive(Debug)]
enum Phase {
    Head(Vec<u8>),
    Body(Framing, Content),
}

#[derive(Debug)]
enum Framing {
    Chunked(Chunked),
    /// Bytes left of a stated length.
    Length(u64),
    /// Until the connection ends.
    Open,
}

#[derive(Debug)]
enum Content {
    /// The first bytes of a good answer that does not call itself multipart.
    Unsure(Vec<u8>, Option<String>),
    Stream(Box<Multipart>),
    Whole(Vec<u8>),
    /// A whole body that became too long.
    Dropped,
}

impl Default for AlertStream {
    fn default() -> Self {
        Self::new()
    }
}

impl AlertStream {
    /// For a connection on which a request was just sent.
    pub fn new() -> Self {
        Self {
            phase: Phase::Head(Vec::new()),
            items: VecDeque::new(),
            error: None,
        }
    }

    /// Takes bytes as they came. Whoever reads takes the items out before the next bytes, so
    /// that they do not pile up.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            let mut rest = Bytes::copy_from_slice(piece);
            while !rest.is_empty() && self.error.is_none() {
                rest = self.take(&rest);
            }
        }
    }

    /// The connection ended: what was open comes out.
    pub fn finish(&mut self) {
        if let Phase::Body(framing, content) = self.reset() {
            // A body cut off in the middle of a stated length is shown as far as it came.
            drop(framing);
            self.end(content);
        }
    }

    /// The next thing the device said; `None` until more bytes come. After an error, always
    /// that error.
    #[allow(
        clippy::should_implement_trait,
        reason = "no iterator: after `None` more may come"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, StreamError> {
        match (self.items.pop_front(), self.error) {
            (Some(item), _) => Ok(Some(item)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    /// Bytes held: what is unfinished, and the items not yet taken out.
    pub fn held(&self) -> usize {
        let item = |item: &Item| match item {
            Item::Part(part) => part.body.len(),
            Item::Body(body) => body.len(),
            _ => 0,
        };
        let open = match &self.phase {
            Phase::Head(bytes)
            | Phase::Body(_, Content::Unsure(bytes, _) | Content::Whole(bytes)) => bytes.len(),
            Phase::Body(_, Content::Stream(parts)) => parts.held(),
            Phase::Body(_, Content::Dropped) => 0,
        };
        open + self.items.iter().map(item).sum::<usize>()
    }

    fn reset(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Head(Vec::new()))
    }

    /// Takes some bytes and gives back what belongs to the next phase.
    fn take(&mut self, bytes: &Bytes) -> Bytes {
        match self.reset() {
            Phase::Head(head) => self.head(head, bytes),
            Phase::Body(framing, content) => self.body(framing, content, bytes),
        }
    }

    fn head(&mut self, mut head: Vec<u8>, bytes: &Bytes) -> Bytes {
        let known = head.len();
        head.extend_from_slice(bytes);
        // Empty lines before a status line are passed over.
        let start = head
            .iter()
            .position(|b| !b.is_ascii_whitespace())
            .unwrap_or(head.len());
        let line = head.get(start..).unwrap_or_default();
        let begins_right = line.iter().zip(b"HTTP/1.").all(|(a, b)| a == b);
        if !begins_right {
            self.error = Some(StreamError::NotHttp);
            return Bytes::new();
        }
        let end = end_of_head(&head, start.max(known.saturating_sub(3)));
        if end.map_or(head.len(), |(end, _)| end) - start > HEAD_LIMIT {
            self.error = Some(StreamError::HeadTooLong);
            return Bytes::new();
        }
        let Some((end, next)) = end else {
            let kept = if line.is_empty() { Vec::new() } else { head };
            self.phase = Phase::Head(kept);
            return Bytes::new();
        };
        match ResponseHead::read(head.get(start..end).unwrap_or_default()) {
            Some(head) => self.begin(head),
            None => self.error = Some(StreamError::NotHttp),
        }
        bytes.slice((next - known).min(bytes.len())..)
    }

    /// A head is complete: decides how its body is read.
    fn begin(&mut self, head: ResponseHead) {
        if head.status < 200 {
            return;
        }
        let good = head.status < 300;
        let multipart = head.content_type.as_deref().is_some_and(head::is_multipart);
        let declared = head.content_type.as_deref().and_then(head::boundary);
        let framing = match head.content_length {
            _ if head.chunked => Framing::Chunked(Chunked::new()),
            Some(length) if !(good && multipart) => Framing::Length(length),
            _ => Framing::Open,
        };
        let empty = matches!(head.status, 204 | 304) || matches!(framing, Framing::Length(0));
        let content = match (good, multipart) {
            (true, true) => Content::Stream(Box::new(Multipart::new(declared, !head.chunked))),
            (true, false) => Content::Unsure(Vec::new(), declared.map(str::to_owned)),
            (false, _) => Content::Whole(Vec::new()),
        };
        self.items.push_back(Item::Head(head));
        if empty {
            self.items.push_back(Item::Body(Bytes::new()));
        } else {
            self.phase = Phase::Body(framing, content);
        }
    }

    fn body(&mut self, framing: Framing, mut content: Content, bytes: &Bytes) -> Bytes {
        match framing {
            Framing::Open => self.open(content, bytes),
            Framing::Length(left) => {
                let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                let (now, rest) = bytes.split_at(usize::try_from(here).unwrap_or(bytes.len()));
                content = self.feed(content, now);
                // A stream in disguise: its stated length is as little to be believed.
                if matches!(content, Content::Stream(_)) {
                    return self.open(content, &Bytes::copy_from_slice(rest));
                }
                if left == here {
                    self.end(content);
                } else {
                    self.phase = Phase::Body(Framing::Length(left - here), content);
                }
                Bytes::copy_from_slice(rest)
            }
            Framing::Chunked(chunked) => self.chunks(chunked, content, bytes),
        }
    }

    /// Content until the connection ends, or until a response head interrupts a stream.
    fn open(&mut self, content: Content, bytes: &[u8]) -> Bytes {
        let mut content = self.feed(content, bytes);
        if let Content::Stream(parts) = &mut content
            && let Some(rest) = parts.interrupted()
        {
            return rest;
        }
        self.phase = Phase::Body(Framing::Open, content);
        Bytes::new()
    }

    fn chunks(&mut self, mut chunked: Chunked, mut content: Content, bytes: &[u8]) -> Bytes {
        let mut input = bytes;
        loop {
            match chunked.next(input) {
                Chunk::Data(data, rest) => {
                    content = self.feed(content, data);
                    input = rest;
                }
                Chunk::End(rest) => {
                    self.end(content);
                    return Bytes::copy_from_slice(rest);
                }
                Chunk::More => {
                    self.phase = Phase::Body(Framing::Chunked(chunked), content);
                    return Bytes::new();
                }
                Chunk::Bare(line, rest) => {
                    self.phase = Phase::Body(Framing::Open, content);
                    return [&line, rest].concat().into();
                }
                Chunk::Broken => {
                    self.end(content);
                    self.error = Some(StreamError::Chunking);
                    return Bytes::new();
                }
            }
        }
    }

    fn feed(&mut self, content: Content, bytes: &[u8]) -> Content {
        match content {
            Content::Stream(mut parts) => {
                parts.push(bytes);
                self.collect(&mut parts);
                Content::Stream(parts)
            }
            Content::Unsure(mut start, declared) => {
                start.extend_from_slice(bytes);
                let first = start.trim_ascii_start();
                match first {
                    [b'-', b'-', ..] => {
                        let parts = Multipart::new(declared.as_deref(), true);
                        self.feed(Content::Stream(Box::new(parts)), &start)
                    }
                    [] | [b'-'] if start.len() <= PIECE => Content::Unsure(start, declared),
                    _ => self.feed(Content::Whole(Vec::new()), &start),
                }
            }
            Content::Whole(mut whole) => {
                if whole.len() + bytes.len() > BODY_LIMIT {
                    self.items.push_back(Item::Skipped {
                        why: Skip::BodyTooLong,
                        cut: Bytes::new(),
                    });
                    return Content::Dropped;
                }
                whole.extend_from_slice(bytes);
                Content::Whole(whole)
            }
            Content::Dropped => Content::Dropped,
        }
    }

    /// The content is complete, as far as it will be.
    fn end(&mut self, content: Content) {
        match content {
            Content::Stream(mut parts) => {
                parts.finish();
                self.collect(&mut parts);
            }
            Content::Unsure(bytes, _) | Content::Whole(bytes) => {
                self.items.push_back(Item::Body(bytes.into()));
            }
            Content::Dropped => self.items.push_back(Item::Body(Bytes::new())),
        }
    }

    fn collect(&mut self, parts: &mut Multipart) {
        while let Some(found) = parts.next() {
            self.items.push_back(match found {
                Found::Part(part) => Item::Part(part),
                Found::Picture(bytes) => Item::Picture { bytes },
                Found::Skipped(why, cut) => Item::Skipped { why, cut },
                Found::Rest(..) => continue,
            });
        }
    }
}

/// Where a head ends and where its body starts: an empty line, with CRLF or LF. The part
/// before `from` is known to hold no end.
fn end_of_head(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let ends = memchr::memchr_iter(b'\n', bytes.get(from..)?).map(|at| at + from);
    ends.filter_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some((at, at + 2)),
        [b'\r', b'\n', ..] => Some((at, at + 3)),
        _ => None,
    })
    .next()
}
