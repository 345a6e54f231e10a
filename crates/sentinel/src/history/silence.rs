//! The look at silences: reads on in the feed of events, learns, and judges each terminal.
//!
//! A terminal is judged up to the moment to which its feed has been read; when the database
//! cannot be read nothing is known, and nothing is called silent. A silence ends with an event
//! and with nothing else: no later learning talks it away. The quarter hours that it lay over
//! are never learned from. A terminal that is offline is another look's business and is not
//! reported here as well, though its silence is noted, so that nothing is learned from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tokio::sync::{Mutex, OnceCell};

use super::feed::{self, ROWS, Zones};
use super::{Batch, Error, History, Known, Terminal};
use crate::calendar::Holidays;
use crate::config::WatchedStore;
use crate::look::Look;
use crate::looks::store::{Failed, Reader};
use crate::looks::wide;
use crate::observation::{Fact, Observation, Round, Subject, Trouble};
use crate::silence::{QUARTERS, Quarters, Rule, Silence, comparable, expected, judge};
use crate::{Kind, Phrase, observation::Value};

const EVERY: Duration = Duration::from_secs(60);
const DEADLINE: Duration = Duration::from_secs(45);
/// After so long no further batch is read in this round.
const READING: Duration = Duration::from_secs(20);
/// To connect, and for one question.
const WITHIN: Duration = Duration::from_secs(5);
/// Terminals that learn in one round; a day has 1,440 rounds.
const LEARNERS: usize = 200;
/// Comparable days that are looked at to find eight that are not spoiled.
const COMPARED: usize = 12;
/// How far back the feed is read the first time.
const BACK_DAYS: i64 = 84;

/// How often people are counted.
const PEOPLE_EVERY: Duration = Duration::from_secs(6 * 3600);
/// The same while none has punched: on the first day they come all at once.
const PEOPLE_FIRST: Duration = Duration::from_secs(30 * 60);

/// The measurements of a store that the daily mail and alerts show.
pub const PUNCHES_YESTERDAY: &str = "punches_yesterday";
/// Of which day [`PUNCHES_YESTERDAY`] speaks: [`day_number`].
pub const YESTERDAY: &str = "yesterday_days";
/// People who punched within the last seven days.
pub const PEOPLE: &str = "people";

/// A day as a measurement: days since 1970.
pub fn day_number(day: Date) -> f64 {
    let first = jiff::civil::date(1970, 1, 1);
    day.duration_since(first).as_secs_f64() / 86_400.0
}

const STATUS: &str = "SELECT serial, site, state, tenant FROM device_status";

/// The history, opened when it is first needed and shared by all looks that keep one.
#[derive(Debug)]
pub struct Shared {
    state_dir: PathBuf,
    history: OnceCell<Mutex<History>>,
}

impl Shared {
    /// Of that folder.
    pub fn new(state_dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            state_dir: state_dir.to_path_buf(),
            history: OnceCell::new(),
        })
    }

    /// The open history.
    ///
    /// # Errors
    /// [`Error::Database`]; the next call tries again.
    pub async fn get(&self) -> Result<&Mutex<History>, Error> {
        let open = || async { History::open(&self.state_dir).await.map(Mutex::new) };
        self.history.get_or_try_init(open).await
    }
}

