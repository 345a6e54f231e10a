//! A machine that may be gone, and what stands on it.
//!
//! When a machine vanishes, satellite and databases on it fail before its own silence is long
//! enough to be told. What fails there waits until the machine was heard again, which takes half
//! a minute at most and proves that it is not the machine, or until its silence explains it.
//! A connection that was refused never waits: something on that machine refused it.

use jiff::{SignedDuration, Timestamp};

use super::Core;
use crate::config::Config;
use crate::kind::Kind;
use crate::observation::{HEARD_AT, Subject};

/// After so long without its facts a machine is silent, and that is said of itself.
const VERDICT: SignedDuration = SignedDuration::from_secs(105);

/// Where that is: the server of a store for troubles of a database, else where satellite is.
fn home<'a>(config: &'a Config, subject: &Subject, kind: Kind) -> Option<&'a str> {
    use Kind::*;
    match kind {
        DatabaseDown | DatabaseHung | DatabaseReadOnly | DatabaseSlow | Replication => {
            config.machine_of(subject)
        }
        SatelliteDown | SatelliteHang | DoorUnreachable | ProbePath | IngestStalled
        | CanarySlow | DoorFailing | BrokerFailing => config.machine_of(&Subject::Satellite),
        Blind => match subject {
            Subject::Store { .. } => config
                .machine_of(subject)
                .or_else(|| config.machine_of(&Subject::Satellite)),
            Subject::Satellite => config.machine_of(subject),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the silence of that machine explains this.
pub(super) fn explains(config: &Config, machine: &Subject, subject: &Subject, kind: Kind) -> bool {
    matches!(machine, Subject::Host { name } if home(config, subject, kind) == Some(name))
}

impl Core {
    /// Whether this may be the machine's fault and nobody knows yet: it has not been heard since
    /// this began, and is not silent for long enough to be told.
    pub(super) fn may_be_the_machine(
        &self,
        config: &Config,
        subject: &Subject,
        kind: Kind,
        now: Timestamp,
    ) -> bool {
        let Some(since) = self.conditions.get(&(subject.clone(), kind)) else {
            return false;
        };
        let waits = matches!(
            kind,
            Kind::SatelliteHang
                | Kind::DoorUnreachable
                | Kind::ProbePath
                | Kind::DatabaseDown
                | Kind::DatabaseHung
        );
        let heard_at = home(config, subject, kind)
            .filter(|_| waits)
            .and_then(|machine| self.numbers.get(&Subject::host(machine))?.get(HEARD_AT))
            .and_then(|seconds| SignedDuration::try_from_secs_f64(*seconds).ok())
            .and_then(|seconds| Timestamp::UNIX_EPOCH.checked_add(seconds).ok());
        heard_at.is_some_and(|at| at < since.wrong_since && now.duration_since(at) < VERDICT)
    }
}
