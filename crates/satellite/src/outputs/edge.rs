//! Events and what is known of terminals to the satellite that this one is an edge of.
//!
//! One POST takes the next part of the feed; it counts as taken only when the answer, which must be
//! a satellite's, says that all of it is held. Between events the same POST says every few seconds how
//! the terminals do and what can be claimed of their records; a claim goes out only with, or after,
//! the last row that it speaks of. Three things are not failures: terminals that are not approved over
//! there (their rows become dead letters here and go once more by themselves when they are), a
//! database over there that holds less than it once did (the cursor goes back to what it has), and
//! a batch that is too long (it is halved). What must never happen here: a row passed over because
//! something answered that is not the other satellite.

mod statement;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use event::Millis;
use fetch::{Answer as Reply, Failed, Fetch, Trust};
use serde_json::Value;
use store::feed::{self, FeedRow};
use store::outputs::{self, Key};
use store::{AnyEngine, Failure};

use super::course::Verdict;
use crate::clock;
use crate::config::{Edge, Output};
use crate::edge::PATH;
use crate::edge::wire::{Answer, Aside, Batch, Carried, SCHEMA, Statement, Terminal};
use crate::hex::hex;
use crate::hub::Hub;
use crate::stores::{Store, finished};

/// Longest that the other satellite may take for one batch: above the time in which it answers that
/// its database is away.
const WITHIN: Duration = Duration::from_secs(25);
/// Bytes of an answer that are read.
const ANSWER: usize = 1 << 20;
/// How often terminals are told of.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A record in quarantine is handed on when nobody has dealt with it for so long: most are settled
/// by the next list of people.
const ASIDE_AFTER: i64 = 60_000;
/// Records of the quarantine in one batch.
const ASIDE: usize = 50;
/// What the cursor over the quarantine is called.
const ASIDE_CURSOR: &str = "edge.quarantine";

/// What a 404 means.
const NO_TOKEN: &str = "the token is not known there, or is no edge's";

/// What is done next about an output that has nothing to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    None,
    /// Its dead letters go once more.
    Revive,
    /// The cursor goes back to there: the other database holds no more than that.
    GoBack(i64),
    /// It is failing, for this reason.
    Stands(String),
    /// It fails no more.
    Goes,
}

/// What is kept between two batches. All of it may be lost at any moment.
#[derive(Default)]
pub(super) struct Link {
    trust: Option<Trust>,
    /// The name of this database.
    feed: Option<String>,
    /// When terminals were last told of.
    told: Option<Instant>,
    /// Statements that wait for the rows they speak of.
    ready: Option<Ready>,
}

/// Statements, true for whoever has every row up to that number.
struct Ready {
    covers: i64,
    terminals: Vec<Statement>,
    /// Terminals of which there are dead letters.
    dead: BTreeSet<Terminal>,
}

/// A batch that was answered, or why not.
enum Done {
    Held(Answer),
    GoBack(i64),
    Not(Verdict),
}

/// Hands over the rows, which are everything above `from` and up to `to`.
pub(super) async fn deliver(
    link: &mut Link,
    (edge, output): (&Edge, &Output),
    hub: &Hub,
    (rows, from, to): (&[FeedRow], i64, i64),
) -> Verdict {
    let batch = match filled(link, output, hub, (rows, from, to)).await {
        Ok(batch) => batch,
        Err(failure) => return Verdict::Later(format!("our own database: {failure}")),
    };
    match send(link, edge, &batch).await {
        Done::Held(answer) => {
            let held = |row: &&FeedRow| is_held(row, &answer.held_back);
            let back: Vec<i64> = rows.iter().filter(held).map(|row| row.seq).collect();
            if back.is_empty() {
                return Verdict::Taken;
            }
            let some: Vec<&str> = answer
                .held_back
                .iter()
                .map(|it| it.serial.as_str())
                .collect();
            Verdict::Partly(back, format!("not approved there: {}", some.join(", ")))
        }
        Done::GoBack(have) => Verdict::GoBack(have),
        // Half as many may fit; one alone is waited for, because nothing of an edge is given up.
        Done::Not(Verdict::Refused(why)) if rows.len() < 2 => Verdict::Later(why),
        Done::Not(verdict) => {
            link.told = None;
            verdict
        }
    }
}

