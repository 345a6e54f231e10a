//! What can be wrong: a fixed vocabulary, each word with its class and its usual severity.
//!
//! The words stand in incidents, metrics, mails' identities and reports for years: they are
//! added, never renamed. Texts for people are elsewhere; nothing here is shown as it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The contingency class of an incident, from the customer's contingency plan. Each has a
/// promised recovery time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The client's own application.
    App,
    /// satellite, the interface to the terminals, and the terminals.
    Component,
    /// A database.
    Database,
    /// A machine.
    Host,
    /// Something that looks like an attack.
    Security,
    /// The way by which alerts leave.
    Mail,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::App,
        Self::Component,
        Self::Database,
        Self::Host,
        Self::Security,
        Self::Mail,
    ];

    /// The word in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Component => "component",
            Self::Database => "database",
            Self::Host => "host",
            Self::Security => "security",
            Self::Mail => "mail",
        }
    }

    /// The class of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No mail of its own; it stands in the daily mail and in the check list.
    Notice,
    /// Somebody must look at it within hours.
    Warning,
    /// Events are not stored, or nobody would hear of it: somebody must act now.
    Critical,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Notice, Self::Warning, Self::Critical];

    /// The word in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $word:literal $class:ident $severity:ident;)+) => {
        /// What is wrong, in one word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $name,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in tables, metrics and letters.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// Its contingency class.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),+ }
            }

            /// How bad it usually is; a [`Trouble`](crate::Trouble) may say otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }
        }
    };
}

