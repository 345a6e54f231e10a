//! One output's reader: look at the feed, deliver, move the cursor, over and over.
//!
//! The order is the promise. The cursor moves after the receiver has said yes and only from where
//! it was found; so whatever ends a turn (a kill, a lost database, a second reader, an operator who
//! set the cursor back) the rows come again, in their order. There is one delivery under way at a
//! time, and so the events of a terminal arrive in the order of the feed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::logging::Escaped;
use event::Millis;
use store::feed::FeedRow;
use store::outputs::{self, Key, Page, Standing, Step, Wanted};
use store::{AnyEngine, Failure};
use tokio_util::sync::CancellationToken;

use super::board::Seen;
use super::carrier::Carrier;
use super::course::{Course, Next, Verdict};
use super::edge::Wish;
use super::{Lanes, State};
use crate::clock;
use crate::config::Output;
use crate::hub::Hub;
use crate::stores::{Store, finished};

/// A reader keeps others out for so long after it last said so.
const HOLD: Duration = Duration::from_secs(60);
/// What is left of it when it says so again.
const RENEW: Duration = Duration::from_secs(30);
/// Between two looks at a feed in which this process has committed nothing: another may have.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at whether this process has committed something. Also after a delivery that was
/// not full, so that a stream of punches goes in a few deliveries a second and not in one for each,
/// with a transaction of its own.
const GLANCE: Duration = Duration::from_millis(250);
/// Rows a second while a backlog is drained, at most: what is left of the machine and of the
/// database's disk is for the terminals that punch meanwhile.
const DRAIN: u32 = 7_000;
/// Between two looks while something else than the receiver stops the output.
const STOPPED: Duration = Duration::from_secs(1);
/// How far behind a row another one is looked for.
const BEHIND: usize = 100;
/// How long others' rows may be passed without the cursor being moved.
const PASS_EVERY: Duration = Duration::from_secs(30);

/// How long so many rows take while a backlog is drained, at least.
fn share_of_a_drain(rows: usize) -> Duration {
    Duration::from_secs(1) * u32::try_from(rows).unwrap_or(u32::MAX) / DRAIN
}

/// What the next turn waits for.
enum Rest {
    /// Nothing.
    None,
    /// So long.
    For(Duration),
    /// More commits of this process than these.
    News(u64),
}

/// What a look found to do.
enum Work {
    Nothing(Rest),
    /// Rows for the receiver. The cursor was found there, and goes on to there.
    Deliver(Standing, Vec<FeedRow>, i64),
    /// Dead letters, once more.
    Revive(Vec<FeedRow>),
}

/// The reader of one output.
pub(super) struct Reader {
    hub: Arc<Hub>,
    output: Output,
    lanes: Arc<Lanes>,
    stop: CancellationToken,
    carrier: Carrier,
    course: Course,
    /// Rows of others were passed from here to there.
    passed: (i64, i64),
    passed_at: Instant,
    /// The last dead letter that was sent once more.
    revived: i64,
}

