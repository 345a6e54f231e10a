//! The event itself, and what becomes of records that could not be read.
//!
//! Field names are the names of the columns of `event_feed`. Absent is `None`, never an empty
//! text or a zero.

use std::fmt;

use bytes::Bytes;

use crate::{Ident, Millis, Resolved, Text};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands in databases, commands and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value of that word, if there is one.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// What sort of event it is.
    Kind {
        /// A row of an attendance log, or an authentication of a person with an attendance status.
        Punch = "punch",
        /// Any other door or authentication result.
        Access = "access",
        /// An alarm or a camera's detection.
        Alarm = "alarm",
        /// What an operator did at the terminal.
        Operation = "operation",
        /// The state of a device or of the feed.
        Device = "device",
        /// Anything else.
        Other = "other",
    }
);

words!(
    /// How the stored row came first.
    Route {
        /// The terminal sent it by itself.
        Push = "push",
        /// Read over the terminal's binary protocol.
        Pull = "pull",
        /// Read from a live stream that we opened.
        Stream = "stream",
        /// Posted by a device to a listening address.
        Listen = "listen",
        /// Read by a search.
        Poll = "poll",
        /// Came from a message broker.
        Mqtt = "mqtt",
        /// Came from another satellite.
        Edge = "edge",
        /// Asked for again, after a gap or an outage.
        Backfill = "backfill",
    }
);

words!(
    /// How old the event was when it came.
    Timeliness {
        /// At most 60 seconds old.
        Live = "live",
        /// More than 60 seconds old.
        Late = "late",
        /// More than 24 hours old, or called replayed by the device itself.
        Historic = "historic",
    }
);

words!(
    /// What is known of the clock that stamped the event.
    ClockFlag {
        /// Nothing speaks against it.
        Ok = "ok",
        /// The wall time happens twice or not at all in its zone.
        Ambiguous = "ambiguous",
        /// Before 2015, or more than 24 hours ahead of ours.
        Suspect = "suspect",
    }
);

words!(
    /// Which way the person went, only where the dialect makes it certain.
    Direction {
        /// Into the place.
        In = "in",
        /// Out of the place.
        Out = "out",
    }
);

words!(
    /// What can be said of the events of a terminal; never better than the truth.
    Completeness {
        /// Every record up to the newest is stored, or counted as gone from the terminal.
        Proven = "proven",
        /// Gaps are seen, and are open, or cannot be fetched or asked about.
        Seen = "seen",
        /// The terminal gives nothing to count by.
        Unproven = "unproven",
    }
);

words!(
    /// Why a record stands in quarantine instead of among the events.
    Reason {
        /// The record could not be read at all.
        Unreadable = "unreadable",
        /// A time that no calendar has, or none at all.
        BadTime = "bad_time",
        /// A person, card or code that is missing, or longer than any terminal's.
        BadField = "bad_field",
        /// The text is not valid in any character set that its terminal may use.
        BadText = "bad_text",
        /// A table that we do not know.
        UnknownTable = "unknown_table",
        /// A terminal that another one speaks for and that is not approved.
        UnknownTerminal = "unknown_terminal",
        /// Same person and second as a stored punch, by the same route, with another status
        /// or verify mode.
        SameSecond = "same_second",
        /// Same identity as a stored event, with another person or time.
        Conflict = "conflict",
        /// The database refused this one row.
        StoreRefused = "store_refused",
    }
);

impl Timeliness {
    /// Places an event that happened at `at` and came at `received`.
    pub fn of(at: Millis, received: Millis) -> Self {
        let age = received.0.saturating_sub(at.0);
        if age > 24 * 3_600_000 {
            Self::Historic
        } else if age > 60_000 {
            Self::Late
        } else {
            Self::Live
        }
    }
}

impl ClockFlag {
    /// 2015-01-01 00:00:00 UTC: no terminal in service has honest records before it.
    const FIRST_PLAUSIBLE: Millis = Millis(1_420_070_400_000);

    /// Judges a resolved wall time against the moment of receipt.
    pub fn of(resolved: Resolved, received: Millis) -> Self {
        let ahead = resolved.at.0.saturating_sub(received.0);
        if resolved.at < Self::FIRST_PLAUSIBLE || ahead > 24 * 3_600_000 {
            Self::Suspect
        } else if resolved.ambiguous {
            Self::Ambiguous
        } else {
            Self::Ok
        }
    }
}

