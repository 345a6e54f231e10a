//! One archive: JSON lines in gzip, with the SHA-256 that `sha256sum -c` takes beside it.
//!
//! It is written under a name that no one takes for an archive, and gets its own only when it is
//! durable and was read back whole. It is never overwritten, and nobody else may read it: it holds
//! the records of persons.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use event::Millis;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use satellite::evidence::hash_file;
use serde_json::Value;

/// An archive while it is written.
pub(super) struct Archive {
    out: GzEncoder<BufWriter<File>>,
    /// Where it is now, and where it will be.
    partial: PathBuf,
    path: PathBuf,
    rows: u64,
}

/// One that is whole.
pub(super) struct Sealed {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
    /// SHA-256 of the file.
    pub(super) hash: String,
}

impl Archive {
    /// Begins one in this folder; the time, and a number where that is taken, make its name new.
    pub(super) fn create(folder: &Path, name: &str, at: Millis) -> io::Result<Self> {
        let at: String = at.text().chars().filter(char::is_ascii_digit).collect();
        let at = at.get(..14).unwrap_or(&at);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        for number in 1.. {
            let path = folder.join(format!("{name}-{at}Z-{number}.jsonl.gz"));
            let partial = path.with_extension("gz.partial");
            if path.exists() {
                continue;
            }
            match options.open(&partial) {
                Ok(file) => {
                    return Ok(Self {
                        out: GzEncoder::new(BufWriter::new(file), Compression::default()),
                        partial,
                        path,
                        rows: 0,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(named(&partial, &error)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Adds a row.
    pub(super) fn line(&mut self, row: &Value) -> io::Result<()> {
        self.rows += 1;
        writeln!(self.out, "{row}").map_err(|error| named(&self.partial, &error))
    }

    /// Leaves nothing behind.
    pub(super) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.partial)
    }

    /// Makes it durable, reads it back and gives it its name.
    pub(super) fn seal(self) -> io::Result<Sealed> {
        let mut file = self.out.finish()?;
        file.flush()?;
        file.get_ref().sync_all()?;
        let read = lines_of(&self.partial)?;
        if read != self.rows {
            let told = format!("{} of {} rows can be read back", read, self.rows);
            return Err(named(&self.partial, &io::Error::other(told)));
        }
        let hash = hash_file(&self.partial)?;
        fs::rename(&self.partial, &self.path)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut beside = self.path.clone().into_os_string();
        beside.push(".sha256");
        let mut sum = File::create_new(beside)?;
        writeln!(sum, "{hash}  {name}")?;
        sum.sync_all()?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Sealed {
            path: self.path,
            rows: self.rows,
            hash,
        })
    }
}

/// How many rows a file holds, each of which is JSON.
fn lines_of(path: &Path) -> io::Result<u64> {
    let read = MultiGzDecoder::new(BufReader::new(File::open(path)?));
    let mut rows = 0;
    for line in BufReader::new(read).lines() {
        serde_json::from_str::<serde::de::IgnoredAny>(&line?)?;
        rows += 1;
    }
    Ok(rows)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sealed_archive_is_read_back_and_two_of_one_second_have_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = Millis::parse("2026-11-26 22:00:00.000").unwrap();
        let write = |rows: u64| {
            let mut archive = Archive::create(folder.path(), "acme-punch", at).unwrap();
            for row in 0..rows {
                archive
                    .line(&json!({ "person": format!("{row}\n") }))
                    .unwrap();
            }
            archive
        };
        let first = write(3).seal().unwrap();
        let second = write(2).seal().unwrap();
        write(1).discard().unwrap();
        assert_ne!(first.path, second.path);
        assert_eq!((lines_of(&first.path).unwrap(), second.rows), (3, 2));
        assert_eq!(hash_file(&first.path).unwrap(), first.hash);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }

    #[test]
    fn an_archive_that_lost_its_end_is_not_taken_for_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::create(folder.path(), "acme-punch", Millis(0)).unwrap();
        for row in 0..500 {
            archive.line(&json!({ "person": row })).unwrap();
        }
        let sealed = archive.seal().unwrap();
        let file = OpenOptions::new().write(true).open(&sealed.path).unwrap();
        file.set_len(fs::metadata(&sealed.path).unwrap().len() / 2)
            .unwrap();
        assert!(lines_of(&sealed.path).is_err());
    }
}
