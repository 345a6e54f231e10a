//! What the programs of the house say to a person at a console, whichever program it is.
//!
//! The language of what is read, `--help` in Spanish, what is wrong with a command line in
//! Spanish, and where output goes. Words of a single command belong to its own crate. Nothing
//! here knows events, stores, configurations or what a command does, and nothing here decides
//! an exit status.

mod help;
mod lang;
mod manual;
mod mistake;
mod out;

pub use help::{Book, unspoken};
pub use lang::Lang;
pub use manual::{Shell, completion, write_pages};
pub use mistake::Told;
pub use out::{json, line, print, reader_left, remark, shown};

use clap::{ArgMatches, Command};

/// Reads a command line (the first word is the program). Help, and what is wrong with it, come
/// in the language.
///
/// # Errors
/// It is not understood, or asks for help or the version: print what is told and leave.
pub fn read(
    command: Command,
    words: impl IntoIterator<Item = String>,
    lang: Lang,
    book: &Book,
) -> Result<ArgMatches, Told> {
    let command = help::speak(command, lang, book);
    let read = command.try_get_matches_from(words);
    read.map_err(|error| Told::new(error, lang, book))
}
