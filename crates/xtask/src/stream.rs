//! Runs a program with its output passed through unchanged while somebody reads along.
//!
//! Bytes go on as they come, so that progress is seen at once; the reader gets whole lines
//! without colours. Nothing is kept here: a program may print without limit.

use std::io::{self, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};

/// A line longer than this is cut for the reader, who looks for short ones.
const LINE_MAX: usize = 4096;

/// Runs the program to its end. `see` gets every line of both outputs, in no fixed order
/// between the two.
pub(crate) fn run(command: &mut Command, see: impl FnMut(&str) + Send) -> Result<ExitStatus> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} did not start", command.get_program().display()))?;
    let stdout = child.stdout.take().context("no standard output")?;
    let stderr = child.stderr.take().context("no standard error")?;
    let see = Mutex::new(see);
    let see = |line: &str| (*see.lock().unwrap_or_else(PoisonError::into_inner))(line);
    thread::scope(|scope| {
        let errors = scope.spawn(|| pass(stderr, io::stderr(), see));
        let passed = pass(stdout, io::stdout(), see);
        let errors = errors
            .join()
            .map_err(|_| anyhow!("a reader of the output failed"))?;
        passed
            .and(errors)
            .context("the output could not be passed on")
    })?;
    child.wait().context("the program was lost")
}

fn pass(mut from: impl Read, mut to: impl Write, see: impl Fn(&str)) -> io::Result<()> {
    let mut chunk = [0; 8192];
    let mut line = Vec::new();
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => &chunk[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(read)?;
        to.flush()?;
        for byte in read {
            match byte {
                b'\n' => {
                    see(&plain(&line));
                    line.clear();
                }
                _ if line.len() < LINE_MAX => line.push(*byte),
                _ => {}
            }
        }
    }
    if !line.is_empty() {
        see(&plain(&line));
    }
    Ok(())
}

/// The text of a line without terminal colours: `ESC [ … letter` is taken out.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut pieces = text.split('\u{1b}');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(piece.len(), |at| at + 1);
        plain.push_str(&piece[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged_and_the_reader_sees_lines_without_colours() {
        let sent = b"\x1b[32;1m PASS\x1b[0m [ 0.1s]\nno end of line";
        let mut passed = Vec::new();
        let seen = Mutex::new(Vec::new());
        pass(sent.as_slice(), &mut passed, |line| {
            seen.lock().unwrap().push(line.to_owned())
        })
        .unwrap();
        assert_eq!(passed, sent);
        assert_eq!(
            seen.into_inner().unwrap(),
            [" PASS [ 0.1s]", "no end of line"]
        );
    }

    #[test]
    fn both_outputs_and_the_exit_status_come_through() {
        let mut seen = Vec::new();
        let status = run(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
            |line| seen.push(line.to_owned()),
        )
        .unwrap();
        seen.sort();
        assert_eq!(seen, ["err", "out"]);
        assert_eq!(status.code(), Some(3));
    }
}
