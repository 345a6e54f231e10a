//! Looks at satellite itself: what systemd says of its unit, what its admin door says of its
//! work, whether anybody answers at the port for terminals.
//!
//! A dependency that is down is not a freeze: satellite says in `/status` which of its stores
//! take no events and why, and that is handed on about the store. Frozen is only work that
//! waits although its database is up, or a door that takes connections and says nothing.

mod judge;
pub mod page;
mod restart;
pub(super) mod skim;
pub mod status;
mod stores;
pub mod unit;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fetch::{Failed, Fetch, Url};
use jiff::Timestamp;

use super::{said, wide};
use crate::config::CanaryDoor;
use crate::words::Phrase;
use crate::{Admin, Door, Look, Observation, Round, Signal, Subject, Unit};
use judge::History;
use page::StatusPage;
use restart::Restarts;
use status::Status;
use stores::{Stores, of_store};
use unit::State;

/// From round to round. A process that died is told within 15 s, and it takes two rounds to be
/// sure.
const EVERY: Duration = Duration::from_secs(5);
/// The same for the unit and the door, which cost less.
const QUICK: Duration = Duration::from_secs(4);
/// Longest wait for the door.
const KNOCK_WITHIN: Duration = Duration::from_secs(3);
/// What a look has beside its waiting.
const MARGIN: Duration = Duration::from_millis(500);

/// The admin door, and what it says of the stores.
pub struct Work {
    page: Arc<StatusPage>,
    unit: Option<String>,
    /// Tenants of `[[watch.store]]`, whose stores are named in observations.
    tenants: Vec<String>,
    memory: Mutex<Memory>,
}

struct Memory {
    history: History,
    stores: Stores,
    restarts: Option<Restarts>,
}

impl Work {
    /// A look at what the admin door says; `unit` is restarted when it is frozen, if
    /// `may_restart`.
    pub fn new(
        page: Arc<StatusPage>,
        unit: Option<&str>,
        may_restart: bool,
        tenants: Vec<String>,
    ) -> Self {
        Self {
            page,
            unit: unit.map(str::to_owned),
            tenants,
            memory: Mutex::new(Memory {
                history: History::default(),
                stores: Stores::default(),
                restarts: may_restart.then(Restarts::default),
            }),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self, status: &Status, now: Timestamp) -> Vec<Observation> {
        let memory = &mut *self.memory();
        let seen_at = Instant::now();
        let moving = memory.stores.moving(status, seen_at);
        let mut troubles = memory.history.troubles(status, seen_at);
        troubles.extend(status.tls.as_ref().and_then(|tls| judge::tls(tls, now)));
        let stuck = status.stages.iter().find(|stage| stage.stalled);
        let admin = if stuck.is_some() {
            Admin::Stuck
        } else {
            Admin::Moving
        };
        let mut satellite = Observation::wrong(Subject::Satellite, now, troubles)
            .signal(Signal::Admin(admin))
            .version(&status.version)
            .number("uptime_seconds", wide(status.uptime_seconds))
            .number("journal_events", wide(status.journal.events))
            .number("pending", wide(status.pending));
        for (name, count) in [
            ("received", status.totals.received),
            ("committed", status.totals.committed),
        ] {
            satellite = satellite.number(name, wide(count));
        }
        let stores = self.tenants.iter().filter_map(|tenant| {
            let store = status.store_of(tenant)?;
            let admin = match moving.get(&store.label) {
                Some(false) => Admin::Stuck,
                _ => Admin::Moving,
            };
            let troubles = of_store(store).into_iter().collect();
            let seen = Observation::wrong(Subject::store(tenant), now, troubles);
            Some(
                seen.signal(Signal::Admin(admin))
                    .number("waiting", wide(store.waiting))
                    .number("oldest_waiting_seconds", store.oldest_waiting_seconds),
            )
        });
        let stores: Vec<_> = stores.collect();
        [vec![satellite], stores].concat()
    }

    /// Nothing readable came. A frozen process that systemd calls active is restarted, at most
    /// so often.
    async fn unseen(&self, failed: &Failed, now: Timestamp) -> Vec<Observation> {
        let admin = match failed {
            Failed::Refused(_) => Admin::Refused,
            _ => Admin::Silent,
        };
        let observation = Observation::unknown(Subject::Satellite, now, said(failed));
        let mut seen = vec![observation.signal(Signal::Admin(admin))];
        let stores = self.tenants.iter().map(|tenant| {
            Observation::unknown(Subject::store(tenant), now, Phrase::SatelliteSilent)
        });
        seen.extend(stores);
        let frozen = admin == Admin::Silent;
        if let Some(unit) = &self.unit
            && self.restart_is_due(frozen)
            && unit::state(unit).await == State::Active
        {
            tracing::error!(unit, "satellite is frozen and is restarted through systemd");
            let done = unit::restart(unit).await;
            if let Err(why) = done {
                tracing::error!(unit, why, "satellite could not be restarted");
            }
        }
        seen
    }

    fn restart_is_due(&self, frozen: bool) -> bool {
        let restarts = &mut self.memory().restarts;
        restarts
            .as_mut()
            .is_some_and(|restarts| restarts.is_due(frozen, Instant::now()))
    }
}

#[async_trait]
impl Look for Work {
    fn name(&self) -> &str {
        "satellite"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        EVERY - MARGIN
    }