/// One event, ready to be stored. The device it belongs to stands beside it, not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What makes it the same event as another.
    pub ident: Ident,
    /// What sort of event it is.
    pub kind: Kind,
    /// Who: the PIN or employee number as sent, leading zeros kept.
    pub person: Option<Text>,
    /// The card as sent.
    pub card: Option<Text>,
    /// The terminal's own wall-clock text.
    pub local_time: Option<Text>,
    /// The UTC that the wall time maps to; `None` when it cannot be known.
    pub occurred_at: Option<Millis>,
    /// When we received it, by our clock.
    pub received_at: Millis,
    /// The device's own punch status.
    pub status_code: Option<Text>,
    /// The device's own verify mode.
    pub verify_code: Option<Text>,
    /// The device's own event code, `major/minor` where it has two.
    pub vendor_code: Option<Text>,
    /// Which way, only where certain.
    pub direction: Option<Direction>,
    /// Which door, as sent.
    pub door: Option<Text>,
    /// How it came.
    pub route: Route,
    /// How old it was when it came.
    pub timeliness: Timeliness,
    /// What is known of its clock.
    pub clock: ClockFlag,
    /// Everything else, as a JSON object; `None` when there is nothing else.
    pub attributes: Option<String>,
    /// The record's own bytes, without pictures.
    pub raw: Bytes,
}

impl Event {
    /// Longest `person` or `card` accepted, in bytes. ZKTeco PINs end at 24, Hikvision
    /// employee numbers at 32.
    pub const PERSON_LIMIT: usize = 64;
    /// Longest code or door text accepted, in bytes.
    pub const CODE_LIMIT: usize = 32;
    /// Longest `raw` kept in an event, in bytes. Attendance records are far below it; a longer
    /// one is quarantined.
    pub const RAW_LIMIT: usize = 256 * 1024;
    /// Longest `attributes` text, in bytes.
    pub const ATTRIBUTES_LIMIT: usize = 60 * 1024;
}

/// A record that could not become an event. It is committed raw and acknowledged, because a
/// refused line would make its terminal send it for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantined {
    /// Why.
    pub reason: Reason,
    /// What the reader said, for people; at most a few hundred characters.
    pub detail: Text,
    /// Where it stood: the protocol's own word, for example the table name `ATTLOG`. Replaying
    /// starts from it.
    pub source: Text,
    /// How it came.
    pub route: Route,
    /// When we received it.
    pub received_at: Millis,
    /// The record's bytes.
    pub raw: Bytes,
}

impl Quarantined {
    /// Longest `raw` kept, in bytes; what is longer is cut there and `detail` says so.
    pub const RAW_LIMIT: usize = 256 * 1024;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WallTime, Zone};

    const HOUR: i64 = 3_600_000;

    #[test]
    fn age_decides_live_late_and_historic() {
        let now = Millis(1_795_000_000_000);
        let at = |age| Timeliness::of(Millis(now.0 - age), now);
        assert_eq!(at(60_000), Timeliness::Live);
        assert_eq!(at(60_001), Timeliness::Late);
        assert_eq!(at(24 * HOUR), Timeliness::Late);
        assert_eq!(at(24 * HOUR + 1), Timeliness::Historic);
        assert_eq!(at(-5 * HOUR), Timeliness::Live);
    }

    #[test]
    fn a_clock_before_2015_or_a_day_ahead_is_suspect() {
        let zone = Zone::utc();
        let now = Millis::parse("2026-11-21 10:00:00").unwrap();
        let flag = |text: &str| {
            ClockFlag::of(
                zone.resolve(&WallTime::parse(text.as_bytes()).unwrap()),
                now,
            )
        };
        assert_eq!(flag("2000-01-01 00:00:10"), ClockFlag::Suspect);
        assert_eq!(flag("2014-12-31 23:59:59"), ClockFlag::Suspect);
        assert_eq!(flag("2015-01-01 00:00:00"), ClockFlag::Ok);
        assert_eq!(flag("2026-11-22 10:00:00"), ClockFlag::Ok);
        assert_eq!(flag("2026-11-22 10:00:01"), ClockFlag::Suspect);
    }

    #[test]
    fn every_word_reads_back() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), Some(reason));
        }
        assert_eq!(Route::from_word("push"), Some(Route::Push));
        assert_eq!(Kind::from_word("nothing"), None);
    }
}
