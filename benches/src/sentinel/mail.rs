//! OpenSMTPD, which keeps each letter in a file named by when it came.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use promises::Smtpd;

/// The running server.
pub(super) struct Mail {
    server: Smtpd,
    /// What was read already, by file; a letter does not change.
    read: Mutex<HashMap<PathBuf, Letter>>,
}

/// A letter that arrived.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// When it lay in its file.
    pub(super) at: SystemTime,
    /// Header and body.
    pub(super) wire: String,
}

impl Letter {
    /// The subject, which is ASCII in the English letters that are measured here.
    pub(super) fn subject(&self) -> String {
        let head = self.wire.split("\n\n").next().unwrap_or_default();
        let head = head.replace("\r\n", "\n").replace("\n ", " ");
        let found = head.lines().find_map(|line| line.strip_prefix("Subject: "));
        found.unwrap_or_default().to_owned()
    }

    /// The first number of an incident in it.
    pub(super) fn incident(&self) -> Option<String> {
        let at = self.wire.find("INC-")?;
        Some(self.wire.get(at..at + "INC-2026-000001".len())?.to_owned())
    }
}

impl Mail {
    /// Starts it.
    ///
    /// # Errors
    /// It is not installed, we are not root, or it does not listen in time.
    pub(super) async fn start() -> Result<Self> {
        let keep = |boxes: &Path| {
            let place = boxes.display();
            format!("f={place}/.$$-$(date +%N)\ncat > \"$f\"\nmv \"$f\" {place}/$(date +%s%N)-$$\n")
        };
        Ok(Self {
            server: Smtpd::start(keep).await?,
            read: Mutex::default(),
        })
    }

    /// As it stands in sentinel's configuration.
    pub(super) fn url(&self) -> String {
        self.server.url()
    }

    /// What arrived for that address, the oldest first.
    pub(super) fn letters(&self, to: &str) -> Result<Vec<Letter>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(self.server.boxes())? {
            let path = entry?.path();
            let Some(at) = arrival(&path).filter(|_| !read.contains_key(&path)) else {
                continue;
            };
            let wire = String::from_utf8_lossy(&fs::read(&path)?).replace("\r\n", "\n");
            read.insert(path, Letter { at, wire });
        }
        let mut found = Vec::new();
        for letter in read.values() {
            let wire = &letter.wire;
            let head = wire.split("\n\n").next().unwrap_or_default();
            if head
                .lines()
                .any(|line| line.starts_with("To:") && line.contains(to))
            {
                found.push(letter.clone());
            }
        }
        found.sort_by_key(|letter| letter.at);
        Ok(found)
    }
}

/// When the letter of that file came; `None` while it is being written.
fn arrival(path: &Path) -> Option<SystemTime> {
    let name = path.file_name()?.to_str()?;
    let nanoseconds = name.split('-').next()?.parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds))
}
