//! A sentence in the two languages that operators read.
//!
//! It is made where the mistake is found, in both languages at once, and one of them is chosen
//! where it is shown. Serde carries nothing but text from a value's own check to us; a sentence
//! takes that way with both languages in it ([`Said::carried`]) and is taken apart by
//! [`Said::arrived`] and nowhere else.

use std::fmt;

/// Stands before a sentence that is carried, and between its two languages. A quoted value that
/// held one would be shown cut; it can forge nothing.
const MARK: char = '\u{1e}';

/// A sentence in English and in Spanish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// English.
    pub en: String,
    /// Spanish.
    pub es: String,
}

impl Said {
    /// The two languages.
    pub fn new(en: impl Into<String>, es: impl Into<String>) -> Self {
        Self {
            en: en.into(),
            es: es.into(),
        }
    }

    /// Both, changed in the same way.
    pub(super) fn map(self, change: impl Fn(&str) -> String) -> Self {
        Self {
            en: change(&self.en),
            es: change(&self.es),
        }
    }

    /// As text for an error of serde.
    pub(super) fn carried(&self) -> String {
        format!("{MARK}{}{MARK}{}", self.en, self.es)
    }

    /// The sentence in a text that serde brought, if there is one.
    pub(super) fn arrived(text: &str) -> Option<Self> {
        let (_, both) = text.split_once(MARK)?;
        let (en, es) = both.split_once(MARK)?;
        Some(Self::new(en, es))
    }
}

impl fmt::Display for Said {
    /// Writes the English, which is what logs have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

/// English and Spanish.
impl From<(&str, &str)> for Said {
    fn from((en, es): (&str, &str)) -> Self {
        Self::new(en, es)
    }
}

/// Words that are nobody's to translate: the system's, a library's.
impl From<&str> for Said {
    fn from(words: &str) -> Self {
        Self::new(words, words)
    }
}

/// The same.
impl From<&String> for Said {
    fn from(words: &String) -> Self {
        Self::from(words.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_survives_the_way_through_serde_in_both_languages() {
        let said = Said::new("is wrong", "está mal");
        assert_eq!(Said::arrived(&said.carried()), Some(said.clone()));
        assert_eq!(
            Said::arrived(&format!("at x: {}", said.carried())),
            Some(said)
        );
        assert_eq!(Said::arrived("a library's own words"), None);
    }
}
