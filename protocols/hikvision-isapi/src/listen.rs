//! Posts of devices to a listening address: the token of their path, and what their body says.
//!
//! What a post calls itself is not believed: the first bytes decide, because devices post
//! multipart, XML and JSON under every content type and under none. Its stated length is the
//! business of whoever reads the connection. Memory is bounded for each post: 1 MiB of text that
//! is read and 3 MiB that are not, pictures never. No post is refused for what is in it: what is
//! beyond the measure of an event stands whole among what was heard, for quarantine, in pieces that
//! quarantine takes; only of what is beyond the measure of a post the bytes are counted and no
//! more. Whether the token or the names are right is decided by the caller.

use bytes::BytesMut;
use event::{Quarantined, Text};

use crate::alert::{Heard, Identity, fault_of, read_part_of};
use crate::head;
use crate::multipart::{Found, Multipart, Part, Skip};
use crate::record::{Fault, Unreadable};

/// Most text that is read of one post, in bytes.
const TEXT_TOTAL_LIMIT: usize = 1024 * 1024;
/// Most documents that are read of one post.
const DOCUMENT_LIMIT: usize = 1024;
/// Most text that is kept of one post without being read, in bytes.
const SURPLUS_LIMIT: usize = 3 * 1024 * 1024;
/// Most bytes that stand in quarantine as one record.
const PIECE_LIMIT: usize = Quarantined::RAW_LIMIT;
/// The word before the token in a path.
const WORD: &str = "hikvision";

/// The token of a path `/hikvision/TOKEN`, whatever a device made of the path: doubled slashes,
/// another case of the fixed word, a slash or a query appended, the absolute form with or
/// without a slash before it. Tokens are of `A-Z a-z 0-9 - _`. `None` for every other path.
pub fn token_of(path: &str) -> Option<&str> {
    event::token_of(path, WORD)
}

/// What a post said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Post {
    /// In the order of the body.
    pub heard: Vec<Heard>,
    /// Number of pictures, none of which was kept.
    pub pictures: u64,
    /// Their bytes.
    pub picture_bytes: u64,
    /// Parts that were too long to read; they stand in `heard`.
    pub skipped: u64,
    /// Parts that were not read, or not to their end, because the post had more text or more
    /// documents than one has; they stand in `heard`, many in one piece.
    pub left_out: u64,
    /// Bytes of those parts that are kept nowhere: beyond 3 MiB of a post, or behind a head that
    /// was too long, where a picture may be.
    pub dropped: u64,
    /// Length of the whole post.
    pub bytes: u64,
    /// What the device called itself.
    pub names: Identity,
}

/// The reader of one post.
#[derive(Debug)]
pub struct PostReader {
    content_type: Option<Text>,
    parts: Option<Multipart>,
    text: usize,
    surplus: Surplus,
    post: Post,
}

/// Text that is kept and not read: the piece that grows, and the bytes of all pieces so far.
#[derive(Debug, Default)]
struct Surplus {
    piece: Option<(Fault, BytesMut)>,
    kept: usize,
}

impl PostReader {
    /// For a post of that content type, which is a hint only.
    pub fn new(content_type: Option<&str>) -> Self {
        Self {
            content_type: content_type.map(Text::new),
            parts: None,
            text: 0,
            surplus: Surplus::default(),
            post: Post::default(),
        }
    }

    /// Takes bytes of the body as they come.
    pub fn push(&mut self, chunk: &[u8]) {
        let more = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.post.bytes = self.post.bytes.saturating_add(more);
        for piece in chunk.chunks(crate::multipart::PIECE) {
            self.piece(piece);
        }
    }

    /// The body is complete.
    pub fn finish(mut self) -> Post {
        if let Some(mut parts) = self.parts.take() {
            parts.finish();
            self.collect(&mut parts);
        }
        self.end_piece();
        self.post
    }

    /// Bytes held for the post so far.
    pub fn held(&self) -> usize {
        let open = self.parts.as_ref().map_or(0, Multipart::held);
        self.text + self.surplus.kept + open
    }

