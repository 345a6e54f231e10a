//! The distribution's programs: where they are, and what they said when they failed.
//!
//! Every process started here ends with the value that holds it. What a program writes to
//! standard error is kept, bounded, for the error; it is never mixed into a copy.

use std::env;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::Problem;

/// Folders that are not on every user's `PATH`.
const OTHER_FOLDERS: [&str; 3] = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
/// Bytes of a program's complaint that are kept.
const SAID: u64 = 4 << 10;

/// What `age` adds to every complaint.
const NOISE: &str = "age: report unexpected";

/// The first of these programs that is installed; `package` is what has it.
pub(crate) fn find(names: &[&str], package: &str) -> Result<PathBuf, Problem> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path)
        .chain(OTHER_FOLDERS.iter().map(PathBuf::from))
        .collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = all.into_iter().find(|file| file.is_file());
    found.ok_or_else(|| {
        let name = names.first().copied().unwrap_or_default();
        Problem::new(
            format!("the program {name} is not installed; run: apt-get install {package}"),
            format!("el programa {name} no está instalado; ejecute: apt-get install {package}"),
        )
    })
}

/// A command that ends with us, in an environment that says nothing about the language.
pub(crate) fn command(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts it.
pub(crate) fn start(command: &mut Command) -> Result<Child, Problem> {
    command.spawn().map_err(|error| {
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        Problem::new(
            format!("{program} did not start"),
            format!("{program} no arrancó"),
        )
        .because(error)
    })
}

/// Waits for its end; what it said when it failed.
pub(crate) async fn ended(child: &mut Child) -> Result<(), String> {
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What was read until then is all that there is to tell.
        stderr.take(SAID).read_to_end(&mut said).await.ok();
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(NOISE));
    let line = lines.collect::<Vec<_>>().join("; ");
    Err(if line.is_empty() {
        status.to_string()
    } else {
        line
    })
}
