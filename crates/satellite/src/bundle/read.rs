//! Reading a bundle that somebody brought: nothing of it is believed before all of it was looked at.
//!
//! Nothing is ever unpacked onto a disk: members are read one after the other into memory, each up
//! to a limit, so that neither names that climb out of a folder, nor links, nor a member that
//! swells to gigabytes can do anything. What is no bundle, is of a newer form, was cut, or was
//! changed anywhere, is named as what it is.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use event::{DeviceId, Serial, TenantId, Vendor, Zone};
use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use store::moving::Terminal;
use tar::{Archive, Entries};

use super::line::{AuditLine, CursorLine, DeviceLine, EventLine, QuarantineLine};
use super::{
    FAMILY, FORMAT, FORMAT_MEMBER, LONGEST, Lines, MANIFEST, Manifest, Member, Part, README,
};
use crate::hex;

/// Members that are looked at, more than any database has pieces.
const MEMBERS: usize = 1_000_000;
/// Bytes after the manifest that are read to see that nothing follows but the end of the archive.
const END: u64 = 1 << 20;

/// What is wrong with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is something else.
    #[error("it is no bundle of a tenant")]
    Foreign,
    /// It was made by a later version.
    #[error("its form is {0}, and this version reads {FORMAT}")]
    Newer(String),
    /// It is not as it was made.
    #[error("it is damaged or was changed: {0}")]
    Damaged(String),
}

type Packed = MultiGzDecoder<BufReader<File>>;

/// A bundle that is read from its beginning.
pub struct Bundle(Archive<Packed>);

/// The members of a bundle, in their order.
pub struct Pieces<'a>(Entries<'a, Packed>);

/// A member, all of it.
#[derive(Debug)]
pub struct Piece {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A bundle every byte and every line of which was looked at.
#[derive(Debug)]
pub struct Verified {
    /// What it says of itself, which is so.
    pub manifest: Manifest,
    /// Whose data it is, over there.
    pub tenant: TenantId,
    /// Every enrolment, for the tenant over there.
    pub terminals: Vec<Terminal>,
}

impl Bundle {
    /// Opens the file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, Flaw> {
        let file = File::open(path).map_err(Flaw::Unreadable)?;
        let packed = MultiGzDecoder::new(BufReader::new(file));
        Ok(Self(Archive::new(packed)))
    }

    /// Its members.
    ///
    /// # Errors
    /// They were begun before.
    pub fn pieces(&mut self) -> Result<Pieces<'_>, Flaw> {
        let entries = self.0.entries().map_err(Flaw::Unreadable)?;
        // Raw: names and sizes in extensions of the format are not followed.
        Ok(Pieces(entries.raw(true)))
    }

    /// Looks that nothing follows but the end, which also has the packing look at its check sum.
    fn end(self) -> Result<(), Flaw> {
        let mut rest = self.0.into_inner().take(END);
        let (mut piece, mut seen) = ([0; 4096], 0_u64);
        loop {
            match rest.read(&mut piece) {
                Ok(0) if seen < END => return Ok(()),
                Ok(n) if n > 0 && piece.iter().take(n).all(|byte| *byte == 0) => {
                    seen += n as u64;
                }
                Ok(_) => return Err(Flaw::Damaged("something follows its end".to_owned())),
                Err(error) => return Err(Flaw::Damaged(error.to_string())),
            }
        }
    }
}

impl Pieces<'_> {
    /// The next member; `None` at the end.
    ///
    /// # Errors
    /// It is none that a bundle has, or cannot be read whole.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Flaw> {
        let damaged = |error: io::Error| Flaw::Damaged(error.to_string());
        let Some(entry) = self.0.next() else {
            return Ok(None);
        };
        let entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        if !entry.header().entry_type().is_file() {
            return Err(Flaw::Damaged(format!("{} is no file", shown(&name))));
        }
        if size > LONGEST {
            let told = format!("{} has {size} bytes, too many", shown(&name));
            return Err(Flaw::Damaged(told));
        }
        let mut bytes = Vec::new();
        entry
            .take(LONGEST)
            .read_to_end(&mut bytes)
            .map_err(damaged)?;
        if bytes.len() as u64 != size {
            return Err(Flaw::Damaged(format!("{} ends too early", shown(&name))));
        }
        Ok(Some(Piece { name, bytes }))
    }
}

