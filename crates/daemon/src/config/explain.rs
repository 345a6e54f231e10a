//! From a parser's complaint to a sentence for the person who edits the file.
//!
//! Serde tells unknown and missing keys only as text, so that text is taken apart here and
//! nowhere else, and said in both languages; what is not recognised is passed on as it is. Every sentence made here goes
//! through [`without_password`], because complaints repeat values.

use std::ops::Range;

use super::kinds;
use super::locate::{self, Node};
use super::{ConfigError, Said};

/// Explains an error of the TOML parser or of serde.
pub(super) fn explain(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let (nodes, whole) = locate::nodes(text);
    let complaint = error.message();
    let Some(range) = error.span() else {
        let (key, message) = sentence("", complaint);
        return ConfigError {
            key,
            ..ConfigError::about(file, message.map(without_password))
        };
    };
    let (line, column) = locate::position(text, range.start);
    let (key, message) = if complaint == "duplicate key" {
        duplicate(&nodes, text, &range)
    } else if whole {
        let node = locate::by_range(&nodes, &range);
        sentence(node.map_or("", |node| node.path.as_str()), complaint)
    } else {
        let message = Said::new(
            format!("not valid TOML at column {column}: {complaint}"),
            format!("no es TOML válido en la columna {column}: {complaint}"),
        );
        (None, message)
    };
    ConfigError {
        line: Some(line),
        column: Some(column),
        key,
        ..ConfigError::about(file, message.map(without_password))
    }
}

/// An error of the caller's own about a key.
pub(super) fn about_key(file: &str, text: &str, key: &str, message: Said) -> ConfigError {
    let (nodes, _) = locate::nodes(text);
    let place = locate::by_path(&nodes, key).map(|node| locate::position(text, node.key.start));
    ConfigError {
        line: place.map(|(line, _)| line),
        column: place.map(|(_, column)| column),
        key: Some(key.to_owned()),
        ..ConfigError::about(file, at(key, message))
    }
}

/// The range of a repeated key covers the key itself; the tree holds only one of the two.
fn duplicate(nodes: &[Node], text: &str, range: &Range<usize>) -> (Option<String>, Said) {
    let word = text.get(range.clone()).unwrap_or_default();
    let is_header = text
        .get(..range.start)
        .is_some_and(|before| before.ends_with('['));
    let path = if is_header {
        word.to_owned()
    } else {
        locate::join(locate::section(nodes, text, range.start), word)
    };
    let key = name(&path);
    let message = Said::new(
        format!("key {} is given twice", key.en),
        format!("la clave {} aparece dos veces", key.es),
    );
    (Some(path), message)
}

/// The sentence for a complaint about `path`, the way to a key or, for a missing key, to its
/// table.
fn sentence(path: &str, complaint: &str) -> (Option<String>, Said) {
    let key = Some(path.to_owned()).filter(|path| !path.is_empty());
    if let Some(rest) = complaint.strip_prefix("missing field ") {
        let path = locate::join(path, rest.trim_matches('`'));
        let key = name(&path);
        let message = Said::new(
            format!("missing key {}", key.en),
            format!("falta la clave {}", key.es),
        );
        return (Some(path), message);
    }
    if let Some((word, known)) = known_words(complaint, "unknown field ") {
        // Where serde had to buffer a table, the range is that of the table, not of the key.
        let path = match locate::split(path).1 {
            last if last == word => path.to_owned(),
            _ => locate::join(path, word),
        };
        let (key, advice) = (name(&path), advice(word, &known, KEYS));
        let message = Said::new(
            format!("unknown key {}{}", key.en, advice.en),
            format!("la clave {} no existe{}", key.es, advice.es),
        );
        return (Some(path), message);
    }
    if let Some((word, known)) = known_words(complaint, "unknown variant ") {
        let advice = advice(word, &known, WORDS);
        let message = Said::new(
            format!("unknown word '{word}'{}", advice.en),
            format!("la palabra '{word}' no existe{}", advice.es),
        );
        return (key, at(path, message));
    }
    let message = Said::arrived(complaint).unwrap_or_else(|| kinds::told(complaint));
    match key {
        Some(_) => (key, at(path, message)),
        None => (None, message),
    }
}

/// What is wrong with the value of a key.
fn at(path: &str, message: Said) -> Said {
    let key = name(path);
    Said::new(
        format!("key {}: {}", key.en, message.en),
        format!("clave {}: {}", key.es, message.es),
    )
}

