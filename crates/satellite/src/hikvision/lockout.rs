//! A refused login that outlives the process that tried it.
//!
//! A device counts wrong logins by address, so that whoever dials it from this machine, daemon or
//! command, must know of the last one: each further try makes the lock longer. It is kept in
//! `state_dir` with the account and the time at which the password's file was written, and ends
//! with its time or with a change of either. Nothing of the password is kept.

use std::path::Path;
use std::time::UNIX_EPOCH;

use daemon::config::{secret_places, secret_written_at};
use event::{Millis, Text};
use store::registry::Access;

use crate::config::SECRETS_FOLDER;

/// The name under which the mirror keeps it for each device.
pub const LOCKOUT: &str = "hik:lockout";

/// Until when a device is left alone, and with which account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockout {
    until: Millis,
    account: Text,
}

impl Lockout {
    /// The account of this device was refused, and is not tried again before `until`.
    pub fn new(until: Millis, access: &Access) -> Self {
        let account = account(access);
        Self { until, account }
    }

    /// As it is kept.
    pub fn text(&self) -> Text {
        Text::from(format!("{}|{}", self.until.text(), self.account))
    }

    /// Reads what was kept; `None` for an empty text, which says that there is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (until, account) = text.split_once('|')?;
        Some(Self {
            until: Millis::parse(until)?,
            account: Text::new(account),
        })
    }

    /// The end of the time in which this account is not tried; `None` when it may be tried now.
    pub fn stands(&self, access: &Access, now: Millis) -> Option<Millis> {
        (self.until > now && self.account == account(access)).then_some(self.until)
    }
}

/// What somebody changes who mends a refused login: the file's time, its name, user or address.
fn account(access: &Access) -> Text {
    let file = access.secret_file.as_deref().unwrap_or_default();
    let user = access.user.as_deref().unwrap_or_default();
    let address = access.address.as_deref().unwrap_or_default();
    Text::from(format!("{}|{file}|{user}@{address}", written(file)))
}

/// When the file was written, in milliseconds since 1970; 0 when that is not known.
pub(super) fn written(file: &str) -> i64 {
    let at = secret_written_at(file, &secret_places(Path::new(SECRETS_FOLDER)));
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_account_is_left_alone_until_its_time_or_until_somebody_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "wrong").unwrap();
        let access = Access {
            address: Some(Text::const_new("10.8.0.20:80")),
            user: Some(Text::const_new("a|b")),
            secret_file: file.to_str().map(Text::new),
            ..Access::default()
        };
        let kept = Lockout::new(Millis(10_000), &access).text();
        let lockout = Lockout::parse(&kept).unwrap();
        assert_eq!(lockout.stands(&access, Millis(9_999)), Some(Millis(10_000)));
        assert_eq!(lockout.stands(&access, Millis(10_000)), None);
        let other = Access {
            user: Some(Text::const_new("c")),
            ..access.clone()
        };
        assert_eq!(lockout.stands(&other, Millis(9_999)), None);
        let later = UNIX_EPOCH + std::time::Duration::from_secs(5);
        let written = std::fs::File::options().write(true).open(&file).unwrap();
        written.set_modified(later).unwrap();
        assert_eq!(lockout.stands(&access, Millis(9_999)), None);
        assert_eq!(Lockout::parse(""), None);
    }
}
