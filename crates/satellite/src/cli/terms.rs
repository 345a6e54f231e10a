//! The machine's words in Spanish: states, kinds, routes, reasons, and what others say.
//!
//! JSON and CSV keep the words of the contract; tables and pages show these. A word that is not
//! here stays as it is, and a test holds the table against every vocabulary that can be shown.

/// The Spanish of a word, if it has one.
pub(super) fn spanish(word: &str) -> Option<&'static str> {
    let known = TERMS.iter().find(|(term, _)| *term == word);
    known.map(|(_, spanish)| *spanish)
}

const TERMS: [(&str, &str); 93] = [
    // What `doctor` looks at.
    ("service", "servicio"),
    ("doors", "puertas"),
    ("machine", "servidor"),
    ("configuration", "configuración"),
    ("copies", "copias"),
    // States of enrolments and terminals.
    ("approved", "aprobado"),
    ("blocked", "bloqueado"),
    ("pending", "pendiente"),
    ("online", "en línea"),
    ("quiet", "sin envíos"),
    ("offline", "fuera de línea"),
    ("proven", "comprobada"),
    ("seen", "visible"),
    ("unproven", "sin comprobar"),
    // What outputs do.
    ("fine", "operación normal"),
    ("paused", "en pausa"),
    ("failing", "no entrega"),
    ("standing", "sin avance"),
    ("starting", "por empezar"),
    ("unread", "nadie la lee"),
    ("unenrolled", "emisor sin alta"),
    ("webhook", "webhook"),
    ("table", "tabla"),
    ("forward", "reenvío"),
    ("folder", "carpeta"),
    // How records come. A push terminal is one that sends by itself.
    ("push", "envío propio"),
    ("pull", "puerto 4370"),
    ("stream", "en vivo"),
    ("listen", "escucha HTTP"),
    ("poll", "consulta"),
    ("mqtt", "MQTT"),
    ("edge", "equipo remoto"),
    ("backfill", "pedido de nuevo"),
    ("dialled", "se consulta"),
    ("listens", "escucha HTTP"),
    // Kinds of events.
    ("punch", "checada"),
    ("access", "acceso"),
    ("alarm", "alarma"),
    ("operation", "operación"),
    ("device", "dispositivo"),
    ("other", "otro"),
    // Why a record is in review.
    ("unreadable", "no se entiende"),
    ("bad_time", "hora imposible"),
    ("bad_field", "dato imposible"),
    ("bad_text", "texto ilegible"),
    ("unknown_table", "tabla desconocida"),
    ("unknown_terminal", "dispositivo sin aprobar"),
    ("same_second", "mismo segundo"),
    ("conflict", "contradice"),
    ("store_refused", "no cupo en la base"),
    // Dialects of push terminals.
    ("attendance", "asistencia"),
    ("zkteco-attendance", "ZKTeco, asistencia"),
    ("zkteco-access", "ZKTeco, acceso"),
    ("zkteco-pull", "ZKTeco, puerto 4370"),
    ("hikvision-isapi", "Hikvision, ISAPI"),
    // Connections.
    ("idle", "sin uso"),
    ("connecting", "conectando"),
    ("up", "activa"),
    ("down", "caída"),
    // Commands and jobs.
    ("waiting", "en espera"),
    ("running", "en curso"),
    ("sent", "entregada"),
    ("answered", "contestada"),
    ("done", "hecha"),
    ("failed", "falló"),
    ("expired", "vencida"),
    ("refused", "rechazada"),
    // What is wrong with a database.
    ("unreachable", "no se alcanza"),
    ("no_answer", "no contesta"),
    ("denied", "acceso negado"),
    ("read_only", "solo lectura"),
    ("full", "sin espacio"),
    ("schema", "tablas distintas"),
    ("locked", "ocupada por otro"),
    ("too_many_connections", "demasiadas conexiones"),
    ("settings", "ajustes del servidor"),
    // The audit.
    ("add", "alta"),
    ("move", "cambio de cliente"),
    ("replace", "historial nuevo"),
    ("approve", "aprobación"),
    ("block", "bloqueo"),
    ("token", "clave de escucha nueva"),
    ("schedule", "horario de consulta"),
    ("record", "grabación"),
    ("configure", "ajuste de escucha"),
    ("command", "orden"),
    ("command_end", "fin de la orden"),
    ("command_refused", "orden rechazada"),
    // What a Hikvision device keeps of its listening host.
    ("nothing", "nada"),
    ("the path with the token", "la ruta con su clave"),
    (
        "nothing: the device does not keep it",
        "nada: el dispositivo no la conserva",
    ),
    ("the path cut short", "la ruta cortada"),
    (
        "the path in other letter case",
        "la ruta con otras mayúsculas",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::words::{Lang, Speaks as _};
    use super::*;
    use event::{Completeness, Kind, Reason, Route};
    use store::Trouble;
    use store::command::CommandState;
    use store::jobs::JobState;
    use store::registry::EnrolmentState;
    use zkteco_push::Dialect;

    /// Words of the audit: what `store::registry` and the commands write into it.
    const AUDIT: [&str; 13] = [
        "add",
        "move",
        "replace",
        "approve",
        "block",
        "token",
        "schedule",
        "record",
        "configure",
        "command",
        "command_end",
        "command_refused",
        "backfill",
    ];
    /// What `devices::due` writes into the inventory.
    const PROTOCOLS: [&str; 4] = [
        "zkteco-attendance",
        "zkteco-access",
        "zkteco-pull",
        "hikvision-isapi",
    ];

    #[test]
    fn every_word_that_a_table_shows_is_spanish_and_english_stays_as_it_is() {
        let mut words: Vec<&str> = [&AUDIT[..], &PROTOCOLS].concat();
        words.extend(Trouble::ALL.iter().map(|it| it.as_str()));
        words.extend(Kind::ALL.iter().map(|it| it.as_str()));
        words.extend(Route::ALL.iter().map(|it| it.as_str()));
        words.extend(Reason::ALL.iter().map(|it| it.as_str()));
        words.extend(Completeness::ALL.iter().map(|it| it.as_str()));
        words.extend(Dialect::ALL.iter().map(|it| it.as_str()));
        words.extend(CommandState::ALL.iter().map(|it| it.as_str()));
        words.extend(JobState::ALL.iter().map(|it| it.as_str()));
        words.extend([EnrolmentState::Approved, EnrolmentState::Blocked].map(|it| it.as_str()));
        for word in words {
            assert!(spanish(word).is_some(), "{word}");
            assert_eq!(Lang::En.term(word), word);
        }
        assert_eq!(Lang::Es.term("pending"), "pendiente");
        assert_eq!(Lang::Es.term("drained"), "drained");
    }

    #[test]
    fn no_word_stands_twice() {
        let mut words = TERMS.map(|(term, _)| term).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), TERMS.len());
    }
}
