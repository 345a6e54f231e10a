//! The canary: a terminal that is not real sends a punch through the address that real ones
//! use, and its row is read back with our own database user.
//!
//! One for each event database and each door that has a canary (ZKTeco push, posts of Hikvision
//! devices, posts of other makes, messages of a broker), the first three through every
//! `[[watch.terminal_url]]`. The time from the first
//! byte to the visible row is the health number. Its rows stand in `canary_feed` only, and each
//! punch carries a person that no other punch ever had. Three ends are told apart: not
//! acknowledged (somebody on the way refuses), visible (with how late), and acknowledged and not
//! there while the database answers our reader. The last is the worst that this house knows; a
//! post that may still wait in satellite's journal is waiting and never called missing, and what a
//! broker took and satellite has not stored is a way that fails.

mod broker;
mod judge;
mod punch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fetch::Fetch;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::task::JoinSet;

use super::satellite::page::StatusPage;
use super::store::{Failed, Reader};
use crate::config::{CanaryDoor, Watch, WatchedStore};
use crate::looks::said;
use crate::{Look, Phrase, Round, Subject, Value};
use judge::{End, Ended};
use punch::{Errand, Way};

/// From punch to punch.
const EVERY: Duration = Duration::from_secs(30);
/// Longest round.
const DEADLINE: Duration = Duration::from_secs(28);
/// Longest wait for an acknowledgement: a terminal's patience.
const ACK_WITHIN: Duration = Duration::from_secs(10);
/// A punch that satellite answers for no sooner than this was not turned away: it was waited
/// with, and given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);
/// Such a punch is sent once more so long after it was sent first, as a terminal does: where
/// nobody else punches, work that stands still would not be seen to wait before the next round.
const AGAIN_AFTER: Duration = Duration::from_secs(14);
/// And has this long.
const AGAIN_WITHIN: Duration = Duration::from_secs(8);
/// The end of the time in which a round looks for rows.
const LOOKS_UNTIL: Duration = Duration::from_secs(26);
/// For each question to the database.
const ASK_WITHIN: Duration = Duration::from_secs(4);
/// How long a round waits for its rows.
const WATCH_FOR: Duration = Duration::from_secs(6);
/// Longest time of a round in which an older punch is looked for until it is found or missing.
const SEEN_THROUGH: Duration = Duration::from_secs(20);
/// An acknowledged punch whose row is not there after so long is not found.
const MISSING_AFTER: Duration = Duration::from_secs(45);
/// A punch that a broker took and that is not there after so long has not got through: in the next
/// round it is told.
const ARRIVES_WITHIN: Duration = Duration::from_secs(25);
/// A punch is looked for so long, found or not.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// The pause between two looks for rows grows from here, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The canary of one event database.
pub struct CanaryLook {
    name: String,
    store: WatchedStore,
    ways: Arc<[Way]>,
    page: Option<Arc<StatusPage>>,
    zone: TimeZone,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// A number of the feed below which no row is of interest.
    after: Option<i64>,
    waiting: Vec<Waiting>,
}

/// A punch that was acknowledged and is looked for.
#[derive(Debug, Clone)]
struct Waiting {
    person: String,
    way: usize,
    began: Instant,
    acked: Instant,
    after: i64,
}

