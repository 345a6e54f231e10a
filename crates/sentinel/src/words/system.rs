//! What the system and the database drivers say of a connection or a file, in Spanish, as far as
//! operators meet it in a letter. What servers and other programs say stays as they said it.
//!
//! Only how a text is shown; what is decided never hangs on it.

use std::borrow::Cow;

/// English as it comes, and the Spanish in its place.
const USUAL: &[(&str, &str)] = &[
    (
        "error communicating with database: ",
        "no se puede hablar con la base de datos: ",
    ),
    (
        "error returned from database: ",
        "la base de datos contesta: ",
    ),
    (
        "Connection refused (os error 111)",
        "rechaza la conexión, nada escucha ahí",
    ),
    (
        "Connection reset by peer (os error 104)",
        "cortó la conexión",
    ),
    (
        "Connection timed out (os error 110)",
        "se acabó el tiempo de la conexión",
    ),
    ("No route to host (os error 113)", "no hay ruta hasta ahí"),
    (
        "Network is unreachable (os error 101)",
        "no se alcanza esa red",
    ),
    ("Broken pipe (os error 32)", "cerró la conexión"),
    (
        "No space left on device (os error 28)",
        "no queda espacio en el disco",
    ),
    (
        "Read-only file system (os error 30)",
        "el disco está en solo lectura",
    ),
    ("No such file or directory (os error 2)", "no existe"),
    ("Permission denied (os error 13)", "sin permiso"),
    (
        "failed to lookup address information: ",
        "no se encuentra ese nombre: ",
    ),
    ("Name or service not known", "nombre desconocido"),
    ("Temporary failure in name resolution", "el DNS no contesta"),
    ("unexpected end of file", "terminó antes de tiempo"),
    (
        "expected to read 4 bytes, got 0 bytes at EOF",
        "cerró la conexión",
    ),
    (
        "connection closed before message completed",
        "cerró la conexión antes de contestar",
    ),
];

/// The text with the system's usual words in Spanish.
pub(super) fn spanish(text: &str) -> Cow<'_, str> {
    let mut said = Cow::Borrowed(text);
    for (en, es) in USUAL {
        if said.contains(en) {
            said = Cow::Owned(said.replace(en, es));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_own_words_are_said_in_spanish() {
        // What this system says is what stands in the table.
        for number in [2, 13, 28, 30, 32, 101, 104, 110, 111, 113] {
            let en = std::io::Error::from_raw_os_error(number).to_string();
            assert!(!spanish(&en).contains("os error"), "{en}");
        }
        let refused = sqlx::Error::Io(std::io::Error::from_raw_os_error(111)).to_string();
        assert_eq!(
            spanish(&refused),
            "no se puede hablar con la base de datos: rechaza la conexión, nada escucha ahí"
        );
        assert_eq!(spanish("1045: Acceso"), "1045: Acceso");
    }
}
