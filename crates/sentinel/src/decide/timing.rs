//! How long something must last before it counts, and before it is over. Pure.
//!
//! The times are chosen against the figures that are promised (detection to mail) and against
//! the noise that must not wake anybody: a restart, a database that is away for 20 seconds.

use jiff::SignedDuration;

use crate::kind::{Kind, Severity};

/// From the first to the latest sight of it before a condition is confirmed.
pub(crate) fn confirm(kind: Kind) -> SignedDuration {
    SignedDuration::from_secs(match kind {
        // Seen twice; while systemd starts it again it does not say "inactive", and what stands
        // still has been measured before it is said.
        Kind::SatelliteDown | Kind::IngestStalled => 4,
        Kind::SatelliteHang => 9,
        // Longer than a blip of 20 seconds; a full disk is seen twice.
        Kind::DatabaseDown
        | Kind::DiskFull
        | Kind::DiskReadOnly
        | Kind::DatabaseHung
        | Kind::DatabaseReadOnly
        | Kind::DoorUnreachable
        | Kind::DoorFailing
        | Kind::BrokerFailing => 25,
        // Looks that have waited themselves, or that see what does not come and go.
        Kind::AcknowledgedNotFound
        | Kind::DurabilityWeak
        | Kind::DatabaseFull
        | Kind::DatabaseReplaced
        | Kind::TerminalOffline
        | Kind::TerminalSilent
        | Kind::ClockSkew
        | Kind::GapOpen
        | Kind::DuplicateSerial
        | Kind::CertificateBad
        | Kind::CertificateExpiring
        | Kind::BackupOld
        | Kind::BackupOverdue
        | Kind::BackupFailed
        | Kind::BackupSize
        | Kind::OutputStanding
        | Kind::OutputDeadLetters
        | Kind::HostSilent
        | Kind::HostRebooted
        | Kind::PeerSilent
        | Kind::LetterLost
        | Kind::MailRoundTrip
        | Kind::SentinelDisk => 0,
        // Asked three times: a relay that starts again is back by then, and so is one that failed
        // one letter and was asked once more.
        Kind::RelayFailing => 35,
        // A moment of high load is none.
        Kind::HostCpu | Kind::HostMemory | Kind::HostSwap | Kind::DatabaseSlow => 300,
        // Whoever sets copies up makes the first one, and proves it, within minutes.
        Kind::BackupUnverified | Kind::BackupOneDisk => 600,
        // Three rounds and these: no more than five minutes are lost without a word.
        Kind::BackupLog => 120,
        // A broker that starts again is back by then, and the pauses between tries are half a minute.
        Kind::InputStanding => 120,
        Kind::Blind => 600,
        _ => 60,
    })
}

/// For how long it must be fine before it is over; `usual` is what the configuration says.
fn clear(kind: Kind, usual: SignedDuration) -> SignedDuration {
    match kind {
        // Seen once, and over when it is seen no more.
        Kind::HostRebooted | Kind::DatabaseReplaced | Kind::LetterLost => {
            SignedDuration::from_mins(10)
        }
        _ => usual,
    }
}

/// Relapses within this time make the clearing time grow.
pub(crate) const FLAP_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The clearing time never grows beyond this.
const CLEAR_AT_MOST: SignedDuration = SignedDuration::from_mins(30);

/// The clearing time after so many relapses: it doubles with each.
pub(crate) fn clear_after(kind: Kind, relapses: usize, usual: SignedDuration) -> SignedDuration {
    let once = clear(kind, usual);
    let doubled = (0..relapses.min(8)).fold(once, |time, _| time.saturating_add(time));
    doubled.min(CLEAR_AT_MOST.max(once))
}

/// How long a confirmed condition waits for others of the same cause before somebody is told.
pub(crate) fn gather(kind: Kind, severity: Severity) -> SignedDuration {
    SignedDuration::from_secs(match (kind, severity) {
        // Nothing is above these that could explain them; what stands still is only said of a
        // satellite whose database answers.
        (Kind::SatelliteDown | Kind::AcknowledgedNotFound | Kind::IngestStalled, _) => 0,
        // Whether no relay at all works is seen in the same round.
        (_, Severity::Critical) | (Kind::RelayFailing, _) => 5,
        // A site that is cut falls silent within a round of polls; the mail is promised within
        // 30 s of that, the look's own 10 s included.
        (Kind::TerminalOffline, _) => 15,
        _ => 30,
    })
}

/// How long after the end of what explained it a condition may still be over by itself, before
/// it becomes an incident of its own: terminals need time to come back.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_mins(6);

/// The same for what looks see within seconds.
pub(crate) const SOON_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Reminders of what nobody acknowledged: after half an hour, two hours, then every six.
pub(crate) fn reminder(number: u32) -> SignedDuration {
    match number {
        0 => SignedDuration::from_mins(30),
        1 => SignedDuration::from_hours(2),
        n => SignedDuration::from_hours(2)
            .saturating_add(SignedDuration::from_hours(6) * i32::try_from(n - 1).unwrap_or(1)),
    }
}

/// At most one mail in this time about an incident that grows.
pub(crate) const GROWTH: SignedDuration = SignedDuration::from_mins(30);
