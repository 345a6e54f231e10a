//! Files of a copy: compressed with gzip, encrypted for its recipients by `age`.
//!
//! Both are formats that every system can open: `age --decrypt -i KEY FILE | gunzip`. Only public
//! keys are needed to write. A secret key goes to `age` over a pipe, never into an argument or a
//! file of ours. What `age` has written is whole when [`Sealed::finish`] returns.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use daemon::config::Secret;
use flate2::Compression;
use flate2::write::{GzDecoder, GzEncoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::pace::Paced;
use crate::{Problem, programs};

/// Bytes moved at once.
pub(crate) const PIECE: usize = 64 << 10;

/// A file while it is written.
pub(crate) struct Sealed {
    path: PathBuf,
    age: Child,
    to_age: Option<ChildStdin>,
    gzip: GzEncoder<Vec<u8>>,
    plain: u64,
    paced: Paced,
}

impl Sealed {
    /// Begins a new file that these public keys can open, and that is written at this pace.
    pub(crate) fn create(
        path: &Path,
        recipients: &[String],
        paced: Paced,
    ) -> Result<Self, Problem> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        let file = options
            .open(path)
            .map_err(|error| Problem::file(path, &error))?;
        let mut command = programs::command(&programs::find(&["age"], "age")?);
        for key in recipients {
            command.arg("--recipient").arg(key);
        }
        command.stdin(Stdio::piped()).stdout(file);
        let mut age = programs::start(&mut command)?;
        Ok(Self {
            path: path.to_owned(),
            to_age: age.stdin.take(),
            age,
            gzip: GzEncoder::new(Vec::with_capacity(2 * PIECE), Compression::fast()),
            plain: 0,
            paced,
        })
    }

    /// Adds bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.plain = self.plain.saturating_add(crate::take::wide(bytes.len()));
        let compressed = self.gzip.write_all(bytes);
        compressed.map_err(|error| Problem::file(&self.path, &error))?;
        if self.gzip.get_ref().len() >= PIECE {
            let ready = std::mem::take(self.gzip.get_mut());
            self.hand_over(&ready).await?;
        }
        self.paced.rest().await;
        Ok(())
    }

    async fn hand_over(&mut self, ready: &[u8]) -> Result<(), Problem> {
        let Some(pipe) = &mut self.to_age else {
            return Ok(());
        };
        if pipe.write_all(ready).await.is_ok() {
            return Ok(());
        }
        // The pipe breaks when age ends; why it ended says more.
        self.to_age = None;
        let said = programs::ended(&mut self.age).await.err();
        Err(self.refused(said.unwrap_or_default()))
    }

    fn refused(&self, said: String) -> Problem {
        if said.contains("no space left") {
            return Problem::no_space(&self.path.display().to_string());
        }
        Problem::new(
            "age did not encrypt the copy; check backup.recipients",
            "age no cifró la copia; revise backup.recipients",
        )
        .because(said)
    }

    /// Ends the file; how many bytes went in. It has no name yet that counts, and whoever gives it
    /// one brings it to the disk first.
    pub(crate) async fn finish(mut self) -> Result<u64, Problem> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        std::mem::swap(&mut gzip, &mut self.gzip);
        let last = gzip
            .finish()
            .map_err(|error| Problem::file(&self.path, &error))?;
        self.hand_over(&last).await?;
        drop(self.to_age.take());
        let ended = programs::ended(&mut self.age).await;
        ended.map_err(|said| self.refused(said))?;
        self.paced.rest().await;
        Ok(self.plain)
    }
}

/// A file of a copy while it is read.
pub(crate) struct Opened {
    shown: String,
    age: Child,
    from_age: ChildStdout,
    gunzip: GzDecoder<Vec<u8>>,
}

impl Opened {
    /// Opens it with a secret key.
    pub(crate) async fn open(path: &Path, key: &Secret) -> Result<Self, Problem> {
        let mut command = programs::command(&programs::find(&["age"], "age")?);
        command.args(["--decrypt", "--identity", "-"]).arg(path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut age = programs::start(&mut command)?;
        if let Some(mut pipe) = age.stdin.take() {
            // age that does not want the key says so at its end.
            pipe.write_all(key.expose().as_bytes()).await.ok();
            pipe.write_all(b"\n").await.ok();
        }
        let Some(from_age) = age.stdout.take() else {
            return Err(Problem::damaged(
                &path.display().to_string(),
                "age has no output",
            ));
        };
        Ok(Self {
            shown: path.display().to_string(),
            age,
            from_age,
            gunzip: GzDecoder::new(Vec::with_capacity(4 * PIECE)),
        })
    }

    /// The next bytes; `None` at the end, when all of it was authentic.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let mut piece = vec![0; PIECE];
        let read = self.from_age.read(&mut piece).await;
        let read = read.map_err(|error| Problem::damaged(&self.shown, error))?;
        if read == 0 {
            let ended = programs::ended(&mut self.age).await;
            ended.map_err(|said| self.refused(&said))?;
            let done = self.gunzip.try_finish();
            done.map_err(|error| Problem::damaged(&self.shown, error))?;
            let rest = std::mem::take(self.gunzip.get_mut());
            return Ok((!rest.is_empty()).then_some(rest));
        }
        let unpacked = self.gunzip.write_all(piece.get(..read).unwrap_or_default());
        unpacked.map_err(|error| Problem::damaged(&self.shown, error))?;
        Ok(Some(std::mem::take(self.gunzip.get_mut())))
    }

    fn refused(&self, said: &str) -> Problem {
        let foreign = [
            "no identity matched",
            "malformed secret key",
            "unknown identity",
        ];
        if foreign.iter().any(|words| said.contains(words)) {
            let shown = &self.shown;
            return Problem::new(
                format!("{shown} was made for other keys; name the right file in backup.identity_file, or look for a copy of this installation"),
                format!("{shown} se hizo para otras llaves; indique el archivo correcto en backup.identity_file, o busque una copia de esta instalación"),
            )
            .because(said);
        }
        Problem::damaged(&self.shown, said)
    }
}
