//! Chunked transfer coding, taken off as the bytes come.
//!
//! Used only where a response says so. Sizes, extensions and trailers have limits; what comes
//! out is a slice of what went in, never a copy. A device that says chunked and then sends its
//! parts bare is recognised by its first line.

/// Longest line of a chunk size with its extensions, and longest trailer line.
const LINE_LIMIT: usize = 256;
/// Most bytes of trailers.
const TRAILER_LIMIT: usize = 8 * 1024;

/// Where the decoder stands.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    line: Vec<u8>,
    first: bool,
    trailer: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk<'a> {
    /// Content, and the input after it.
    Data(&'a [u8], &'a [u8]),
    /// The body is complete; the input after it.
    End(&'a [u8]),
    /// All input is used up.
    More,
    /// The response is not chunked at all; the bytes so far, which the input is to follow.
    Bare(Vec<u8>, &'a [u8]),
    /// Not chunked coding.
    Broken,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
            first: true,
            trailer: 0,
        }
    }

    pub(crate) fn next<'a>(&mut self, mut input: &'a [u8]) -> Chunk<'a> {
        loop {
            if let State::Data(left) = self.state {
                if input.is_empty() {
                    return Chunk::More;
                }
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at(take);
                let left = left - u64::try_from(take).unwrap_or(left);
                self.state = if left == 0 {
                    State::DataEnd
                } else {
                    State::Data(left)
                };
                return Chunk::Data(data, rest);
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Chunk::More;
            };
            input = rest;
            self.line.push(byte);
            if self.first && self.line.starts_with(b"--") {
                return Chunk::Bare(std::mem::take(&mut self.line), input);
            }
            if self.line.len() > LINE_LIMIT {
                return Chunk::Broken;
            }
            if byte != b'\n' {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            match self.end_of_line(line.trim_ascii()) {
                Some(false) => {}
                Some(true) => return Chunk::End(input),
                None => return Chunk::Broken,
            }
        }
    }

    /// Takes a line; true when it ends the body.
    fn end_of_line(&mut self, line: &[u8]) -> Option<bool> {
        match self.state {
            State::Size => {
                let size = size(line)?;
                self.first = false;
                self.state = if size == 0 {
                    State::Trailer
                } else {
                    State::Data(size)
                };
            }
            State::DataEnd if line.is_empty() => self.state = State::Size,
            State::DataEnd | State::Data(_) => return None,
            State::Trailer if line.is_empty() => return Some(true),
            State::Trailer => {
                self.trailer += line.len();
                return (self.trailer <= TRAILER_LIMIT).then_some(false);
            }
        }
        Some(false)
    }
}

fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    let hex = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| hex)?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(mut input: &[u8]) -> (Vec<u8>, &'static str) {
        let mut chunked = Chunked::new();
        let mut out = Vec::new();
        loop {
            match chunked.next(input) {
                Chunk::Data(data, rest) => {
                    out.extend(data);
                    input = rest;
                }
                Chunk::End(rest) => {
                    out.extend(rest);
                    return (out, "end");
                }
                Chunk::More => return (out, "more"),
                Chunk::Bare(line, rest) => {
                    out.extend(line);
                    out.extend(rest);
                    return (out, "bare");
                }
                Chunk::Broken => return (out, "broken"),
            }
        }
    }

    #[test]
    fn chunks_extensions_and_trailers_are_taken_off() {
        assert_eq!(
            decode(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n!"),
            (b"abc0123456789!".to_vec(), "end")
        );
        assert_eq!(decode(b"2\nab\n1\nc"), (b"abc".to_vec(), "more"));
    }

    #[test]
    fn what_is_not_chunked_is_said_and_a_broken_size_ends_it() {
        assert_eq!(decode(b"--b\r\nx"), (b"--b\r\nx".to_vec(), "bare"));
        for bad in [
            "x\r\n",
            "\r\n",
            "3\r\nabcd\r\n",
            "+3\r\nabc",
            "11111111111111111\r\n",
            &"0".repeat(300),
        ] {
            assert_eq!(decode(bad.as_bytes()).1, "broken", "{bad}");
        }
        let endless = format!("0\r\n{}", "A: b\r\n".repeat(3000));
        assert_eq!(decode(endless.as_bytes()).1, "broken");
    }
}
