//! `[[tenant]] keep`: how long records are kept before `satellite db retention --configured` archives
//! and empties them.
//!
//! There is no default on purpose: how long attendance has to be kept is the law's and the client's
//! matter, and what is not named is kept for ever.

use std::time::Duration;

use daemon::config::{ConfigError, Source, Span};
use event::Kind;
use serde::Deserialize;
use store::retention::Class;

/// The shortest time: terminals and readers may still be busy with what is younger.
pub const SHORTEST: Duration = Duration::from_secs(30 * 86_400);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeep {
    punch: Option<Span>,
    access: Option<Span>,
    alarm: Option<Span>,
    operation: Option<Span>,
    device: Option<Span>,
    other: Option<Span>,
    quarantine: Option<Span>,
}

impl RawKeep {
    /// Every class that is named, with its time.
    pub(super) fn checked(
        self,
        source: &Source,
        table: &str,
    ) -> Result<Vec<(Class, Duration)>, ConfigError> {
        let named = [
            (Class::Events(Kind::Punch), self.punch),
            (Class::Events(Kind::Access), self.access),
            (Class::Events(Kind::Alarm), self.alarm),
            (Class::Events(Kind::Operation), self.operation),
            (Class::Events(Kind::Device), self.device),
            (Class::Events(Kind::Other), self.other),
            (Class::Quarantine, self.quarantine),
        ];
        let named = named
            .into_iter()
            .filter_map(|(class, span)| Some((class, span?.0)));
        let checked = |(class, time): (Class, Duration)| {
            if time >= SHORTEST {
                return Ok((class, time));
            }
            let message = ("must be at least 30d", "debe ser al menos 30d");
            Err(source.error(&format!("{table}.{}", class.as_str()), message))
        };
        named.map(checked).collect()
    }
}
