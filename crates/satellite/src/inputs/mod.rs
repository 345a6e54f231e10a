//! Messages of brokers on their way in: one task for each `[[input]]`, under its sender's lease.
//!
//! A message is acknowledged when its records are committed, and in the order in which messages came.
//! The broker's session is the spool: while the database takes nothing the connection is given up,
//! and what was not acknowledged comes again. What a message says holds up no other: what cannot be
//! read, is too long, came under another topic, or speaks for a terminal that nobody approved, goes
//! into the sender's quarantine and is acknowledged after that commit.
//!
//! What must never happen here: an acknowledgement before a COMMIT; a second way to the store beside
//! [`makes`](crate::makes); messages in memory without bound.

mod board;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Text, Vendor};
use mqtt::{Delivery, Failed, Subscriber};
use tokio::task::JoinHandle;
use tracing::Instrument;

pub use board::InputStatus;
pub(crate) use board::{Board, status};

use crate::conditions::{self, Condition};
use crate::config::{Config, Input};
use crate::detail::Says;
use crate::devices::Known;
use crate::door::No;
use crate::hub::Hub;
use crate::makes::{Came, Done, Message, Settle, Unread};
use crate::stores::Store;
use crate::trace::Step;
use crate::{broker, clock};

/// Messages that are settled at the same time.
const AT_ONCE: usize = 500;
/// The first pause after a failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. A broker that comes back waits no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Between two looks at whether the store is back, and at the configuration.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Results of a message, as metrics have them.
pub(crate) const RESULTS: [&str; 3] = ["settled", "stray", "too_long"];

/// The input whose sender this is.
pub(crate) fn of<'c>(config: &'c Config, known: &Known) -> Option<&'c Input> {
    let enrolment = &known.enrolment;
    let input = config.input(&enrolment.serial)?;
    let is_its = enrolment.vendor == Vendor::Other && enrolment.tenant == input.tenant;
    is_its.then_some(input)
}

/// Listens for this sender until it is dropped, anew when its input is changed.
pub(crate) async fn visit(hub: Arc<Hub>, known: Arc<Known>, store: Store) {
    loop {
        let input = of(&hub.config.load(), &known).cloned();
        let Some(input) = input else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        let ear = Ear {
            hub: Arc::clone(&hub),
            known: Arc::clone(&known),
            store: store.clone(),
            input,
        };
        tokio::select! {
            () = ear.changed() => {}
            () = ear.listen() => {}
        }
    }
}

/// Why a connection ended.
enum End {
    /// The broker's side.
    Broker(String),
    /// The database takes nothing now.
    Store,
}

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        Self::Broker(failed.to_string())
    }
}

/// Messages being settled, in the order in which they came.
type UnderWay = VecDeque<(Delivery, JoinHandle<Result<Done, No>>)>;

/// One input, listened to.
struct Ear {
    hub: Arc<Hub>,
    known: Arc<Known>,
    store: Store,
    input: Input,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.hub.inputs.forget(&self.input.name);
        conditions::clear(&self.known, Condition::Unreachable);
    }
}

