//! How the commands here call cargo: always at the root of the workspace, always with colours
//! settled, and with the paths of built programs taken from cargo itself.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// `always`, `never` or what the user set. The output of the tests passes through a pipe, so
/// that cargo cannot see for itself whether a terminal is at the end of it.
pub(crate) fn colour() -> String {
    match std::env::var("CARGO_TERM_COLOR") {
        Ok(chosen) if !chosen.is_empty() => chosen,
        _ if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() => "always".into(),
        _ => "never".into(),
    }
}

/// A cargo command at the root of the workspace.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TERM_COLOR", colour());
    // What `cargo run` told this program about itself would look to build scripts like a
    // change of their own package, and have them built again.
    for (name, _) in std::env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a subcommand such as `nextest` is installed.
pub(crate) fn has_subcommand(name: &str) -> bool {
    let version = cargo([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Installs a tool that is a subcommand of cargo, in that version, unless there is one already.
pub(crate) fn install_tool(subcommand: &str, name: &str, version: &str) -> Result<()> {
    if has_subcommand(subcommand) {
        return Ok(());
    }
    println!("{name} is missing; installing it takes a few minutes, once.");
    let status = cargo(["install", name, "--version", version, "--locked"]).status()?;
    ensure!(status.success(), "{name} could not be installed ({status})");
    Ok(())
}

/// Builds programs and returns their paths in the order of `names`. Progress and errors are
/// cargo's own, on standard error.
pub(crate) fn build(options: &[&str], names: &[&str]) -> Result<Vec<PathBuf>> {
    let mut command = cargo(["build", "--message-format=json-render-diagnostics"]);
    command.args(options);
    for name in names {
        command.args(["--package", name, "--bin", name]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("cargo did not start")?;
    ensure!(output.status.success(), "`cargo build` failed");
    let messages = String::from_utf8_lossy(&output.stdout);
    names
        .iter()
        .map(|name| executable(&messages, name).with_context(|| format!("cargo built no {name}")))
        .collect()
}

/// The path of a program in cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| line.split_once(r#""executable":""#)?.1.split('"').next())
        .map(|path| PathBuf::from(path.replace(r"\\", r"\")))
        .find(|path| path.file_name().is_some_and(|file| file == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"));
    }

    #[test]
    fn a_built_program_is_found_by_its_name_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"store"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/t/debug/terminals","fresh":true}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/t/debug/satellite","fresh":true}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages, "satellite"),
            Some(PathBuf::from("/t/debug/satellite"))
        );
        assert_eq!(executable(messages, "sentinel"), None);
    }
}
