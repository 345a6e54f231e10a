//! What serde says of a value of the wrong kind, in words for people.
//!
//! Its grammar is fixed: `invalid type: integer `75`, expected a string`. Names of Rust types
//! tell a reader nothing and are replaced; what is not known here stays as serde said it, never
//! less than that.

use super::Said;

/// Kinds of values as serde names them, with what people say in Spanish.
const FOUND: [(&str, &str); 6] = [
    ("string ", "el texto "),
    ("integer ", "el número "),
    ("floating point ", "el número "),
    ("boolean ", "el valor "),
    ("map", "una tabla"),
    ("sequence", "una lista"),
];

/// What is expected, as serde names it.
const EXPECTED: [(&str, &str); 13] = [
    ("a table", "una tabla"),
    ("a string", "un texto entre comillas"),
    ("path string", "una ruta entre comillas"),
    ("a boolean", "true o false"),
    ("a sequence", "una lista"),
    ("u8", "un número entero de 0 a 255"),
    ("u16", "un número entero de 0 a 65535"),
    ("u32", "un número entero"),
    ("u64", "un número entero"),
    ("usize", "un número entero"),
    ("socket address", "una dirección IP:PUERTO"),
    (
        "a size such as \"16MiB\" or a whole number of bytes",
        "un tamaño, por ejemplo \"16MiB\", o un número entero de bytes",
    ),
    (
        "a length of time such as \"90s\" or \"3m\"",
        "un tiempo, por ejemplo \"90s\" o \"3m\"",
    ),
];

/// Whole complaints of values that check themselves.
const WHOLE: [(&str, &str); 4] = [
    (
        "invalid socket address syntax",
        "no es una dirección IP:PUERTO, por ejemplo 0.0.0.0:8081",
    ),
    ("invalid IP address syntax", "no es una dirección IP"),
    ("is empty", "está vacío"),
    (
        "may hold only letters, digits, '-' and '_'",
        "solo puede llevar letras, dígitos, '-' y '_'",
    ),
];

/// The complaint in both languages.
pub(super) fn told(complaint: &str) -> Said {
    let english = match complaint.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => complaint.to_owned(),
    };
    let spanish = mismatch(&english).or_else(|| same(&WHOLE, &english).map(str::to_owned));
    Said::new(english.clone(), spanish.unwrap_or_else(|| english.clone()))
}

/// `invalid type: integer `75`, expected a string` in Spanish.
fn mismatch(english: &str) -> Option<String> {
    let rest = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|start| english.strip_prefix(start))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let (kind, words) = FOUND.iter().find(|(kind, _)| found.starts_with(kind))?;
    let value = found.strip_prefix(kind)?.trim_matches('`');
    let expected = same(&EXPECTED, expected)?;
    Some(format!("dice {words}{value}, se espera {expected}"))
}

fn same<'a>(table: &'a [(&str, &'a str)], english: &str) -> Option<&'a str> {
    let known = table.iter().find(|(known, _)| *known == english);
    known.map(|(_, spanish)| *spanish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_in_another_way_stays_as_it_said_it() {
        let other = told("data did not match any variant");
        assert_eq!(other.es, other.en);
        let list = told("invalid type: sequence, expected a string");
        assert_eq!(list.es, "dice una lista, se espera un texto entre comillas");
        let table = told("invalid type: boolean `true`, expected struct RawListen");
        assert_eq!(table.en, "invalid type: boolean `true`, expected a table");
        assert_eq!(table.es, "dice el valor true, se espera una tabla");
    }
}
