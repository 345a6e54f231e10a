//! XML documents of devices as a small tree.
//!
//! Devices write five namespaces, or none, and prefixes at will, so only local names count and
//! their case does not. What no device needs is refused outright: a document type (and with it
//! every entity of one's own), depth, size and number of elements without end. Attributes,
//! comments and processing instructions are passed over. Nothing here knows what an element
//! means, and nothing recurses: depth of the input is never depth of our stack.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::record::Fault;

/// Longest document read, in bytes.
pub(crate) const SIZE_LIMIT: usize = 256 * 1024;
/// Deepest nesting read; the root is at depth 1.
pub(crate) const DEPTH_LIMIT: usize = 32;
/// Most elements of one document.
pub(crate) const ELEMENT_LIMIT: usize = 8192;

/// Why a document was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.fault().detail)]
pub(crate) enum XmlError {
    /// More than 256 KiB.
    Size,
    /// Elements nested deeper than 32.
    Depth,
    /// More than 8192 elements.
    Elements,
    /// A document type declaration, which no device sends and attackers do.
    Doctype,
    /// An entity that is neither one of the five of XML nor a character by number.
    Entity,
    /// Not well-formed: tags that do not match, cut off in the middle, no root.
    Syntax,
}

impl XmlError {
    /// The error as the fault of the record in the document.
    pub(crate) const fn fault(self) -> Fault {
        match self {
            Self::Size => Fault::XML_SIZE,
            Self::Depth => Fault::XML_DEPTH,
            Self::Elements => Fault::XML_ELEMENTS,
            Self::Doctype => Fault::XML_DOCTYPE,
            Self::Entity => Fault::XML_ENTITY,
            Self::Syntax => Fault::XML_SYNTAX,
        }
    }
}

/// One element: its local name, the text directly inside it, and its children in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    /// Name without a prefix, as written.
    pub(crate) name: String,
    /// The character data directly inside, white space around it taken off.
    pub(crate) text: String,
    /// Child elements in the order of the document.
    pub(crate) children: Vec<Self>,
}

impl Element {
    /// The first child of that name, whatever its case.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find(|child| child.name.eq_ignore_ascii_case(name))
    }

    /// The text of the first child of that name; `None` when it is absent or empty, which
    /// devices do not tell apart (`<activePostCount/>`).
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.as_str();
        (!text.is_empty()).then_some(text)
    }

    /// Every child of that name, whatever its case.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children
            .iter()
            .filter(move |child| child.name.eq_ignore_ascii_case(name))
    }

    fn open(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: String::new(),
            children: Vec::new(),
        }
    }
}

/// Reads the one document that `bytes` hold. Bytes that are not UTF-8 become U+FFFD; what
/// stands after the root element must be white space, NUL or comments.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element, XmlError> {
    if bytes.len() > SIZE_LIMIT {
        return Err(XmlError::Size);
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_matches(is_padding);
    let mut reader = Reader::from_str(text);
    let mut tree = Tree::default();
    loop {
        match reader.read_event().map_err(|_| XmlError::Syntax)? {
            Event::Start(tag) => tree.open(&tag)?,
            Event::Empty(tag) => {
                tree.open(&tag)?;
                tree.close()?;
            }
            // The reader itself checks that the names match.
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.into_inner())?,
            Event::CData(text) => tree.text(&text.into_inner())?,
            Event::GeneralRef(entity) => tree.entity(&entity)?,
            Event::DocType(_) => return Err(XmlError::Doctype),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

fn is_padding(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\0'
}

/// The tree being built: the open elements from the root inwards, and the finished root.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.root.is_some() {
            return Err(XmlError::Syntax);
        }
        if self.open.len() >= DEPTH_LIMIT {
            return Err(XmlError::Depth);
        }
        self.elements += 1;
        if self.elements > ELEMENT_LIMIT {
            return Err(XmlError::Elements);
        }
        self.open.push(Element::open(tag.local_name().as_ref()));
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlError> {
        let mut done = self.open.pop().ok_or(XmlError::Syntax)?;
        let trimmed = done.text.trim_matches(|c: char| c.is_ascii_whitespace());
        if trimmed.len() != done.text.len() {
            done.text = trimmed.to_owned();
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(inside) => inside.text.push_str(text),
            None if text.chars().all(is_padding) => {}
            None => return Err(XmlError::Syntax),
        }
        Ok(())
    }

    fn entity(&mut self, entity: &BytesRef<'_>) -> Result<(), XmlError> {
        let character = match &**entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "apos" => '\'',
            "quot" => '"',
            number => character(number).ok_or(XmlError::Entity)?,
        };
        self.text(character.encode_utf8(&mut [0; 4]))
    }

    fn finish(self) -> Result<Element, XmlError> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(XmlError::Syntax),
        }
    }
}

