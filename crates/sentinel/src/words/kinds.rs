//! The words of each kind: what it is called, whose side it is on, what to do first.
//!
//! A title fits the subject of a mail on a telephone. The advice is one sentence for the person
//! who reads it at nine in the morning; the whole page stands in the operators' manual.

use notify::Language;

use super::around::AROUND;
use super::commands::STATUS;
use super::pick;
use super::table::ROWS;
use crate::kind::Kind;

/// On whose side the cause most likely is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The programs satellite and sentinel.
    Ours,
    /// A database server.
    Database,
    /// The machine, or whoever rents it out.
    Server,
    /// The client's line or site.
    Site,
    /// The terminal itself.
    Terminal,
    /// The client's application.
    Application,
    /// The mail provider.
    MailProvider,
    /// Somebody outside, perhaps on purpose.
    Outside,
}

impl Side {
    /// As people read it.
    pub fn words(self, language: Language) -> &'static str {
        let (es, en) = match self {
            Self::Ours => (
                "nuestro (Programa Satélite o Sentinela)",
                "ours (satellite or sentinel)",
            ),
            Self::Database => ("la base de datos", "the database"),
            Self::Server => ("el servidor", "the server"),
            Self::Site => (
                "el sitio del cliente (línea o energía)",
                "the client's site (line or power)",
            ),
            Self::Terminal => ("el dispositivo", "the device"),
            Self::Application => ("la aplicación del cliente", "the client's application"),
            Self::MailProvider => ("el proveedor de correo", "the mail provider"),
            Self::Outside => (
                "externo; revisar si es intencional",
                "outside; check whether on purpose",
            ),
        };
        pick(language, es, en)
    }
}

/// The words of one kind.
#[derive(Debug, Clone, Copy)]
pub struct KindWords {
    es: [&'static str; 2],
    en: [&'static str; 2],
    /// Whose side.
    pub side: Side,
    /// What to type first; `{…}` is filled in from the incident.
    pub commands: &'static [&'static str],
}

impl KindWords {
    /// What it is called.
    pub fn title(&self, language: Language) -> &'static str {
        let [title, _] = pick(language, self.es, self.en);
        title
    }

    /// What to do first.
    pub fn advice(&self, language: Language) -> &'static str {
        let [_, advice] = pick(language, self.es, self.en);
        advice
    }
}

/// One row: the kind, its side, its commands, then title and advice in each language.
pub(super) type Row = (
    Kind,
    Side,
    &'static [&'static str],
    [&'static str; 2],
    [&'static str; 2],
);

/// The words of that kind.
pub fn of_kind(kind: Kind) -> KindWords {
    let row = ROWS.iter().chain(AROUND).find(|(known, ..)| *known == kind);
    let (side, commands, es, en) = row.map_or((Side::Ours, STATUS, [""; 2], [""; 2]), |row| {
        (row.1, row.2, row.3, row.4)
    });
    KindWords {
        es,
        en,
        side,
        commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_short_title_advice_and_a_command_in_both_languages() {
        for kind in Kind::ALL {
            let words = of_kind(*kind);
            for language in [Language::Spanish, Language::English] {
                let title = words.title(language);
                assert!(
                    !title.is_empty() && title.chars().count() <= 60,
                    "{kind}: {title}"
                );
                assert!(words.advice(language).ends_with('.'), "{kind}");
            }
            assert!(!words.commands.is_empty(), "{kind}");
        }
    }

    #[test]
    fn no_spanish_text_uses_a_word_that_the_glossary_bans() {
        for kind in Kind::ALL {
            let words = of_kind(*kind);
            let text = format!(
                "{} {}",
                words.title(Language::Spanish),
                words.advice(Language::Spanish)
            );
            let text = text.to_lowercase();
            for banned in [
                "incidencia",
                "inquilino",
                "terminal",
                "golpe",
                "fichaje",
                "atasco",
                "centinela",
            ] {
                assert!(!text.contains(banned), "{kind}: {banned} in {text}");
            }
        }
    }

    #[test]
    fn every_kind_has_its_page_in_the_operators_manual() {
        let manual = include_str!("../../../../docs/es/avisos.md");
        let pages: Vec<&str> = manual.split("\n### `").skip(1).collect();
        assert_eq!(pages.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let page = pages
                .iter()
                .find(|page| page.starts_with(&format!("{kind}`")));
            let page = page.unwrap_or_else(|| panic!("{kind} has no page"));
            let title = of_kind(*kind).title(Language::Spanish);
            for part in [title, "Qué significa:", "Qué hacer:", "\n1. "] {
                assert!(page.contains(part), "{kind}: {part}");
            }
            let (_, steps) = page.split_once("\n1. ").unwrap_or_default();
            assert!(steps.contains('`'), "{kind}: no step says what to type");
        }
    }
}
