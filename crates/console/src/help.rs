//! `--help` in Spanish: the texts that clap shows, exchanged before it reads the command line.
//!
//! The English texts stand where each option is declared and are the keys of a program's
//! [`Book`], so that a declaration needs no knowledge of this. A text that is missing there stays
//! English; [`unspoken`] names it, for a test.

use clap::{Arg, Command};

use crate::Lang;

/// The Spanish of one program's command line, beside its English.
pub struct Book {
    /// What commands and options do, whole texts.
    pub texts: &'static [(&'static str, &'static str)],
    /// What stands in and beside the examples; the commands in them stay as they are.
    pub remarks: &'static [(&'static str, &'static str)],
    /// What is wrong with a value, from the program's own checks.
    pub sentence: fn(&str) -> Option<String>,
}

/// The words of clap's own in a page of help, in the order in which they are exchanged.
const OWN: [(&str, &str); 44] = [
    ("[OPTIONS]", "[OPCIONES]"),
    ("[COMMAND]", "[ORDEN]"),
    ("<COMMAND>", "<ORDEN>"),
    ("[possible values: ", "[valores posibles: "),
    ("Possible values:", "Valores posibles:"),
    ("[default: ", "[si no se indica: "),
    ("[aliases: ", "[también: "),
    ("Usage:", "Uso:"),
    (
        "Print this message or the help of the given subcommand(s)",
        "Muestra esta ayuda o la de una orden",
    ),
    ("(see more with '--help')", "(más con '--help')"),
    // Names of values, those that several commands have.
    ("<FILE>", "<ARCHIVO>"),
    ("<TIME>", "<TIEMPO>"),
    ("<LANG>", "<IDIOMA>"),
    ("<SERIAL>", "<SERIE>"),
    ("<FORMAT>", "<FORMATO>"),
    ("<KIND>", "<TIPO>"),
    ("<TENANT>", "<CLIENTE>"),
    ("<REASON>", "<MOTIVO>"),
    ("<STATE>", "<ESTADO>"),
    ("<WHAT>", "<QUÉ>"),
    ("<DAYS>", "<DÍAS>"),
    ("<NAME>", "<NOMBRE>"),
    ("<ADDRESS>", "<DIRECCIÓN>"),
    ("<NAMES>", "<NOMBRES>"),
    ("<PER_MINUTE>", "<POR_MINUTO>"),
    ("<SECONDS>", "<SEGUNDOS>"),
    ("<INCIDENT>", "<INCIDENTE>"),
    ("<TEXT>", "<TEXTO>"),
    ("<SHELL>", "<INTÉRPRETE>"),
    ("<COLUMN>", "<COLUMNA>"),
    ("<CAUSE>", "<CAUSA>"),
    ("<DATE>", "<FECHA>"),
    ("<WHY>", "<POR_QUÉ>"),
    ("<HOW>", "<CÓMO>"),
    ("<VENDOR>", "<MARCA>"),
    ("<DAY>", "<DÍA>"),
    ("<YYYY-MM>", "<AAAA-MM>"),
    ("<USER>", "<USUARIO>"),
    ("<SITE>", "<SITIO>"),
    ("<PATH>", "<RUTA>"),
    ("<HOST:PORT>", "<HOST:PUERTO>"),
    ("<FOLDER>", "<CARPETA>"),
    ("<COPY>", "<COPIA>"),
    ("<CLASS>", "<CLASE>"),
];

/// The headings of a page of the manual that are fixed.
const HEADINGS: [(&str, &str); 4] = [
    (".SH NAME\n", ".SH NOMBRE\n"),
    (".SH SYNOPSIS\n", ".SH SINOPSIS\n"),
    (".SH DESCRIPTION\n", ".SH DESCRIPCIÓN\n"),
    (".SH VERSION\n", ".SH VERSIÓN\n"),
];

/// The command with its help in that language.
pub(crate) fn speak(mut command: Command, lang: Lang, book: &Book) -> Command {
    if lang == Lang::En {
        return command;
    }
    // Only after this it has all its options, also the inherited ones.
    command.build();
    translate(command, book)
}

/// A page of help, or a line of usage, with clap's own words exchanged.
pub(crate) fn own_words(page: &str) -> String {
    let exchange = |page: String, (english, spanish): &(&str, &str)| page.replace(english, spanish);
    OWN.iter().fold(page.to_owned(), exchange)
}

/// The same, with what each possible value of an option means: clap keeps that with the value's
/// type, where it cannot be exchanged.
pub(crate) fn page(page: &str, book: &Book) -> String {
    let meaning = |line: &str| {
        let (value, english) = line.split_once(": ")?;
        let english = english.trim_start();
        let spanish = book.texts.iter().find(|(en, _)| *en == english)?.1;
        let is_value = value.trim_start().starts_with("- ");
        is_value.then(|| format!("{value}: {spanish}\n"))
    };
    let line = |line: &str| meaning(line).unwrap_or_else(|| format!("{line}\n"));
    own_words(page).lines().map(line).collect()
}