/// A path as a person would say it: `'id' in [[tenant]]`.
fn name(path: &str) -> Said {
    let (table, key) = locate::split(path);
    if table.is_empty() {
        return Said::from(&format!("'{key}'"));
    }
    // The number of a `[[table]]` is for programs; people have the line.
    let mut words = String::new();
    for piece in table.split('.') {
        let piece = piece.split('[').next().unwrap_or_default();
        words = locate::join(&words, piece);
    }
    let table = if table.ends_with(']') {
        format!("[[{words}]]")
    } else {
        format!("[{words}]")
    };
    Said::new(format!("'{key}' in {table}"), format!("'{key}' en {table}"))
}

/// What there is to choose from, in English and in Spanish.
type Choice = (&'static str, &'static str);
const KEYS: Choice = ("Known keys", "Claves que existen");
const WORDS: Choice = ("Known words", "Palabras que existen");

/// The word that serde did not know and those that it would have accepted: everything in
/// backquotes after `expected`.
fn known_words<'a>(complaint: &'a str, prefix: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = complaint.strip_prefix(prefix)?;
    let (word, expected) = rest
        .rsplit_once(", expected ")
        .or_else(|| rest.rsplit_once(", there are no"))
        .unwrap_or((rest, ""));
    let known = expected.split('`').skip(1).step_by(2).collect();
    Some((word.trim_matches('`'), known))
}

/// `; did you mean 'address'? Known keys: …`, as much of it as there is.
fn advice(word: &str, known: &[&str], what: Choice) -> Said {
    let mut advice = match nearest(word, known) {
        Some(near) => Said::new(
            format!("; did you mean '{near}'?"),
            format!("; ¿quiso decir '{near}'?"),
        ),
        None => Said::from("."),
    };
    if !known.is_empty() {
        let known = known.join(", ");
        advice.en += &format!(" {}: {known}", what.0);
        advice.es += &format!(" {}: {known}", what.1);
    }
    advice
}

/// The known word that a misspelt one most resembles, if it resembles any. Case and the
/// choice between `-` and `_` are the commonest slips and count for nothing.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let likeness = |candidate: &str| strsim::jaro_winkler(&plain(word), &plain(candidate));
    known
        .iter()
        .map(|candidate| (likeness(candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Takes the password out of a URL in a message: everything from the `:` after the user to
/// the last `@` of the message, so that no odd character in it ends the search too early.
fn without_password(message: &str) -> String {
    let parts = message.split_once("://").and_then(|(scheme, rest)| {
        let (user, after) = rest.split_once(':')?;
        let (_, host) = after.rsplit_once('@')?;
        Some(format!("{scheme}://{user}:***@{host}"))
    });
    parts.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_dashes_do_not_hide_the_nearest_key() {
        let known = ["connections", "connections_per_address", "password_file"];
        assert_eq!(
            nearest("Connections-Per-Address", &known),
            Some("connections_per_address")
        );
        assert_eq!(nearest("conections", &known), Some("connections"));
        assert_eq!(nearest("password", &known), Some("password_file"));
        assert_eq!(nearest("zzz", &known), None);
        assert_eq!(nearest("a", &[]), None);
    }

    #[test]
    fn known_words_are_read_from_every_form_that_serde_writes() {
        let words = |text| known_words(text, "unknown field ").unwrap();
        for (text, word, known) in [
            ("unknown field `x`, expected `a`", "x", &["a"][..]),
            ("unknown field `x`, expected `a` or `b`", "x", &["a", "b"]),
            (
                "unknown field `, expected `, expected one of `a`, `b`, `c`",
                ", expected ",
                &["a", "b", "c"],
            ),
            ("unknown field `x`, there are no fields", "x", &[]),
            ("unknown field `x`", "x", &[]),
        ] {
            assert_eq!(words(text), (word, known.to_vec()), "{text}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_also_where_only_its_table_is_known() {
        let complaint = "unknown field `adress`, expected `address`";
        for (path, said) in [
            ("listen.adress", "'adress' in [listen]"),
            ("listen", "'adress' in [listen]"),
            ("", "'adress'"),
        ] {
            let (_, message) = sentence(path, complaint);
            let wanted = format!("unknown key {said}; did you mean 'address'? Known keys: address");
            assert_eq!(message.en, wanted);
        }
    }

    #[test]
    fn a_table_inside_a_list_is_said_without_its_number() {
        assert_eq!(name("a").en, "'a'");
        assert_eq!(name("a.b.c").en, "'c' in [a.b]");
        assert_eq!(name("a[3].c").en, "'c' in [[a]]");
        assert_eq!(name("a[3].b.c").es, "'c' en [a.b]");
    }
}
