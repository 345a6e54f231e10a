//! `--help` in Spanish: what commands and options of `sentinel` do, beside the English.
//!
//! The English texts stand where each option is declared and are the keys here. A text that is
//! missing here stays English; a test says which. clap's own words are in `console`.

use console::Book;

/// The Spanish of this program's command line.
pub(crate) const BOOK: Book = Book {
    texts: TEXTS,
    remarks: REMARKS,
    sentence: |_| None,
};

/// What commands and options do.
const TEXTS: &[(&str, &str)] = &[
    (
        "A client's check lists, with evidence and a place to sign",
        "Check list de un cliente, con evidencia y lugar para firmar",
    ),
    (
        "Print the completion script of a shell",
        "Escribe el guion para completar órdenes en la terminal",
    ),
    (
        "Tell the first level that sentinel itself has failed; its unit calls this",
        "Avisa al primer nivel que la propia Sentinela falló; la llama su unidad de systemd",
    ),
    ("Which shell", "De qué intérprete de órdenes"),
    (
        "Write the manual pages into a folder, for packages",
        "Escribe las páginas del manual en una carpeta, para los paquetes",
    ),
    ("The folder", "La carpeta"),
    ("Of which client", "De qué cliente"),
    (
        "The list to go through after a restore",
        "El que se revisa después de restaurar",
    ),
    ("How it is written", "En qué formato"),
    ("For a terminal", "Para la pantalla"),
    (
        "A page to print and sign",
        "Una página para imprimir y firmar",
    ),
    ("For programs", "Para programas"),
    ("A page with charts", "Una página con gráficas"),
    (
        "A table, one measure on each line",
        "Una tabla, una medida por renglón",
    ),
    ("Only this client", "Solo este cliente"),
    (
        "A month of each client: availability, incidents, punches",
        "Un mes de cada cliente: disponibilidad, incidentes, checadas",
    ),
    (
        "Which month: YYYY-MM [default: the last one that has ended]",
        "Qué mes: AAAA-MM [si no se indica: el último que terminó]",
    ),
    (
        super::ABOUT,
        "Comprueba día y noche que las checadas llegan, y avisa a quien debe cuando no",
    ),
    (
        "Configuration [default: /etc/sentinel/sentinel.toml; without it: state under ./sentinel-data]",
        "Configuración [si no se indica: /etc/sentinel/sentinel.toml; sin ese archivo: estado en ./sentinel-data]",
    ),
    (
        "Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG, else the configuration]",
        "Idioma de los textos [si no se indica: LC_ALL, LC_MESSAGES, LANG; si no, la configuración]",
    ),
    ("Run the watchdog", "Ejecuta Sentinela"),
    (
        "Check the configuration and say what it means",
        "Revisa la configuración y dice qué significa",
    ),
    (
        "How each client stands, and what was seen last",
        "Cómo está cada cliente, y lo último que se vio",
    ),
    (
        "Incidents: list, show, remark, close",
        "Incidentes: lista, detalle, notas, cierre",
    ),
    (
        "Say that you are on an incident; nobody else is called",
        "Enterado, lo atiendo: nadie más será llamado",
    ),
    (
        "Windows in which nobody is told",
        "Mantenimiento: tiempos sin avisos",
    ),
    (
        "The way by which alerts leave",
        "El camino por el que salen los avisos",
    ),
    (
        "Send this machine's facts to a sentinel elsewhere",
        "Envía los datos de este servidor a una Sentinela en otro",
    ),
    (
        "The admin door of the sentinel that is to hear it",
        "La puerta de administración de la Sentinela que los recibe",
    ),
    (
        "File with this machine's token, the same as in its [[agent]] there",
        "Archivo con la clave de este servidor, la misma de su [[agent]] allá",
    ),
    (
        "A mount point to watch [default: every real file system]",
        "Un punto de montaje a vigilar [si no se indica: todos los discos]",
    ),
    (
        "File with authorities (PEM) to trust besides the public ones",
        "Archivo con autoridades (PEM) en las que confiar además de las públicas",
    ),
    (
        "Also look at everything once, and say what was seen",
        "Además revisa todo una vez y dice qué se vio",
    ),
    ("As JSON", "En JSON"),
    (
        "Also those that were closed in the last so many days",
        "También los cerrados en los últimos tantos días",
    ),
    (
        "One incident with its timeline",
        "Un incidente con su línea de tiempo",
    ),
    (
        "Which incident: INC-2026-000123",
        "Cuál incidente: INC-2026-000123",
    ),
    (
        "A workaround holds: the recovery clock stands",
        "Hay solución alternativa: el tiempo de recuperación se detiene",
    ),
    ("Which workaround", "Cuál solución"),
    (
        "Add a remark to its timeline",
        "Agrega una nota a su línea de tiempo",
    ),
    ("The remark", "La nota"),
    (
        "Close it by your word; what is still wrong opens a new one",
        "Lo cierra bajo su palabra; lo que siga mal abre uno nuevo",
    ),
    ("Why it happened", "Por qué ocurrió"),
    (
        "Note why a closed incident happened",
        "Anota la causa de un incidente cerrado",
    ),
    ("Nobody is told from now on", "Sin avisos desde ahora"),
    (
        "For how long: 30m, 2h; at most 12h",
        "Por cuánto tiempo: 30m, 2h; a lo más 12h",
    ),
    (
        "Only about this client [default: about everything]",
        "Solo de este cliente [si no se indica: de todo]",
    ),
    ("Why", "Por qué"),
    (
        "List windows that have not ended",
        "Lista los mantenimientos que no han terminado",
    ),
    ("End a window now", "Termina un mantenimiento ahora"),
    ("Its number", "Su número"),
    (
        "Send a test to each contact and say what became of it",
        "Envía una prueba a cada contacto y dice qué pasó",
    ),
    (
        "Only to this contact of the levels",
        "Solo a este contacto de los niveles",
    ),
];