kinds! {
    // What the rule table says of satellite from several signals; looks hand in signals and
    // never these.
    /// The process of satellite does not run.
    SatelliteDown "satellite_down" Component Critical;
    /// It runs and answers nothing.
    SatelliteHang "satellite_hang" Component Critical;
    /// Work waits at it and nothing is committed, although the database works.
    IngestStalled "ingest_stalled" Component Critical;
    /// A punch was acknowledged and its row is not there. The worst of all.
    AcknowledgedNotFound "acknowledged_not_found" Component Critical;
    /// The public address for terminals does not take punches.
    DoorUnreachable "door_unreachable" Component Critical;
    /// Looks fail while rows of real terminals flow: the watch is broken, not the watched.
    ProbePath "probe_path" Component Warning;

    // satellite.
    /// satellite starts again and again.
    SatelliteRestarts "satellite_restarts" Component Warning;
    /// The canary's punch arrives late.
    CanarySlow "canary_slow" Component Warning;
    /// One door for terminals takes no canary's punch while another does. No warning that waits for
    /// the morning: nothing that comes by that door is stored, and the interface to a make is promised
    /// back within hours at any time of the day, which such a wait would have used up.
    DoorFailing "door_failing" Component Critical;
    /// A canary's punch does not get through a broker. As bad, for the same reason.
    BrokerFailing "broker_failing" Component Critical;
    /// Events wait in satellite's journal for their database. Waiting, never missing.
    JournalGrowing "journal_growing" Component Warning;
    /// Records that could not be read pile up.
    QuarantineGrowing "quarantine_growing" Component Warning;
    /// Refusals rise.
    RejectsRising "rejects_rising" Component Warning;

    // Databases.
    /// It cannot be reached.
    DatabaseDown "database_down" Database Critical;
    /// It takes connections and does not answer.
    DatabaseHung "database_hung" Database Critical;
    /// It takes no writes.
    DatabaseReadOnly "database_read_only" Database Critical;
    /// Its disk is full.
    DatabaseFull "database_full" Database Critical;
    /// A commit no longer survives a power cut.
    DurabilityWeak "durability_weak" Database Critical;
    /// It answers late.
    DatabaseSlow "database_slow" Database Warning;
    /// Its connections run out.
    DatabaseConnections "database_connections" Database Warning;
    /// A replica is behind or has stopped, or a cluster is not whole.
    Replication "replication" Database Warning;
    /// Another server, or an older copy, answers at its address.
    DatabaseReplaced "database_replaced" Database Warning;
    /// Its newest backup is nearly as old as promised at most.
    BackupOld "backup_old" Database Warning;
    /// Its newest backup is older than promised.
    BackupOverdue "backup_overdue" Database Critical;
    /// Its last backup was not made, or not everywhere.
    BackupFailed "backup_failed" Database Warning;
    /// No backup of the last time was proven by restoring it.
    BackupUnverified "backup_unverified" Database Warning;
    /// The binary log behind its backup is shipped no more.
    BackupLog "backup_log" Database Warning;
    /// Its backups are in one place only.
    BackupOneDisk "backup_one_disk" Database Warning;
    /// Its newest backup is much smaller or larger than the one before.
    BackupSize "backup_size" Database Warning;

    // Machines.
    /// Nothing is heard of a machine.
    HostSilent "host_silent" Host Critical;
    /// Its processors are busy without end, or work queues before them.
    HostCpu "host_cpu" Host Warning;
    /// Its memory runs out.
    HostMemory "host_memory" Host Warning;
    /// It swaps.
    HostSwap "host_swap" Host Warning;
    /// A disk will be full before long.
    DiskFilling "disk_filling" Host Warning;
    /// A disk is full or nearly.
    DiskFull "disk_full" Host Critical;
    /// The kernel lets nothing be written to a disk any more.
    DiskReadOnly "disk_read_only" Host Critical;
    /// A file system runs out of inodes.
    InodesLow "inodes_low" Host Warning;
    /// A network interface is down or loses much.
    HostNetwork "host_network" Host Warning;
    /// Its clock is not synchronised.
    ClockUnsynchronised "clock_unsynchronised" Host Warning;
    /// It started again.
    HostRebooted "host_rebooted" Host Warning;
    /// Another sentinel is silent.
    PeerSilent "peer_silent" Host Critical;
    /// Sentinel cannot write its own file.
    SentinelDisk "sentinel_disk" Host Critical;
    /// A look has known nothing for a long time.
    Blind "blind" Component Warning;

    // The client's application.
    /// It does not work.
    ApplicationDown "application_down" App Critical;
    /// It works in part.
    ApplicationPartial "application_partial" App Warning;

    // Terminals.
    /// A terminal no longer speaks to us.
    TerminalOffline "terminal_offline" Component Warning;
    /// A terminal speaks, and the punches usual at this hour are missing.
    TerminalSilent "terminal_silent" Component Warning;
    /// Its clock is wrong.
    ClockSkew "clock_skew" Component Warning;
    /// Its log is nearly full.
    LogFilling "log_filling" Component Warning;
    /// Events are missing and could not be fetched.
    GapOpen "gap_open" Component Warning;
    /// One serial speaks from two places at once.
    DuplicateSerial "duplicate_serial" Security Warning;
    /// Terminals that nobody enrolled send records.
    UnknownTerminals "unknown_terminals" Security Warning;
    /// Terminals that were shut out, or prove nothing, go on trying.
    RefusedTerminals "refused_terminals" Security Warning;
    /// Many different tokens or serials are tried.
    UnderAttack "under_attack" Security Warning;
    /// Somebody put satellite into lockdown: commands, enrolments and outputs are stopped.
    Lockdown "lockdown" Security Warning;

    // Programs that events are carried on to.
    /// Events do not reach the program that satellite carries them on to.
    OutputStanding "output_standing" App Warning;
    /// Events that such a program did not take.
    OutputDeadLetters "output_dead_letters" App Warning;
    /// satellite takes nothing in from a broker on which it should listen. As bad as a canary that does
    /// not get through it.
    InputStanding "input_standing" Component Critical;

    // Certificates and the mail path.
    /// A certificate ends soon.
    CertificateExpiring "certificate_expiring" Component Warning;
    /// A certificate has ended or is not accepted.
    CertificateBad "certificate_bad" Component Critical;
    /// Letters wait too long.
    MailQueue "mail_queue" Mail Critical;
    /// A relay fails and another works.
    RelayFailing "relay_failing" Mail Warning;
    /// No relay takes mail.
    MailDown "mail_down" Mail Critical;
    /// Test mail does not come back.
    MailRoundTrip "mail_round_trip" Mail Critical;
    /// A letter was given up.
    LetterLost "letter_lost" Mail Critical;
}

impl Kind {
    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| serde::de::Error::custom("an unknown kind"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_back_to_its_kind_and_is_fit_for_a_metric() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.as_str()), Some(*kind));
            let plain = |b: u8| b.is_ascii_lowercase() || b == b'_';
            assert!(kind.as_str().bytes().all(plain), "{kind}");
        }
        for class in Class::ALL {
            assert_eq!(Class::from_word(class.as_str()), Some(class));
        }
        for severity in Severity::ALL {
            assert_eq!(Severity::from_word(severity.as_str()), Some(severity));
        }
    }
}