/// While there is nothing to deliver: how the terminals do, and what stands in quarantine. Everything
/// up to `to` was delivered or is nobody's.
pub(super) async fn tell(
    link: &mut Link,
    (edge, output): (&Edge, &Output),
    hub: &Hub,
    (from, to): (i64, i64),
) -> Wish {
    if link.told.is_some_and(|at| at.elapsed() < TELL_EVERY) && link.ready.is_none() {
        return Wish::None;
    }
    let told = tell_all(link, (edge, output), hub, (from, to)).await;
    told.unwrap_or_else(|failure| {
        tracing::debug!(%failure, "an edge cannot read its own database");
        Wish::None
    })
}

async fn tell_all(
    link: &mut Link,
    (edge, output): (&Edge, &Output),
    hub: &Hub,
    (from, to): (i64, i64),
) -> Result<Wish, Failure> {
    let Some(store) = store(hub, output) else {
        return Ok(Wish::None);
    };
    make_ready(link, output, hub, &store).await?;
    let Some(ready) = link.ready.take_if(|ready| ready.covers <= to) else {
        // Rows came meanwhile: they go first, and the statements with them.
        return Ok(Wish::None);
    };
    let aside = set_aside(output, hub, &store).await?;
    let mut batch = batch(link, (from, to), 0);
    batch.terminals = values(&ready.terminals);
    batch.set_aside = values(&aside.records);
    match send(link, edge, &batch).await {
        Done::Held(answer) => {
            if let Some(last) = aside.last {
                move_aside(output, &store, last).await?;
            }
            let free = |terminal: &&Terminal| !answer.held_back.contains(terminal);
            Ok(match ready.dead.iter().any(|terminal| free(&terminal)) {
                true => {
                    move_aside(output, &store, 0).await?;
                    Wish::Revive
                }
                false => Wish::None,
            })
        }
        Done::GoBack(have) => {
            move_aside(output, &store, 0).await?;
            Ok(Wish::GoBack(have))
        }
        Done::Not(verdict) => {
            tracing::debug!(
                ?verdict,
                "the other satellite does not hear how terminals do"
            );
            Ok(Wish::None)
        }
    }
}

/// What a look at the other satellite saw.
#[derive(Debug)]
pub struct Looked {
    /// Its certificate (DER), where it is spoken to over TLS.
    pub certificate: Option<Vec<u8>>,
    /// Its clock.
    pub clock: Option<Millis>,
}

/// Why the other satellite would take nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It is there and does not know us.
    #[error("HTTP 404: {}", NO_TOKEN)]
    Token,
    /// It, or something else there, says this instead.
    #[error("HTTP {0}")]
    Says(u16),
    /// It is not heard.
    #[error("{0}")]
    Unheard(Failed),
}

impl Unfit {
    /// True when it is its certificate that will not do.
    pub fn is_about_the_certificate(&self) -> bool {
        matches!(self, Self::Unheard(Failed::Tls(..)))
    }
}

/// Looks whether a satellite is there and knows the token, and hands over nothing.
///
/// # Errors
/// [`Unfit`].
pub async fn look(edge: &Edge) -> Result<Looked, Unfit> {
    let reply = post(&mut Link::default(), edge, Vec::new()).await;
    let reply = reply.map_err(Unfit::Unheard)?;
    match reply.status {
        // No batch, from somebody it knows.
        400 => Ok(Looked {
            clock: reply.date.as_deref().and_then(dated),
            certificate: reply.certificate,
        }),
        404 => Err(Unfit::Token),
        status => Err(Unfit::Says(status)),
    }
}

/// The moment of a `Date` header.
fn dated(text: &str) -> Option<Millis> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    let at = parser.parse_timestamp(text).ok()?;
    Some(Millis(at.as_millisecond()))
}

/// The rows as a batch, with the statements that are true once it is held.
async fn filled(
    link: &mut Link,
    output: &Output,
    hub: &Hub,
    (rows, from, to): (&[FeedRow], i64, i64),
) -> Result<Batch, Failure> {
    let store = store(hub, output).ok_or_else(|| Failure::schema("its tenant is gone"))?;
    make_ready(link, output, hub, &store).await?;
    let mut session = store.session().await?;
    let origins = store::moving::origins(session.engine(), rows).await;
    let origins = finished(session, origins)?;
    let events: Vec<Carried> = rows
        .iter()
        .filter_map(|row| {
            let at = origins.binary_search_by_key(&row.seq, |it| it.seq).ok()?;
            let ident = origins.get(at)?.ident;
            Carried::of(row, &ident.0, statement::language(hub, row))
        })
        .collect();
    if events.len() < rows.len() {
        return Err(Failure::schema("rows of the feed without an identity"));
    }
    let oldest = rows.first().map_or(0, |row| age(row.received_at));
    let mut batch = batch(link, (from, to), oldest);
    batch.events = values(&events);
    if let Some(ready) = link.ready.take_if(|ready| ready.covers <= to) {
        batch.terminals = values(&ready.terminals);
    }
    Ok(batch)
}

