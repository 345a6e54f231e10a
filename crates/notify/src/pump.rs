//! The pump: takes due letters out of the outbox and gives them to relays and webhooks.
//!
//! A bounded number at a time. One letter's trouble never stops another's. What it knows it
//! writes down: killed at any moment, it loses no letter and repeats at most one mail.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::logging::Escaped;
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::cap::CapRule;
use crate::letter::Channel;
use crate::mime::{Content, Sender, compose};
use crate::outbox::{Figures, Outbox};
use crate::relay::{Brink, Failed, Relay, RestBook, Whose};
use crate::round::{self, Job, Outcome};
use crate::webhook::{Post, Webhook};
use crate::{Error, text};

/// How long letters in flight may go on after the pump was told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// How often relays that failed are asked whether they would take a letter again.
const PROBE_EVERY: Duration = Duration::from_secs(30);

/// How often a delivery that could not be written down is written again.
const RECORD_TRIES: u32 = 5;

/// By which ways letters leave.
#[derive(Clone)]
pub struct Ways {
    /// Who writes the mails.
    pub from: Sender,
    /// Relays in the order in which they are preferred.
    pub relays: Vec<Arc<dyn Relay>>,
    /// Webhooks by their names.
    pub webhooks: Vec<Arc<Webhook>>,
}

/// Tells the time; a simulation gives its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// See the head of this module. Clones share everything.
#[derive(Clone)]
pub struct Pump(Arc<Shared>);

struct Shared {
    outbox: Outbox,
    ways: Ways,
    clock: Clock,
    rule: CapRule,
    concurrency: usize,
    rest: Arc<RestBook>,
    mails: Arc<tokio::sync::Mutex<()>>,
    posts: Arc<tokio::sync::Mutex<()>>,
    in_flight: Mutex<HashSet<i64>>,
}

/// Takes a row out of those in flight, however its try ends.
struct Flight {
    shared: Arc<Shared>,
    row: i64,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.shared.in_flight().remove(&self.row);
    }
}

