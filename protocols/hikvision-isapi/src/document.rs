//! Where a document ends, told from its own bytes.
//!
//! Stated lengths of parts are sometimes absent or wrong, and the next delimiter comes only with
//! the next event, up to half a minute later. A JSON object or an XML element says itself when it
//! is complete, so an event goes on its way with its last byte. Bytes are looked at once, one
//! after the other, so that how they were cut into packets makes no difference. Whether the
//! document makes sense is not asked here.

/// A scanner for one document.
#[derive(Debug)]
pub(crate) enum Scanner {
    /// Counts braces and brackets outside strings.
    Json {
        /// Open braces and brackets.
        depth: u32,
        /// Inside a string.
        string: bool,
        /// Just after a backslash in a string.
        escape: bool,
    },
    /// Counts elements.
    Xml {
        /// Open elements.
        depth: u32,
        /// What is being read.
        inside: Inside,
    },
    /// Neither, or beyond understanding: only a delimiter or the end of input ends it.
    Never,
}

/// What part of XML the scanner stands in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inside {
    /// Character data.
    Text,
    /// Just after `<`.
    Less,
    /// In a tag: is it a closing one, was the last byte a `/`, and the open quote.
    Tag {
        closing: bool,
        slash: bool,
        quote: Option<u8>,
    },
    /// In `<? … ?>`; was the last byte a `?`.
    Instruction { question: bool },
    /// Just after `<!`.
    Bang,
    /// In `<!-- … -->`; dashes just seen.
    Comment { dashes: u8 },
    /// In `<![CDATA[ … ]]>`; brackets just seen.
    Data { brackets: u8 },
}

impl Scanner {
    /// For a document that starts with this byte.
    pub(crate) fn starting(byte: u8) -> Self {
        match byte {
            b'{' | b'[' => Self::Json {
                depth: 0,
                string: false,
                escape: false,
            },
            b'<' => Self::Xml {
                depth: 0,
                inside: Inside::Text,
            },
            _ => Self::Never,
        }
    }

    /// Takes the next byte; true when the document ends with it.
    pub(crate) fn feed(&mut self, byte: u8) -> bool {
        match self {
            Self::Json {
                depth,
                string,
                escape,
            } => {
                if *string {
                    *string = *escape || byte != b'"';
                    *escape = !*escape && byte == b'\\';
                    return false;
                }
                match byte {
                    b'"' => *string = true,
                    b'{' | b'[' => *depth = depth.saturating_add(1),
                    b'}' | b']' => {
                        *depth = depth.saturating_sub(1);
                        return *depth == 0;
                    }
                    _ => {}
                }
                false
            }
            Self::Xml { depth, inside } => match step(*inside, byte, depth) {
                Step::On(next) => {
                    *inside = next;
                    false
                }
                Step::Complete => true,
                Step::Lost => {
                    *self = Self::Never;
                    false
                }
            },
            Self::Never => false,
        }
    }
}

enum Step {
    On(Inside),
    Complete,
    Lost,
}

fn step(inside: Inside, byte: u8, depth: &mut u32) -> Step {
    Step::On(match (inside, byte) {
        (Inside::Text, b'<') => Inside::Less,
        (Inside::Text, _) => Inside::Text,
        (Inside::Less, b'?') => Inside::Instruction { question: false },
        (Inside::Less, b'!') => Inside::Bang,
        (Inside::Less, b'/') => tag(true, false),
        (Inside::Less, _) => tag(false, false),
        (
            Inside::Tag {
                closing,
                slash,
                quote,
            },
            _,
        ) => match (quote, byte) {
            (Some(open), byte) if byte == open => tag(closing, false),
            (Some(_), _) => inside,
            (None, b'"' | b'\'') => Inside::Tag {
                closing,
                slash: false,
                quote: Some(byte),
            },
            (None, b'>') => return tag_end(closing, slash, depth),
            (None, byte) => tag(closing, byte == b'/'),
        },
        (Inside::Instruction { question: true }, b'>') => Inside::Text,
        (Inside::Instruction { .. }, byte) => Inside::Instruction {
            question: byte == b'?',
        },
        // `<!-` and `<![` begin a comment and character data; a document type is refused by
        // the reader, so that its end does not matter.
        (Inside::Bang, b'-') => Inside::Comment { dashes: 0 },
        (Inside::Bang, b'[') => Inside::Data { brackets: 0 },
        (Inside::Bang, _) => return Step::Lost,
        (Inside::Comment { dashes: 2.. }, b'>') | (Inside::Data { brackets: 2.. }, b'>') => {
            Inside::Text
        }
        (Inside::Comment { dashes }, b'-') => Inside::Comment {
            dashes: dashes.saturating_add(1),
        },
        (Inside::Comment { .. }, _) => Inside::Comment { dashes: 0 },
        (Inside::Data { brackets }, b']') => Inside::Data {
            brackets: brackets.saturating_add(1),
        },
        (Inside::Data { .. }, _) => Inside::Data { brackets: 0 },
    })
}

fn tag(closing: bool, slash: bool) -> Inside {
    Inside::Tag {
        closing,
        slash,
        quote: None,
    }
}

fn tag_end(closing: bool, slash: bool, depth: &mut u32) -> Step {
    match (closing, slash) {
        (true, _) if *depth == 0 => return Step::Lost,
        (true, _) => *depth -= 1,
        (false, true) => {}
        (false, false) => *depth = depth.saturating_add(1),
    }
    if *depth == 0 {
        Step::Complete
    } else {
        Step::On(Inside::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<usize> {
        let mut scanner = Scanner::starting(text.as_bytes()[0]);
        text.bytes()
            .position(|byte| scanner.feed(byte))
            .map(|at| at + 1)
    }

    #[test]
    fn a_document_ends_with_its_last_byte_and_not_before() {
        for text in [
            r#"{"a":"}\"}\\","b":[{},[]],"c":"\\"}"#,
            "[{}]",
            "{}",
            "<a/>",
            "<a x='>' y=\"/>\"><b/><c>}</c></a>",
            "<?xml version=\"1.0\"?>\n<!-- </a> - -- > <a> --><a><![CDATA[</a>]] ]>]]]></a>",
            "<a>x</a >",
        ] {
            assert_eq!(
                end(&format!("{text}trailing<a/>{{}}")),
                Some(text.len()),
                "{text}"
            );
            assert_eq!(end(&text[..text.len() - 1]), None, "{text}");
        }
    }

    #[test]
    fn what_never_completes_is_left_to_the_delimiter() {
        for text in [
            "{\"a\":\"}",
            "<a><b></b>",
            "</a></a>",
            "<!DOCTYPE a><a></a>",
            "text }",
            "FF",
        ] {
            assert_eq!(end(text), None, "{text}");
        }
    }
}