/// A page of the manual in roff, with what is fixed in it exchanged: its headings, clap's own words,
/// and what each possible value means.
pub(crate) fn manual(page: &str, book: &Book) -> String {
    let roff = |text: &str| text.replace('-', r"\-");
    let exchange = |page: String, (english, spanish): &(&str, &str)| {
        page.replace(&roff(english), &roff(spanish))
    };
    let page = HEADINGS.iter().chain(&OWN).fold(page.to_owned(), exchange);
    let mut is_value = false;
    let line = |line: &str| {
        let meaning = line.split_once(": ").filter(|_| is_value);
        is_value = line.starts_with(".IP ");
        let known = meaning.and_then(|(value, english)| {
            let text = book.texts.iter().find(|(en, _)| roff(en) == english)?.1;
            Some(format!("{value}: {}\n", roff(text)))
        });
        known.unwrap_or_else(|| format!("{line}\n"))
    };
    page.lines().map(line).collect()
}

fn translate(command: Command, book: &Book) -> Command {
    let known = |text: &str| spanish(text, book.texts);
    let about = command.get_about().map(|text| known(&text.to_string()));
    let long_about = command
        .get_long_about()
        .map(|text| known(&text.to_string()));
    let examples = |text: &str| {
        let exchange = |text: String, (en, es): &(&str, &str)| text.replace(en, es);
        book.remarks.iter().fold(text.to_owned(), exchange)
    };
    let after = command
        .get_after_help()
        .map(|text| examples(&text.to_string()));
    let after_long = command
        .get_after_long_help()
        .map(|text| examples(&text.to_string()));
    let mut command = command
        .help_template("{before-help}{about-with-newline}\nUso: {usage}\n\n{all-args}{after-help}")
        .subcommand_help_heading("Órdenes")
        .mut_args(|arg| option(arg, book))
        .mut_subcommands(|sub| translate(sub, book));
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(about) = long_about {
        command = command.long_about(about);
    }
    if let Some(after) = after {
        command = command.after_help(after);
    }
    if let Some(after) = after_long {
        command = command.after_long_help(after);
    }
    command
}

fn option(arg: Arg, book: &Book) -> Arg {
    let heading = if arg.is_positional() {
        "Argumentos"
    } else {
        "Opciones"
    };
    let text = arg
        .get_help()
        .map(|text| spanish(&text.to_string(), book.texts));
    let arg = arg.help_heading(heading);
    match (arg.get_id().as_str(), text) {
        ("help", _) => arg.help("Muestra esta ayuda").long_help(None),
        ("version", _) => arg.help("Muestra la versión"),
        (_, Some(text)) => arg.help(text),
        (_, None) => arg,
    }
}

fn spanish(text: &str, texts: &[(&str, &str)]) -> String {
    let known = texts.iter().find(|(english, _)| *english == text);
    known.map_or(text, |(_, spanish)| spanish).to_owned()
}

/// What keeps a program's help from being Spanish: texts and remarks on examples that the book does
/// not have, and pairs in it that no command shows. Empty when all is well.
pub fn unspoken(mut command: Command, book: &Book) -> Vec<String> {
    // Of what clap adds by itself, the words are here.
    command = command.disable_help_subcommand(true);
    command.build();
    let (mut found, mut examples) = (Vec::new(), String::new());
    texts(&command, &mut found, &mut examples);
    let has = |text: &String| book.texts.iter().any(|(english, _)| english == text);
    let mut wrong: Vec<String> = found.iter().filter(|text| !has(text)).cloned().collect();
    let unused = book.texts.iter().map(|(english, _)| *english);
    wrong.extend(
        unused
            .filter(|en| !found.iter().any(|text| text == en))
            .map(str::to_owned),
    );
    let unused = book.remarks.iter().map(|(english, _)| *english);
    wrong.extend(
        unused
            .filter(|en| !examples.contains(en))
            .map(str::to_owned),
    );
    // A remark may be a part of a longer one, or have one in it.
    let knows = |remark: &str, english: &str| remark.contains(english) || english.contains(remark);
    let unsaid = |remark: &&str| {
        !book
            .remarks
            .iter()
            .any(|(english, _)| knows(remark, english))
    };
    wrong.extend(remarks(&examples).filter(unsaid).map(str::to_owned));
    wrong
}

/// What examples say to a person: behind a hash, above a command with a colon, or beside all of them.
fn remarks(examples: &str) -> impl Iterator<Item = &str> {
    let is_said = |line: &str| !line.starts_with(' ') || line.ends_with(':');
    examples.lines().filter_map(move |line| {
        let text = match line.split_once(" # ") {
            Some((_, behind)) => behind,
            None if is_said(line) => line,
            None => return None,
        };
        let text = text.trim();
        text.contains(char::is_alphabetic).then_some(text)
    })
}

/// Every text of help that somebody can see, and all examples in one.
fn texts(command: &Command, found: &mut Vec<String>, examples: &mut String) {
    found.extend(command.get_about().map(ToString::to_string));
    found.extend(command.get_long_about().map(ToString::to_string));
    for after in [command.get_after_help(), command.get_after_long_help()] {
        examples.extend(after.map(|text| format!("{text}\n")));
    }
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let own = !matches!(arg.get_id().as_str(), "help" | "version");
        found.extend(arg.get_help().filter(|_| own).map(ToString::to_string));
        let values = arg.get_possible_values();
        let shown = values.iter().filter_map(|value| value.get_help());
        found.extend(
            shown
                .map(ToString::to_string)
                .filter(|text| !is_language(text)),
        );
    }
    for sub in command.get_subcommands() {
        texts(sub, found, examples);
    }
}

/// Each language is named in itself.
fn is_language(text: &str) -> bool {
    matches!(text, "Español" | "English")
}