/// Why a round saw nothing.
#[derive(Debug, thiserror::Error)]
enum Blind {
    #[error("{0}")]
    Feed(#[from] Failed),
    #[error("{0}")]
    History(#[from] Error),
    #[error("the feed of events is still being read")]
    Reading,
    #[error("the feed of events stands before what was read; an older copy?")]
    Older,
}

impl Blind {
    fn said(&self) -> Value {
        match self {
            Self::Feed(failed) => failed.said(),
            Self::History(error) => error.said(),
            Self::Reading => Phrase::FeedBeingRead.into(),
            Self::Older => Phrase::FeedIsOlder.into(),
        }
    }
}

/// Learned silence of one tenant's terminals.
pub struct SilenceLook {
    name: String,
    store: WatchedStore,
    holidays: Holidays,
    /// In which the days of reports and of the daily mail begin.
    zone: TimeZone,
    shared: Arc<Shared>,
    /// Loaded in the first round.
    known: Mutex<Option<Known>>,
    /// When people were counted, and how many there were.
    people: Mutex<Option<(Instant, Option<f64>)>>,
}

impl SilenceLook {
    /// Over the terminals of that event database.
    pub fn new(
        store: WatchedStore,
        holidays: Holidays,
        zone: TimeZone,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            name: format!("silence:{}", store.tenant),
            store,
            holidays,
            zone,
            shared,
            known: Mutex::new(None),
            people: Mutex::new(None),
        }
    }

    /// Punches of the day before, which a feed that was read to its end knows, and the day that
    /// this is about; people who punched in a week.
    async fn numbers(
        &self,
        whole: Observation,
        reader: &mut Reader,
        now: Timestamp,
    ) -> Result<Observation, Blind> {
        let tenant = &self.store.tenant;
        let today = self.zone.to_datetime(now).date();
        let yesterday = today.yesterday().unwrap_or(today);
        let mut history = self.shared.get().await?.lock().await;
        let punches = history.punches(tenant, yesterday, yesterday).await?;
        drop(history);
        let punches = punches.values().sum::<u64>();
        let whole = whole
            .number(PUNCHES_YESTERDAY, wide(punches))
            .number(YESTERDAY, day_number(yesterday));
        Ok(match self.people(reader, now).await {
            Some(people) => whole.number(PEOPLE, people),
            None => whole,
        })
    }

    /// Counted a few times a day; what could not be counted is not known until the next time.
    async fn people(&self, reader: &mut Reader, now: Timestamp) -> Option<f64> {
        let mut people = self.people.lock().await;
        if let Some((at, known)) = *people {
            let nobody = known == Some(0.0);
            let every = if nobody { PEOPLE_FIRST } else { PEOPLE_EVERY };
            if at.elapsed() < every {
                return known;
            }
        }
        let week_ago = now - (7 * 24).hours();
        let counted = feed::people(reader, &self.store.tenant, week_ago).await;
        *people = Some((Instant::now(), counted.as_ref().ok().copied()));
        counted.ok()
    }

    async fn round(&self, now: Timestamp) -> Result<Round, Blind> {
        let mut reader = Reader::open(&self.store, WITHIN).await?;
        let seen = self.read_and_judge(&mut reader, now).await;
        reader.close().await;
        seen
    }

    async fn read_and_judge(&self, reader: &mut Reader, now: Timestamp) -> Result<Round, Blind> {
        let mut known = self.known.lock().await;
        let mut terminals = match known.take() {
            Some(terminals) => terminals,
            None => {
                let mut history = self.shared.get().await?.lock().await;
                history.terminals(&self.store.tenant).await?
            }
        };
        let read = self.read_on(reader, &mut terminals, now).await;
        let seen = match read {
            Ok(()) => self.judge_all(reader, &mut terminals, now).await,
            Err(blind) => Err(blind),
        };
        // What another process took in is read back from the file next time.
        let moved = matches!(seen, Err(Blind::History(Error::Moved)));
        *known = (!moved).then_some(terminals);
        seen
    }

    /// Reads the feed to its end.
    async fn read_on(
        &self,
        reader: &mut Reader,
        terminals: &mut Known,
        now: Timestamp,
    ) -> Result<(), Blind> {
        let tenant = &self.store.tenant;
        let started = Instant::now();
        let mut zones = Zones::default();
        let mut taken = self.shared.get().await?.lock().await.mark(tenant).await?;
        let mut mark = match taken {
            Some(mark) => mark,
            None => feed::start(reader, now - (BACK_DAYS * 24).hours()).await?,
        };
        loop {
            let rows = feed::rows_after(reader, mark).await?;
            let full = rows.len() >= ROWS;
            if rows.is_empty() {
                return self.at_the_end(reader, mark).await;
            }
            let batch = Batch::of(tenant, &rows, &mut zones);
            if batch.upto <= mark {
                return Ok(());
            }
            mark = batch.upto;
            let mut history = self.shared.get().await?.lock().await;
            history.take(tenant, taken, &batch).await?;
            taken = Some(mark);
            take_in(terminals, &batch);
            if !full {
                return Ok(());
            }
            if started.elapsed() > READING {
                return Err(Blind::Reading);
            }
        }
    }

    /// Nothing came. A feed that stands below what was read is another database, or an older
    /// copy of this one: what comes next must not be missed.
    async fn at_the_end(&self, reader: &mut Reader, mark: i64) -> Result<(), Blind> {
        let last = feed::last(reader).await?;
        if last >= mark {
            return Ok(());
        }
        let mut history = self.shared.get().await?.lock().await;
        history.set_mark(&self.store.tenant, last).await?;
        Err(Blind::Older)
    }

    async fn judge_all(
        &self,
        reader: &mut Reader,
        terminals: &mut Known,
        now: Timestamp,
    ) -> Result<Round, Blind> {
        let tenant = self.store.tenant.as_str();
        let status = reader.ask(STATUS, WITHIN).await?;
        let mut zones = Zones::default();
        let mut learners = LEARNERS;
        let mut history = self.shared.get().await?.lock().await;
        for (serial, terminal) in terminals.iter_mut() {
            let zone = zones.get(&terminal.zone);
            let mut changed = self
                .end_of_silence(&mut history, serial, terminal, &zone)
                .await?;
            let today = zone.to_datetime(now).date();
            let yesterday = today.yesterday().unwrap_or(today);
            if learners > 0 && terminal.learned.is_none_or(|day| day < yesterday) {
                learners -= 1;
                let days = history.days(tenant, serial).await?;
                learn(terminal, &days, today, &self.holidays);
                changed = true;
            }
            changed |= self.begin_of_silence(terminal, &zone, now);
            if changed {
                history.keep(tenant, serial, terminal).await?;
            }
        }
        // The whole of the tenant is seen too; that ends what was unknown before.
        drop(history);
        let whole = Observation::fine(Subject::store(tenant), now);
        let whole = self.numbers(whole, reader, now).await?;
        let observations = status.iter().filter_map(|row| {
            let text = |at: usize| row.get(at).and_then(Option::as_deref);
            let serial = text(0).filter(|_| text(3) == Some(tenant))?;
            let terminal = terminals.get(serial)?;
            let subject = Subject::terminal(tenant, text(1), serial);
            let silence = self.silence_of(terminal, &zones.get(&terminal.zone), now);
            Some(observation(
                subject,
                silence,
                text(2) == Some("offline"),
                now,
            ))
        });
        Ok(Round::whole(
            std::iter::once(whole).chain(observations).collect(),
        ))
    }

    /// An event came after a silence: what it lay over is not learned from.
    async fn end_of_silence(
        &self,
        history: &mut History,
        serial: &str,
        terminal: &mut Terminal,
        zone: &TimeZone,
    ) -> Result<bool, Error> {
        let Some(since) = terminal.silent_since.filter(|since| terminal.last > *since) else {
            return Ok(false);
        };
        terminal.silent_since = None;
        let tenant = &self.store.tenant;
        let mut days = history.days(tenant, serial).await?;
        for (day, from, until) in local_quarters(zone, since, terminal.last) {
            let quarters = days.entry(day).or_default();
            quarters.spoil(from, until);
            history.keep_day(tenant, serial, day, quarters).await?;
        }
        Ok(true)
    }

    fn begin_of_silence(&self, terminal: &mut Terminal, zone: &TimeZone, now: Timestamp) -> bool {
        if terminal.silent_since.is_some() {
            return false;
        }
        let it = &*terminal;
        let silence = judge(&it.profile, it.first, zone, &self.holidays, it.last, now);
        terminal.silent_since = silence.map(|silence| silence.since);
        terminal.silent_since.is_some()
    }

    /// The silence in which a terminal is, with its numbers as they are now.
    fn silence_of(&self, it: &Terminal, zone: &TimeZone, now: Timestamp) -> Option<Silence> {
        let since = it.silent_since?;
        let expected = expected(&it.profile, zone, &self.holidays, since, now);
        let rule = if expected < 1.0 {
            Rule::Fixed
        } else {
            Rule::Learned
        };
        Some(Silence {
            since,
            expected,
            rule,
        })
    }
}

#[async_trait]
impl Look for SilenceLook {
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
        match self.round(now).await {
            Ok(round) => round,
            Err(blind) => {
                let subject = Subject::store(&self.store.tenant);
                Round::one(Observation::unknown(subject, now, blind.said()))
            }
        }
    }
}