impl CanaryLook {
    /// The canary of that database; `None` where none is configured, or no address. `page` is
    /// what satellite says of its journal.
    pub fn new(
        watch: &Watch,
        store: &WatchedStore,
        zone: &TimeZone,
        page: Option<&Arc<StatusPage>>,
    ) -> Option<Self> {
        let ways = punch::ways(&watch.terminal_urls, store);
        (!ways.is_empty()).then(|| Self {
            name: format!("canary:{}", store.tenant),
            store: store.clone(),
            ways: ways.into(),
            page: page.cloned(),
            zone: zone.clone(),
            memory: Mutex::default(),
        })
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the feed stands, from the database, else as it was known before.
    async fn mark(&self, reader: Option<&mut Reader>) -> Option<i64> {
        if let Some(reader) = reader
            && let Ok(newest) = newest(reader).await
        {
            let mut memory = self.memory();
            memory.after = memory.after.max(Some(newest));
        }
        self.memory().after
    }

    /// Sends one punch by each way; answers what came of each, and keeps what was acknowledged.
    async fn punch(&self, now: Timestamp, after: Option<i64>) -> Vec<Ended> {
        let mut sending = JoinSet::new();
        for (index, way) in self.ways.iter().enumerate() {
            let (person, errand) = way.punch(index, now, &self.zone);
            sending.spawn(async move {
                let began = Instant::now();
                let acked = delivered(errand, began).await;
                (index, person, began, acked)
            });
        }
        let mut ended = Vec::with_capacity(self.ways.len());
        while let Some(done) = sending.join_next().await {
            let Ok((way, person, began, acked)) = done else {
                continue;
            };
            let acked_at = Instant::now();
            let end = match (acked, after) {
                (Err(words), _) => End::Failed(words),
                (Ok(()), None) => End::Unread(Phrase::NeverReached.into()),
                (Ok(()), Some(after)) => {
                    self.memory().waiting.push(Waiting {
                        person,
                        way,
                        began,
                        acked: acked_at,
                        after,
                    });
                    continue;
                }
            };
            ended.push(Ended { way, end });
        }
        ended
    }

    /// For how long a round that began so long ago looks for rows: one in which a punch of an
    /// earlier round comes to its end sees it through, so that the worst that there is waits for
    /// no further round.
    fn patience(&self, spent: Duration) -> Duration {
        let waiting = &self.memory().waiting;
        let oldest = waiting.iter().map(|it| it.acked.elapsed()).max();
        let oldest = oldest.unwrap_or_default();
        let left = MISSING_AFTER.saturating_sub(oldest) + FIRST_PAUSE;
        if oldest > WATCH_FOR && spent + left <= SEEN_THROUGH {
            left.max(WATCH_FOR)
        } else {
            WATCH_FOR.min(LOOKS_UNTIL.saturating_sub(spent))
        }
    }

    /// Looks for what was acknowledged, for a while.
    async fn find(&self, reader: &mut Reader, patience: Duration) -> Result<Vec<Ended>, Failed> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        let mut ended = Vec::new();
        loop {
            let Some(after) = self.memory().waiting.iter().map(|it| it.after).min() else {
                return Ok(ended);
            };
            let rows = reader.ask_after(ROWS, after, ASK_WITHIN).await?;
            let seen = Instant::now();
            ended.extend(self.take(&rows, seen));
            if self.memory().waiting.is_empty() || began.elapsed() >= patience {
                return Ok(ended);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Takes out of those waiting what the rows show.
    fn take(&self, rows: &[super::store::Texts], seen: Instant) -> Vec<Ended> {
        let mut memory = self.memory();
        let persons = rows.iter().filter_map(|row| row.first()?.as_deref());
        let persons: std::collections::HashSet<&str> = persons.collect();
        let newest = rows
            .iter()
            .filter_map(|row| row.get(1)?.as_deref()?.parse().ok());
        memory.after = memory.after.max(newest.max());
        let (found, waiting): (Vec<_>, Vec<_>) = memory
            .waiting
            .drain(..)
            .partition(|it| persons.contains(it.person.as_str()));
        // What a broker brings comes in order: where a later one has come, an earlier one is lost
        // there or set aside, and says nothing of the way any more.
        let is_passed = |it: &Waiting| {
            let later = |other: &Waiting| other.way == it.way && other.began > it.began;
            !self.is_promised(it.way) && found.iter().any(later)
        };
        memory.waiting = waiting.into_iter().filter(|it| !is_passed(it)).collect();
        let visible = found.into_iter().map(|it| Ended {
            way: it.way,
            end: End::Visible {
                acked: it.acked - it.began,
                visible: seen - it.began,
            },
        });
        visible.collect()
    }

    /// What is still waiting, and for how long; very old ones are no longer looked for.
    fn still_waiting(&self, unread: Option<&Value>, journal: Option<u64>) -> Vec<Ended> {
        let mut memory = self.memory();
        memory
            .waiting
            .retain(|it| it.acked.elapsed() < FORGOTTEN_AFTER);
        let waiting = memory.waiting.iter().map(|it| {
            let age = it.acked.elapsed();
            let may_wait = self.ways.get(it.way).is_some_and(Way::may_be_journalled);
            let end = match unread {
                Some(why) => End::Unread(why.clone()),
                None if !self.is_promised(it.way) && age >= ARRIVES_WITHIN => {
                    End::Failed(Phrase::PunchNotArrived.with([age.into()]))
                }
                None if age < MISSING_AFTER => End::Waiting,
                // Only with an empty journal is it certain that nothing waits there.
                None if may_wait && journal != Some(0) => End::Waiting,
                None => End::Missing { age },
            };
            Ended { way: it.way, end }
        });
        waiting.collect()
    }

    /// Events in satellite's journal, if it said so within the last seconds: long after the
    /// punches about which it is asked.
    async fn journal(&self) -> Option<u64> {
        let status = self.page.as_ref()?.recent().await.ok()?;
        Some(status.journal.events)
    }

    fn is_promised(&self, way: usize) -> bool {
        self.ways.get(way).is_none_or(Way::is_promised)
    }

    fn journal_matters(&self) -> bool {
        let waiting = &self.memory().waiting;
        waiting.iter().any(|it| {
            let way = self.ways.get(it.way);
            it.acked.elapsed() >= MISSING_AFTER && way.is_some_and(Way::may_be_journalled)
        })
    }
}

/// New rows of canaries.
const ROWS: &str = "SELECT person, CAST(seq AS CHAR) FROM canary_feed WHERE seq > ? \
                    ORDER BY seq LIMIT 1000";

/// The number of the newest row of a real terminal: found at once, because real rows are many.
async fn newest(reader: &mut Reader) -> Result<i64, Failed> {
    let sql = "SELECT CAST(seq AS CHAR) FROM event_feed ORDER BY seq DESC LIMIT 1";
    let rows = reader.ask(sql, ASK_WITHIN).await?;
    let text = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next());
    Ok(text
        .flatten()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default())
}

/// Sends a punch as a terminal does, and once more if satellite waited with it and gave it up.
async fn delivered(errand: Errand, began: Instant) -> Result<(), Value> {
    let (fetch, read) = match errand {
        Errand::Post(fetch, read) => (fetch, read),
        Errand::Publish(canary, record) => {
            return broker::published(&canary, record, ACK_WITHIN).await;
        }
    };
    let first = acknowledged(fetch.clone().within(ACK_WITHIN), read).await;
    match first {
        Err(Refused { answered: true, .. }) if began.elapsed() >= GIVEN_UP_AFTER => {
            tokio::time::sleep(AGAIN_AFTER.saturating_sub(began.elapsed())).await;
            acknowledged(fetch.within(AGAIN_WITHIN), read).await
        }
        first => first,
    }
    .map_err(|refused| refused.words)
}

/// Why a punch was not acknowledged.
struct Refused {
    words: Value,
    /// Somebody answered.
    answered: bool,
}

/// Sends a punch and reads the answer as its sender does.
async fn acknowledged(
    fetch: Fetch,
    read: fn(&fetch::Answer) -> Result<(), Value>,
) -> Result<(), Refused> {
    let sent = fetch.limit(4096).send().await;
    let (words, answered) = match sent.as_ref().map(read) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(words)) => (words, true),
        Err(failed) => (said(failed), false),
    };
    Err(Refused { words, answered })
}

