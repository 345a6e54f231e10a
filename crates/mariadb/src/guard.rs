//! The guard of a temporary directory and of the process that runs in it.
//!
//! A test process may be killed, and a value in a static is never dropped; a database server
//! left behind by either would stay until the machine restarts. So a small shell waits on a
//! pipe from us. However we end, the pipe closes, and the shell ends the server and removes
//! the directory. It must never end a process other than the last one it was told of.

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Reads process ids, one a line, `0` for none; at the end of input ends the last one (waiting
/// at most 5 s for it to be gone; a process that is dead but not yet collected has no `exe`)
/// and removes the directory.
const WATCH: &str = r#"
trap '' HUP INT TERM
pid=0
while read -r next; do pid=$next; done
if [ "$pid" != 0 ]; then
    kill -KILL "$pid"
    turns=0
    while [ -e "/proc/$pid/exe" ] && [ "$turns" -lt 50 ]; do sleep 0.1; turns=$((turns + 1)); done
fi
rm -rf -- "$1"
"#;

/// A directory that ends with this value or with this process, and the process in it.
#[derive(Debug)]
pub(crate) struct Guard {
    directory: PathBuf,
    shell: Child,
}

impl Guard {
    /// Makes an empty directory that only this user can read, below `TMPDIR` or `/tmp`.
    pub(crate) fn new() -> Result<Self> {
        let directory = fresh_directory()?;
        let shell = Command::new("/bin/sh")
            .args(["-c", WATCH, "watch"])
            .arg(&directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group: Ctrl-C at a terminal must not reach it before its work is done.
            .process_group(0)
            .spawn();
        match shell {
            Ok(shell) => Ok(Self { directory, shell }),
            Err(error) => {
                fs::remove_dir(&directory).context("an empty directory stays behind")?;
                Err(error).context("the guard of a temporary directory did not start")
            }
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// From now on `process` ends with us; `None` when the last one is gone already.
    pub(crate) fn watch(&mut self, process: Option<u32>) -> Result<()> {
        let stdin = self.shell.stdin.as_mut().context("the guard is closed")?;
        writeln!(stdin, "{}", process.unwrap_or(0)).context("the guard is gone")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // Nothing can be done about a failure here; the directory is a temporary one.
        self.shell.wait().ok();
    }
}

fn fresh_directory() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("satellite-mariadb-{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_directory_end_when_the_pipe_closes() {
        let mut guard = Guard::new().unwrap();
        let mut process = Command::new("sleep").arg("600").spawn().unwrap();
        guard.watch(Some(process.id())).unwrap();
        let directory = guard.directory().to_owned();
        fs::write(directory.join("file"), "content").unwrap();

        // Closing the pipe is all that a killed owner does, so the test does no more either.
        drop(guard.shell.stdin.take());
        let status = process.wait().unwrap();
        assert!(!status.success(), "the process ended by itself");
        guard.shell.wait().unwrap();
        assert!(!directory.exists());
    }

    #[test]
    fn a_process_reported_as_gone_is_left_alone() {
        let mut guard = Guard::new().unwrap();
        let mut process = Command::new("sleep").arg("600").spawn().unwrap();
        guard.watch(Some(process.id())).unwrap();
        guard.watch(None).unwrap();
        drop(guard);
        assert!(
            process.try_wait().unwrap().is_none(),
            "the process was ended"
        );
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
