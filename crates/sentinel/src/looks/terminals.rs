//! Looks at every terminal, through satellite's list of them.
//!
//! One page for all, read often; for each terminal a few words are kept. satellite judges
//! online and offline by what its door heard; here that becomes troubles, together with clock,
//! log memory, gaps and the conditions that satellite names. Whether thirty of them have one
//! cause is decided elsewhere, from the tenant and the site in their subjects.

mod judge;

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use compact_str::CompactString;
use fetch::{Fetch, Url};
use jiff::Timestamp;

use super::satellite::skim::Skim;
use super::satellite::status::{Device, DeviceState, Devices};
use super::store::{Reader, moment};
use super::{said, wide};
use crate::config::WatchedStore;
use crate::words::Phrase;
use crate::{Look, Observation, Round, Subject, Value};
use judge::Past;

/// From round to round: with the time for which others of the same cause are waited for, a
/// terminal is told offline within thirty seconds of being so.
const EVERY: Duration = Duration::from_secs(10);
/// Longest round.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for the list.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// Longest list that is read, in bytes: twenty thousand terminals.
const LIMIT: usize = 16 << 20;
/// For the question to a database.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// The look at all terminals.
pub struct Terminals {
    list: Url,
    stores: Vec<WatchedStore>,
    memory: Mutex<Memory>,
}

/// What is remembered.
#[derive(Debug, Default)]
struct Memory {
    /// Since when a terminal has a gap, by tenant and serial; only those that have one.
    gaps: HashMap<Key, Instant>,
    /// When a terminal that satellite has not heard since its start was last heard, as the
    /// databases say; looked up once for each start.
    before: HashMap<Key, Timestamp>,
    looked_up: HashSet<Key>,
}

impl Terminals {
    /// A look at the terminals of the satellite at `admin`.
    pub fn new(admin: &Url, stores: &[WatchedStore]) -> Self {
        Self {
            list: admin.join("/devices"),
            stores: stores.to_vec(),
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant's database can be asked.
    fn watches(&self, tenant: &str) -> bool {
        self.stores.iter().any(|store| store.tenant == tenant)
    }

    /// Reads the list. Each terminal is judged as it comes and forgotten, all but those that
    /// were not heard yet: of them a database may know more.
    async fn see(&self, now: Timestamp) -> Result<Seen, Value> {
        let asked = Fetch::get(self.list.clone())
            .within(ASK_WITHIN)
            .limit(LIMIT);
        let mut seen = Seen::default();
        let mut page = Skim::new(&["\"devices\":"], |one: &[u8]| {
            let device: Device = serde_json::from_slice(one)?;
            seen.online += u64::from(device.state == DeviceState::Online && !device.canary);
            if device.state == DeviceState::Unheard {
                seen.unheard.push(device);
            } else {
                seen.observations.extend(self.judged(&device, now));
            }
            Ok(())
        });
        let answer = asked.send_to(|piece| page.push(piece)).await;
        let answer = answer.map_err(|failed| said(&failed))?;
        if answer.status != 200 || answer.is_cut {
            let status = Value::heard(answer.status.to_string());
            return Err(Phrase::HttpStatus.with([status]));
        }
        let frame: Result<Devices, String> = page.end();
        let frame = frame.map_err(|why| Phrase::NotReadable.with([Value::heard(why)]))?;
        if frame.loaded {
            Ok(seen)
        } else {
            Err(Phrase::ListLoading.into())
        }
    }

    /// Asks the databases when those were last heard that satellite has not heard since its
    /// start. One that has never been heard anywhere was enrolled and not yet set up.
    async fn look_up(&self, devices: &[Device]) {
        let unheard: HashSet<_> = devices.iter().map(key).collect();
        let fresh = {
            let mut memory = self.memory();
            memory.looked_up.retain(|key| unheard.contains(key));
            memory.before.retain(|key, _| unheard.contains(key));
            unheard.iter().any(|key| !memory.looked_up.contains(key))
        };
        if !fresh {
            return;
        }
        for store in &self.stores {
            let Ok(rows) = last_contacts(store).await else {
                continue;
            };
            let mut memory = self.memory();
            let of_tenant = unheard.iter().filter(|(tenant, _)| *tenant == store.tenant);
            memory.looked_up.extend(of_tenant.cloned());
            for (tenant, serial, at) in rows {
                let key = (tenant.into(), serial.into());
                if unheard.contains(&key) {
                    memory.before.insert(key, at);
                }
            }
        }
    }

    /// What is said of one; nothing of one that is not real or is shut out.
    fn judged(&self, device: &Device, now: Timestamp) -> Option<Observation> {
        if device.canary || device.state == DeviceState::Blocked {
            return None;
        }
        let mut memory = self.memory();
        let key = key(device);
        let gap = match device.gap_events {
            Some(1..) => Some(*memory.gaps.entry(key.clone()).or_insert_with(Instant::now)),
            _ => {
                memory.gaps.remove(&key);
                None
            }
        };
        let past = Past {
            gap_for: gap.map(|since| since.elapsed()),
            last_contact: memory.before.get(&key).copied(),
            is_looked_up: memory.looked_up.contains(&key) || !self.watches(&device.tenant),
        };
        judge::judged(device, &past, now)
    }
}

/// What a round saw so far.
#[derive(Default)]
struct Seen {
    observations: Vec<Observation>,
    /// Terminals that satellite has not heard since its start.
    unheard: Vec<Device>,
    online: u64,
}

/// Tenant and serial.
type Key = (CompactString, CompactString);

fn key(device: &Device) -> Key {
    (device.tenant.clone(), device.serial.clone())
}

/// Tenant, serial and last contact of every terminal in a database.
async fn last_contacts(store: &WatchedStore) -> Result<Vec<(String, String, Timestamp)>, ()> {
    let mut reader = Reader::open(store, READ_WITHIN).await.map_err(drop)?;
    let sql = "SELECT tenant, serial, CAST(last_contact_at AS CHAR) FROM device_status \
               WHERE last_contact_at IS NOT NULL";
    let rows = reader.ask(sql, READ_WITHIN).await.map_err(drop)?;
    reader.close().await;
    let row = |row: Vec<Option<String>>| {
        let mut row = row.into_iter();
        let (tenant, serial) = (row.next()??, row.next()??);
        Some((tenant, serial, moment(&row.next()??)?))
    };
    Ok(rows.into_iter().filter_map(row).collect())
}

#[async_trait]
impl Look for Terminals {
    fn name(&self) -> &str {
        "terminals"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Satellite]
    }

    async fn look(&self, now: Timestamp) -> Round {
        let unknown = |why: Value| {
            let why = Phrase::ListUnknown.with([why]);
            Round::one(Observation::unknown(Subject::Satellite, now, why))
        };
        let Seen {
            observations: mut seen,
            unheard,
            online,
        } = match self.see(now).await {
            Ok(seen) => seen,
            Err(why) => return unknown(why),
        };
        self.look_up(&unheard).await;
        seen.extend(unheard.iter().filter_map(|it| self.judged(it, now)));
        let all = Observation::fine(Subject::Satellite, now)
            .number("terminals", wide(seen.len() as u64))
            .number("terminals_online", wide(online));
        seen.push(all);
        Round::whole(seen)
    }
}

#[cfg(test)]
mod tests;