    fn subjects(&self) -> Vec<Subject> {
        let stores = self.tenants.iter().map(|tenant| Subject::store(tenant));
        [Subject::Satellite].into_iter().chain(stores).collect()
    }

    async fn look(&self, now: Timestamp) -> Round {
        Round::part(match self.page.ask().await {
            Ok(status) => {
                self.restart_is_due(false);
                self.judged(&status, now)
            }
            Err(failed) => self.unseen(&failed, now).await,
        })
    }
}

/// systemd's word on the unit.
pub struct UnitLook {
    unit: String,
}

impl UnitLook {
    /// A look at that unit.
    pub fn new(unit: &str) -> Self {
        Self {
            unit: unit.to_owned(),
        }
    }
}

#[async_trait]
impl Look for UnitLook {
    fn name(&self) -> &str {
        "unit"
    }

    fn every(&self) -> Duration {
        QUICK
    }

    fn deadline(&self) -> Duration {
        QUICK - MARGIN
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Satellite]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let fine = || Observation::fine(Subject::Satellite, now);
        Round::one(match unit::state(&self.unit).await {
            State::Active => fine().signal(Signal::Unit(Unit::Active)),
            State::Inactive(_) => fine().signal(Signal::Unit(Unit::Inactive)),
            State::Unknown(why) => Observation::unknown(Subject::Satellite, now, why),
        })
    }
}

/// The port for terminals, at the address nearest to satellite. It is asked in the name of an
/// enrolled canary: a stranger's question would list a terminal that waits for approval.
pub struct DoorLook {
    url: Url,
}

impl DoorLook {
    /// A look at the door at that address, as the canary of that serial.
    pub fn new(url: &Url, serial: &str) -> Self {
        Self {
            url: url.join(&format!("/iclock/ping?SN={serial}")),
        }
    }
}

#[async_trait]
impl Look for DoorLook {
    fn name(&self) -> &str {
        "door"
    }

    fn every(&self) -> Duration {
        QUICK
    }

    fn deadline(&self) -> Duration {
        QUICK - MARGIN
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Satellite]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let asked = Fetch::get(self.url.clone())
            .within(KNOCK_WITHIN)
            .send()
            .await;
        let seen = match asked {
            // Whatever it says: somebody is there and speaks HTTP.
            Ok(answer) => Observation::fine(Subject::Satellite, now)
                .signal(Signal::Door(Door::Answers))
                .number("door_seconds", answer.took.as_secs_f64()),
            Err(failed) => {
                let door = match failed {
                    Failed::Refused(_) => Door::Refused,
                    _ => Door::Silent,
                };
                Observation::unknown(Subject::Satellite, now, said(&failed))
                    .signal(Signal::Door(door))
            }
        };
        Round::one(seen)
    }
}

/// The looks at satellite that the configuration asks for; `page` is its `/status`.
pub fn looks(watch: &crate::config::Watch, page: Option<&Arc<StatusPage>>) -> Vec<Arc<dyn Look>> {
    let mut looks: Vec<Arc<dyn Look>> = Vec::new();
    if let Some(page) = page {
        let tenants = watch
            .stores
            .iter()
            .map(|store| store.tenant.clone())
            .collect();
        let unit = watch.satellite_unit.as_deref();
        looks.push(Arc::new(Work::new(
            Arc::clone(page),
            unit,
            watch.restart,
            tenants,
        )));
    }
    if let Some(unit) = &watch.satellite_unit {
        looks.push(Arc::new(UnitLook::new(unit)));
    }
    let canary = watch
        .stores
        .iter()
        .flat_map(|store| &store.canaries)
        .find_map(|door| match door {
            CanaryDoor::Zkteco(serial) => Some(serial.as_str()),
            _ => None,
        });
    let near = watch.terminal_urls.last().and_then(|url| url.parse().ok());
    if let Some((url, serial)) = near.zip(canary) {
        looks.push(Arc::new(DoorLook::new(&url, serial)));
    }
    looks
}

#[cfg(test)]
mod tests;
