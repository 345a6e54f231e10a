//! Topics by a template: `satellite/{tenant}/{vendor}/{serial}`.
//!
//! What stands in for a name is one level and stays one: whatever a serial or a tenant holds, it
//! can neither add a level nor become a wildcard.

/// Longest template, in bytes.
const LIMIT: usize = 256;
/// Longest text that stands in for a name, in characters.
const LEVEL_LIMIT: usize = 64;

/// Why a template cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// It is empty, or longer than 256 bytes.
    #[error("must have 1 to 256 characters")]
    Length,
    /// A level is empty, or it begins with `$`, or holds `+`, `#` or a control character.
    #[error(
        "is no topic: no empty levels, no + and #, no control characters, and no $ at the beginning"
    )]
    Topic,
    /// A name in braces that is not known.
    #[error("may name {{tenant}}, {{vendor}}, {{serial}} and {{kind}}, and nothing else in braces")]
    Name,
}

/// What stands in for the names of a template.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `{tenant}`.
    pub tenant: &'a str,
    /// `{vendor}`.
    pub vendor: &'a str,
    /// `{serial}`.
    pub serial: &'a str,
    /// `{kind}`.
    pub kind: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Tenant,
    Vendor,
    Serial,
    Kind,
}

/// A topic with names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn read(text: &str) -> Result<Self, BadTemplate> {
        if text.is_empty() || text.len() > LIMIT {
            return Err(BadTemplate::Length);
        }
        let bad = |c: char| matches!(c, '+' | '#') || c.is_control();
        if text.starts_with('$') || text.contains(bad) || text.split('/').any(str::is_empty) {
            return Err(BadTemplate::Topic);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(BadTemplate::Name)?;
            push(&mut parts, before)?;
            parts.push(match name {
                "tenant" => Part::Tenant,
                "vendor" => Part::Vendor,
                "serial" => Part::Serial,
                "kind" => Part::Kind,
                _ => return Err(BadTemplate::Name),
            });
            rest = after;
        }
        push(&mut parts, rest)?;
        Ok(Self(parts))
    }

    /// The topic of these names.
    #[must_use]
    pub fn fill(&self, names: &Names<'_>) -> String {
        let mut topic = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Tenant => level(&mut topic, names.tenant),
                Part::Vendor => level(&mut topic, names.vendor),
                Part::Serial => level(&mut topic, names.serial),
                Part::Kind => level(&mut topic, names.kind),
            }
        }
        topic
    }
}

fn push(parts: &mut Vec<Part>, text: &str) -> Result<(), BadTemplate> {
    if text.contains('}') {
        return Err(BadTemplate::Name);
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

/// Adds a text as what it is: part of one level. What is no letter, digit, `-`, `_` or `.` of ASCII
/// becomes `_`.
fn level(topic: &mut String, text: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe = text.chars().take(LEVEL_LIMIT);
    topic.extend(safe.map(|c| if plain(c) { c } else { '_' }));
    if text.is_empty() {
        topic.push('_');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(serial: &str) -> Names<'_> {
        Names {
            tenant: "acme",
            vendor: "zkteco",
            serial,
            kind: "punch",
        }
    }

    #[test]
    fn a_topic_has_the_names_in_their_places() {
        let template = Template::read("site/{tenant}/{vendor}/{serial}/{kind}-1").unwrap();
        assert_eq!(
            template.fill(&names("ABC1")),
            "site/acme/zkteco/ABC1/punch-1"
        );
    }

    #[test]
    fn what_is_no_topic_or_names_what_is_not_known_is_refused() {
        let long = "x".repeat(257);
        for (text, why) in [
            ("", BadTemplate::Length),
            (&long, BadTemplate::Length),
            ("$SYS/{tenant}", BadTemplate::Topic),
            ("a//b", BadTemplate::Topic),
            ("/a", BadTemplate::Topic),
            ("a/", BadTemplate::Topic),
            ("a/+", BadTemplate::Topic),
            ("a/#", BadTemplate::Topic),
            ("a/\0", BadTemplate::Topic),
            ("a/{person}", BadTemplate::Name),
            ("a/{serial", BadTemplate::Name),
            ("a/serial}", BadTemplate::Name),
        ] {
            assert_eq!(Template::read(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_serial_adds_a_level_or_becomes_a_wildcard(serial in "\\PC{0,80}|[/+#$\\x00]{1,20}") {
            let template = Template::read("s/{tenant}/{serial}/x").unwrap();
            let topic = template.fill(&names(&serial));
            prop_assert_eq!(topic.split('/').count(), 4);
            let no_level_is_empty = topic.split('/').all(|level| !level.is_empty());
            prop_assert!(no_level_is_empty && !topic.contains(['+', '#', '\0']) && topic.is_ascii());
        }
    }
}
