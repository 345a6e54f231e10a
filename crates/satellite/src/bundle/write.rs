//! Writing a bundle: under a name with a dot before it until all of it is on disk.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use event::Millis;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use super::{FORMAT, FORMAT_MEMBER, Lines, MANIFEST, Manifest, Member, PIECE, Part, README};
use crate::evidence::hash_file;
use crate::hex;

/// A bundle while it is written. Dropped before [`Sealed::publish`], it leaves nothing.
pub struct Writing {
    tar: Option<Builder<GzEncoder<BufWriter<File>>>>,
    files: Files,
    at: Millis,
    members: Vec<Member>,
    lines: Lines,
    piece: Vec<u8>,
    number: u32,
}

/// A bundle that is whole and on disk, and does not have its name yet.
pub struct Sealed {
    files: Files,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Lines of each part.
    pub lines: Lines,
}

/// Where it is, and where it will be.
struct Files {
    partial: Option<PathBuf>,
    path: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // Half a bundle is of use to nobody; that it stays is no second failure.
            fs::remove_file(partial).ok();
        }
    }
}

impl Writing {
    /// Begins one.
    ///
    /// # Errors
    /// A file of that name is there, which is never written over, or it cannot be made.
    pub fn create(path: &Path, at: Millis, readme: &str) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let partial = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
        let partial = path.with_file_name(partial);
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        let out = BufWriter::new(options.open(&partial)?);
        let mut writing = Self {
            tar: Some(Builder::new(GzEncoder::new(out, Compression::default()))),
            files: Files {
                partial: Some(partial),
                path: path.to_owned(),
            },
            at,
            members: Vec::new(),
            lines: Lines::default(),
            piece: Vec::new(),
            number: 0,
        };
        writing.member(FORMAT_MEMBER, format!("{FORMAT}\n").as_bytes())?;
        writing.member(README, readme.as_bytes())?;
        Ok(writing)
    }

    /// Adds a line. Parts come in their order; [`end`](Self::end) ends each.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn line(&mut self, part: Part, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.piece, line)?;
        self.piece.push(b'\n');
        *self.lines.of(part) += 1;
        if self.piece.len() >= PIECE {
            self.flush(part)?;
        }
        Ok(())
    }

    /// Ends a part.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(&mut self, part: Part) -> io::Result<()> {
        self.flush(part)?;
        self.number = 0;
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn seal(mut self, mut manifest: Manifest) -> io::Result<Sealed> {
        manifest.lines = self.lines;
        manifest.members = std::mem::take(&mut self.members);
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.member(MANIFEST, &text)?;
        let tar = self.tar.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let out = tar.into_inner()?.finish()?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let partial = self.files.partial.as_deref().unwrap_or(&self.files.path);
        Ok(Sealed {
            sha256: hash_file(partial)?,
            files: self.files,
            lines: self.lines,
        })
    }

    fn flush(&mut self, part: Part) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let piece = std::mem::take(&mut self.piece);
        self.member(&part.name(self.number), &piece)
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut head = Header::new_ustar();
        head.set_mode(0o600);
        head.set_mtime(u64::try_from(self.at.0 / 1000).unwrap_or_default());
        head.set_size(bytes.len() as u64);
        let tar = self.tar.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        tar.append_data(&mut head, name, bytes)?;
        self.members.push(Member {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        });
        Ok(())
    }
}

impl Sealed {
    /// Gives it its name.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn publish(mut self) -> io::Result<()> {
        if let Some(partial) = self.files.partial.take() {
            fs::rename(&partial, &self.files.path).inspect_err(|_| {
                fs::remove_file(&partial).ok();
            })?;
        }
        let folder = self.files.path.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}
