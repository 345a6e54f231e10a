//! Multipart bodies as devices really write them, cut into parts as the bytes come.
//!
//! A delimiter is a line that looks like one, whatever was declared: the declared boundary may
//! be missing, of another case, in angle brackets or with its dashes included. Documents end by
//! themselves (see `document`), else at the delimiter; pictures are counted and dropped while
//! they pass; garbage between parts is passed over. The same bytes give the same parts however
//! they are cut into packets. At most one text part and one head are held, never a picture.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use event::Text;

use crate::delimiter::{Delimiter, Line, Match};
use crate::document::Scanner;
use crate::head::{HEAD_LIMIT, PartHead};

/// Longest text part read, in bytes.
pub const TEXT_LIMIT: usize = 256 * 1024;
/// Longest line that is looked at outside parts.
const LINE_LIMIT: usize = 512;
/// Input is taken in pieces of this size, which bounds the memory whatever a caller hands over.
pub(crate) const PIECE: usize = 8 * 1024;

/// What a text part looks like, from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// Starts with `{` or `[`.
    Json,
    /// Starts with `<`.
    Xml,
    /// Text of no known kind.
    Unknown,
}

impl PartKind {
    /// What starts with that byte.
    pub(crate) fn of(first: u8) -> Self {
        match first {
            b'{' | b'[' => Self::Json,
            b'<' => Self::Xml,
            _ => Self::Unknown,
        }
    }
}

/// A text part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it looks like.
    pub kind: PartKind,
    /// `name` of the part's `Content-Disposition`.
    pub name: Option<Text>,
    /// The document.
    pub body: Bytes,
}

/// Why something was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// A text part of more than 256 KiB.
    TextTooLong,
    /// A part whose head is longer than 8 KiB.
    HeadTooLong,
    /// The body of an answer that is no stream, longer than 64 KiB.
    BodyTooLong,
}

/// What came out of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Part(Part),
    Picture(u64),
    /// Passed over, with its first bytes.
    Skipped(Skip, Bytes),
    /// The next bytes of what is being passed over.
    Rest(Skip, Bytes),
}

#[derive(Debug)]
enum State {
    /// Between parts. `long`: in the rest of a line that was too long to look at. `strict`:
    /// after a part that was given up, where a line that only looks like a delimiter may be
    /// anything.
    Seeking { strict: bool, long: bool },
    /// In the head of a part, with the bytes of it so far.
    Head { head: PartHead, used: usize },
    /// Before the first byte of a body.
    Sniff(PartHead),
    /// In a text; `seen` bytes of the buffer are scanned, the last line starts at `line`.
    Text {
        head: PartHead,
        kind: PartKind,
        scanner: Scanner,
        seen: usize,
        line: usize,
    },
    /// After a complete document, where another may follow in the same part.
    After(PartHead),
    /// In a picture.
    Picture(Picture),
    /// A response head begins here; the owner takes the rest.
    Interrupted,
}