/// What is said of a terminal.
fn observation(
    subject: Subject,
    silence: Option<Silence>,
    offline: bool,
    now: Timestamp,
) -> Observation {
    match silence {
        None => Observation::fine(subject, now),
        Some(_) if offline => Observation::unknown(subject, now, Phrase::IsOffline),
        Some(silence) => {
            let mut trouble = Trouble::new(Kind::TerminalSilent)
                .fact(Fact::Since, silence.since)
                .fact(Fact::LastEvent, silence.since)
                .fact(Fact::Seen, Value::Count(0));
            if silence.rule == Rule::Learned {
                let expected = format!("{:.0}", silence.expected).parse().unwrap_or(0);
                trouble = trouble.fact(Fact::Expected, Value::Count(expected));
            }
            Observation::wrong(subject, now, vec![trouble])
                .number("expected_events", silence.expected)
        }
    }
}

fn take_in(terminals: &mut Known, batch: &Batch) {
    for (serial, fresh) in &batch.terminals {
        let first = fresh.quarters.keys().next().copied();
        let first = first.unwrap_or_else(|| fresh.last.to_zoned(TimeZone::UTC).date());
        let terminal = terminals.entry(serial.clone()).or_insert_with(|| Terminal {
            zone: fresh.zone.clone(),
            first,
            last: fresh.last,
            learned: None,
            profile: Box::default(),
            silent_since: None,
        });
        terminal.zone.clone_from(&fresh.zone);
        terminal.first = terminal.first.min(first);
        terminal.last = terminal.last.max(fresh.last);
    }
}

