//! What an operator should hear of a device, whatever its vendor: conditions by name.
//!
//! A condition begins when it is first raised and stands until it is cleared; beginning and end
//! are logged and counted once, so that a device which fails every second makes two lines and
//! not a thousand. The names are a contract with dashboards, manuals and `satellite devices
//! show`: one is only ever added. No decision about what is stored may hang on them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use daemon::logging::Escaped;
use event::Millis;

use crate::clock;
use crate::detail::Detail;
use crate::devices::Known;
use crate::hub::Hub;

/// How long what happened once stands among the conditions, in milliseconds: a day.
const STANDS_FOR: i64 = 24 * 3_600_000;

/// Something an operator should know about a device, with a name that dashboards and manuals
/// rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// No connection to it can be made.
    Unreachable,
    /// It refused our user or password; nothing is tried before its lock time is over.
    LoginRefused,
    /// The file with its password is not there or cannot be read.
    SecretMissing,
    /// Another device answers at its address, or posts with its token.
    WrongDevice,
    /// Somebody else holds its only arming slot, so that no live stream can be had.
    ArmingSlotTaken,
    /// It cannot be searched by serial, so that completeness cannot be proven.
    SearchUnsupported,
    /// Its memory ran over before records were fetched: they are gone.
    RingOverrun,
    /// Its serials began again: it was reset, or its log was cleared.
    SerialsRestarted,
    /// Serials are missing from what it posted, and it cannot be asked for them.
    GapInPosts,
    /// More than 5 % of its new serials are traces of our own logins.
    OwnFootprints,
    /// A post or upload was longer than any has to be.
    PostTooLarge,
    /// Nothing of its last post could be read: there is no mapping for it, or another one fits.
    MappingUnfit,
    /// It answers, and its answers are of no use: errors, or documents that cannot be read.
    AnswersUnusable,
    /// Its listening host is not set as it was configured.
    ListeningHostChanged,
    /// It takes connections and does not answer: somebody else holds its only one.
    NoSession,
    /// Its communication key is another one than ours, or ours is missing.
    CommKeyRefused,
    /// Its firmware speaks only the encrypted form of the protocol on port 4370.
    SecurePull,
    /// An access panel of another family answers at its address.
    AccessPanel,
    /// Its log has records of a size that is in doubt, or refuses to be read.
    LogUnreadable,
    /// Its log was cleared, or ran over before its records were fetched.
    LogCleared,
    /// It counts more records than it hands out.
    CountsDisagree,
    /// Records wait in quarantine for people whom its user list does not name.
    PeopleUnresolved,
    /// Its log is so full that it will soon overwrite its oldest records, or stop.
    LogNearlyFull,
    /// Its clock is off by more than a minute.
    ClockSkew,
    /// It registers again and again, because it does not take its registry code.
    RegistryLoop,
    /// It asks us whether to open its door, and the door waits.
    RemoteVerification,
    /// It wants to encrypt its session, which nobody but its vendor can.
    EncryptionWanted,
    /// Its serial speaks from two places at once.
    DuplicateSerial,
    /// A window of its record is not stored, and is asked for until it comes.
    RecordsMissing,
    /// It spoke from a network from which it never spoke before.
    NewNetwork,
}

impl Condition {
    /// Every condition.
    pub(crate) const ALL: [Self; 30] = [
        Self::Unreachable,
        Self::LoginRefused,
        Self::SecretMissing,
        Self::WrongDevice,
        Self::ArmingSlotTaken,
        Self::SearchUnsupported,
        Self::RingOverrun,
        Self::SerialsRestarted,
        Self::GapInPosts,
        Self::OwnFootprints,
        Self::PostTooLarge,
        Self::MappingUnfit,
        Self::AnswersUnusable,
        Self::ListeningHostChanged,
        Self::NoSession,
        Self::CommKeyRefused,
        Self::SecurePull,
        Self::AccessPanel,
        Self::LogUnreadable,
        Self::LogCleared,
        Self::CountsDisagree,
        Self::PeopleUnresolved,
        Self::LogNearlyFull,
        Self::ClockSkew,
        Self::RegistryLoop,
        Self::RemoteVerification,
        Self::EncryptionWanted,
        Self::DuplicateSerial,
        Self::RecordsMissing,
        Self::NewNetwork,
    ];