/// Between parts, where any line of the shape is a delimiter.
const SEEK: State = State::Seeking {
    strict: false,
    long: false,
};
/// Where a delimiter that is known stands next.
const SEEK_KNOWN: State = State::Seeking {
    strict: true,
    long: false,
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
struct Picture {
    declared: Option<u64>,
    bytes: u64,
    /// The two bytes before the buffer.
    last: [u8; 2],
}

/// The reader of one multipart body, or of one bare body.
#[derive(Debug)]
pub(crate) struct Multipart {
    buffer: BytesMut,
    state: State,
    delimiter: Delimiter,
    found: VecDeque<Found>,
    /// Why the bytes up to the next delimiter are passed over, when a part was given up.
    given_up: Option<Skip>,
    /// True while no more bytes can come.
    ended: bool,
}

impl Multipart {
    /// A multipart body. `heads`: a response head may interrupt it.
    pub(crate) fn new(declared: Option<&str>, heads: bool) -> Self {
        Self::with(Delimiter::new(declared, heads), SEEK)
    }

    /// A body without parts: documents one after the other, or one picture.
    pub(crate) fn bare() -> Self {
        Self::with(Delimiter::none(), State::Sniff(PartHead::default()))
    }

    fn with(delimiter: Delimiter, state: State) -> Self {
        Self {
            buffer: BytesMut::new(),
            state,
            delimiter,
            found: VecDeque::new(),
            given_up: None,
            ended: false,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            self.buffer.extend_from_slice(piece);
            self.run();
        }
    }

    /// No more bytes come: what is open ends here.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
        self.run();
        match std::mem::replace(&mut self.state, State::Interrupted) {
            State::Text { head, kind, .. } => {
                self.emit(&head, kind, self.buffer.len());
            }
            State::Picture(mut picture) => {
                picture.pass(&mut self.buffer, usize::MAX);
                self.found.push_back(Found::Picture(picture.length()));
            }
            _ => {}
        }
        self.buffer.clear();
    }

    pub(crate) fn next(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// The bytes from a response head on, when one interrupted the body.
    pub(crate) fn interrupted(&mut self) -> Option<Bytes> {
        let interrupted = matches!(self.state, State::Interrupted) && !self.buffer.is_empty();
        interrupted.then(|| self.buffer.split().freeze())
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        let part = |found: &Found| match found {
            Found::Part(part) => part.body.len(),
            Found::Skipped(_, cut) => cut.len(),
            Found::Rest(_, rest) => rest.len(),
            Found::Picture(_) => 0,
        };
        self.buffer.len() + self.found.iter().map(part).sum::<usize>()
    }

    fn run(&mut self) {
        loop {
            let placeholder = State::Interrupted;
            let (state, go_on) = match std::mem::replace(&mut self.state, placeholder) {
                State::Seeking { strict, long } => self.seek(strict, long),
                State::Head { head, used } => self.head(head, used),
                State::Sniff(head) => self.sniff(head),
                State::Text {
                    head,
                    kind,
                    scanner,
                    seen,
                    line,
                } => self.text(head, kind, scanner, seen, line),
                State::After(head) => self.after(head),
                State::Picture(picture) => self.picture(picture),
                State::Interrupted => return,
            };
            self.state = state;
            if !go_on {
                return;
            }
        }
    }

    /// The first line of the buffer, without its end, and where the next one starts. At the end
    /// of input the rest is a line.
    fn line(&self) -> Option<(&[u8], usize)> {
        let (line, next) = match memchr::memchr(b'\n', &self.buffer) {
            Some(at) => (self.buffer.get(..at)?, at + 1),
            None if self.ended && !self.buffer.is_empty() => (&self.buffer[..], self.buffer.len()),
            None => return None,
        };
        Some((line.strip_suffix(b"\r").unwrap_or(line), next))
    }

    fn seek(&mut self, strict: bool, long: bool) -> (State, bool) {
        let stay = |long| State::Seeking { strict, long };
        // A body without any delimiter is still read.
        if !strict && !long && matches!(self.buffer.first(), Some(b'{' | b'<')) {
            return (State::Sniff(PartHead::default()), true);
        }
        let Some((line, next)) = self.line() else {
            if self.buffer.len() <= LINE_LIMIT && !long {
                return (stay(false), false);
            }
            self.pass(self.buffer.len());
            return (stay(true), false);
        };
        let looked_at = !long && next <= LINE_LIMIT;
        let kind = match looked_at {
            true => self.delimiter.line(line, strict),
            false => Line::Other,
        };
        let state = match kind {
            Line::Opens(token) => {
                self.delimiter.adopt(token);
                State::Head {
                    head: PartHead::default(),
                    used: 0,
                }
            }
            Line::Closes => SEEK,
            Line::Response => return (State::Interrupted, false),
            Line::Other => {
                self.pass(next);
                return (stay(false), true);
            }
        };
        self.given_up = None;
        self.buffer.advance(next);
        (state, true)
    }

    /// Takes so many bytes away that are neither delimiter nor part.
    fn pass(&mut self, count: usize) {
        if let Some(why) = self.given_up {
            let bytes = self.buffer.get(..count).unwrap_or(&self.buffer);
            self.found
                .push_back(Found::Rest(why, Bytes::copy_from_slice(bytes)));
        }
        self.buffer.advance(count.min(self.buffer.len()));
    }

    fn head(&mut self, mut head: PartHead, used: usize) -> (State, bool) {
        // Some firmware forgets the empty line, and no header starts like a document.
        if matches!(self.buffer.first(), Some(b'{' | b'<' | b'[')) {
            return (State::Sniff(head), true);
        }
        let Some((line, next)) = self.line() else {
            if used + self.buffer.len() <= HEAD_LIMIT {
                return (State::Head { head, used }, false);
            }
            let state = self.give_up(Skip::HeadTooLong, true, HEAD_LIMIT - used);
            self.pass(self.buffer.len());
            return (state, false);
        };
        if used + next > HEAD_LIMIT {
            let keep = HEAD_LIMIT - used;
            let state = self.give_up(Skip::HeadTooLong, false, keep);
            self.pass(next.saturating_sub(keep));
            return (state, true);
        }
        let state = if line.is_empty() {
            State::Sniff(head)
        } else {
            match self.delimiter.line(line, true) {
                Line::Opens(_) => State::Head {
                    head: PartHead::default(),
                    used: 0,
                },
                Line::Closes => SEEK,
                Line::Response | Line::Other => {
                    head.line(line);
                    State::Head {
                        head,
                        used: used + next,
                    }
                }
            }
        };
        self.buffer.advance(next);
        (state, true)
    }

    /// The part is passed over up to the next delimiter; the first `keep` bytes of the buffer
    /// are shown at once: as many however the bytes came in.
    fn give_up(&mut self, why: Skip, long: bool, keep: usize) -> State {
        let keep = keep.min(self.buffer.len());
        let first = self.buffer.split_to(keep);
        let first = Bytes::copy_from_slice(&first);
        self.found.push_back(Found::Skipped(why, first));
        self.given_up = Some(why);
        State::Seeking { strict: true, long }
    }

    /// Decides by the first byte what the body is; the header only where that is not enough.
    fn sniff(&mut self, head: PartHead) -> (State, bool) {
        self.pass_over(|b| b.is_ascii_whitespace());
        let Some(&first) = self.buffer.first() else {
            return (State::Sniff(head), false);
        };
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.advance(BYTE_ORDER_MARK.len());
            return (State::Sniff(head), true);
        }
        if BYTE_ORDER_MARK.starts_with(&self.buffer) && !self.ended {
            return (State::Sniff(head), false);
        }
        if self.delimiter.may_start_with(first) {
            match self.whole_line(true) {
                None => return (State::Sniff(head), false),
                Some(Line::Other) => {}
                Some(_) => return (SEEK_KNOWN, true),
            }
        }
        let binary = !(b' '..0x80).contains(&first) || head.says_binary();
        if !matches!(first, b'{' | b'[' | b'<') && binary && !head.says_text() {
            let picture = Picture {
                declared: head.content_length,
                bytes: 0,
                last: [b'\n'; 2],
            };
            return (State::Picture(picture), true);
        }
        (text(head, first), true)
    }

    /// What the first line is, once it is whole or too long to be anything.
    fn whole_line(&self, strict: bool) -> Option<Line> {
        match self.line() {
            Some((line, next)) if next <= LINE_LIMIT => Some(self.delimiter.line(line, strict)),
            None if self.buffer.len() <= LINE_LIMIT => None,
            _ => Some(Line::Other),
        }
    }

    fn text(
        &mut self,
        head: PartHead,
        kind: PartKind,
        mut scanner: Scanner,
        mut seen: usize,
        mut line: usize,
    ) -> (State, bool) {
        while let Some(&byte) = self.buffer.get(seen) {
            seen += 1;
            if byte == b'\n' {
                if self.is_delimiter(line, seen - 1) {
                    self.emit(&head, kind, line);
                    return (SEEK_KNOWN, true);
                }
                line = seen;
            }
            if scanner.feed(byte) {
                self.emit(&head, kind, seen);
                return (State::After(head), true);
            }
            if seen >= TEXT_LIMIT {
                // The line that was begun may be the delimiter.
                let long = seen - line > LINE_LIMIT;
                let keep = if long { seen } else { line };
                let state = self.give_up(Skip::TextTooLong, long, keep);
                return (state, true);
            }
        }
        if self.ended && self.is_delimiter(line, seen) {
            self.emit(&head, kind, line);
            self.buffer.clear();
        }
        let state = State::Text {
            head,
            kind,
            scanner,
            seen: seen.min(self.buffer.len()),
            line: line.min(self.buffer.len()),
        };
        (state, false)
    }

    fn is_delimiter(&self, from: usize, to: usize) -> bool {
        let line = self.buffer.get(from..to).unwrap_or_default();
        line.len() <= LINE_LIMIT && !matches!(self.delimiter.line(line, true), Line::Other)
    }

    fn after(&mut self, head: PartHead) -> (State, bool) {
        self.pass_over(|b| b.is_ascii_whitespace() || b == 0);
        let Some(&first) = self.buffer.first() else {
            return (State::After(head), false);
        };
        if matches!(first, b'{' | b'[' | b'<') {
            return (text(head, first), true);
        }
        match self.whole_line(false) {
            None => (State::After(head), false),
            // Not white, no document, no delimiter: it must not vanish unseen.
            Some(Line::Other) => (text(head, first), true),
            Some(_) => (SEEK, true),
        }
    }

    fn pass_over(&mut self, padding: impl Fn(u8) -> bool) {
        let kept = self.buffer.iter().position(|&byte| !padding(byte));
        self.buffer.advance(kept.unwrap_or(self.buffer.len()));
    }

    /// Takes the first `length` bytes as a part, unless they are blank.
    fn emit(&mut self, head: &PartHead, kind: PartKind, length: usize) {
        let bytes = self.buffer.split_to(length);
        let padding = |b: &u8| b.is_ascii_whitespace() || *b == 0;
        let Some(last) = bytes.iter().rposition(|byte| !padding(byte)) else {
            return;
        };
        // A copy, so that a small part does not keep a large buffer alive.
        self.found.push_back(Found::Part(Part {
            kind,
            name: head.name.clone(),
            body: Bytes::copy_from_slice(bytes.get(..=last).unwrap_or_default()),
        }));
    }

    /// Drops the bytes of a picture up to its delimiter.
    fn picture(&mut self, mut picture: Picture) -> (State, bool) {
        let mut from = 0;
        loop {
            let Some(at) = picture.next_candidate(&self.buffer, from) else {
                picture.pass(&mut self.buffer, usize::MAX);
                return (State::Picture(picture), false);
            };
            let rest = self.buffer.get(at..).unwrap_or_default();
            match self.delimiter.find(rest, picture.is_within(at), self.ended) {
                Match::No => from = at + 1,
                Match::Partial => {
                    picture.pass(&mut self.buffer, at);
                    return (State::Picture(picture), false);
                }
                Match::Yes => {
                    picture.pass(&mut self.buffer, at);
                    self.found.push_back(Found::Picture(picture.length()));
                    return (SEEK_KNOWN, true);
                }
            }
        }
    }
}

