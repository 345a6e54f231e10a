//! The loop: takes what looks saw and what people ask, lets the core decide each second, and
//! keeps what changed.
//!
//! It is the only owner of the core and the only writer of the file. When the file cannot be
//! written it goes on from memory, tells of that too, and catches up when it can.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::logging::Escaped;
use daemon::progress::Heartbeat;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::post::Post;
use super::{CheckState, Hub, Snapshot, Word, lookout};
use crate::config::Config;
use crate::database::Database;
use crate::decide::{Ask, Changes, Core, Denied, Restored, Setting};
use crate::kind::Kind;
use crate::look::Look;
use crate::looks::mail::failing as failing_relay;
use crate::message;
use crate::observation::{Fact, Finding, Observation, Round, Subject, Trouble, Value};

/// The name under which the loop reports about itself.
const ITSELF: &str = "sentinel";
/// How often what was seen last is kept, the file proven and the mail path looked at.
const KEEP: Duration = Duration::from_secs(10);
/// How often old rows are deleted.
const PRUNE: Duration = Duration::from_secs(3600);
/// For how long they are kept.
const KEEP_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Closed incidents are kept for two years and a month, for reports.
const REPORTED_FOR: SignedDuration = SignedDuration::from_hours(762 * 24);
/// A letter may wait this long before that is a condition.
const WAITING: Duration = Duration::from_secs(300);
/// The number that outlives a full disk: rewritten in place, so that it needs no room.
const NUMBER_FILE: &str = "incident.number";

/// The wall clock was set when it runs away from the time since start by so much in one round.
const CLOCK_SET: SignedDuration = SignedDuration::from_secs(5);

/// See the head of this module.
pub(super) struct Keeper {
    hub: Hub,
    config: Arc<Config>,
    core: Core,
    database: Option<Database>,
    post: Post,
    inbox: mpsc::Receiver<Word>,
    end: CancellationToken,
    looks_end: CancellationToken,
    /// What could not be written yet; letters are never in here.
    unsaved: Changes,
    broken: Option<String>,
    /// What was seen last of each terminal by each look, as a number: there are thousands.
    marks: HashMap<u64, u64>,
    /// What was seen last and is not written yet.
    unkept: HashMap<(Arc<str>, Subject), Observation>,
    snapshot: Snapshot,
    checks: BTreeMap<String, CheckState>,
    number_kept: u32,
    last_failed: u64,
    lost_at: Option<Timestamp>,
    kept_at: Instant,
    pruned_at: Instant,
    last_tick: Option<(Timestamp, Duration)>,
}

impl Keeper {
    pub(super) async fn new(
        hub: Hub,
        inbox: mpsc::Receiver<Word>,
        looks: BTreeSet<String>,
        end: CancellationToken,
    ) -> anyhow::Result<Self> {
        let config = hub.config.load_full();
        let now = Timestamp::now();
        let post = Post::new(&config).await?;
        let mut keeper = Self {
            core: Core::default(),
            database: None,
            post,
            inbox,
            looks_end: end.child_token(),
            end,
            unsaved: Changes::default(),
            broken: None,
            marks: HashMap::new(),
            unkept: HashMap::new(),
            snapshot: Snapshot::default(),
            checks: BTreeMap::new(),
            number_kept: 0,
            last_failed: 0,
            lost_at: None,
            kept_at: Instant::now(),
            pruned_at: Instant::now(),
            last_tick: None,
            config,
            hub,
        };
        let mut restored = keeper.open().await.unwrap_or_default();
        restored.last_number = restored.last_number.max(keeper.remembered_number());
        let known: BTreeSet<String> = looks.into_iter().chain([ITSELF.to_owned()]).collect();
        keeper.core = Core::restore(restored, &known, now);
        keeper.last_failed = keeper.post.figures().await.failed;
        keeper.show(now, true).await;
        Ok(keeper)
    }

    /// Opens the file, if that can be done now.
    async fn open(&mut self) -> Option<Restored> {
        let opened = async {
            let mut database = Database::open(&self.config.state_dir).await?;
            let restored = database.restore().await?;
            database.prove(Timestamp::now()).await?;
            self.post.open_file(database.path()).await?;
            anyhow::Ok((database, restored))
        };
        match opened.await {
            Ok((database, restored)) => {
                self.database = Some(database);
                self.written();
                Some(restored)
            }
            Err(error) => {
                self.failed(&format!("{error:#}"));
                None
            }
        }
    }

