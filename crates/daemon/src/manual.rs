//! What a package installs beside a program: manual pages and shell completion, both made from
//! the program's own command line, so that they never say what it does not.

use std::io;
use std::path::Path;

pub use clap_complete::Shell;

/// Writes a manual page for the program and for each of its commands, `program-command.1`,
/// into a folder that is made when it is missing.
///
/// # Errors
/// The folder cannot be written.
pub fn write_pages(program: clap::Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(program, folder)
}

/// The completion script of a shell for this program.
#[must_use]
pub fn completion(mut program: clap::Command, shell: Shell) -> String {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> clap::Command {
        let hidden = clap::Command::new("inner").hide(true);
        let shown = clap::Command::new("devices").about("The terminals");
        clap::Command::new("satellite").subcommands([shown, hidden])
    }

    #[test]
    fn each_command_that_is_shown_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("man1");
        write_pages(program(), &inside).unwrap();
        let page = std::fs::read_to_string(inside.join("satellite-devices.1")).unwrap();
        assert!(page.contains("The terminals"), "{page}");
        assert!(!inside.join("satellite-inner.1").exists());
    }

    #[test]
    fn the_completion_of_a_shell_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(completion(program(), shell).contains("devices"), "{shell}");
        }
    }
}