fn batch(link: &Link, (from, to): (i64, i64), lag_seconds: u64) -> Batch {
    Batch {
        schema: SCHEMA.to_owned(),
        feed: link.feed.clone().unwrap_or_default(),
        from,
        to,
        lag_seconds,
        events: Vec::new(),
        set_aside: Vec::new(),
        terminals: Vec::new(),
    }
}

fn values<T: serde::Serialize>(all: &[T]) -> Vec<Value> {
    // Texts and numbers: nothing in them that JSON could not hold.
    let written = all.iter().map(serde_json::to_value);
    written.filter_map(Result::ok).collect()
}

fn age(since: Millis) -> u64 {
    let age = clock::now().0.saturating_sub(since.0) / 1_000;
    u64::try_from(age).unwrap_or_default()
}

fn store(hub: &Hub, output: &Output) -> Option<Store> {
    hub.stores.load().of(&output.tenant).cloned()
}

fn key(output: &Output) -> Key<'_> {
    Key {
        tenant: output.tenant.as_str(),
        name: &output.name,
    }
}

/// Makes statements when it is time. What they claim is read first and the end of the feed afterwards,
/// so that no claim speaks of a row above it.
async fn make_ready(
    link: &mut Link,
    output: &Output,
    hub: &Hub,
    store: &Store,
) -> Result<(), Failure> {
    let is_due = link.told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
    if link.ready.is_some() || !(is_due || link.feed.is_none()) {
        return Ok(());
    }
    let mut terminals = statement::all(hub, output);
    let mut session = store.session().await?;
    let read = ends(session.engine(), key(output)).await;
    let (head, dead) = finished(session, read)?;
    let dead: BTreeSet<Terminal> = dead;
    statement::without_claims(&mut terminals, &dead);
    link.feed = Some(hex(&head.store_id));
    link.told = Some(Instant::now());
    link.ready = Some(Ready {
        covers: head.next_seq - 1,
        terminals,
        dead,
    });
    Ok(())
}

async fn ends(
    engine: &mut AnyEngine,
    key: Key<'_>,
) -> Result<(feed::FeedHead, BTreeSet<Terminal>), Failure> {
    let dead = store::edge::dead_terminals(engine, key).await?;
    let dead = dead
        .iter()
        .filter_map(|(vendor, serial)| Terminal::of(vendor.as_str(), serial));
    Ok((feed::head(engine).await?, dead.collect()))
}

/// Records of the quarantine that were not handed on, and the number of the last.
struct SetAside {
    records: Vec<Aside>,
    last: Option<i64>,
}

async fn set_aside(output: &Output, hub: &Hub, store: &Store) -> Result<SetAside, Failure> {
    let mut session = store.session().await?;
    let read = read_aside(session.engine(), output).await;
    let rows = finished(session, read)?;
    let known = hub.devices.all(|_| true);
    let records = rows.iter().filter_map(|row| {
        let of = known
            .iter()
            .find(|known| known.enrolment.id == row.device_id)?;
        Aside::of(row, of.enrolment.vendor)
    });
    Ok(SetAside {
        records: records.collect(),
        last: rows.last().map(|row| row.id),
    })
}

async fn read_aside(
    engine: &mut AnyEngine,
    output: &Output,
) -> Result<Vec<store::quarantine::QuarantineRow>, Failure> {
    let (key, now) = (aside_key(output), clock::now());
    outputs::begin(engine, key, true, now).await?;
    let after = outputs::standing(engine, key).await?.map_or(0, |it| it.seq);
    let before = Millis(now.0 - ASIDE_AFTER);
    store::edge::set_aside(engine, output.tenant.as_str(), after, (before, ASIDE)).await
}

/// The quarantine was handed on up to there.
async fn move_aside(output: &Output, store: &Store, to: i64) -> Result<(), Failure> {
    let mut session = store.session().await?;
    let done = outputs::rewind(session.engine(), aside_key(output), to).await;
    finished(session, done).map(drop)
}

