//! What a package installs beside a program: manual pages and shell completion, both made from
//! the program's own command line, so that they never say what it does not.

use std::io;
use std::path::Path;

pub use clap_complete::Shell;

use crate::help::{self, Book};
use crate::lang::Lang;

/// Writes a manual page for the program and for each of its commands, `program-command.1`,
/// in the language into a folder that is made when it is missing.
///
/// # Errors
/// The folder cannot be written.
pub fn write_pages(
    program: clap::Command,
    folder: &Path,
    lang: Lang,
    book: &Book,
) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = program.get_name().to_owned();
    // `help` is nothing that somebody looks up.
    let program = program.disable_help_subcommand(true);
    clap_mangen::generate_to(help::speak(program, lang, book), folder)?;
    if lang == Lang::En {
        return Ok(());
    }
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let file = path.file_name().and_then(|it| it.to_str());
        if file.is_some_and(|it| it.starts_with(&name) && it.ends_with(".1")) {
            let page = std::fs::read_to_string(&path)?;
            std::fs::write(&path, help::manual(&page, book))?;
        }
    }
    Ok(())
}

/// The completion script of a shell for this program, with what its options do in the language.
#[must_use]
pub fn completion(program: clap::Command, shell: Shell, lang: Lang, book: &Book) -> String {
    let mut program = help::speak(program, lang, book);
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: Book = Book {
        texts: &[
            ("The terminals", "Los dispositivos"),
            ("Doors - and gates", "Puertas - y rejas"),
        ],
        remarks: &[],
        sentence: |_| None,
    };

    fn program() -> clap::Command {
        let hidden = clap::Command::new("inner").hide(true);
        let class = clap::builder::PossibleValue::new("access").help("Doors - and gates");
        let options = [
            clap::Arg::new("class")
                .long("class")
                .value_name("CLASS")
                .value_parser([class]),
            clap::Arg::new("month").long("month").value_name("YYYY-MM"),
        ];
        let shown = clap::Command::new("devices").about("The terminals");
        let shown = shown.args(options);
        clap::Command::new("satellite").subcommands([shown, hidden])
    }

    #[test]
    fn each_command_that_is_shown_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("man1");
        write_pages(program(), &inside, Lang::Es, &BOOK).unwrap();
        let page = std::fs::read_to_string(inside.join("satellite-devices.1")).unwrap();
        assert!(page.contains("Los dispositivos"), "{page}");
        assert!(!inside.join("satellite-inner.1").exists());
    }

    #[test]
    fn a_spanish_page_is_spanish_and_there_is_one_for_each_english_one() {
        let folder = tempfile::tempdir().unwrap();
        let pages = |lang, name: &str| {
            let inside = folder.path().join(name);
            write_pages(program(), &inside, lang, &BOOK).unwrap();
            let files = std::fs::read_dir(&inside).unwrap().map(Result::unwrap);
            let mut names: Vec<_> = files.map(|file| file.file_name()).collect();
            names.sort();
            (names, inside.join("satellite-devices.1"))
        };
        let ((english, _), (spanish, page)) = (pages(Lang::En, "en"), pages(Lang::Es, "es"));
        assert_eq!(english, spanish);
        let page = std::fs::read_to_string(page).unwrap();
        for part in [
            ".SH NOMBRE",
            ".SH OPCIONES",
            r"<AAAA\-MM>",
            "<CLASE>",
            "Valores posibles:",
            r"access: Puertas \- y rejas",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        for part in ["NAME", "DESCRIPTION", "Possible", "Doors"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn the_completion_of_a_shell_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completion(program(), shell, Lang::En, &BOOK);
            assert!(script.contains("devices"), "{shell}");
        }
    }
}
