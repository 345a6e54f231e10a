//! What is wrong with a command line, said in the language of whoever typed it.
//!
//! clap tells the sort of a mistake and its pieces apart from its words; the Spanish is made of
//! those. A sort that is not known here is said in clap's own English rather than not at all.

use std::error::Error as _;
use std::io::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::help::{self, Book, own_words};
use crate::{Lang, out};

/// Something to print instead of carrying out a command: help, the version, or a mistake.
#[derive(Debug)]
pub struct Told {
    text: Option<String>,
    error: clap::Error,
}

impl Told {
    pub(crate) fn new(error: clap::Error, lang: Lang, book: &Book) -> Self {
        let text = (lang == Lang::Es).then(|| spanish(&error, book));
        Self { text, error }
    }

    /// Prints it where it belongs.
    pub fn print(&self) {
        // When this cannot be printed there is nobody to tell.
        match &self.text {
            None => self.error.print().ok(),
            Some(text) if self.is_mistake() => write!(std::io::stderr(), "{text}").ok(),
            Some(text) => out::print(text).ok(),
        };
    }

    /// True when the command line was not understood, false when help or the version was asked
    /// for.
    pub fn is_mistake(&self) -> bool {
        self.error.use_stderr()
    }

    /// What is printed.
    pub fn text(&self) -> String {
        self.text.clone().unwrap_or_else(|| self.error.to_string())
    }
}

/// In clap's own words.
impl From<clap::Error> for Told {
    fn from(error: clap::Error) -> Self {
        Self { text: None, error }
    }
}

fn spanish(error: &clap::Error, book: &Book) -> String {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return help::page(&error.to_string(), book);
    }
    let Some(wrong) = sentence(error, book) else {
        return own_words(&error.to_string());
    };
    let mut page = format!("error: {wrong}\n");
    for near in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ] {
        if let Some(near) = piece(error, near) {
            page.push_str(&format!("\n  ¿quiso decir '{near}'?\n"));
        }
    }
    if let Some(usage) = piece(error, ContextKind::Usage) {
        page.push_str(&format!("\n{}\n", own_words(&usage)));
    }
    page.push_str("\nPara saber más, '--help'.\n");
    page
}

/// The mistake in one sentence; `None` for a sort that is not known here.
fn sentence(error: &clap::Error, book: &Book) -> Option<String> {
    let arg = piece(error, ContextKind::InvalidArg).unwrap_or_default();
    let arg = own_words(&arg);
    let value = piece(error, ContextKind::InvalidValue).unwrap_or_default();
    let valid = piece(error, ContextKind::ValidValue);
    let said = match error.kind() {
        ErrorKind::UnknownArgument => format!("aquí no hay '{arg}'"),
        ErrorKind::InvalidSubcommand => {
            let word = piece(error, ContextKind::InvalidSubcommand)?;
            format!("no hay orden '{word}'")
        }
        ErrorKind::MissingSubcommand => "falta decir qué orden".to_owned(),
        ErrorKind::MissingRequiredArgument => format!("falta indicar: {arg}"),
        ErrorKind::ArgumentConflict => match piece(error, ContextKind::PriorArg) {
            Some(prior) if prior == arg => format!("'{arg}' se indica una sola vez"),
            Some(prior) => format!("'{arg}' no va junto con '{prior}'"),
            None => format!("'{arg}' no va junto con lo demás"),
        },
        ErrorKind::InvalidValue if value.is_empty() => format!("'{arg}' necesita un valor"),
        ErrorKind::InvalidValue => format!("'{value}' no sirve para '{arg}'"),
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string);
            let why = why.map(|why| (book.sentence)(&why).unwrap_or_else(|| of_number(&why)));
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("'{value}' no sirve para '{arg}'{why}")
        }
        ErrorKind::NoEquals => format!("'{arg}' y su valor van unidos con '='"),
        ErrorKind::TooManyValues => format!("a '{arg}' le sobra el valor '{value}'"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("'{arg}' necesita otro número de valores")
        }
        ErrorKind::InvalidUtf8 => "un texto no está en UTF-8".to_owned(),
        _ => return None,
    };
    let valid = valid.filter(|valid| !valid.is_empty());
    Some(match valid {
        Some(valid) => format!("{said}; valores posibles: {valid}"),
        None => said,
    })
}

/// What the standard library and clap say of numbers.
fn of_number(why: &str) -> String {
    let range = |rest: &str| {
        let (number, range) = rest.split_once(" is not in ")?;
        Some(format!("{number} está fuera de {range}"))
    };
    match why {
        "invalid digit found in string" | "invalid float literal" => "no es un número".to_owned(),
        "cannot parse integer from empty string" => "falta el número".to_owned(),
        "number too large to fit in target type" => "es un número demasiado grande".to_owned(),
        "number too small to fit in target type" => "es un número demasiado chico".to_owned(),
        other => range(other).unwrap_or_else(|| other.to_owned()),
    }
}

/// A piece of what clap knows of a mistake.
fn piece(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