impl Piece {
    fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            bytes: self.bytes.len() as u64,
            sha256: hex(&Sha256::digest(&self.bytes)),
        }
    }

    /// The part that it is a piece of.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        let (folder, _) = self.name.split_once('/')?;
        Part::ALL.into_iter().find(|part| part.folder() == folder)
    }

    /// Its lines.
    ///
    /// # Errors
    /// One of them is not what it should be.
    pub fn lines<T: DeserializeOwned>(&self) -> Result<Vec<T>, Flaw> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let read = lines.enumerate().map(|(at, line)| {
            serde_json::from_slice(line)
                .map_err(|error| bad_line(&self.name, at, &error.to_string()))
        });
        read.collect()
    }

    /// Whether these bytes are those that the manifest names.
    ///
    /// # Errors
    /// The file was changed since it was verified.
    pub fn is_as_in(&self, manifest: &Manifest) -> Result<(), Flaw> {
        let named = self.name == MANIFEST || manifest.members.contains(&self.member());
        named.then_some(()).ok_or_else(|| {
            Flaw::Damaged(format!("{} changed while it was read", shown(&self.name)))
        })
    }
}

/// Reads all of it and keeps nothing but what it says of itself and of its terminals. `progress` is
/// told how many events were looked at.
///
/// # Errors
/// What is wrong with it.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Verified, Flaw> {
    let mut bundle = Bundle::open(path)?;
    let mut looked = Looked::default();
    let mut pieces = bundle.pieces()?;
    let first = pieces.next_piece();
    // What is not even packed this way, or holds something else first, was never a bundle.
    let first = first.map_err(|_| Flaw::Foreign)?.ok_or(Flaw::Foreign)?;
    looked.format(&first)?;
    let manifest = loop {
        let Some(piece) = pieces.next_piece()? else {
            return Err(Flaw::Damaged("its end is missing".to_owned()));
        };
        if piece.name == MANIFEST {
            break looked.agrees(&piece)?;
        }
        looked.piece(&piece)?;
        progress(looked.lines.events);
    };
    if pieces.next_piece()?.is_some() {
        return Err(Flaw::Damaged("something follows its manifest".to_owned()));
    }
    bundle.end()?;
    let tenant = super::line::tenant(&manifest).map_err(|_| Flaw::Foreign)?;
    let terminals = looked.devices.values().map(|line| line.terminal(&tenant));
    let terminals: Option<Vec<Terminal>> = terminals.collect();
    let mut terminals =
        terminals.ok_or_else(|| Flaw::Damaged("a device that nobody could enrol".to_owned()))?;
    terminals.sort_by_key(|one| one.enrolment.id);
    Ok(Verified {
        manifest,
        tenant,
        terminals,
    })
}

/// What was seen of a bundle so far.
#[derive(Default)]
struct Looked {
    members: Vec<Member>,
    lines: Lines,
    devices: HashMap<DeviceId, DeviceLine>,
    active: HashSet<(Vendor, Serial)>,
    /// The part and number of the last piece.
    last: Option<(Part, u32)>,
}

