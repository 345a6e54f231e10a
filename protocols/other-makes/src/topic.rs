//! What a message says by the topic it came under: of which terminal it is, and what is set aside.
//!
//! A topic may name the terminal, and then a broker's access rules have said that its sender may
//! speak for it; so the topic wins, and a record that names another terminal is set aside. What is
//! set aside keeps its topic before its bytes, because the same bytes under two topics are two
//! terminals' records, and because they are read again by it.

use event::{Bytes, Quarantined, Text};

use crate::reading::{Fault, Reading};

/// The source of what is quarantined with its topic.
pub const MESSAGE_SOURCE: &str = "mqtt";

impl Reading {
    /// A message that was too long to be read; `beginning` is what was kept of it.
    pub fn too_long(beginning: &Bytes) -> Self {
        Self::aside(Fault::LongMessage, beginning)
    }

    /// A message under a topic that the configuration does not name.
    pub fn stray(body: &Bytes) -> Self {
        Self::aside(Fault::Topic, body)
    }

    /// A message at which we failed.
    pub fn failed(body: &Bytes) -> Self {
        Self::aside(Fault::Ours, body)
    }

    fn aside(fault: Fault, body: &Bytes) -> Self {
        let mut reading = Self::default();
        reading.whole(fault, body);
        reading
    }

    /// The records are of this terminal, because their topic says so.
    pub fn of_terminal(&mut self, serial: &str) {
        for mut record in std::mem::take(&mut self.records) {
            let named = record.serial.get_or_insert_with(|| Text::new(serial));
            if named.as_str() == serial {
                self.records.push(record);
            } else {
                self.set_aside(Fault::OtherTopic, &[], record.raw);
            }
        }
    }
}

/// Puts the topic before what was set aside. Together they are no longer than a message may be.
pub fn labelled(aside: Quarantined, topic: &str) -> Quarantined {
    let shown = topic.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut raw: Vec<u8> = shown.collect::<String>().into_bytes();
    raw.push(b'\n');
    let room = Quarantined::RAW_LIMIT.saturating_sub(raw.len());
    raw.extend_from_slice(aside.raw.get(..room).unwrap_or(&aside.raw));
    Quarantined {
        source: Text::const_new(MESSAGE_SOURCE),
        raw: Bytes::from(raw),
        ..aside
    }
}

/// The topic before what was set aside, and the rest; `None` for what has none.
pub fn parted(raw: &Bytes) -> Option<(&str, Bytes)> {
    let end = memchr::memchr(b'\n', raw)?;
    let topic = std::str::from_utf8(raw.get(..end)?).ok()?;
    Some((topic, raw.slice(end + 1..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mapping;
    use event::{Millis, Route};
    use proptest::prelude::*;

    const RECORD: &str = r#"{"event":"punch","time":"2026-11-27T09:00:03Z","person":"1"}"#;

    #[test]
    fn the_topic_says_whose_a_record_is_and_one_that_says_otherwise_is_set_aside() {
        let other = RECORD.replace('{', r#"{"serial":"B","#);
        let body = Bytes::from(format!("[{RECORD},{other}]"));
        let mut reading = Mapping::own().read(&body);
        reading.of_terminal("A");
        let serials: Vec<_> = reading
            .records
            .iter()
            .map(|one| one.serial.as_deref())
            .collect();
        assert_eq!(serials, [Some("A")]);
        assert_eq!(
            reading.faults(),
            ["the record names another terminal than its topic"]
        );
    }

    #[test]
    fn equal_bytes_under_two_topics_are_two_rows_of_quarantine() {
        let aside = |topic: &str| {
            let mut read = Reading::stray(&Bytes::from_static(RECORD.as_bytes()));
            let one = read.unread.remove(0).quarantined(Route::Mqtt, Millis(0));
            labelled(one, topic).raw
        };
        assert_ne!(aside("plant/A"), aside("plant/B"));
    }

    proptest! {
        #[test]
        fn what_is_set_aside_under_any_topic_comes_apart_again(topic in any::<String>(), body in any::<Vec<u8>>()) {
            let read = Reading::stray(&Bytes::from([b"x".as_slice(), &body].concat()));
            let one = read.unread.into_iter().next().unwrap().quarantined(Route::Mqtt, Millis(0));
            let (before, raw) = (one.raw.clone(), labelled(one, &topic).raw);
            let (_, rest) = parted(&raw).unwrap();
            prop_assert_eq!(rest, before);
        }
    }
}
