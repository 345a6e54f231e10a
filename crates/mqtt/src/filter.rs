//! Which topics are listened to, and which level of them names a terminal: `plant/{serial}/punch`.
//!
//! A filter is an ordinary one of MQTT (`+` for one level, `#` for all that follow) in which one
//! level may be `{serial}`. A topic that holds what nobody can see is matched by none.

/// Longest filter, in bytes.
const LIMIT: usize = 256;
/// The level that names a terminal.
const SERIAL: &str = "{serial}";

/// Why a filter cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// It is empty, or longer than 256 bytes.
    #[error("must have 1 to 256 characters")]
    Length,
    /// A level is empty, `+` or `#` stand inside one, `#` is not the last, or it begins with `$`.
    #[error(
        "is no topic filter: no empty levels, + alone in its level, # alone in the last, no control characters, and no $ at the beginning"
    )]
    Filter,
    /// Braces that are not one `{serial}` alone in its level.
    #[error("may have one level that is {{serial}}, and no other braces")]
    Name,
}

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`BadFilter`].
    pub fn read(text: &str) -> Result<Self, BadFilter> {
        if text.is_empty() || text.len() > LIMIT {
            return Err(BadFilter::Length);
        }
        let levels: Vec<&str> = text.split('/').collect();
        let last = levels.len() - 1;
        let is_bad = |(place, level): (usize, &&str)| match *level {
            "" => true,
            "+" => false,
            "#" => place != last,
            level => level.contains(['+', '#']) || level.contains(char::is_control),
        };
        if text.starts_with('$') || levels.iter().enumerate().any(is_bad) {
            return Err(BadFilter::Filter);
        }
        let named = levels.iter().filter(|level| **level == SERIAL).count();
        let braces = |level: &&str| *level != SERIAL && level.contains(['{', '}']);
        if named > 1 || levels.iter().any(braces) {
            return Err(BadFilter::Name);
        }
        Ok(Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a broker is asked for it.
    #[must_use]
    pub fn subscription(&self) -> String {
        self.0.replace(SERIAL, "+")
    }

    /// True when a level names the terminal.
    #[must_use]
    pub fn names_terminals(&self) -> bool {
        self.0.split('/').any(|level| level == SERIAL)
    }

    /// Whether a topic is one of these, and what stands in its level `{serial}`.
    #[must_use]
    pub fn matches<'t>(&self, topic: &'t str) -> Option<Option<&'t str>> {
        if topic.starts_with('$') || topic.contains(char::is_control) {
            return None;
        }
        let mut serial = None;
        let mut levels = topic.split('/');
        for wanted in self.0.split('/') {
            if wanted == "#" {
                return Some(serial);
            }
            let level = levels.next()?;
            match wanted {
                SERIAL => serial = Some(level),
                "+" => {}
                wanted if wanted == level => {}
                _ => return None,
            }
        }
        levels.next().is_none().then_some(serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_topic_is_matched_level_by_level_and_names_its_terminal() {
        let matches = |filter: &str, topic| Filter::read(filter).unwrap().matches(topic);
        assert_eq!(
            matches("plant/{serial}/punch", "plant/A-1/punch"),
            Some(Some("A-1"))
        );
        assert_eq!(matches("plant/+/punch", "plant/A-1/punch"), Some(None));
        assert_eq!(matches("{serial}/#", "A-1/punch/2"), Some(Some("A-1")));
        assert_eq!(matches("a/b", "a/b"), Some(None));
        for (filter, topic) in [
            ("plant/{serial}/punch", "plant/A-1/state"),
            ("plant/{serial}/punch", "plant/A-1/punch/x"),
            ("plant/{serial}/punch", "plant/A-1"),
            ("#", "$SYS/broker"),
            ("a/+", "a/\u{1b}[31m"),
        ] {
            assert_eq!(matches(filter, topic), None, "{filter} {topic}");
        }
        assert_eq!(
            Filter::read("a/{serial}/#").unwrap().subscription(),
            "a/+/#"
        );
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let long = "x".repeat(257);
        for (text, why) in [
            ("", BadFilter::Length),
            (&long, BadFilter::Length),
            ("$share/group/a", BadFilter::Filter),
            ("a//b", BadFilter::Filter),
            ("a/#/b", BadFilter::Filter),
            ("a/b+", BadFilter::Filter),
            ("a/\n", BadFilter::Filter),
            ("{serial}/{serial}", BadFilter::Name),
            ("a/x{serial}", BadFilter::Name),
            ("a/{tenant}", BadFilter::Name),
        ] {
            assert_eq!(Filter::read(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_topic_makes_more_of_a_serial_than_one_level(topic in "\\PC{0,60}|[a/+#$\\x00-\\x1f]{0,20}") {
            let filter = Filter::read("a/{serial}/#").unwrap();
            if let Some(Some(serial)) = filter.matches(&topic) {
                prop_assert!(!serial.contains('/') && !serial.contains(char::is_control));
            }
        }
    }
}