impl Reader {
    pub(super) fn new(
        hub: &Arc<Hub>,
        output: Output,
        lanes: &Arc<Lanes>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            hub: Arc::clone(hub),
            carrier: Carrier::new(output.clone()),
            course: Course::new(output.batch),
            output,
            lanes: Arc::clone(lanes),
            stop,
            passed: (0, 0),
            passed_at: Instant::now(),
            revived: 0,
        }
    }

    /// Reads until it is told to stop.
    pub(super) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let rest = self.turn().await;
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.rest(rest) => {}
            }
        }
        if let Some(store) = self.store()
            && let Err(failure) = self.release(&store).await
        {
            tracing::debug!(%failure, "an output's hold runs out by itself");
        }
    }

    fn key(&self) -> Key<'_> {
        Key {
            tenant: self.output.tenant.as_str(),
            name: &self.output.name,
        }
    }

    fn store(&self) -> Option<Store> {
        self.hub.stores.load().of(&self.output.tenant).cloned()
    }

    async fn rest(&self, rest: Rest) {
        match rest {
            Rest::None => {}
            Rest::For(pause) => tokio::time::sleep(pause).await,
            Rest::News(seen) => {
                let begun = Instant::now();
                tokio::time::sleep(GLANCE).await;
                while begun.elapsed() < LOOK_EVERY && self.commits() == seen {
                    tokio::time::sleep(GLANCE).await;
                }
            }
        }
    }

    fn commits(&self) -> u64 {
        self.store()
            .map_or(0, |store| store.writer.report().commits)
    }

    fn state(&self, state: State) {
        self.hub
            .outputs
            .note(&self.output.name, |seen| seen.state = Some(state));
    }

    async fn turn(&mut self) -> Rest {
        if self.hub.is_locked(Some(&self.output.tenant)) {
            self.state(State::Locked);
            return Rest::For(STOPPED);
        }
        let up = |store: &Store| store.writer.report().up;
        let Some(store) = self.store().filter(up) else {
            self.state(State::Store);
            return Rest::For(STOPPED);
        };
        match self.work(&store).await {
            Ok(rest) => rest,
            Err(failure) => {
                let output = self.output.name.as_str();
                tracing::debug!(output, %failure, "the feed cannot be read");
                self.state(State::Store);
                Rest::For(STOPPED)
            }
        }
    }

    async fn work(&mut self, store: &Store) -> Result<Rest, Failure> {
        let begun = Instant::now();
        let lane = self.lane(store).await;
        let mut session = store.session().await?;
        let done = self.look(session.engine(), store).await;
        let work = finished(session, done)?;
        drop(lane);
        match work {
            // The output is ours and has delivered everything.
            Work::Nothing(rest @ Rest::News(_)) => {
                let stop = self.stop.clone();
                let wish = tokio::select! {
                    () = stop.cancelled() => Wish::None,
                    wish = self.carrier.idle(&self.hub, self.passed) => wish,
                };
                self.granted(store, wish).await?;
                Ok(rest)
            }
            Work::Nothing(rest) => Ok(rest),
            Work::Deliver(standing, rows, to) => {
                let Some(verdict) = self.deliver(&rows, (standing.seq, to)).await else {
                    return Ok(Rest::None);
                };
                // As many as were asked for: more wait, also when deliveries were cut smaller.
                let is_full = rows.len() >= self.course.size();
                let next = self.course.after(verdict, rows.len());
                let Some(next) = self.tried(store, &rows, next).await? else {
                    return Ok(Rest::None);
                };
                let share = share_of_a_drain(rows.len());
                let settled = self.settle(store, &standing, (rows, to), next, is_full);
                Ok(match settled.await? {
                    Rest::None if is_full => Rest::For(share.saturating_sub(begun.elapsed())),
                    rest => rest,
                })
            }
            Work::Revive(rows) => {
                // Nothing is said of the feed as a whole: it was delivered up to where it stands.
                let Some(verdict) = self.deliver(&rows, (0, 0)).await else {
                    return Ok(Rest::None);
                };
                let next = self.course.after(verdict, rows.len());
                self.settle_dead(store, rows, next).await
            }
        }
    }

    /// Finds out whether an event at which the receiver breaks is itself at fault, where that is the
    /// question; `None` when the end began meanwhile.
    async fn tried(
        &mut self,
        store: &Store,
        rows: &[FeedRow],
        next: Next,
    ) -> Result<Option<Next>, Failure> {
        let Next::Try(why) = next else {
            return Ok(Some(next));
        };
        for (rows, wanted) in [
            (self.behind(store, rows).await?, true),
            (rows.to_vec(), false),
        ] {
            if rows.is_empty() {
                return Ok(Some(self.course.tried(false, why)));
            }
            let Some(verdict) = self.deliver(&rows, (0, 0)).await else {
                return Ok(None);
            };
            let is_so = match verdict {
                Verdict::Taken => wanted,
                Verdict::Broke(_) => !wanted,
                Verdict::Refused(_)
                | Verdict::Later(_)
                | Verdict::Partly(..)
                | Verdict::GoBack(_) => false,
            };
            if !is_so {
                return Ok(Some(self.course.tried(false, why)));
            }
        }
        Ok(Some(self.course.tried(true, why)))
    }

    /// The row behind these of which the receiver would hear, if there is one near.
    async fn behind(&self, store: &Store, rows: &[FeedRow]) -> Result<Vec<FeedRow>, Failure> {
        let Some(last) = rows.last() else {
            return Ok(Vec::new());
        };
        let wanted = Wanted {
            tenant: self.output.tenant.as_str(),
            kinds: &self.output.kinds,
            between: None,
            limit: BEHIND,
        };
        let lane = self.lane(store).await;
        let mut session = store.session().await?;
        let page = outputs::page(session.engine(), wanted, last.seq).await;
        let page = finished(session, page)?;
        drop(lane);
        let told = page.rows.into_iter().find(|row| self.carrier.tells(row));
        Ok(told.into_iter().collect())
    }

    /// A turn at the store's server.
    async fn lane(&self, store: &Store) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let server = store.target.server().unwrap_or(&store.label);
        self.lanes.of(server).acquire_owned().await.ok()
    }

    async fn look(&mut self, engine: &mut AnyEngine, store: &Store) -> Result<Work, Failure> {
        let commits = store.writer.report().commits;
        let Some(standing) = self.held(engine).await? else {
            self.state(State::Elsewhere);
            return Ok(Work::Nothing(Rest::For(LOOK_EVERY)));
        };
        if standing.is_paused {
            self.state(State::Paused);
            return Ok(Work::Nothing(Rest::For(STOPPED)));
        }
        if standing.revives {
            let (after, size) = (self.revived, self.course.size());
            let rows = outputs::dead_rows(engine, self.key(), after, size).await?;
            if !rows.is_empty() {
                return Ok(Work::Revive(rows));
            }
            outputs::set_revives(engine, self.key(), false).await?;
            self.revived = 0;
        }
        let page = self.page(engine, &standing).await?;
        if page.rows.is_empty() {
            return self.pass(engine, &standing, &page, commits).await;
        }
        let oldest = page.rows.first().map(|row| row.received_at);
        self.hub.outputs.note(&self.output.name, |seen| {
            seen.oldest = oldest;
            seen.failing_since = standing.failing_since;
            seen.trouble.clone_from(&standing.trouble);
        });
        Ok(Work::Deliver(standing, page.rows, page.up_to))
    }

    /// How the output stands, when this process may read for it.
    async fn held(&self, engine: &mut AnyEngine) -> Result<Option<Standing>, Failure> {
        let (key, now) = (self.key(), clock::now());
        let holder = self.hub.instance.as_str();
        let mut standing = outputs::standing(engine, key).await?;
        if standing.is_none() {
            outputs::begin(engine, key, self.output.from_start, now).await?;
            standing = outputs::standing(engine, key).await?;
        }
        let long = |standing: &Standing| {
            let held = standing.held.as_ref();
            held.is_some_and(|(who, until)| who == holder && *until > later(now, RENEW))
        };
        if standing.as_ref().is_some_and(long) {
            return Ok(standing);
        }
        if !outputs::hold(engine, key, holder, (now, later(now, HOLD))).await? {
            return Ok(None);
        }
        if let Some(standing) = &standing {
            self.note_counts(engine, standing).await?;
        }
        Ok(standing)
    }

    /// What costs a question of its own, as often as the hold is renewed: how many dead letters
    /// there are, and since when the oldest event waits of an output that is paused.
    async fn note_counts(
        &self,
        engine: &mut AnyEngine,
        standing: &Standing,
    ) -> Result<(), Failure> {
        let dead = outputs::dead_letters(engine, self.key()).await?;
        let dead = u64::try_from(dead).unwrap_or_default();
        let note = |seen: &mut Seen| seen.dead_letters = dead;
        self.hub.outputs.note(&self.output.name, note);
        if standing.is_paused {
            let page = self.page(engine, standing).await?;
            let oldest = page.rows.first().map(|row| row.received_at);
            let note = |seen: &mut Seen| seen.oldest = oldest;
            self.hub.outputs.note(&self.output.name, note);
        }
        Ok(())
    }

    async fn page(&self, engine: &mut AnyEngine, standing: &Standing) -> Result<Page, Failure> {
        let after = match self.passed {
            (from, to) if from == standing.seq => to,
            _ => standing.seq,
        };
        let wanted = Wanted {
            tenant: self.output.tenant.as_str(),
            kinds: &self.output.kinds,
            between: None,
            limit: self.course.size(),
        };
        outputs::page(engine, wanted, after.max(standing.seq)).await
    }

    /// Nothing for this output up to there: remembered, and now and then written down.
    async fn pass(
        &mut self,
        engine: &mut AnyEngine,
        standing: &Standing,
        page: &Page,
        commits: u64,
    ) -> Result<Work, Failure> {
        self.passed = (standing.seq, page.up_to);
        let stands = self.carrier.stands();
        self.hub.outputs.note(&self.output.name, |seen| {
            seen.state = Some(State::Fine);
            seen.oldest = None;
            (seen.failing_since, seen.trouble) = (None, None);
            if stands {
                seen.state = Some(State::Failing);
                seen.failing_since = standing.failing_since;
                seen.trouble.clone_from(&standing.trouble);
            }
        });
        if page.up_to > standing.seq && self.passed_at.elapsed() >= PASS_EVERY {
            let step = self.step(standing, page.up_to);
            outputs::pass(engine, self.key(), step).await?;
            self.passed_at = Instant::now();
        }
        Ok(Work::Nothing(if page.has_more {
            Rest::None
        } else {
            Rest::News(commits)
        }))
    }

    fn step(&self, standing: &Standing, to: i64) -> Step<'_> {
        Step {
            holder: &self.hub.instance,
            from: standing.seq,
            to,
        }
    }

    /// What the receiver says; `None` when the end began meanwhile.
    async fn deliver(&mut self, rows: &[FeedRow], span: (i64, i64)) -> Option<Verdict> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            verdict = self.carrier.deliver(&self.hub, rows, span) => Some(verdict),
        }
    }

    /// Carries out what a receiver wants that has everything.
    async fn granted(&mut self, store: &Store, wish: Wish) -> Result<(), Failure> {
        let (key, (from, _)) = (self.key(), self.passed);
        if wish == Wish::None {
            return Ok(());
        }
        let lane = self.lane(store).await;
        let mut session = store.session().await?;
        let engine = session.engine();
        let done = match wish {
            Wish::None => Ok(true),
            Wish::Revive => outputs::set_revives(engine, key, true).await,
            Wish::GoBack(to) => {
                let holder = &self.hub.instance;
                outputs::pass(engine, key, Step { holder, from, to }).await
            }
            Wish::Stands(why) => {
                let noted = outputs::failing(engine, key, &why, clock::now()).await;
                noted.map(|()| true)
            }
            Wish::Goes => {
                let (holder, to) = (self.hub.instance.as_str(), from);
                let step = Step { holder, from, to };
                outputs::delivered(engine, key, step, (0, clock::now())).await
            }
        };
        finished(session, done)?;
        drop(lane);
        Ok(())
    }

    /// Writes down what came of a delivery.
    async fn settle(
        &mut self,
        store: &Store,
        standing: &Standing,
        (rows, to): (Vec<FeedRow>, i64),
        next: Next,
        is_full: bool,
    ) -> Result<Rest, Failure> {
        let lane = self.lane(store).await;
        let mut session = store.session().await?;
        let engine = session.engine();
        let now = clock::now();
        let done = match &next {
            // What was tried has been told already.
            Next::Narrow | Next::Try(_) => Ok(true),
            Next::Advance => {
                let step = self.step(standing, to);
                outputs::delivered(engine, self.key(), step, (rows.len(), now)).await
            }
            Next::Bury(why) => {
                let step = self.step(standing, to);
                outputs::bury(engine, self.key(), step, &rows, (why, now)).await
            }
            Next::Wait(_, why) => self.failed(engine, standing, &rows, (why, now)).await,
            Next::Part(back, why) => {
                let step = self.step(standing, to);
                let told = (why.as_str(), now);
                self.part(engine, step, (&rows, back), told).await
            }
            Next::GoBack(back) => {
                let step = self.step(standing, *back);
                outputs::pass(engine, self.key(), step).await
            }
        };
        let moved = finished(session, done)?;
        drop(lane);
        if moved {
            self.count(&next, rows.len());
        }
        Ok(match next {
            Next::Wait(pause, why) => {
                self.tell(standing, &why);
                Rest::For(pause)
            }
            Next::Advance if !is_full => Rest::For(GLANCE),
            _ => Rest::None,
        })
    }

    /// Puts some of the rows among the dead letters; the others were delivered.
    async fn part(
        &self,
        engine: &mut AnyEngine,
        step: Step<'_>,
        (rows, back): (&[FeedRow], &[i64]),
        (why, now): (&str, Millis),
    ) -> Result<bool, Failure> {
        let dead = rows.iter().filter(|row| back.contains(&row.seq));
        let dead: Vec<FeedRow> = dead.cloned().collect();
        if !outputs::bury(engine, self.key(), step, &dead, (why, now)).await? {
            return Ok(false);
        }
        let there = Step {
            from: step.to,
            ..step
        };
        let delivered = (rows.len() - dead.len(), now);
        outputs::delivered(engine, self.key(), there, delivered).await
    }

    /// Notes a failure; rows that were tried for too long go to the dead letters.
    async fn failed(
        &self,
        engine: &mut AnyEngine,
        standing: &Standing,
        rows: &[FeedRow],
        (why, now): (&str, Millis),
    ) -> Result<bool, Failure> {
        outputs::failing(engine, self.key(), why, now).await?;
        let overdue = overdue(rows, standing, now, self.output.give_up_after);
        let Some(last) = overdue.last() else {
            return Ok(true);
        };
        let output = self.output.name.as_str();
        tracing::error!(
            output,
            events = overdue.len(),
            "events were tried for too long and are dead letters now"
        );
        let step = self.step(standing, last.seq);
        self.metric_dead(overdue.len());
        outputs::bury(engine, self.key(), step, overdue, (why, now)).await
    }

    async fn settle_dead(
        &mut self,
        store: &Store,
        mut rows: Vec<FeedRow>,
        next: Next,
    ) -> Result<Rest, Failure> {
        let last = rows.last().map_or(self.revived, |row| row.seq);
        match next {
            Next::Narrow => return Ok(Rest::None),
            Next::Wait(pause, why) => {
                tracing::debug!(output = %self.output.name, why, "dead letters do not get through");
                return Ok(Rest::For(pause));
            }
            // It stays where it is, and the next ones have their turn.
            Next::Bury(_) | Next::Try(_) | Next::GoBack(_) => {}
            Next::Advance | Next::Part(..) => {
                if let Next::Part(back, _) = &next {
                    rows.retain(|row| !back.contains(&row.seq));
                }
                let lane = self.lane(store).await;
                let mut session = store.session().await?;
                let key = self.key();
                let done = outputs::settle(session.engine(), key, &rows, clock::now()).await;
                finished(session, done)?;
                drop(lane);
                self.count(&Next::Advance, rows.len());
            }
        }
        self.revived = last;
        Ok(Rest::None)
    }

    async fn release(&self, store: &Store) -> Result<(), Failure> {
        let mut session = store.session().await?;
        let done = outputs::release(session.engine(), self.key(), &self.hub.instance).await;
        finished(session, done)
    }

    fn labels(&self) -> [&str; 2] {
        [self.output.tenant.as_str(), &self.output.name]
    }

    fn metric_dead(&self, events: usize) {
        let dead = &self.hub.metrics.output_dead;
        dead.with_label_values(&self.labels()).inc_by(events as u64);
    }

    fn count(&self, next: &Next, events: usize) {
        let metrics = &self.hub.metrics;
        match next {
            Next::Advance => {
                let sent = metrics.output_events.with_label_values(&self.labels());
                sent.inc_by(events as u64);
                self.state(State::Fine);
            }
            Next::Bury(why) => {
                let output = self.output.name.as_str();
                tracing::error!(
                    output,
                    why,
                    "the receiver refuses an event; it is a dead letter now"
                );
                self.metric_dead(events);
            }
            Next::Part(back, why) => {
                let output = self.output.name.as_str();
                tracing::warn!(
                    output,
                    why = %Escaped(why),
                    events = back.len(),
                    "events wait for what the other satellite does not take yet"
                );
                let sent = metrics.output_events.with_label_values(&self.labels());
                sent.inc_by((events - back.len().min(events)) as u64);
                self.state(State::Fine);
            }
            Next::GoBack(to) => {
                let output = self.output.name.as_str();
                tracing::warn!(
                    output,
                    to,
                    "the receiver holds less than it did; everything since then goes once more"
                );
            }
            Next::Wait(..) => {
                let failures = metrics.output_failures.with_label_values(&self.labels());
                failures.inc();
            }
            Next::Narrow | Next::Try(_) => {}
        }
    }

    /// Says once that an output has begun to fail.
    fn tell(&self, standing: &Standing, why: &str) {
        let since = standing.failing_since.unwrap_or_else(clock::now);
        if standing.failing_since.is_none() {
            let output = self.output.name.as_str();
            tracing::warn!(
                output,
                why,
                "the receiver does not take events; they wait in the feed"
            );
        }
        self.hub.outputs.note(&self.output.name, |seen| {
            seen.state = Some(State::Failing);
            seen.failing_since = Some(since);
            seen.trouble = Some(why.to_owned());
        });
    }
}