#[async_trait]
impl Look for CanaryLook {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::store(&self.store.tenant)]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let began = Instant::now();
        let opened = Reader::open(&self.store, ASK_WITHIN).await;
        let (mut reader, mut unread) = match opened {
            Ok(reader) => (Some(reader), None),
            Err(failed) => (None, Some(failed.said())),
        };
        let after = self.mark(reader.as_mut()).await;
        let mut ended = self.punch(now, after).await;
        if let Some(mut reader) = reader {
            match self.find(&mut reader, self.patience(began.elapsed())).await {
                Ok(found) => {
                    ended.extend(found);
                    reader.close().await;
                }
                Err(failed) => unread = Some(failed.said()),
            }
        }
        let journal = if self.journal_matters() {
            self.journal().await
        } else {
            None
        };
        ended.extend(self.still_waiting(unread.as_ref(), journal));
        Round::whole(judge::judged(&self.store.tenant, &self.ways, &ended, now))
    }
}

/// The commands that enrol the canaries of a database, as they are typed where satellite runs.
pub fn enrolment(store: &WatchedStore) -> Vec<String> {
    let (tenant, upper) = (&store.tenant, store.tenant.to_uppercase());
    let command = |door: &CanaryDoor| {
        let who = match door {
            CanaryDoor::Zkteco(serial) => format!("zkteco --serial {serial}"),
            CanaryDoor::Hikvision(_) => format!("hikvision --serial CANARY-HIK-{upper} --listen"),
            CanaryDoor::Ingest(_) => format!("other --serial CANARY-API-{upper} --listen"),
            CanaryDoor::Mqtt(canary) => format!("other --serial {}", canary.serial),
        };
        format!("satellite devices add --tenant {tenant} --vendor {who} --canary")
    };
    store.canaries.iter().map(command).collect()
}

#[cfg(test)]
mod tests;