    fn piece(&mut self, mut piece: &[u8]) {
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                piece = piece.trim_ascii_start();
                let Some(&first) = piece.first() else {
                    return;
                };
                self.sniff(first)
            }
        };
        parts.push(piece);
        self.collect(&mut parts);
        self.parts = Some(parts);
    }

    fn sniff(&self, first: u8) -> Multipart {
        let declared = self.content_type.as_deref();
        let multipart = declared.is_some_and(head::is_multipart);
        match first {
            b'{' | b'[' | b'<' => Multipart::bare(),
            _ if first == b'-' || multipart => {
                Multipart::new(declared.and_then(head::boundary), false)
            }
            _ => Multipart::bare(),
        }
    }

    fn collect(&mut self, parts: &mut Multipart) {
        while let Some(found) = parts.next() {
            match found {
                Found::Part(part) => self.part(&part),
                Found::Picture(bytes) => {
                    self.post.pictures += 1;
                    self.post.picture_bytes = self.post.picture_bytes.saturating_add(bytes);
                }
                Found::Skipped(why, cut) => {
                    self.post.skipped += 1;
                    if let Some(fault) = fault_of(why) {
                        self.end_piece();
                        self.keep(fault, &cut);
                    }
                }
                Found::Rest(Skip::TextTooLong, rest) => self.keep(Fault::LONG_PART, &rest),
                Found::Rest(_, rest) => self.lose(rest.len()),
            }
        }
    }

    fn part(&mut self, part: &Part) {
        let room = DOCUMENT_LIMIT.saturating_sub(self.post.heard.len());
        if self.text + part.body.len() > TEXT_TOTAL_LIMIT || room == 0 {
            return self.leave_out(part);
        }
        self.end_piece();
        self.text += part.body.len();
        let heard = read_part_of(part.kind, &part.body, &mut self.post.names);
        let fits = heard.len() <= room;
        self.post.heard.extend(heard.into_iter().take(room));
        if !fits {
            self.leave_out(part);
        }
    }

    /// Keeps a part that is not read, with its neighbours: never a document in two pieces.
    fn leave_out(&mut self, part: &Part) {
        self.post.left_out += 1;
        let fault = Fault::LONG_POST;
        match &self.surplus.piece {
            Some((open, piece))
                if *open == fault && piece.len() + 1 + part.body.len() <= PIECE_LIMIT =>
            {
                self.keep(fault, b"\n");
            }
            _ => self.end_piece(),
        }
        self.keep(fault, &part.body);
    }

    /// Keeps bytes in the piece that grows, or in a new one; counts those that are too many.
    fn keep(&mut self, fault: Fault, bytes: &[u8]) {
        let room = SURPLUS_LIMIT.saturating_sub(self.surplus.kept);
        let (mut bytes, beyond) = bytes.split_at(room.min(bytes.len()));
        self.lose(beyond.len());
        self.surplus.kept += bytes.len();
        while !bytes.is_empty() {
            let full =
                |(open, piece): &(Fault, BytesMut)| *open != fault || piece.len() >= PIECE_LIMIT;
            if self.surplus.piece.as_ref().is_some_and(full) {
                self.end_piece();
            }
            let (_, piece) = self
                .surplus
                .piece
                .get_or_insert_with(|| (fault, BytesMut::new()));
            let here = (PIECE_LIMIT - piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at(here);
            piece.extend_from_slice(now);
            bytes = later;
        }
    }

    fn end_piece(&mut self) {
        if let Some((fault, piece)) = self.surplus.piece.take() {
            let unreadable = Unreadable::new(fault, piece.freeze());
            self.post.heard.push(Heard::Unreadable(unreadable));
        }
    }

    /// Counts bytes that are kept nowhere.
    fn lose(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.post.dropped = self.post.dropped.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_every_path_that_devices_make_of_it() {
        for path in [
            "/hikvision/tok-1_A",
            "//hikvision//tok-1_A",
            "/hikvision/tok-1_A/",
            "/HikVision/tok-1_A?x=/y",
            "hikvision/tok-1_A",
            "http://203.0.113.5:8081/hikvision/tok-1_A",
            "/http://events.example.net:8081/hikvision/tok-1_A",
        ] {
            assert_eq!(token_of(path), Some("tok-1_A"), "{path}");
        }
        let long = format!("/hikvision/{}", "x".repeat(129));
        for path in [
            "/",
            "",
            "/hikvision",
            "/hikvision/",
            "/hikvision/a/b",
            "/hikvision/a.b",
            "/x/tok",
            "/hikvision/%41",
            &long,
            "http://hikvision/tok",
        ] {
            assert_eq!(token_of(path), None, "{path}");
        }
    }
}