/// The documents that stand one after the other; empty when there is something else among them.
pub(crate) fn documents(bytes: &[u8]) -> Vec<Part> {
    let mut parts = Multipart::bare();
    parts.push(bytes);
    parts.finish();
    let part = |found| match found {
        Found::Part(part) => Some(part),
        Found::Picture(_) | Found::Skipped(..) | Found::Rest(..) => None,
    };
    let found = parts.found.drain(..);
    found.map(part).collect::<Option<_>>().unwrap_or_default()
}

fn text(head: PartHead, first: u8) -> State {
    State::Text {
        head,
        kind: PartKind::of(first),
        scanner: Scanner::starting(first),
        seen: 0,
        line: 0,
    }
}

impl Picture {
    /// The next place from `from` on where a delimiter may start: after a line end, or right
    /// after the mark that ends a JPEG.
    fn next_candidate(&self, buffer: &[u8], from: usize) -> Option<usize> {
        let ends = |at: usize, byte: u8| {
            let before = match at.checked_sub(1) {
                Some(before) => buffer.get(before).copied(),
                None => Some(self.last[1]),
            };
            byte == b'\n' || before == Some(0xff)
        };
        if from == 0 && !buffer.is_empty() && (self.last[1] == b'\n' || self.last == [0xff, 0xd9]) {
            return Some(0);
        }
        let start = from.saturating_sub(1);
        memchr::memchr2_iter(b'\n', 0xd9, buffer.get(start..)?)
            .map(|at| at + start)
            .filter(|&at| buffer.get(at).is_some_and(|&byte| ends(at, byte)))
            .map(|at| at + 1)
            .find(|&at| at >= from && at < buffer.len())
    }

    /// True when that place of the buffer lies within the declared length.
    fn is_within(&self, at: usize) -> bool {
        let at = self
            .bytes
            .saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
        self.declared.is_some_and(|declared| at < declared)
    }

    /// Counts and drops bytes.
    fn pass(&mut self, buffer: &mut BytesMut, most: usize) {
        let count = most.min(buffer.len());
        for &byte in buffer.iter().take(count).skip(count.saturating_sub(2)) {
            self.last = [self.last[1], byte];
        }
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        buffer.advance(count);
    }

    /// Its length: the declared one where only a line end stands between it and what was
    /// counted, else what was counted without the line end before the delimiter.
    fn length(&self) -> u64 {
        let end = match self.last {
            _ if self.bytes == 0 => 0,
            [b'\r', b'\n'] if self.bytes > 1 => 2,
            [_, b'\n'] => 1,
            _ => 0,
        };
        match self.declared {
            Some(declared)
                if (0..=end).contains(&self.bytes.saturating_sub(declared))
                    && declared <= self.bytes =>
            {
                declared
            }
            _ => self.bytes - end,
        }
    }
}