/// Learns each weekday that has a day since the last one that was learned from.
fn learn(
    terminal: &mut Terminal,
    days: &BTreeMap<Date, Quarters>,
    today: Date,
    holidays: &Holidays,
) {
    let empty = Quarters::default();
    let week_ago = today.saturating_sub(7.days());
    let from = terminal.learned.map_or(week_ago, |day| day.max(week_ago));
    for weekday in Weekday::Monday.cycle_forward().take(7) {
        let new = comparable(weekday, from, today, holidays).next().is_some();
        if !new {
            continue;
        }
        let newest = comparable(weekday, terminal.first, today, holidays).take(COMPARED);
        let newest: Vec<&Quarters> = newest.map(|day| days.get(&day).unwrap_or(&empty)).collect();
        terminal.profile.learn(weekday, &newest);
    }
    terminal.learned = today.yesterday().ok();
}

/// The quarter hours of each local day that lie between two instants, `from..until`.
fn local_quarters(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Date, usize, usize)> {
    let earliest = to - (BACK_DAYS * 24).hours();
    let (from, to) = (zone.to_datetime(from.max(earliest)), zone.to_datetime(to));
    let quarter = |at: jiff::civil::DateTime| {
        usize::from(at.hour().unsigned_abs()) * 4 + usize::from(at.minute().unsigned_abs()) / 15
    };
    let days = from.date().series(jiff::Span::new().days(1));
    let days = days.take_while(|day| *day <= to.date());
    let part = |day: Date| {
        let first = if day == from.date() { quarter(from) } else { 0 };
        let last = if day == to.date() {
            quarter(to) + 1
        } else {
            QUARTERS
        };
        (day, first, last)
    };
    days.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_silence_spoils_the_quarter_hours_that_it_lay_over() {
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        let spoiled = local_quarters(
            &zone,
            at("2026-06-01T18:02:00-06"),
            at("2026-06-03T09:16:00-06"),
        );
        let shown: Vec<_> = spoiled
            .iter()
            .map(|(day, from, to)| (day.to_string(), *from, *to))
            .collect();
        assert_eq!(
            shown,
            [
                ("2026-06-01".to_owned(), 72, 96),
                ("2026-06-02".to_owned(), 0, 96),
                ("2026-06-03".to_owned(), 0, 38),
            ]
        );
    }

    #[test]
    fn a_silence_says_how_many_were_expected_and_an_offline_terminal_says_nothing() {
        let subject = Subject::terminal("acme", Some("Toluca"), "ABC1");
        let silence = Silence {
            since: at("2026-06-01T18:02:00-06"),
            expected: 41.3,
            rule: Rule::Learned,
        };
        let now = at("2026-06-02T09:15:00-06");
        let seen = observation(subject.clone(), Some(silence), false, now);
        let crate::Finding::Wrong { troubles } = &seen.finding else {
            panic!("{seen:?}");
        };
        let facts = &troubles[0].facts;
        assert_eq!(facts[&Fact::Expected], Value::Count(41));
        assert_eq!(facts[&Fact::Seen], Value::Count(0));
        assert_eq!(facts[&Fact::Since], Value::At(silence.since));
        let offline = observation(subject, Some(silence), true, now);
        assert!(matches!(offline.finding, crate::Finding::Unknown { .. }));
    }
}