impl Shared {
    fn in_flight(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pump {
    /// A pump for that outbox with the wall clock and four letters at a time.
    ///
    /// # Errors
    /// [`Error::Database`] when the outbox cannot be read.
    pub async fn new(outbox: Outbox, ways: Ways, rule: CapRule) -> Result<Self, Error> {
        Self::with(outbox, ways, rule, Arc::new(Timestamp::now), 4).await
    }

    /// The same with all of it chosen; `concurrency` is at least 1.
    ///
    /// # Errors
    /// [`Error::Database`] when the outbox cannot be read.
    pub async fn with(
        outbox: Outbox,
        ways: Ways,
        rule: CapRule,
        clock: Clock,
        concurrency: usize,
    ) -> Result<Self, Error> {
        let rest = RestBook::default();
        for (name, (failures, until)) in round::relays(&outbox).await? {
            rest.remember(&name, failures, until);
        }
        Ok(Self(Arc::new(Shared {
            outbox,
            ways,
            clock,
            rule,
            concurrency: concurrency.max(1),
            rest: Arc::new(rest),
            mails: Arc::default(),
            posts: Arc::default(),
            in_flight: Mutex::default(),
        })))
    }

    /// The outbox.
    pub fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    /// The numbers for metrics. What the file says of a relay that is no longer one of ours fails
    /// nobody.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn figures(&self) -> Result<Figures, Error> {
        let mut figures = self.0.outbox.figures(self.now()).await?;
        let ours = |name: &str| self.0.ways.relays.iter().any(|it| it.name() == name);
        figures.failing_relays.retain(|(name, ..)| ours(name));
        Ok(figures)
    }

    /// Delivers until it is cancelled; then letters in flight have five seconds. What was not
    /// delivered is in the outbox.
    pub async fn run(&self, cancel: CancellationToken) {
        let (mut tries, mut probing) = (JoinSet::new(), JoinSet::new());
        let mut probe_at = tokio::time::interval(PROBE_EVERY);
        probe_at.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut broken = false;
        while !cancel.is_cancelled() {
            match self.start(&mut tries).await {
                Ok(_) => broken = false,
                Err(error) if !broken => {
                    broken = true;
                    tracing::error!(error = %Escaped(error.to_string()), "the outbox cannot be read");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                ended = tries.join_next(), if !tries.is_empty() => tell_of_panic(ended),
                _ = probing.join_next(), if !probing.is_empty() => {}
                _ = probe_at.tick(), if probing.is_empty() => {
                    let pump = self.clone();
                    probing.spawn(async move { pump.probe().await });
                }
                () = self.0.outbox.woken() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        let drained = async { while tries.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("stopped with letters in flight; they are sent again at the next start");
        }
    }

    /// Asks the relays that failed last time whether they would take a letter again. One that
    /// would has worked: what waits for it is due at once, and nobody is told any longer that it
    /// fails, also when no letter is there to try it.
    pub async fn probe(&self) {
        for relay in &self.0.ways.relays {
            let fails = self.0.rest.fails(relay.name());
            if fails && relay.would_take(self.0.ways.from.address()).await.is_ok() {
                self.worked(relay.name()).await;
            }
        }
    }

    /// Tries everything that is due now, until nothing is, and answers with the number of
    /// tries.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn tick(&self) -> Result<usize, Error> {
        let mut tries = JoinSet::new();
        let mut done = 0;
        loop {
            done += self.start(&mut tries).await?;
            if tries.is_empty() {
                return Ok(done);
            }
            tell_of_panic(tries.join_next().await);
        }
    }

    /// Starts as many tries as there is room for.
    async fn start(&self, tries: &mut JoinSet<()>) -> Result<usize, Error> {
        let in_flight = self.0.in_flight().clone();
        let room = self.0.concurrency.saturating_sub(tries.len());
        if room == 0 {
            return Ok(0);
        }
        let (outbox, rule) = (&self.0.outbox, &self.0.rule);
        let jobs = round::begin_round(outbox, rule, &in_flight, room, self.now()).await?;
        let started = jobs.len();
        for job in jobs {
            self.0.in_flight().insert(job.row);
            let flight = Flight {
                shared: Arc::clone(&self.0),
                row: job.row,
            };
            let pump = self.clone();
            tries.spawn(async move {
                pump.attempt(&job).await;
                drop(flight);
            });
        }
        Ok(started)
    }

    async fn attempt(&self, job: &Job) {
        let outcome = match job.channel {
            Channel::Mail => self.mail(job).await,
            Channel::Webhook => self.post(job).await,
        };
        // The brink is held until here, so that no second letter is in doubt meanwhile.
        let (outcome, _brink) = outcome;
        for left in (0..RECORD_TRIES).rev() {
            match round::record(&self.0.outbox, job, &outcome, self.now()).await {
                Ok(given_up) => return tell(job, &outcome, given_up),
                Err(error) if left == 0 => {
                    tracing::error!(error = %Escaped(error.to_string()), letter = job.letter,
                        "the end of a try cannot be written down; the letter may go twice");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    async fn mail(&self, job: &Job) -> (Outcome, Option<Brink>) {
        let content = Content {
            id: job.letter.clone(),
            thread: job.thread.clone(),
            to: job.recipient.clone(),
            subject: job.subject.clone(),
            text: job.text.clone(),
            html: job.html.clone(),
            written_at: job.queued_at,
        };
        let wire = match compose(&self.0.ways.from, &content) {
            Ok(wire) => wire,
            Err(error) => {
                let words = error.to_string();
                return (Outcome::Refused { words }, None);
            }
        };
        let (mut words, mut refusals, mut relay_faults) = (Vec::new(), 0, 0);
        let relays = &self.0.ways.relays;
        for relay in self.order() {
            let brink = Brink::new(&self.0.mails).of_relay(relay.name(), &self.0.rest);
            match relay.deliver(&wire, &brink).await {
                Ok(_) => {
                    self.worked(relay.name()).await;
                    let by = relay.name().to_owned();
                    return (Outcome::Delivered { by }, Some(brink));
                }
                Err(failed) => {
                    words.push(format!("{}: {failed}", relay.name()));
                    match failed.whose {
                        Whose::Relay => {
                            relay_faults += 1;
                            self.failed(relay.name(), &failed).await;
                        }
                        Whose::Later => {}
                        Whose::Refused => refusals += 1,
                        Whose::Unknown => {
                            // Another relay at once would most likely make two of it.
                            self.failed(relay.name(), &failed).await;
                            relay_faults += 1;
                            break;
                        }
                    }
                }
            }
        }
        let relay_fault = relay_faults == words.len();
        let words_ = match words.is_empty() {
            true => "no relay is configured".to_owned(),
            false => words.join("; "),
        };
        if refusals > 0 && refusals == relays.len() {
            return (Outcome::Refused { words: words_ }, None);
        }
        let outcome = Outcome::Later {
            words: words_,
            relay_fault,
        };
        (outcome, None)
    }

    /// Relays to try: those awake in their order; when all rest, all of them.
    fn order(&self) -> Vec<Arc<dyn Relay>> {
        let now = self.now();
        let relays = &self.0.ways.relays;
        let awake = |relay: &&Arc<dyn Relay>| !self.0.rest.is_resting(relay.name(), now);
        let awake: Vec<_> = relays.iter().filter(awake).cloned().collect();
        if awake.is_empty() {
            relays.clone()
        } else {
            awake
        }
    }

    async fn worked(&self, name: &str) {
        if !self.0.rest.worked(name) {
            return;
        }
        tracing::info!(relay = name, "the relay works again");
        if let Err(error) = round::relay_recovered(&self.0.outbox, name, self.now()).await {
            tracing::warn!(error = %Escaped(error.to_string()), "the outbox cannot be written");
        }
    }

    async fn failed(&self, name: &str, failed: &Failed) {
        let rest = self.0.rest.failed(name, self.now());
        tracing::warn!(relay = name, failures = rest.0, error = %failed, "a relay fails");
        let noted = round::relay_failed(&self.0.outbox, name, rest, &failed.words).await;
        if let Err(error) = noted {
            tracing::warn!(error = %Escaped(error.to_string()), "the outbox cannot be written");
        }
    }

    async fn post(&self, job: &Job) -> (Outcome, Option<Brink>) {
        let named = |hook: &&Arc<Webhook>| hook.name() == job.recipient;
        let Some(hook) = self.0.ways.webhooks.iter().find(named) else {
            let words = format!("no webhook '{}' is configured", job.recipient);
            let relay_fault = false;
            return (Outcome::Later { words, relay_fault }, None);
        };
        let body = serde_json::json!({
            "id": job.letter,
            "incident": job.incident,
            "step": job.step,
            "kind": job.kind,
            "critical": job.critical,
            "subject": job.subject,
            "text": job.text,
            "queued_at": job.queued_at.to_string(),
        });
        let post = Post {
            id: job.letter.clone(),
            body: body.to_string(),
        };
        let brink = Brink::new(&self.0.posts);
        let outcome = match hook.deliver(&post, &brink, self.now()).await {
            Ok(_) => Outcome::Delivered {
                by: hook.name().to_owned(),
            },
            Err(failed) if failed.whose == Whose::Refused => Outcome::Refused {
                words: failed.words,
            },
            Err(failed) => Outcome::Later {
                words: failed.words,
                relay_fault: false,
            },
        };
        (outcome, Some(brink))
    }
}

fn tell(job: &Job, outcome: &Outcome, given_up: bool) {
    let (letter, to) = (&job.letter, Escaped(&job.recipient));
    match outcome {
        Outcome::Delivered { by } => {
            tracing::info!(letter, %to, relay = by, incident = job.incident, "delivered");
        }
        Outcome::Later { words, .. } | Outcome::Refused { words } if given_up => {
            let subject = Escaped(text::short(&job.subject, 120));
            tracing::error!(letter, %to, %subject, incident = job.incident,
                error = %Escaped(words), "GIVEN UP: nobody was told this");
        }
        Outcome::Later { words, .. } | Outcome::Refused { words } => {
            tracing::warn!(letter, %to, attempts = job.attempts, error = %Escaped(words),
                "not delivered yet");
        }
    }
}

fn tell_of_panic(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        // Its next try stands in the outbox since before this one.
        tracing::error!(error = %Escaped(error.to_string()), "a try broke off");
    }
}
