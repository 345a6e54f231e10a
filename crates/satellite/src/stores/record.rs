//! What a store is asked, and told, about the completeness of terminals' records: windows that
//! are missing, up to when a record is whole, how many punches are stored.
//!
//! Small statements beside the writer, each in a session of its own. Nothing here decides what
//! is missing, and nothing here stores an event.

use std::collections::HashMap;

use event::{DeviceId, Millis, Text, WallTime};
use store::assurance::{self, Assured, Missing, WindowState};
use store::{AnyEngine, Failure, Want, census};

use super::{ASK_WITHIN, Store, finished};
use crate::clock;

/// Records that a terminal no longer holds and that were never stored.
pub(crate) struct Lost<'a> {
    pub(crate) device: DeviceId,
    /// The loss lies after this, if nothing better is known.
    pub(crate) not_before: Millis,
    /// How many; `None` when nobody can say.
    pub(crate) count: Option<u64>,
    pub(crate) detail: &'a str,
}

/// What a store holds from before its present epoch.
pub(crate) struct Copy {
    /// When its last row was received.
    pub(crate) last_row: Option<Millis>,
    /// When the newest event of each terminal happened, as it was last noted.
    pub(crate) last_events: HashMap<DeviceId, Millis>,
}

impl Store {
    /// Writes down a loss: it lies between the moment to which the terminal's record was known
    /// to be whole, and now.
    pub(crate) async fn note_lost(&self, lost: &Lost<'_>) -> Result<(), Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = note_lost(session.engine(), lost, clock::now()).await;
        finished(session, done)
    }

    /// What stands here from before the present epoch.
    pub(crate) async fn before_epoch(&self) -> Result<Copy, Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = before_epoch(session.engine()).await;
        finished(session, done)
    }

    /// Up to when the record of each terminal of this database is whole, and its windows that
    /// are not closed.
    pub(crate) async fn all_assured(
        &self,
    ) -> Result<HashMap<DeviceId, (Option<Millis>, Vec<Missing>)>, Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = all_assured(session.engine()).await;
        finished(session, done)
    }

    /// Writes down up to when a terminal's record is whole.
    pub(crate) async fn assure(&self, device: DeviceId, it: &Assured) -> Result<(), Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = assurance::write(session.engine(), device, it).await;
        finished(session, done)
    }

    /// Writes windows down.
    pub(crate) async fn note_missing(&self, windows: &[Missing]) -> Result<(), Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = assurance::note(session.engine(), windows).await;
        finished(session, done)
    }

    /// Closes the windows of a terminal that lie in that span: they have come.
    pub(crate) async fn close_missing(
        &self,
        device: DeviceId,
        (from, to): (Millis, Millis),
    ) -> Result<(), Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let now = clock::now();
        let done = assurance::close(session.engine(), device, (from, to), now).await;
        finished(session, done)
    }

    /// Punches of a terminal that are stored, by its own wall clock, both ends included.
    pub(crate) async fn punches(
        &self,
        device: DeviceId,
        (from, to): (WallTime, WallTime),
    ) -> Result<u64, Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let span = (from.to_string(), to.to_string());
        let done = census::of_terminal(session.engine(), device, (&span.0, &span.1)).await;
        finished(session, done)
    }
}

async fn all_assured(
    engine: &mut AnyEngine,
) -> Result<HashMap<DeviceId, (Option<Millis>, Vec<Missing>)>, Failure> {
    let mut found: HashMap<DeviceId, (Option<Millis>, Vec<Missing>)> = HashMap::new();
    for (device, complete_to) in assurance::all_complete_to(engine).await? {
        found.entry(device).or_default().0 = complete_to;
    }
    for window in assurance::missing(engine, None).await? {
        found.entry(window.device).or_default().1.push(window);
    }
    Ok(found)
}

async fn before_epoch(engine: &mut AnyEngine) -> Result<Copy, Failure> {
    let epoch = store::feed::head(engine).await?.epoch();
    let last_row = census::last_received(engine, epoch << store::feed::EPOCH_BITS).await?;
    let last_events = store::status::last_events(engine).await?;
    Ok(Copy {
        last_row,
        last_events: last_events.into_iter().collect(),
    })
}

async fn note_lost(engine: &mut AnyEngine, lost: &Lost<'_>, now: Millis) -> Result<(), Failure> {
    let whole_to = assurance::complete_to(engine, lost.device).await?;
    let begins_at = whole_to.unwrap_or(lost.not_before);
    let known = assurance::missing(engine, Some(lost.device)).await?;
    let same = known
        .iter()
        .find(|window| window.begins_at == begins_at && window.state == WindowState::Lost);
    let more = lost.count.and_then(|count| i64::try_from(count).ok());
    let before = same.map(|window| window.device_count);
    let window = Missing {
        device: lost.device,
        begins_at,
        ends_at: now,
        state: WindowState::Lost,
        device_count: match (before, more) {
            (Some(None), _) | (_, None) => None,
            (Some(Some(before)), Some(more)) => Some(before.saturating_add(more)),
            (None, more) => more,
        },
        stored_count: None,
        detail: Text::new(lost.detail),
        found_at: now,
        changed_at: now,
    };
    assurance::note(engine, &[window]).await
}