impl Looked {
    fn format(&mut self, first: &Piece) -> Result<(), Flaw> {
        let text = String::from_utf8_lossy(&first.bytes);
        let format = text.trim_end();
        if first.name != FORMAT_MEMBER || !format.starts_with(FAMILY) {
            return Err(Flaw::Foreign);
        }
        if format != FORMAT {
            let format: String = format.chars().take(60).collect();
            return Err(Flaw::Newer(shown(&format)));
        }
        self.members.push(first.member());
        Ok(())
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), Flaw> {
        if self.members.len() >= MEMBERS {
            return Err(Flaw::Damaged("it has too many members".to_owned()));
        }
        self.members.push(piece.member());
        if piece.name == README && self.members.len() == 2 {
            return Ok(());
        }
        let unexpected = || Flaw::Damaged(format!("{} is not expected there", shown(&piece.name)));
        let part = piece.part().ok_or_else(unexpected)?;
        let number = match self.last {
            Some((last, number)) if last == part => number + 1,
            Some((last, _)) if last > part => return Err(unexpected()),
            _ => 1,
        };
        if piece.name != part.name(number) {
            return Err(unexpected());
        }
        self.last = Some((part, number));
        let lines = match part {
            Part::Devices => self.devices(piece)?,
            Part::Events => self.of_devices(piece, |line: &EventLine| {
                line.device().filter(|_| line.zone().is_some())
            })?,
            Part::Quarantine => self.of_devices(piece, |line: &QuarantineLine| {
                line.device().filter(|_| line.record().is_some())
            })?,
            Part::Cursors => self.of_devices(piece, CursorLine::device)?,
            Part::Audit => piece.lines::<AuditLine>()?.len(),
        };
        *self.lines.of(part) += lines as u64;
        Ok(())
    }

    fn devices(&mut self, piece: &Piece) -> Result<usize, Flaw> {
        let lines = piece.lines::<DeviceLine>()?;
        let count = lines.len();
        let anybody = TenantId::new("x").map_err(|_| Flaw::Foreign)?;
        for (at, line) in lines.into_iter().enumerate() {
            let read = line.terminal(&anybody).map(|one| one.enrolment.id);
            let id = read.ok_or_else(|| bad_line(&piece.name, at, "no terminal"))?;
            let name = line.active_name();
            let is_rival = name.is_some_and(|name| !self.active.insert(name));
            if is_rival || self.devices.insert(id, line).is_some() {
                return Err(bad_line(&piece.name, at, "a terminal twice"));
            }
        }
        Ok(count)
    }

    /// Looks that each line is one, and of a terminal that the bundle has.
    fn of_devices<T: DeserializeOwned>(
        &self,
        piece: &Piece,
        device: impl Fn(&T) -> Option<DeviceId>,
    ) -> Result<usize, Flaw> {
        let lines = piece.lines::<T>()?;
        for (at, line) in lines.iter().enumerate() {
            let known = device(line).is_some_and(|id| self.devices.contains_key(&id));
            if !known {
                let told = "it does not say what it should, or is of no terminal of the bundle";
                return Err(bad_line(&piece.name, at, told));
            }
        }
        Ok(lines.len())
    }

    /// The manifest, when it says what was seen.
    fn agrees(&self, piece: &Piece) -> Result<Manifest, Flaw> {
        let read = serde_json::from_slice::<Manifest>(&piece.bytes);
        let manifest = read.map_err(|error| bad_line(&piece.name, 0, &error.to_string()))?;
        let differs = |what: &str| Flaw::Damaged(format!("{what} is not as its manifest says"));
        if manifest.format != FORMAT || Zone::named(&manifest.time_zone).is_err() {
            return Err(differs("its form"));
        }
        let mut both = manifest.members.iter().zip(&self.members);
        if let Some((_, seen)) = both.find(|(named, seen)| named != seen) {
            return Err(differs(&shown(&seen.name)));
        }
        if manifest.members.len() != self.members.len() {
            return Err(differs("the number of its members"));
        }
        if manifest.lines != self.lines {
            return Err(differs("the number of its lines"));
        }
        Ok(manifest)
    }
}

fn bad_line(name: &str, at: usize, told: &str) -> Flaw {
    Flaw::Damaged(format!("{}, line {}: {told}", shown(name), at + 1))
}

/// A name that somebody else wrote.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(80).collect();
    daemon::logging::Escaped(&short).to_string()
}
