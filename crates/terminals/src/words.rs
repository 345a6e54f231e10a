//! The command line of `terminals` in Spanish, beside the English.
//!
//! The English texts stand where each option is declared and are the keys here. A text that is
//! missing here stays English; a test says which. Nothing here is part of a simulation.

use console::Book;

/// The Spanish of this program's command line.
pub(crate) const BOOK: Book = Book {
    texts: TEXTS,
    remarks: REMARKS,
    sentence: |english| {
        let (text, _) = english.split_once(" is not a time such as")?;
        Some(format!("{text} no es un tiempo como 60s, 5m o 500ms"))
    },
};

const LONG: &str = "Dispositivos simulados: ZKTeco que envían o se consultan, y Hikvision, por conexiones reales.\n\nCada ZKTeco saluda, pregunta y envía registros de asistencia con las reglas del firmware viejo: olvida un registro solo cuando la respuesta trae estado 200 y las letras OK, y todo lo demás lo vuelve a enviar después de la espera por error. La bitácora tiene un renglón JSON, ya en disco, por cada registro así confirmado: compárela con lo que guardó el servidor.\n\nLos Hikvision salen de las tablas [[hikvision]] de un escenario. Los que se consultan escuchan en la dirección local, y cada evento suyo va de inmediato a la bitácora; los que envían repiten un evento hasta que se les contesta 200.\n\nLos del puerto 4370 salen de las tablas [[pull]]. Escuchan en la dirección local, por TCP y UDP, y lo que tienen va a la bitácora antes de que alguien lo pueda leer.";

/// What commands and options do.
const TEXTS: &[(&str, &str)] = &[
    (
        super::ABOUT,
        "Dispositivos simulados: ZKTeco que envían o se consultan, y Hikvision, por conexiones reales",
    ),
    (super::LONG, LONG),
    (
        "Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG]",
        "Idioma de los textos [si no se indica: LC_ALL, LC_MESSAGES, LANG]",
    ),
    (
        "Run a fleet and print what came of it",
        "Pone en marcha los dispositivos y muestra qué resultó",
    ),
    (
        "Print a commented scenario file",
        "Muestra un escenario comentado",
    ),
    (
        "Server, http://host:port[/prefix] [default: http://127.0.0.1:8081]",
        "Servidor, http://host:puerto[/prefijo] [si no se indica: http://127.0.0.1:8081]",
    ),
    (
        "Terminals, 1 to 10000 [default: 10]",
        "Dispositivos, de 1 a 10000 [si no se indica: 10]",
    ),
    (
        "New records per minute and terminal [default: 0]",
        "Registros nuevos por minuto y dispositivo [si no se indica: 0]",
    ),
    (
        "Records that each terminal holds at the beginning [default: 0]",
        "Registros que cada dispositivo tiene al empezar [si no se indica: 0]",
    ),
    (
        "Records in one upload; without it adaptive, 30 to 150",
        "Registros en un envío; si no se indica, de 30 a 150 según el caso",
    ),
    (
        "How long new records are made, such as 60s or 5m; without it until Ctrl-C",
        "Cuánto tiempo se hacen registros nuevos, como 60s o 5m; si no se indica, hasta Ctrl-C",
    ),
    (
        "Time between polls; without it the server's Delay",
        "Tiempo entre consultas; si no se indica, el Delay del servidor",
    ),
    (
        "Wait after a refusal; without it the server's ErrorDelay",
        "Espera después de un rechazo; si no se indica, el ErrorDelay del servidor",
    ),
    (
        "Give up when nothing was acknowledged for so long after the last record was made",
        "Termina si en este tiempo no se confirma nada después del último registro hecho",
    ),
    (
        "Append every acknowledged record to this file, synced",
        "Agrega cada registro confirmado a este archivo, ya en disco",
    ),
    (
        "Scenario file; `terminals scenario` prints one",
        "Archivo del escenario; `terminals scenario` muestra uno",
    ),
    (
        "Equal seeds make equal records (with an explicit start in the scenario) [default: 1]",
        "Con la misma semilla salen los mismos registros (si el escenario dice cuándo empieza) [si no se indica: 1]",
    ),
    (
        "Mixed habits of old firmware and a little of every fault",
        "Mañas mezcladas del firmware viejo y un poco de cada falla",
    ),
    (
        "Play a recording of a real terminal against a server",
        "Repite ante un servidor lo que se grabó de un dispositivo real",
    ),
    (
        "The recording, made by `satellite devices record`",
        "La grabación, hecha con `satellite devices record`",
    ),
    (
        "A serial that the server has enrolled [default: the one in the recording]",
        "Un número de serie dado de alta en el servidor [si no se indica: el de la grabación]",
    ),
    (
        "With the pauses of the recording, at most a minute each",
        "Con las pausas de la grabación, de un minuto a lo más",
    ),
    ("Print the summary as JSON", "Muestra el resumen en JSON"),
    (
        "Print the completion script of a shell",
        "Escribe el guion para completar órdenes en la terminal",
    ),
    ("Which shell", "De qué intérprete de órdenes"),
    (
        "Write the manual pages into a folder, for packages",
        "Escribe las páginas del manual en una carpeta, para los paquetes",
    ),
    ("The folder", "La carpeta"),
];

/// What stands in the examples.
const REMARKS: &[(&str, &str)] = &[
    ("Examples:", "Ejemplos:"),
    ("Example:", "Ejemplo:"),
    (
        "Ten terminals, six punches a minute each, for a minute:",
        "Diez dispositivos, seis checadas por minuto cada uno, durante un minuto:",
    ),
    (
        "A backlog of 100,000 records from 100 terminals, with a ledger:",
        "Un rezago de 100,000 registros de 100 dispositivos, con bitácora:",
    ),
    (
        "Everything that real firmware does wrong:",
        "Todo lo que el firmware real hace mal:",
    ),
    ("A scenario of your own:", "Un escenario propio:"),
    (
        "What a real terminal did, once more:",
        "Lo que hizo un dispositivo real, otra vez:",
    ),
    (
        "Exit status: 0 all records acknowledged, 1 some left or the run failed, 78 scenario wrong.",
        "Estado de salida: 0 todo confirmado, 1 quedó algo o falló, 78 el escenario tiene un error.",
    ),
];