fn later(now: Millis, by: Duration) -> Millis {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Millis(now.0.saturating_add(by))
}

/// The rows at the head that came so long ago, when nothing has got through for as long. An output
/// that begins with old rows does not lose them to its first failure.
fn overdue<'a>(
    rows: &'a [FeedRow],
    standing: &Standing,
    now: Millis,
    limit: Duration,
) -> &'a [FeedRow] {
    let old = |since: Millis| later(since, limit) <= now;
    if !standing.failing_since.is_some_and(old) {
        return &[];
    }
    let count = rows.iter().take_while(|row| old(row.received_at)).count();
    rows.get(..count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::shape::sample;
    use super::*;

    #[test]
    fn rows_are_given_up_only_when_they_and_the_failure_are_old() {
        let hour = Duration::from_secs(3600);
        let rows: Vec<FeedRow> = [0, 1_000, 5_000_000]
            .into_iter()
            .zip(1..)
            .map(|(at, seq)| FeedRow {
                received_at: Millis(at),
                ..sample(seq)
            })
            .collect();
        let standing = |failing_since| Standing {
            seq: 0,
            is_paused: false,
            revives: false,
            held: None,
            failing_since,
            trouble: None,
            delivered: 0,
            delivered_at: None,
        };
        let given_up = |failing: Option<i64>, now| {
            overdue(&rows, &standing(failing.map(Millis)), Millis(now), hour).len()
        };
        assert_eq!(given_up(None, 10_000_000), 0);
        assert_eq!(given_up(Some(9_000_000), 10_000_000), 0);
        assert_eq!(given_up(Some(0), 3_599_999), 0);
        assert_eq!(given_up(Some(0), 3_600_000), 1);
        assert_eq!(given_up(Some(0), 3_601_000), 2);
        assert_eq!(given_up(Some(0), 8_599_999), 2);
    }
}
