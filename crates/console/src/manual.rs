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
    clap_mangen::generate_to(help::speak(program, lang, book), folder)
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
        texts: &[("The terminals", "Los dispositivos")],
        remarks: &[],
        sentence: |_| None,
    };

    fn program() -> clap::Command {
        let hidden = clap::Command::new("inner").hide(true);
        let shown = clap::Command::new("devices").about("The terminals");
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
    fn the_completion_of_a_shell_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completion(program(), shell, Lang::En, &BOOK);
            assert!(script.contains("devices"), "{shell}");
        }
    }
}
