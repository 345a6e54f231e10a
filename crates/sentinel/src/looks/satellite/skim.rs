//! satellite's long pages, read while they come.
//!
//! The lists of thousands of terminals are megabytes of text, and sentinel has to live in 40 MiB.
//! So the text is never held as a whole: each element of a long list is handed on, and forgotten,
//! as soon as its last byte is there. What stands around those lists is kept and read as any
//! other page, so that one that ended early is unreadable and never a shorter list.

/// Longest text of one element, in bytes.
const ELEMENT: usize = 64 << 10;
/// Longest text of all that stands around the lists, in bytes.
const FRAME: usize = 2 << 20;

/// A page of which a part has come. `E` takes the elements: objects of the lists that are named,
/// where these stand at the top of the page.
#[derive(Debug)]
pub(in crate::looks) struct Skim<E> {
    /// Each with its quotes and its colon.
    lists: &'static [&'static str],
    each: E,
    /// Everything but the elements.
    frame: Vec<u8>,
    /// The element that is being read.
    element: Vec<u8>,
    /// How many braces and brackets are open.
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    /// Inside the brackets of one of the lists.
    is_list: bool,
    failed: Option<String>,
}

impl<E: FnMut(&[u8]) -> Result<(), serde_json::Error>> Skim<E> {
    /// A page with these long lists, for example `"devices":`.
    pub(in crate::looks) fn new(lists: &'static [&'static str], each: E) -> Self {
        Self {
            lists,
            each,
            frame: Vec::new(),
            element: Vec::new(),
            depth: 0,
            is_text: false,
            is_escaped: false,
            is_list: false,
            failed: None,
        }
    }

    /// The next bytes of it.
    pub(in crate::looks) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.failed.is_some() {
                return;
            }
            self.take(*byte);
        }
    }

    /// The page with its lists empty.
    ///
    /// # Errors
    /// What in the page, or in an element, cannot be read.
    pub(in crate::looks) fn end<T: serde::de::DeserializeOwned>(self) -> Result<T, String> {
        match self.failed {
            Some(failed) => Err(failed),
            None => serde_json::from_slice(&self.frame).map_err(|error| error.to_string()),
        }
    }

    fn take(&mut self, byte: u8) {
        if !self.is_text && byte.is_ascii_whitespace() {
            return;
        }
        let was_inside = self.is_inside();
        self.count(byte);
        if was_inside || self.is_inside() {
            self.element.push(byte);
            if !self.is_inside() {
                self.hand_on();
            }
        } else if !(self.is_list && byte == b',') {
            self.frame.push(byte);
        }
        if self.element.len() > ELEMENT || self.frame.len() > FRAME {
            self.failed = Some("a part of the page is too long".to_owned());
        }
    }

    /// Inside an element, brackets of its own included.
    fn is_inside(&self) -> bool {
        self.is_list && self.depth > 2
    }

    /// Counts what is open after that byte.
    fn count(&mut self, byte: u8) {
        if self.is_text {
            self.is_text = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return;
        }
        match byte {
            b'"' => self.is_text = true,
            b'{' | b'[' => {
                let key = |list: &&str| self.frame.ends_with(list.as_bytes());
                self.is_list |= byte == b'[' && self.depth == 1 && self.lists.iter().any(key);
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_list &= self.depth > 1;
            }
            _ => {}
        }
    }

    fn hand_on(&mut self) {
        if let Err(error) = (self.each)(&self.element) {
            self.failed = Some(error.to_string());
        }
        self.element.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::{Device, Devices};
    use super::*;

    fn row(serial: &str) -> serde_json::Value {
        serde_json::json!({
            "serial": serial, "vendor": "zkteco", "tenant": "acme", "site": "a \"}]{[\\", "state": "online",
            "canary": false, "last_contact_at": null, "last_event_at": null,
            "offline_after_seconds": 300, "clock_skew_seconds": null, "log_used": null,
            "log_capacity": null, "gap_events": null,
            "conditions": [{"name": "n", "since": "s", "detail": "[{\"\\"}],
        })
    }

    fn read(text: &str, piece: usize) -> Result<Devices, String> {
        let mut devices: Vec<Device> = Vec::new();
        let mut page = Skim::new(&["\"devices\":"], |one: &[u8]| {
            devices.push(serde_json::from_slice(one)?);
            Ok(())
        });
        let pieces = text.as_bytes().chunks(piece);
        pieces.for_each(|part| page.push(part));
        let frame: Devices = page.end()?;
        assert!(frame.devices.is_empty());
        Ok(Devices { devices, ..frame })
    }

    #[test]
    fn a_page_that_comes_in_pieces_is_read_as_one_that_came_at_once() {
        let more = serde_json::json!({"devices": [{"x": "]"}], "other": [{"a": 1}, {"b": [2, 3]}]});
        for rows in [vec![], vec![row("A")], vec![row("A"), row("B"), row("C")]] {
            let page = serde_json::json!(
                {"at": "x", "before": more, "loaded": true, "devices": rows, "more": [more]});
            let whole: Devices = serde_json::from_str(&page.to_string()).unwrap();
            let pretty = serde_json::to_string_pretty(&page).unwrap();
            for (text, piece) in [(&page.to_string(), 1), (&pretty, 7), (&pretty, 1 << 20)] {
                assert_eq!(read(text, piece).as_ref(), Ok(&whole), "{piece}");
            }
        }
    }

    #[test]
    fn a_page_that_ends_early_or_is_none_is_unreadable_and_never_shorter() {
        let rows = [row("A"), row("B")];
        let text = serde_json::json!({"at": "x", "devices": rows, "loaded": true}).to_string();
        for end in 0..text.len() {
            assert!(read(&text[..end], 64).is_err(), "{end}");
        }
        let serial = "\"serial\":\"B\"";
        for (from, to) in [
            (serial, "\"serial\":7"),
            (serial, "\"name\":\"B\""),
            ("loaded", "loadet"),
            ("\"A\"", &format!("\"{}\"", "A".repeat(ELEMENT))),
            ("\"x\"", &format!("\"{}\"", "x".repeat(FRAME))),
        ] {
            assert!(read(&text.replace(from, to), 512).is_err(), "{}", from);
        }
        for text in ["", "]", "}}}]", "[[[[", "{\"devices\":[1],\"loaded\":true}"] {
            assert!(read(text, 3).is_err(), "{text}");
        }
    }
}