/// `#65` and `#x41`. NUL comes through: what becomes of it is decided with the record.
fn character(reference: &str) -> Option<char> {
    let digits = reference.strip_prefix('#')?;
    let number = match digits.strip_prefix(['x', 'X']) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16),
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse(),
        _ => return None,
    };
    number.ok().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_namespaces_and_case_do_not_matter_and_empty_is_absent() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"GB2312\"?>\r\n<!-- x --><a:Root xmlns:a=\"urn:x\">\
                    <a:portNo> 80 </a:portNo><activePostCount/><b></b><l><i>1</i><I>2</I></l></a:Root>\n\0";
        let root = parse(text.as_bytes()).unwrap();
        assert_eq!(root.name, "Root");
        assert_eq!(root.text_of("PORTNO"), Some("80"));
        assert!(root.child("activepostcount").is_some());
        assert_eq!(root.text_of("activePostCount"), None);
        assert_eq!(root.text_of("b"), None);
        let items: Vec<&str> = root
            .child("l")
            .unwrap()
            .all("i")
            .map(|e| e.text.as_str())
            .collect();
        assert_eq!(items, ["1", "2"]);
    }

    #[test]
    fn the_five_entities_and_numbers_are_read_and_no_other() {
        let root = parse(b"<a>&lt;&amp;&#65;&#x42;<![CDATA[<&>]]>&quot;&apos;&gt;</a>").unwrap();
        assert_eq!(root.text, "<&AB<&>\"'>");
        for bad in ["&lol;", "&#xD800;", "&#99999999999;", "&#;", "&#+5;"] {
            let text = format!("<a>{bad}</a>");
            assert_eq!(parse(text.as_bytes()), Err(XmlError::Entity), "{bad}");
        }
    }

    #[test]
    fn a_billion_laughs_ends_at_its_document_type() {
        let laughs = b"<!DOCTYPE lolz [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;\">]><x>&b;</x>";
        assert_eq!(parse(laughs), Err(XmlError::Doctype));
        assert_eq!(parse(b"<!doctype x><x/>"), Err(XmlError::Doctype));
    }

    #[test]
    fn depth_size_and_number_have_their_limits() {
        let deep = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(parse(deep(DEPTH_LIMIT).as_bytes()).is_ok());
        assert_eq!(
            parse(deep(DEPTH_LIMIT + 1).as_bytes()),
            Err(XmlError::Depth)
        );
        let wide = |n: usize| format!("<a>{}</a>", "<b/>".repeat(n));
        assert!(parse(wide(ELEMENT_LIMIT - 1).as_bytes()).is_ok());
        assert_eq!(
            parse(wide(ELEMENT_LIMIT).as_bytes()),
            Err(XmlError::Elements)
        );
        let long = format!("<a>{}</a>", "x".repeat(SIZE_LIMIT));
        assert_eq!(parse(long.as_bytes()), Err(XmlError::Size));
    }

    #[test]
    fn what_is_cut_off_or_does_not_match_is_refused() {
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "text",
            "<a",
            "</a>",
            "<a/>x",
            "<a><b></a></b>",
            "<!-- ",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_a_nul_stays() {
        let root = parse(b"<a>A\xff\0B</a>").unwrap();
        assert_eq!(root.text, "A\u{fffd}\0B");
    }
}
