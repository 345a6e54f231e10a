//! A session of a private server that holds what others wait for, kept open by the distribution's own
//! client. It ends with its value; nobody else's session is touched.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// An open session; dropping it ends it, and what it holds is free.
pub(crate) struct Lock(Child);

impl Lock {
    /// Opens a session as `root` on that port of this machine and has it run these statements.
    ///
    /// # Errors
    /// The client cannot be started or does not listen.
    pub(crate) fn take(port: u16, statements: &str) -> Result<Self> {
        let mut client = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--protocol=TCP",
                "--host=127.0.0.1",
                "--user=root",
                "--unbuffered",
            ])
            .arg(format!("--port={port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("the program mariadb did not start")?;
        let input = client.stdin.as_mut().context("the client has no input")?;
        writeln!(input, "{statements}")?;
        input.flush()?;
        Ok(Self(client))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