impl Ear {
    /// Ends when the configuration has another input for this sender, or none.
    async fn changed(&self) {
        while of(&self.hub.config.load(), &self.known) == Some(&self.input) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn listen(&self) {
        let mut pause = PAUSE;
        loop {
            if !self.store.writer.report().up {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let end = self.session(&mut pause).await;
            self.hub
                .inputs
                .note(&self.input.name, |seen| seen.is_up = false);
            match end {
                // Whether it is up again is told by whoever watches it.
                End::Store => tokio::time::sleep(LOOK_EVERY).await,
                End::Broker(why) => {
                    self.failing(&why);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn session(&self, pause: &mut Duration) -> End {
        let Err(end) = self.messages(pause).await;
        end
    }

    async fn messages(&self, pause: &mut Duration) -> Result<std::convert::Infallible, End> {
        let link = &self.input.link;
        let stream = broker::reach(link).await.map_err(End::Broker)?;
        let filters = self.input.topics.iter();
        let topics: Vec<String> = filters.map(mqtt::Filter::subscription).collect();
        let options = broker::options(link);
        let mut session = Subscriber::open(stream, &options, &topics, broker::WITHIN).await?;
        loop {
            let come = session.next(AT_ONCE).await?;
            // The broker has agreed, or the session was there before.
            *pause = PAUSE;
            self.fine();
            if come.is_empty() {
                continue;
            }
            let mut under_way: UnderWay = VecDeque::with_capacity(come.len());
            for delivery in come {
                let settling = self.settle(&delivery, unread(&self.input, &delivery));
                under_way.push_back((delivery, settling));
            }
            self.acknowledge(&session, under_way).await?;
        }
    }

    /// Begins to settle a message, as a task of its own: whoever stops listening stops no commit.
    fn settle(&self, delivery: &Delivery, unread: Option<Unread>) -> JoinHandle<Result<Done, No>> {
        let hub = &self.hub;
        let serial = self.input.names(&delivery.topic).flatten();
        let message = Message {
            input: Text::new(&self.input.name),
            topic: delivery.topic.clone(),
            serial: serial.map(str::to_owned),
            unread,
            comes_again: delivery.comes_again(),
        };
        self.trace();
        let settle = Settle {
            hub: Arc::clone(hub),
            known: Arc::clone(&self.known),
            store: self.store.clone(),
            body: delivery.payload.clone(),
            came: Came::Message(message),
            room: None,
            at: clock::now(),
            began: Instant::now(),
        };
        let (id, input) = (hub.next_id(), self.input.name.as_str());
        let span = tracing::info_span!("message", id = %format_args!("{id:x}"), input);
        hub.drain.spawn(settle.run().instrument(span))
    }

    /// What is known of a message before it is read.
    fn trace(&self) {
        let (serial, at) = (&self.known.enrolment.serial, clock::now());
        for (step, says) in [
            (Step::Reached, Says::BrokerBrought),
            (Step::Identified, Says::NamedByInput),
            (Step::Approved, Says::Enrolled),
        ] {
            self.hub.trace.step(serial, step, true, at, says);
        }
    }

    /// Acknowledges what is safe, in order, up to the first that is not.
    async fn acknowledge(&self, session: &Subscriber, mut under_way: UnderWay) -> Result<(), End> {
        while let Some((delivery, settling)) = under_way.pop_front() {
            if !self.is_settled(&delivery, settling).await {
                return Err(End::Store);
            }
            session.acknowledge(&delivery)?;
            self.count(&delivery);
        }
        self.hub.inputs.note(&self.input.name, |seen| {
            seen.last_message = Some(clock::now())
        });
        Ok(())
    }

    /// Whether a message is safe. One at which we fail is set aside as it is, or it would come again
    /// for ever and hold up all others.
    async fn is_settled(
        &self,
        delivery: &Delivery,
        settling: JoinHandle<Result<Done, No>>,
    ) -> bool {
        match settling.await {
            Ok(Ok(_)) => return true,
            Ok(Err(No::Internal)) => {}
            Ok(Err(_)) => return false,
            Err(_) => self.hub.metrics.panics.inc(),
        }
        tracing::error!(input = %self.input.name, "a message could not be read and is set aside as it is");
        let again = self.settle(delivery, Some(Unread::Failed)).await;
        matches!(again, Ok(Ok(_)))
    }

    fn count(&self, delivery: &Delivery) {
        let result = match unread(&self.input, delivery) {
            None | Some(Unread::Failed) => "settled",
            Some(Unread::Stray) => "stray",
            Some(Unread::TooLong) => "too_long",
        };
        let labels = [self.input.tenant.as_str(), &self.input.name, result];
        let messages = &self.hub.metrics.input_messages;
        messages.with_label_values(&labels).inc();
    }

    fn fine(&self) {
        let mut begins = false;
        self.hub.inputs.note(&self.input.name, |seen| {
            begins = !seen.is_up;
            seen.is_up = true;
            (seen.failing_since, seen.trouble) = (None, None);
        });
        if begins {
            tracing::info!(input = %self.input.name, broker = %self.input.link.place(), "listens to a broker");
            conditions::clear(&self.known, Condition::Unreachable);
        }
    }

    fn failing(&self, why: &str) {
        self.hub.inputs.note(&self.input.name, |seen| {
            seen.failing_since.get_or_insert_with(clock::now);
            seen.trouble = Some(why.to_owned());
        });
        let labels = [self.input.tenant.as_str(), self.input.name.as_str()];
        let failures = &self.hub.metrics.input_failures;
        failures.with_label_values(&labels).inc();
        let detail = Says::BrokerAway.with(&[&self.input.link.place(), &why]);
        conditions::raise(&self.hub, &self.known, Condition::Unreachable, detail);
    }
}

/// Why a message is not read at all.
fn unread(input: &Input, delivery: &Delivery) -> Option<Unread> {
    if input.names(&delivery.topic).is_none() {
        return Some(Unread::Stray);
    }
    delivery.is_cut.then_some(Unread::TooLong)
}