    /// The name in metrics, in `/status` and in manuals.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::LoginRefused => "login_refused",
            Self::SecretMissing => "secret_missing",
            Self::WrongDevice => "wrong_device",
            Self::ArmingSlotTaken => "arming_slot_taken",
            Self::SearchUnsupported => "search_unsupported",
            Self::RingOverrun => "ring_overrun",
            Self::SerialsRestarted => "serials_restarted",
            Self::GapInPosts => "gap_in_posts",
            Self::OwnFootprints => "own_footprints",
            Self::PostTooLarge => "post_too_large",
            Self::MappingUnfit => "mapping_unfit",
            Self::AnswersUnusable => "answers_unusable",
            Self::ListeningHostChanged => "listening_host_changed",
            Self::RegistryLoop => "registry_loop",
            Self::RemoteVerification => "remote_verification",
            Self::EncryptionWanted => "encryption_wanted",
            Self::NoSession => "no_session",
            Self::CommKeyRefused => "comm_key_refused",
            Self::SecurePull => "secure_pull",
            Self::AccessPanel => "access_panel",
            Self::LogUnreadable => "log_unreadable",
            Self::LogCleared => "log_cleared",
            Self::CountsDisagree => "counts_disagree",
            Self::PeopleUnresolved => "people_unresolved",
            Self::LogNearlyFull => "log_nearly_full",
            Self::ClockSkew => "clock_skew",
            Self::DuplicateSerial => "duplicate_serial",
            Self::RecordsMissing => "records_missing",
            Self::NewNetwork => "new_network",
        }
    }
}

impl Condition {
    /// The condition of that name.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// True for what happens, and can happen again while it still stands in the list; false
    /// for what lasts until it is over.
    fn happens(self) -> bool {
        matches!(
            self,
            Self::RingOverrun
                | Self::SerialsRestarted
                | Self::LogCleared
                | Self::PostTooLarge
                | Self::NewNetwork
        )
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition that holds, since when, and what was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) since: Millis,
    pub(crate) detail: Detail,
}

/// The conditions of one device.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Mutex<BTreeMap<Condition, Noted>>);

impl Conditions {
    /// Those that hold now, by name.
    pub(crate) fn now(&self) -> Vec<(Condition, Noted)> {
        let held = self.lock();
        held.iter().map(|(c, noted)| (*c, noted.clone())).collect()
    }

    /// Since when a condition holds, if it does.
    pub(crate) fn since(&self, condition: Condition) -> Option<Millis> {
        self.lock().get(&condition).map(|noted| noted.since)
    }

    /// A condition holds. True when it did not hold before, or is one that happens again.
    fn raise(&self, condition: Condition, detail: Detail, now: Millis) -> bool {
        let mut held = self.lock();
        match held.get_mut(&condition) {
            Some(noted) => {
                noted.detail = detail;
                condition.happens()
            }
            None => {
                held.insert(condition, Noted { since: now, detail });
                true
            }
        }
    }

    /// A condition holds no more. True when it did.
    fn clear(&self, condition: Condition) -> bool {
        self.lock().remove(&condition).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Condition, Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Raises a condition of a device: counted and logged once, when it begins.
pub(crate) fn raise(hub: &Hub, known: &Known, condition: Condition, detail: impl Into<Detail>) {
    let detail = detail.into();
    let begins = known
        .conditions()
        .raise(condition, detail.clone(), clock::now());
    if begins {
        hub.metrics.condition(condition);
        tracing::warn!(
            serial = %known.enrolment.serial,
            tenant = %known.enrolment.tenant,
            condition = condition.as_str(),
            detail = %Escaped(detail.as_str()),
            "a condition of a device began"
        );
    }
}

/// What was seen last of a condition that holds.
pub(crate) fn detail_of(known: &Known, condition: Condition) -> Option<Detail> {
    let held = known.conditions().now().into_iter();
    held.filter(|(one, _)| *one == condition)
        .map(|(_, noted)| noted.detail)
        .next()
}

/// A condition holds no more: logged once.
pub(crate) fn clear(known: &Known, condition: Condition) {
    if known.conditions().clear(condition) {
        tracing::info!(
            serial = %known.enrolment.serial,
            condition = condition.as_str(),
            "a condition of a device ended"
        );
    }
}

/// Ends what happened once and has stood for a day, so that somebody saw it.
pub(crate) fn expire(known: &Known) {
    let stale = Millis(clock::now().0 - STANDS_FOR);
    for condition in Condition::ALL.into_iter().filter(|one| one.happens()) {
        let noted = known.conditions().since(condition);
        if noted.is_some_and(|since| since < stale) {
            clear(known, condition);
        }
    }
}

/// The names of all conditions, as in `/status`, metrics and manuals.
pub fn names() -> [&'static str; Condition::ALL.len()] {
    Condition::ALL.map(Condition::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detail::Says;

    #[test]
    fn a_condition_keeps_the_moment_at_which_it_began() {
        let held = Conditions::default();
        let raise =
            |detail: Says, at| held.raise(Condition::Unreachable, detail.into(), Millis(at));
        assert!(raise(Says::LoginAgain, 5));
        assert!(!raise(Says::ConnectionGone, 9));
        let (condition, noted) = held.now().remove(0);
        assert_eq!(condition.as_str(), "unreachable");
        assert_eq!(
            (noted.since, noted.detail.as_str()),
            (Millis(5), "the connection is gone")
        );
        assert!(held.clear(Condition::Unreachable));
        assert!(!held.clear(Condition::Unreachable));
        assert_eq!(held.since(Condition::Unreachable), None);
    }

    #[test]
    fn every_condition_has_its_own_name() {
        let mut names = names().to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Condition::ALL.len());
    }
}