/// What stands beside the examples.
const REMARKS: &[(&str, &str)] = &[
    (
        "# what the unit sentinel-failed does",
        "# lo que hace la unidad sentinel-failed",
    ),
    ("\"database upgrade\"", "\"nueva versión de la base\""),
    ("\"new router\"", "\"router nuevo\""),
    (
        "\"moved to the second server\"",
        "\"se pasó al segundo servidor\"",
    ),
    ("\"disk full\"", "\"disco lleno\""),
    (
        "Exit status: 0 when nothing fails, 1 when something fails or could not be seen.",
        "Estado de salida: 0 si nada falla, 1 si algo falla o no se pudo comprobar.",
    ),
    ("Examples:", "Ejemplos:"),
    ("Example:", "Ejemplo:"),
    (
        "Exit status: 0 fine, 1 failed, 78 the configuration is wrong.",
        "Estado de salida: 0 bien, 1 falló, 78 la configuración tiene un error.",
    ),
    ("# those that are not closed", "# los que no están cerrados"),
    (
        "# to every contact of every level",
        "# a todos los contactos de todos los niveles",
    ),
    (
        "A window lasts at most 12 hours. It never hides an acknowledged punch that is not found.",
        "Un mantenimiento dura a lo más 12 horas. Nunca oculta un dato confirmado que no se encuentra.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::CommandFactory as _;
    use console::{Lang, Told};

    fn read(line: &str) -> Result<clap::ArgMatches, Told> {
        let words = line.split(' ').map(str::to_owned);
        console::read(Cli::command(), words, Lang::Es, &BOOK)
    }

    #[test]
    fn every_text_of_help_has_its_spanish_and_no_spanish_is_left_over() {
        assert_eq!(
            console::unspoken(Cli::command(), &BOOK),
            Vec::<String>::new()
        );
    }

    #[test]
    fn help_is_spanish_where_that_is_asked_for_and_reads_the_same_command_line() {
        let help = read("sentinel maintenance begin --help")
            .unwrap_err()
            .text();
        for text in [
            "Uso: sentinel maintenance begin [OPCIONES] --for",
            "Opciones:",
            "Solo de este cliente",
        ] {
            assert!(help.contains(text), "{text:?} in\n{help}");
        }
        for english in [
            "Usage",
            "[OPTIONS]",
            "<COMMAND>",
            "ossible values",
            "[default",
        ] {
            assert!(!help.contains(english), "{english:?} in\n{help}");
        }
        let read = read("sentinel --lang es ack INC-2026-000001");
        assert_eq!(read.unwrap().subcommand_name(), Some("ack"));
    }

    #[test]
    fn a_mistaken_command_line_is_told_in_spanish_with_what_was_mistaken() {
        for (line, told) in [
            ("sentinel incidents --jsn", "aquí no hay '--jsn'"),
            ("sentinel incidentes", "¿quiso decir 'incidents'?"),
            ("sentinel ack", "falta indicar: <INCIDENTE>"),
            (
                "sentinel --lang fr status",
                "'fr' no sirve para '--lang <IDIOMA>'; valores posibles: es, en",
            ),
        ] {
            let shown = read(line).unwrap_err().text();
            assert!(shown.contains(told), "{told:?} in {shown}");
        }
    }
}
