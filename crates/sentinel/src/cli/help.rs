//! `--help` in Spanish: the texts that clap shows, exchanged before it reads the command line.
//!
//! The English texts stand where each option is declared and are the keys here. A text that is
//! missing here stays English; a test says which. What clap says by itself (usage, possible
//! values, a mistaken command line) is said in Spanish here too.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::Lang;

/// The command with its help in that language.
pub(crate) fn speak(mut command: Command, lang: Lang) -> Command {
    if lang == Lang::En {
        return command;
    }
    // Only after this it has all its options, also the inherited ones.
    command.build();
    translate(command)
}

fn translate(command: Command) -> Command {
    let about = command.get_about().map(|text| spanish(&text.to_string()));
    let after = command
        .get_after_help()
        .map(|text| examples(&text.to_string()));
    let usage = usage(&command);
    let mut command = command
        .override_usage(usage)
        .help_template("{about-with-newline}\nUso: {usage}\n\n{all-args}{after-help}")
        .subcommand_help_heading("Órdenes")
        .mut_args(option)
        .mut_subcommands(translate);
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    command
}

fn option(arg: Arg) -> Arg {
    let heading = if arg.is_positional() {
        "Argumentos"
    } else {
        "Opciones"
    };
    let text = arg.get_help().map(|text| spanish(&text.to_string()));
    let arg = arg.help_heading(heading);
    match (arg.get_id().as_str(), text) {
        ("help", _) => arg.help("Muestra esta ayuda").long_help(None),
        ("version", _) => arg.help("Muestra la versión"),
        (_, Some(text)) => {
            let text = format!("{text}{}", values(&arg));
            arg.hide_possible_values(true)
                .hide_default_value(true)
                .help(text)
        }
        (_, None) => arg,
    }
}

/// The usage line with clap's own words exchanged.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim_start();
    usage
        .replace("[OPTIONS]", "[OPCIONES]")
        .replace("<COMMAND>", "<ORDEN>")
        .replace("[COMMAND]", "[ORDEN]")
}

/// What may be given, and what holds when nothing is.
fn values(arg: &Arg) -> String {
    let mut text = String::new();
    if !arg.get_action().takes_values() {
        return text;
    }
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let names: Vec<&str> = possible.iter().map(|value| value.get_name()).collect();
        text.push_str(&format!(" [valores: {}]", names.join(", ")));
    }
    let usual: Vec<_> = arg.get_default_values().iter().collect();
    if let [usual] = usual.as_slice() {
        text.push_str(&format!(" [si no se indica: {}]", usual.to_string_lossy()));
    }
    text
}

/// What is wrong with a command line, in Spanish, in two lines.
pub(crate) fn mistake(error: &clap::Error) -> String {
    let named = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let argument = named(ContextKind::InvalidArg);
    let told = match error.kind() {
        ErrorKind::UnknownArgument => format!("no se conoce «{argument}»"),
        ErrorKind::InvalidSubcommand => {
            let order = named(ContextKind::InvalidSubcommand);
            format!("no se conoce la orden «{order}»")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = named(ContextKind::InvalidValue);
            let valid = named(ContextKind::ValidValue);
            match valid.is_empty() {
                true => format!("«{value}» no sirve para {argument}"),
                false => format!("«{value}» no sirve para {argument}; valores: {valid}"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("falta {argument}"),
        ErrorKind::MissingSubcommand => "falta la orden".to_owned(),
        ErrorKind::ArgumentConflict => {
            let other = named(ContextKind::PriorArg);
            format!("{argument} no va junto con {other}")
        }
        _ => format!("no se entiende {argument}").trim_end().to_owned(),
    };
    let suggested = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ]
    .map(named);
    let suggested = suggested.into_iter().find(|it| !it.is_empty());
    let suggested = suggested.map_or_else(String::new, |it| format!("; ¿quiso decir «{it}»?"));
    format!("{told}{suggested}\nLa ayuda: sentinel --help")
}

fn spanish(text: &str) -> String {
    let known = TEXTS.iter().find(|(english, _)| *english == text);
    known.map_or(text, |(_, spanish)| spanish).to_owned()
}

/// Examples with their remarks exchanged; the commands in them stay as they are.
fn examples(text: &str) -> String {
    let exchange = |text: String, (english, spanish): &(&str, &str)| text.replace(english, spanish);
    REMARKS.iter().fold(text.to_owned(), exchange)
}

/// What commands and options do.
const TEXTS: &[(&str, &str)] = &[
    (
        "A client's check lists, with evidence and a place to sign",
        "Check list de un cliente, con evidencia y lugar para firmar",
    ),
    ("Of which client", "De qué cliente"),
    (
        "The list to go through after a restore",
        "El que se revisa después de restaurar",
    ),
    ("How it is written", "En qué formato"),
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

    fn texts(command: &Command, found: &mut Vec<String>, examples: &mut String) {
        found.extend(command.get_about().map(ToString::to_string));
        examples.extend(command.get_after_help().map(ToString::to_string));
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let own = !matches!(arg.get_id().as_str(), "help" | "version");
            found.extend(arg.get_help().filter(|_| own).map(ToString::to_string));
        }
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            texts(sub, found, examples);
        }
    }

    #[test]
    fn every_text_of_help_has_its_spanish_and_no_spanish_is_left_over() {
        let mut command = Cli::command();
        let (mut found, mut examples) = (Vec::new(), String::new());
        texts(&command, &mut found, &mut examples);
        command.build();
        for text in &found {
            let known = TEXTS.iter().any(|(english, _)| english == text);
            assert!(known, "no Spanish for {text:?}");
        }
        for (english, _) in TEXTS {
            assert!(found.iter().any(|text| text == english), "{english:?}");
        }
        for (english, _) in REMARKS {
            assert!(examples.contains(english), "{english:?}");
        }
    }

    #[test]
    fn help_is_spanish_where_that_is_asked_for_and_reads_the_same_command_line() {
        let command = || speak(Cli::command(), Lang::Es);
        let help = command().try_get_matches_from(["sentinel", "maintenance", "begin", "--help"]);
        let help = help.unwrap_err().to_string();
        for text in [
            "Uso: sentinel maintenance begin [OPCIONES] --for",
            "Opciones:",
            "Solo de este cliente",
            "[valores: es, en]",
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
        let read =
            command().try_get_matches_from(["sentinel", "--lang", "es", "ack", "INC-2026-000001"]);
        assert_eq!(read.unwrap().subcommand_name(), Some("ack"));
    }

    #[test]
    fn a_mistaken_command_line_is_told_in_spanish_with_what_was_mistaken() {
        let command = || speak(Cli::command(), Lang::Es);
        for (line, told) in [
            (&["incidents", "--jsn"][..], "no se conoce «--jsn»"),
            (
                &["incidentes"],
                "no se conoce la orden «incidentes»; ¿quiso decir",
            ),
            (&["ack"], "falta <INCIDENT>"),
            (
                &["--lang", "fr", "status"],
                "«fr» no sirve para --lang <LANG>; valores: es, en",
            ),
        ] {
            let line = std::iter::once("sentinel").chain(line.iter().copied());
            let wrong = command().try_get_matches_from(line).unwrap_err();
            let shown = mistake(&wrong);
            assert!(shown.contains(told), "{told:?} in {shown}");
            assert!(shown.ends_with("La ayuda: sentinel --help"), "{shown}");
        }
    }
}
