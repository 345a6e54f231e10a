//! Command lines with a mistake in them, and pages of help.

use clap::{Arg, ArgAction, Command};

use super::*;
use crate::read;

const BOOK: Book = Book {
    texts: &[
        ("Does it", "Lo hace"),
        ("How often", "Cuántas veces"),
        ("How", "Cómo"),
        ("All", "Todo"),
        ("Whom", "A quién"),
        ("A word", "Una palabra"),
        ("With care", "Con cuidado"),
    ],
    remarks: &[("Example:", "Ejemplo:"), ("# well", "# bien")],
    sentence: |english| (english == "is bad").then(|| "está mal".to_owned()),
};

fn command() -> Command {
    let bad = |_: &str| Err::<String, _>("is bad".to_owned());
    let times = clap::value_parser!(u32).range(1..=9);
    let sub = Command::new("do")
        .about("Does it")
        .after_help("Example:\n  p do it  # well")
        .arg(Arg::new("whom").help("Whom").required(true))
        .arg(
            Arg::new("times")
                .long("times")
                .help("How often")
                .value_parser(times),
        )
        .arg(Arg::new("how").long("how").help("How").value_parser([
            clap::builder::PossibleValue::new("well").help("With care"),
            clap::builder::PossibleValue::new("badly"),
        ]))
        .arg(
            Arg::new("word")
                .long("word")
                .help("A word")
                .value_parser(bad),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .help("All")
                .action(ArgAction::SetTrue)
                .conflicts_with("how"),
        );
    Command::new("p").subcommand_required(true).subcommand(sub)
}

fn told(line: &str, lang: Lang) -> Told {
    let words = line.split(' ').map(str::to_owned);
    read(command(), words, lang, &BOOK).unwrap_err()
}

/// Words that only clap's English has.
const ENGLISH: [&str; 12] = [
    "unexpected",
    "argument",
    "required",
    "Usage",
    "OPTIONS",
    "COMMAND",
    "possible",
    "Possible",
    "cannot",
    "tip:",
    "For more",
    "default",
];

#[test]
fn every_sort_of_mistake_is_said_in_spanish() {
    for (line, says) in [
        ("p do it --timse 3", "aquí no hay '--timse'"),
        ("p do it --timse 3", "¿quiso decir '--times'?"),
        ("p od", "no hay orden 'od'"),
        ("p", "falta decir qué orden"),
        ("p do", "falta indicar: <whom>"),
        ("p do it --times", "'--times <times>' necesita un valor"),
        ("p do it --times 10", "10 está fuera de 1..=9"),
        ("p do it --times x", "no es un número"),
        (
            "p do it --how so",
            "'so' no sirve para '--how <how>'; valores posibles: well, badly",
        ),
        (
            "p do it --word x",
            "'x' no sirve para '--word <word>': está mal",
        ),
        (
            "p do it --all --how well",
            "'--all' no va junto con '--how <how>'",
        ),
        ("p do it --all --all", "'--all' se indica una sola vez"),
        ("p do it --all=x", "le sobra el valor 'x'"),
        ("p do it --timse 3", "Uso: p do"),
        ("p do it --timse 3", "Para saber más, '--help'."),
    ] {
        let told = told(line, Lang::Es);
        let text = told.text();
        assert!(told.is_mistake());
        assert!(text.contains(says), "{line:?} gives\n{text}");
        for word in ENGLISH {
            assert!(!text.contains(word), "{word:?} for {line:?} in\n{text}");
        }
    }
}

#[test]
fn help_is_spanish_to_its_last_word_and_english_where_that_is_asked_for() {
    for line in ["p --help", "p do --help", "p do -h", "p help do"] {
        let told = told(line, Lang::Es);
        assert!(!told.is_mistake());
        let text = told.text();
        for word in ENGLISH {
            assert!(!text.contains(word), "{word:?} for {line:?} in\n{text}");
        }
    }
    let page = told("p do --help", Lang::Es).text();
    for says in [
        "Lo hace",
        "Uso: p do [OPCIONES] <whom>",
        "Argumentos:",
        "Opciones:",
        "Cuántas veces",
        "- well: Con cuidado",
        "Muestra esta ayuda",
        "Ejemplo:\n  p do it",
    ] {
        assert!(page.contains(says), "{says:?} in\n{page}");
    }
    assert!(
        told("p do --help", Lang::En)
            .text()
            .contains("Usage: p do [OPTIONS] <whom>")
    );
    assert!(
        told("p od", Lang::En)
            .text()
            .contains("unrecognized subcommand")
    );
}

#[test]
fn a_text_without_spanish_and_one_that_nobody_shows_are_named() {
    assert_eq!(crate::unspoken(command(), &BOOK), Vec::<String>::new());
    const OTHER: Book = Book {
        texts: &[("Does it", "Lo hace"), ("Nothing", "Nada")],
        remarks: &[("Examples:", "Ejemplos:")],
        sentence: |_| None,
    };
    let wrong = crate::unspoken(command(), &OTHER);
    for named in ["How often", "Nothing", "Examples:", "well"] {
        assert!(
            wrong.iter().any(|text| text == named),
            "{named} in {wrong:?}"
        );
    }
}