fn aside_key(output: &Output) -> Key<'_> {
    Key {
        name: ASIDE_CURSOR,
        ..key(output)
    }
}

async fn send(link: &mut Link, edge: &Edge, batch: &Batch) -> Done {
    let Ok(body) = serde_json::to_vec(batch) else {
        return Done::Not(Verdict::Later("the batch cannot be written".to_owned()));
    };
    match post(link, edge, body).await {
        Ok(reply) => judged(&reply, batch),
        Err(failed) => Done::Not(Verdict::Later(failed.to_string())),
    }
}

async fn post(link: &mut Link, edge: &Edge, body: Vec<u8>) -> Result<Reply, Failed> {
    let trust = link.trust.get_or_insert_with(|| {
        // It was read when the configuration was.
        let own = edge.authorities.as_deref().map(Trust::with);
        own.and_then(Result::ok).unwrap_or_default()
    });
    Fetch::post(edge.to.join(PATH), "application/json", body)
        .header(
            "user-agent",
            concat!("satellite/", env!("CARGO_PKG_VERSION")),
        )
        .header("authorization", &format!("Bearer {}", edge.token.expose()))
        .trust(trust.clone())
        .only_public(!edge.allow_internal)
        .within(WITHIN)
        .limit(ANSWER)
        .send()
        .await
}

/// What an answer means for the batch that it answers.
fn judged(reply: &Reply, batch: &Batch) -> Done {
    let read = || serde_json::from_slice::<Answer>(&reply.body).ok();
    let answer = || read().filter(|answer| answer.schema == SCHEMA);
    let later = |why: &str| Done::Not(Verdict::Later(format!("HTTP {}: {why}", reply.status)));
    match reply.status {
        200 => match answer() {
            Some(answer) if answer.have >= batch.to => Done::Held(answer),
            Some(_) => later("it does not hold all of it"),
            None => later("what answers there is no satellite"),
        },
        409 => match answer() {
            Some(answer) if answer.have < batch.from => Done::GoBack(answer.have.max(0)),
            _ => later("what answers there is no satellite"),
        },
        300..=399 => later("redirects are not followed"),
        404 => later(NO_TOKEN),
        413 => Done::Not(Verdict::Refused("HTTP 413".to_owned())),
        _ => later("not now"),
    }
}

fn is_held(row: &FeedRow, held: &[Terminal]) -> bool {
    let of = Terminal::of(&row.vendor, &row.serial);
    of.is_some_and(|terminal| held.contains(&terminal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            location: None,
            body: body.as_bytes().to_vec(),
            is_cut: false,
            took: Duration::ZERO,
            date: None,
            certificate: None,
        }
    }

    fn sent() -> Batch {
        batch(&Link::default(), (10, 20), 0)
    }

    #[test]
    fn only_an_answer_of_a_satellite_that_names_everything_counts_as_taken() {
        let good = "{\"schema\":\"satellite.edge/1\",\"have\":20}";
        assert!(matches!(judged(&reply(200, good), &sent()), Done::Held(_)));
        for (status, body) in [
            (200, ""),
            (200, "<html>log in to this network</html>"),
            (200, "{}"),
            (200, "{\"have\":20}"),
            (200, "{\"schema\":\"satellite.edge/1\",\"have\":19}"),
            (204, good),
            (302, good),
            (401, good),
            (404, ""),
            (409, "{\"schema\":\"satellite.edge/1\",\"have\":10}"),
            (409, ""),
            (500, good),
            (503, ""),
        ] {
            let told = judged(&reply(status, body), &sent());
            assert!(
                matches!(told, Done::Not(Verdict::Later(_))),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_database_that_holds_less_is_told_again_from_there() {
        let less = "{\"schema\":\"satellite.edge/1\",\"have\":4}";
        assert!(matches!(
            judged(&reply(409, less), &sent()),
            Done::GoBack(4)
        ));
        let never = "{\"schema\":\"satellite.edge/1\",\"have\":-9}";
        assert!(matches!(
            judged(&reply(409, never), &sent()),
            Done::GoBack(0)
        ));
    }

    #[test]
    fn a_batch_that_is_too_long_is_halved() {
        let told = judged(&reply(413, ""), &sent());
        assert!(matches!(told, Done::Not(Verdict::Refused(_))));
    }
}
