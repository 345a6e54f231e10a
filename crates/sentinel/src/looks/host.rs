//! Looks at machines: this one, those that send their facts, and other sentinels.
//!
//! The same facts are gathered here and by `sentinel host` on another machine, and are judged
//! by the same function with the same memory. A machine that says nothing for 90 s is silent;
//! that is told whatever its last words were.

pub mod agent;
pub mod board;
mod forecast;
pub mod gather;
mod judge;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fetch::{Fetch, Url};
use jiff::Timestamp;

use crate::config::looks::Looks;
use crate::looks::{said, wide};
use crate::observation::HEARD_AT;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Subject, Trouble, Value};
use board::Board;
use gather::{Facts, Gatherer};
use judge::Past;

/// From round to round.
const EVERY: Duration = Duration::from_secs(30);
/// Longest round: a file system that hangs is left out.
const DEADLINE: Duration = Duration::from_secs(20);
/// A machine that says nothing for so long is silent.
const SILENT_AFTER: Duration = Duration::from_secs(90);
/// How long another sentinel is asked in vain before it is silent. It is told within two minutes: up
/// to ten seconds and a time-out pass before this begins, a round and the gathering come after it.
const PEER_SILENT_AFTER: Duration = Duration::from_secs(85);
/// Longest wait for its answer.
const PEER_WITHIN: Duration = Duration::from_secs(7);

/// This machine.
pub struct ThisHost {
    name: String,
    gatherer: Arc<Gatherer>,
    past: Mutex<Past>,
}

impl ThisHost {
    /// A look at this machine under that name.
    pub fn new(name: &str, disks: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            gatherer: Arc::new(Gatherer::new(disks)),
            past: Mutex::default(),
        }
    }
}

#[async_trait]
impl Look for ThisHost {
    fn name(&self) -> &str {
        "host"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::host(&self.name)]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let facts = self.gatherer.gather().await;
        Round::one(judged(&self.name, &facts, &self.past, now))
    }
}

fn judged(name: &str, facts: &Facts, past: &Mutex<Past>, now: Timestamp) -> Observation {
    let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
    judge::judged(Subject::host(name), facts, &mut past, now)
}

/// A machine that sends its facts to the [`Board`].
pub struct OtherHost {
    name: String,
    machine: String,
    board: Arc<Board>,
    past: Mutex<Past>,
}

impl OtherHost {
    /// A look at what the board heard of that machine.
    pub fn new(name: &str, board: &Arc<Board>) -> Self {
        Self {
            name: format!("host:{name}"),
            machine: name.to_owned(),
            board: Arc::clone(board),
            past: Mutex::default(),
        }
    }
}

#[async_trait]
impl Look for OtherHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::host(&self.machine)]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let subject = Subject::host(&self.machine);
        let heard = self.board.heard(&self.machine);
        let silent = |since: Option<Timestamp>| {
            let trouble = Trouble::new(Kind::HostSilent);
            let trouble = match since {
                Some(since) => trouble.fact(Fact::LastContact, since),
                None => trouble,
            };
            Observation::wrong(subject.clone(), now, vec![trouble])
        };
        Round::one(match heard {
            board::Heard::Nothing { waited } if waited < SILENT_AFTER => {
                Observation::unknown(subject, now, Phrase::MachineNotHeard)
            }
            board::Heard::Nothing { .. } => silent(None),
            board::Heard::Facts { ago, at, .. } if ago >= SILENT_AFTER => silent(Some(at)),
            board::Heard::Facts { facts, at, .. } => {
                let seen = judged(&self.machine, &facts, &self.past, now);
                seen.number(
                    HEARD_AT,
                    wide(u64::try_from(at.as_second()).unwrap_or_default()),
                )
            }
        })
    }
}

/// Another sentinel.
pub struct Peer {
    name: String,
    machine: String,
    health: Url,
    /// Since when it has not said that it is well.
    failing: Mutex<Option<Instant>>,
}

impl Peer {
    /// A look at the sentinel with that health page.
    pub fn new(name: &str, health: &Url) -> Self {
        Self {
            name: format!("peer:{name}"),
            machine: name.to_owned(),
            health: health.clone(),
            failing: Mutex::default(),
        }
    }

    /// Notes whether it fails, and answers for how long it has.
    fn failing_for(&self, fails: bool) -> Duration {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if !fails {
            *failing = None;
            return Duration::ZERO;
        }
        failing.get_or_insert_with(Instant::now).elapsed()
    }
}

#[async_trait]
impl Look for Peer {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn deadline(&self) -> Duration {
        PEER_WITHIN + Duration::from_secs(2)
    }

    fn subjects(&self) -> Vec<Subject> {
        let name = self.machine.clone();
        vec![Subject::Peer { name }]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let asked = Fetch::get(self.health.clone()).limit(4096);
        let asked = asked.within(PEER_WITHIN).send().await;
        let name = self.machine.clone();
        let subject = Subject::Peer { name };
        let why = match asked {
            Ok(answer) if answer.status == 200 => {
                self.failing_for(false);
                return Round::one(Observation::fine(subject, now));
            }
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                let status = Value::heard(answer.status.to_string());
                Phrase::HttpSays.with([status, Value::heard(body.trim())])
            }
            Err(failed) => said(&failed),
        };
        if self.failing_for(true) < PEER_SILENT_AFTER {
            return Round::one(Observation::unknown(subject, now, why));
        }
        let trouble = Trouble::new(Kind::PeerSilent)
            .fact(Fact::Place, Value::heard(self.health.to_string()))
            .fact(Fact::Detail, why);
        Round::one(Observation::wrong(subject, now, vec![trouble]))
    }
}

/// The looks at machines that the configuration asks for.
pub fn looks(config: &Looks, board: &Arc<Board>) -> Vec<Arc<dyn Look>> {
    let mut looks: Vec<Arc<dyn Look>> = Vec::new();
    if config.watch_host {
        let name = config.host_name.clone().unwrap_or_else(own_name);
        looks.push(Arc::new(ThisHost::new(&name, &config.disks)));
    }
    for (name, _) in &config.agents {
        looks.push(Arc::new(OtherHost::new(name, board)));
    }
    for (name, health) in &config.peers {
        looks.push(Arc::new(Peer::new(name, health)));
    }
    looks
}

/// The name that this machine has for itself.
pub fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests;