    fn written(&mut self) {
        if self.broken.take().is_some() {
            tracing::info!("sentinel's file can be written again");
        }
        self.snapshot.written_at = Some(Timestamp::now());
    }

    fn failed(&mut self, why: &str) {
        if self.broken.is_none() {
            tracing::error!(error = %Escaped(why), "sentinel's file cannot be written; going on from memory");
        }
        self.broken = Some(why.to_owned());
    }

    /// Until the end.
    pub(super) async fn run(mut self, beat: Heartbeat, looks: Vec<Arc<dyn Look>>) {
        lookout::start(&looks, &self.hub.words, &self.looks_end);
        drop(looks);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.end.cancelled() => break,
                _ = tick.tick() => {
                    self.second().await;
                    beat.beat(Instant::now());
                }
                word = self.inbox.recv() => match word {
                    Some(word) => self.hear(word).await,
                    None => break,
                },
            }
        }
        beat.stop();
        self.save(Timestamp::now()).await;
        self.post.stop().await;
    }

    async fn hear(&mut self, word: Word) {
        let now = Timestamp::now();
        match word {
            Word::Round { look, round, took } => self.take(&look, &round, took, now),
            Word::Ask { ask, who, answer } => {
                let done = self.ask(&ask, &who, now).await;
                // Who asked may have gone away.
                answer.send(done).ok();
            }
            Word::Reload { config, looks } => {
                self.looks_end.cancel();
                self.looks_end = self.end.child_token();
                if let Err(error) = self.post.change_ways(&config).await {
                    tracing::error!(%error, "the ways of mail stay as they were");
                }
                self.config = config;
                self.checks.clear();
                lookout::start(&looks, &self.hub.words, &self.looks_end);
            }
        }
    }

    fn take(&mut self, look: &Arc<str>, round: &Round, took: Duration, now: Timestamp) {
        self.core.observe(look, round, now);
        let findings: Vec<&Finding> = round
            .observations
            .iter()
            .map(|seen| &seen.finding)
            .collect();
        let state = CheckState::of(&findings, now, took);
        if look.starts_with("canary") && state.up {
            self.snapshot.canary_success.insert(look.to_string(), now);
        }
        self.checks.insert(look.to_string(), state);
        for seen in &round.observations {
            if let Some(seconds) = seen.numbers.get("canary_seconds") {
                self.snapshot
                    .canary_seconds
                    .insert(look.to_string(), *seconds);
            }
            if self.is_news(look, seen) {
                let key = (Arc::clone(look), seen.subject.clone());
                self.unkept.insert(key, seen.clone());
            }
        }
    }

    /// Thousands of terminals that go on as before need not be written each round.
    fn is_news(&mut self, look: &Arc<str>, seen: &Observation) -> bool {
        if !matches!(seen.subject, Subject::Terminal { .. }) {
            return true;
        }
        let hasher = self.marks.hasher();
        let place = hasher.hash_one((look, &seen.subject));
        // How a finding is written is what it says.
        let mark = hasher.hash_one(format!("{:?}", seen.finding));
        self.marks.insert(place, mark) != Some(mark)
    }

    async fn ask(&mut self, ask: &Ask, who: &str, now: Timestamp) -> Result<(), Denied> {
        let setting = setting(&self.config, &self.hub);
        let done = self.core.ask(ask, who, setting, now);
        self.save(now).await;
        done
    }

    async fn second(&mut self) {
        let now = Timestamp::now();
        self.answer_requests(now).await;
        if self.kept_at.elapsed() >= KEEP {
            self.kept_at = Instant::now();
            self.keep(now).await;
            self.look_at_itself(now).await;
        }
        let since_start = since_start();
        if let Some((last, then)) = self.last_tick {
            let shown = now.duration_since(last);
            if shown < SignedDuration::ZERO || shown > SignedDuration::from_secs(60) {
                self.snapshot.leapt_at = Some(now);
            }
            let passed = since_start.saturating_sub(then);
            let passed = SignedDuration::try_from(passed).unwrap_or_default();
            let set = shown.saturating_sub(passed);
            if set.abs() >= CLOCK_SET {
                let seconds = set.as_secs();
                tracing::warn!(seconds, "the wall clock was set");
                self.core.clock_was_set(set, now);
            }
        }
        self.last_tick = Some((now, since_start));
        self.core.tick(setting(&self.config, &self.hub), now);
        let changed = self.save(now).await;
        self.show(now, changed).await;
    }

    /// Keeps what changed; answers whether something had.
    async fn save(&mut self, now: Timestamp) -> bool {
        let mut changes = self.core.take_changes();
        let changed = !changes.is_empty();
        if let Some(day) = changes.daily {
            changes.letters.extend(self.daily(day, now).await);
        }
        self.unsaved.absorb(changes);
        if self.unsaved.is_empty() {
            return changed;
        }
        self.keep_number();
        let written = match &mut self.database {
            Some(database) => database
                .apply(&self.config, &self.unsaved, now)
                .await
                .map_err(|it| it.to_string()),
            None => Err("it could not be opened".to_owned()),
        };
        match written {
            Ok(()) => {
                self.unsaved = Changes::default();
                self.written();
                self.post.wake();
            }
            Err(error) => {
                self.failed(&error);
                self.remember(now).await;
            }
        }
        changed
    }

    /// What cannot be written leaves from memory.
    async fn remember(&mut self, now: Timestamp) {
        let letters = std::mem::take(&mut self.unsaved.letters);
        if let Err(error) = self.post.remember(&letters, now).await {
            tracing::error!(error = %Escaped(error.to_string()), "letters are kept for the next try");
            self.unsaved.letters = letters;
        }
    }

    /// The highest number that was used is kept beside the file, before the file is written: it
    /// must not be used again even if the file cannot be opened at the next start.
    fn keep_number(&mut self) {
        let last = self.unsaved.incidents.keys().map(|id| id.number).max();
        let Some(last) = last.filter(|last| *last > self.number_kept) else {
            return;
        };
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.number_path());
        let written = file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, format!("{last:010}\n").as_bytes())
        });
        match written {
            Ok(()) => self.number_kept = last,
            Err(error) => tracing::warn!(%error, "the last number of an incident cannot be kept"),
        }
    }

    fn number_path(&self) -> PathBuf {
        self.config.state_dir.join(NUMBER_FILE)
    }

    fn remembered_number(&self) -> u32 {
        let path = self.number_path();
        if !path.exists() {
            // Room for it is taken now, while there is some.
            std::fs::write(&path, format!("{:010}\n", 0)).ok();
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// What commands asked for through the file.
    async fn answer_requests(&mut self, now: Timestamp) {
        let Some(database) = &mut self.database else {
            return;
        };
        let waiting = match database.waiting_requests().await {
            Ok(waiting) => waiting,
            Err(error) => return self.failed(&error.to_string()),
        };
        for (id, who, ask) in waiting {
            let answer = match ask {
                // Whoever asked says it in the language of that terminal.
                Some(ask) => match self.ask(&ask, &who, now).await {
                    Ok(()) => String::new(),
                    Err(denied) => serde_json::to_string(&denied).unwrap_or_default(),
                },
                None => "this was not understood".to_owned(),
            };
            if let Some(database) = &mut self.database
                && let Err(error) = database.answer(id, &answer, now).await
            {
                self.failed(&error.to_string());
            }
        }
    }

    /// Keeps what was seen last and proves that the file can be written.
    async fn keep(&mut self, now: Timestamp) {
        if self.database.is_none() {
            // The decisions go on as they are; what the file says is older.
            self.open().await;
        }
        let Some(database) = &mut self.database else {
            return;
        };
        let unkept = std::mem::take(&mut self.unkept);
        let seen = unkept.iter().map(|((look, _), seen)| (&**look, seen));
        let mut kept = database.keep_latest(seen).await;
        if kept.is_ok() {
            kept = database.prove(now).await;
        }
        if kept.is_ok() && self.pruned_at.elapsed() >= PRUNE {
            self.pruned_at = Instant::now();
            let before = now.saturating_sub(KEEP_FOR).unwrap_or(Timestamp::MIN);
            kept = database.prune(before).await;
            if kept.is_ok() {
                let before = now.saturating_sub(REPORTED_FOR).unwrap_or(Timestamp::MIN);
                kept = database.forget(before).await;
            }
        }
        match kept {
            Ok(()) => self.written(),
            Err(error) => {
                // Nothing was seen meanwhile: this loop is the only one that takes it in.
                self.unkept = unkept;
                self.failed(&error.to_string());
            }
        }
    }

    /// Its own file and the mail path are looked at like everything else.
    async fn look_at_itself(&mut self, now: Timestamp) {
        let figures = self.post.figures().await;
        let own = self.broken.as_ref().map(|why| {
            Trouble::new(Kind::SentinelDisk)
                .fact(
                    Fact::Place,
                    Value::heard(self.config.state_dir.display().to_string()),
                )
                .fact(Fact::Detail, Value::heard(why))
        });
        let itself = Observation::wrong(Subject::Sentinel, now, own.into_iter().collect());
        if figures.failed > self.last_failed {
            (self.last_failed, self.lost_at) = (figures.failed, Some(now));
        }
        let relays = self.post.relays();
        let mut seen = mail(&figures, &relays, self.lost_at, now);
        seen.push(itself);
        self.take(&ITSELF.into(), &Round::whole(seen), Duration::ZERO, now);
        (self.snapshot.figures, self.snapshot.relays) = (figures, relays.len());
    }

    /// The daily mail about the day before.
    async fn daily(&mut self, day: jiff::civil::Date, now: Timestamp) -> Vec<notify::Letter> {
        let zone = &self.config.zone;
        let begin = |date: jiff::civil::Date| date.to_zoned(zone.clone()).map(|it| it.timestamp());
        let (Ok(from), Ok(until)) = (day.yesterday().and_then(begin), begin(day)) else {
            return Vec::new();
        };
        let counts = match &mut self.database {
            Some(database) => database.day_counts(from, until).await.ok(),
            None => None,
        };
        let failing = self.snapshot.self_test(now);
        message::daily(
            setting(&self.config, &self.hub),
            &self.core,
            day,
            counts,
            &failing,
        )
    }

    /// The copy for the admin door.
    async fn show(&mut self, now: Timestamp, changed: bool) {
        if changed {
            self.snapshot.incidents = Arc::new(self.core.open_incidents().cloned().collect());
            self.snapshot.tenants = self.core.tenant_states().cloned().collect();
            let tenants = self.config.tenants();
            let silent =
                tenants.map(|it| (it.to_owned(), self.core.count(Kind::TerminalSilent, it)));
            self.snapshot.silent = silent.collect();
        }
        self.snapshot.at = Some(now);
        self.snapshot.checks = Arc::new(self.checks.clone());
        self.hub.snapshot.store(Arc::new(self.snapshot.clone()));
    }
}

/// Time since the machine started, also that in which it slept.
fn since_start() -> Duration {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(since).unwrap_or_default()
}

fn setting<'a>(config: &'a Config, hub: &'a Hub) -> Setting<'a> {
    let links = hub.links.as_deref();
    Setting { config, links }
}

/// What the numbers of the mail path mean: for each relay, under the name by which the look at
/// relays calls it too, so that one broken relay is one incident whoever sees it first, and for
/// the whole.
fn mail(
    figures: &notify::Figures,
    relays: &[String],
    lost_at: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Observation> {
    let mut troubles = Vec::new();
    let oldest = figures.stuck.filter(|stuck| *stuck > WAITING);
    if let Some(oldest) = oldest {
        let waiting = i64::try_from(figures.waiting).unwrap_or(i64::MAX);
        troubles.push(
            Trouble::new(Kind::MailQueue)
                .fact(Fact::Oldest, Value::Seconds(oldest.as_secs_f64()))
                .fact(Fact::Waiting, waiting),
        );
    }
    let failing = &figures.failing_relays;
    let words = |name: &str| {
        let found = failing.iter().find(|(its, ..)| its == name);
        found.map(|(_, _, words)| Value::heard(words))
    };
    if let Some((name, _, words)) = failing.first().filter(|_| failing.len() >= relays.len()) {
        troubles.push(
            Trouble::new(Kind::MailDown)
                .fact(Fact::Place, Value::heard(name))
                .fact(Fact::Detail, Value::heard(words)),
        );
    }
    let hour = SignedDuration::from_hours(1);
    if lost_at.is_some_and(|at| now.duration_since(at) < hour) {
        troubles.push(Trouble::new(Kind::LetterLost));
    }
    let each = relays.iter().map(|name| {
        let trouble = words(name).map(|words| failing_relay(name, words));
        Observation::wrong(Subject::relay(name), now, trouble.into_iter().collect())
    });
    let whole = Observation::wrong(Subject::Mail { relay: None }, now, troubles);
    each.chain([whole]).collect()
}
