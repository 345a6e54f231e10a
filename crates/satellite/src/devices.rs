//! Every terminal that satellite knows, in memory: who it is, and what was last seen of it.
//!
//! The door asks here and nowhere else, so that handshakes and polls work with every database
//! down. Enrolments are replaced as a whole when the registry changed; what was seen of a
//! terminal survives that, because it belongs to the enrolment's id. A stamp in here never
//! runs ahead of what was committed: the door moves it only afterwards.

mod claims;
mod due;
mod presence;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use event::{Device, DeviceId, Millis, Serial, SharedDevice, Text, Vendor, Zone};
use hikvision_isapi::Chain;
use store::assurance::Assured;
use store::inventory::Inventory;
use store::registry::TokenHash;
use store::registry::{Enrolment, EnrolmentState};
use store::status::DeviceState;
use zkteco_push::{Dialect, Info, Stamp, Table};

pub(crate) use due::inventory;
pub(crate) use presence::Presence;

use crate::again::{Audit, Mailbox};
use crate::conditions::Conditions;
use crate::config::{Config, Network};
use crate::door::{Bucket, Transport, Twins};
use crate::edge::claim::Slot;
use crate::hikvision::{self, CHAIN, MAC};
use crate::index::{INDEX, Index};
use crate::pull;
use crate::record::Tape;
use crate::skew::Skew;

/// Pending serials remembered, as many as the mirror keeps.
const PENDING: usize = 1_000;
/// Shortest time between two rows of status for one terminal.
const STATE_EVERY: i64 = 60_000;
/// What the name of a stamp's cursor starts with.
const STAMP: &str = "stamp:";
/// The cursor that keeps a terminal's language.
pub(crate) const LANGUAGE: &str = "language";
/// The cursor that keeps the dialect in which a push terminal was last heard.
pub(crate) const DIALECT: &str = "dialect";

/// One enrolled terminal.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) enrolment: Enrolment,
    pub(crate) device: SharedDevice,
    /// Whether it may set its clock from ours: its tenant's wish.
    pub(crate) set_clock: bool,
    /// False when its tenant is no longer in the configuration.
    pub(crate) has_tenant: bool,
    /// From where its tenant's terminals may speak; empty for everywhere.
    networks: Vec<Network>,
    seen: Arc<Seen>,
}

/// Everything that was seen of a terminal. It stays when its enrolment is read again.
#[derive(Debug)]
struct Seen {
    facts: Mutex<Facts>,
    conditions: Conditions,
    again: Mailbox,
    audit: Audit,
    hikvision: hikvision::Device,
    pull: pull::Device,
    index: Index,
    tape: Tape,
    edge: Slot,
}

impl Seen {
    fn of(facts: Facts) -> Self {
        Self {
            hikvision: hikvision::Device::new(facts.kept(MAC).cloned()),
            index: Index::of(facts.kept(INDEX)),
            facts: Mutex::new(facts),
            conditions: Conditions::default(),
            pull: pull::Device::default(),
            again: Mailbox::default(),
            audit: Audit::default(),
            tape: Tape::default(),
            edge: Slot::default(),
        }
    }
}

/// What was seen of a terminal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) last_contact: Option<Millis>,
    pub(crate) last_event: Option<Millis>,
    pub(crate) language: Option<u16>,
    /// The language as it was last committed with records.
    pub(crate) language_stored: Option<u16>,
    /// The dialect that it last showed by what it did.
    pub(crate) dialect: Option<Dialect>,
    /// The dialect as it was last committed with records.
    pub(crate) dialect_stored: Option<Dialect>,
    /// How fast it asks.
    pub(crate) pace: Bucket,
    /// From where it speaks.
    pub(crate) twins: Twins,
    /// Handshakes and registrations without anything else in between.
    pub(crate) greetings: Greetings,
    pub(crate) stamps: Vec<(Table, Stamp)>,
    pub(crate) firmware: Option<Text>,
    pub(crate) model: Option<Text>,
    pub(crate) log_used: Option<i64>,
    pub(crate) log_capacity: Option<i64>,
    pub(crate) users_used: Option<i64>,
    pub(crate) users_capacity: Option<i64>,
    /// Where its last request came from.
    pub(crate) heard_from: Option<IpAddr>,
    /// How that request came.
    pub(crate) heard_over: Option<Transport>,
    pub(crate) skew: Skew,
    /// Up to when its record is known to be whole.
    pub(crate) assured: Option<Assured>,
    /// When a change of its firmware was last tried to be noted.
    pub(crate) firmware_tried: Option<Millis>,
    /// Records stored because they were asked for again, since the start.
    pub(crate) backfilled: u64,
    first_contact: Option<Millis>,
    /// Its inventory and its assurance as they were last written.
    written: (Option<Inventory>, Option<Assured>),
    /// Other cursors, as they were last committed.
    kept: Vec<(Text, Text)>,
    /// Something here is newer than the mirror's copy.
    unsaved: bool,
    /// When its row of status was last written, and what it said.
    state_written: Option<(Millis, &'static str)>,
}

/// How often a terminal greeted in a row: one that goes on greeting does not take the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Greetings {
    pub(crate) handshakes: u32,
    pub(crate) registrations: u32,
}

impl Known {
    /// What was seen of it, for a moment. Never hold this over an await.
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.seen.facts)
    }

    /// What an operator should hear of it.
    pub(crate) fn conditions(&self) -> &Conditions {
        &self.seen.conditions
    }

    /// Windows of its record that are asked for again.
    pub(crate) fn again(&self) -> &Mailbox {
        &self.seen.again
    }

    /// What is known of the completeness of its record.
    pub(crate) fn audit(&self) -> &Audit {
        &self.seen.audit
    }

    /// What is known of it as a Hikvision device.
    pub(crate) fn hikvision(&self) -> &hikvision::Device {
        &self.seen.hikvision
    }

    /// What is known of it as a terminal on port 4370.
    pub(crate) fn pull(&self) -> &pull::Device {
        &self.seen.pull
    }

    /// The count of its records, for terminals in access-control mode.
    pub(crate) fn index(&self) -> &Index {
        &self.seen.index
    }

    /// Where what it says at the door is noted while it is recorded.
    pub(crate) fn tape(&self) -> &Tape {
        &self.seen.tape
    }

    /// What is known of it through an edge, and of it as an edge.
    pub(crate) fn edge(&self) -> &Slot {
        &self.seen.edge
    }

    /// True when it may post to its listening address.
    pub(crate) fn may_post(&self) -> bool {
        self.is_approved() && self.has_tenant
    }

    /// True when that address lies outside of where its tenant's terminals may speak. A canary
    /// knocks from everywhere.
    pub(crate) fn is_elsewhere(&self, address: IpAddr) -> bool {
        let within = |network: &Network| network.contains(address);
        !self.enrolment.canary && !self.networks.is_empty() && !self.networks.iter().any(within)
    }

    /// True when it is asked by us, so that what it has cannot be missed.
    pub(crate) fn is_dialled(&self) -> bool {
        self.enrolment.access.address.is_some()
    }

    /// Its serial chain as it was last seen committed, for when its database cannot be asked.
    pub(crate) fn remembered_chain(&self) -> Chain {
        let facts = self.facts();
        let text = facts.kept(CHAIN);
        text.and_then(|text| Chain::parse(text)).unwrap_or_default()
    }

    /// True when it may bring records.
    pub(crate) fn is_approved(&self) -> bool {
        self.enrolment.state == EnrolmentState::Approved
    }

    /// True when the record is older than the enrolment accepts.
    pub(crate) fn is_before_enrolment(&self, occurred: Option<Millis>) -> bool {
        let from = self.enrolment.accept_from;
        from.zip(occurred)
            .is_some_and(|(from, occurred)| occurred < from)
    }
}

impl Facts {
    /// The stamp to keep after an upload that said `next`, when it is another one than now.
    pub(crate) fn moved_stamp(&self, table: &Table, next: &Stamp) -> Option<Stamp> {
        let known = self
            .stamps
            .iter()
            .find(|(of, _)| of == table)
            .map(|(_, stamp)| stamp);
        match known {
            Some(known) if known == next || !known.gives_way_to(next) => None,
            _ => Some(next.clone()),
        }
    }

    /// Takes a stamp whose upload was committed, unless a later one was quicker.
    pub(crate) fn keep_stamp(&mut self, table: &Table, next: Stamp) {
        match self.stamps.iter_mut().find(|(of, _)| of == table) {
            Some((_, known)) if known.gives_way_to(&next) => *known = next,
            Some(_) => return,
            None => self.stamps.push((table.clone(), next)),
        }
        self.unsaved = true;
    }

    /// Takes the language of a handshake.
    pub(crate) fn keep_language(&mut self, language: u16) {
        self.unsaved |= self.language.replace(language) != Some(language);
    }

    /// Takes the dialect that a request showed; answers whether it is another one than before.
    pub(crate) fn keep_dialect(&mut self, dialect: Dialect) -> bool {
        let changed = self.dialect.replace(dialect) != Some(dialect);
        self.unsaved |= changed;
        changed
    }

    /// Takes a cursor as the mirror kept it; unknown ones are passed over.
    fn restore(&mut self, name: &str, value: &str) {
        if name == LANGUAGE {
            self.language = value.parse().ok();
            self.language_stored = self.language;
        } else if name == DIALECT {
            self.dialect = Dialect::from_word(value);
            self.dialect_stored = self.dialect;
        } else if let Some(table) = name.strip_prefix(STAMP) {
            if let Ok(stamp) = Stamp::new(value) {
                let table = Table::from_name(table);
                self.stamps.retain(|(of, _)| *of != table);
                self.stamps.push((table, stamp));
            }
        } else {
            self.keep_cursor(name, value);
            self.unsaved = false;
        }
    }

    /// Takes a cursor that was committed.
    pub(crate) fn keep_cursor(&mut self, name: &str, value: &str) {
        self.unsaved = true;
        match self.kept.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = Text::new(value),
            None => self.kept.push((Text::new(name), Text::new(value))),
        }
    }

    /// A cursor as it was last committed.
    pub(crate) fn kept(&self, name: &str) -> Option<&Text> {
        self.kept
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    fn cursors(&self) -> impl Iterator<Item = (Text, Text)> {
        let language = self
            .language
            .map(|n| (Text::const_new(LANGUAGE), Text::from(n.to_string())));
        let dialect = self
            .dialect
            .map(|dialect| (Text::const_new(DIALECT), Text::const_new(dialect.as_str())));
        let stamps = self.stamps.iter();
        stamps
            .map(|(table, stamp)| (stamp_cursor(table), Text::new(stamp.as_str())))
            .chain(language)
            .chain(dialect)
            .chain(self.kept.iter().cloned())
    }

    /// It made a request from there.
    pub(crate) fn heard(&mut self, from: IpAddr, over: Transport, now: Millis) {
        self.contacted(now);
        self.heard_from = Some(from);
        self.heard_over = Some(over);
    }

    /// Something of it came, by somebody who speaks for it.
    pub(crate) fn contacted(&mut self, now: Millis) {
        self.last_contact = Some(now);
        self.first_contact.get_or_insert(now);
    }

    /// Takes what a poll told.
    pub(crate) fn told(&mut self, info: &Info) {
        if info.firmware.is_some() {
            self.firmware.clone_from(&info.firmware);
        }
        self.log_used = info.records.map(i64::from).or(self.log_used);
        self.users_used = info.users.map(i64::from).or(self.users_used);
    }

    /// Takes the settings that a terminal posted. `~MaxAttLogCount` counts ten thousands,
    /// `~MaxUserCount` hundreds.
    pub(crate) fn settings(&mut self, options: &[(Text, Text)]) {
        for (key, value) in options {
            let number = || {
                value
                    .trim()
                    .parse::<i64>()
                    .ok()
                    .filter(|n| (0..1_000_000_000).contains(n))
            };
            match key.trim_start_matches('~') {
                "FirmVer" => self.firmware = Some(value.clone()),
                "DeviceName" => self.model = Some(value.clone()),
                "TransactionCount" => self.log_used = number().or(self.log_used),
                "MaxAttLogCount" => {
                    self.log_capacity = number().map(|n| n * 10_000).or(self.log_capacity);
                }
                "UserCount" => self.users_used = number().or(self.users_used),
                "MaxUserCount" => {
                    self.users_capacity = number().map(|n| n * 100).or(self.users_capacity);
                }
                _ => {}
            }
        }
    }
}

/// The name under which a stamp moves with the records of its upload.
pub(crate) fn stamp_cursor(table: &Table) -> Text {
    Text::from(format!("{STAMP}{}", table.name()))
}

type Key = (Vendor, Serial);

/// All terminals.
pub(crate) struct Devices {
    known: ArcSwap<HashMap<Key, Arc<Known>>>,
    /// Listening devices by what their token hashes to.
    by_token: ArcSwap<HashMap<TokenHash, Arc<Known>>>,
    /// What the table was last built from, for a reload of the configuration.
    enrolments: Mutex<Vec<Enrolment>>,
    pending: Mutex<HashMap<Key, Millis>>,
    loaded: AtomicBool,
}

/// A count of terminals by their state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) approved: usize,
    pub(crate) blocked: usize,
    pub(crate) online: usize,
    pub(crate) quiet: usize,
}

impl Devices {
    pub(crate) fn new() -> Self {
        Self {
            known: ArcSwap::default(),
            by_token: ArcSwap::default(),
            enrolments: Mutex::default(),
            pending: Mutex::default(),
            loaded: AtomicBool::new(false),
        }
    }

    /// True once the enrolments are known, from the registry or from the mirror.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Relaxed)
    }

    /// The terminal of that serial, if it is enrolled.
    pub(crate) fn find(&self, vendor: Vendor, serial: &Serial) -> Option<Arc<Known>> {
        self.known.load().get(&(vendor, serial.clone())).cloned()
    }

    /// The listening device of that token, whatever its state.
    pub(crate) fn by_token(&self, token: &TokenHash) -> Option<Arc<Known>> {
        self.by_token.load().get(token).cloned()
    }

    /// Every enrolled device for which `wanted` is so.
    pub(crate) fn all(&self, wanted: impl Fn(&Known) -> bool) -> Vec<Arc<Known>> {
        let known = self.known.load();
        known
            .values()
            .filter(|known| wanted(known))
            .cloned()
            .collect()
    }

    /// Replaces all enrolments. `stamps` is what the mirror kept, given at the start.
    pub(crate) fn replace(
        &self,
        enrolments: Vec<Enrolment>,
        stamps: Vec<(DeviceId, Text, Text)>,
        config: &Config,
    ) {
        let mut restored: HashMap<DeviceId, Facts> = HashMap::new();
        for (id, name, value) in stamps {
            restored.entry(id).or_default().restore(&name, &value);
        }
        *lock(&self.enrolments) = enrolments;
        self.rebuild(config, &mut restored);
        self.loaded.store(true, Ordering::Relaxed);
    }

    /// Reads the enrolments again under another configuration.
    pub(crate) fn reconfigure(&self, config: &Config) {
        self.rebuild(config, &mut HashMap::new());
    }

    fn rebuild(&self, config: &Config, restored: &mut HashMap<DeviceId, Facts>) {
        // The lock is held to the end, so that two rebuilds cannot overtake each other.
        let enrolments = lock(&self.enrolments);
        let before = self.known.load_full();
        let mut known = HashMap::with_capacity(enrolments.len());
        for enrolment in enrolments.iter() {
            let key = (enrolment.vendor, enrolment.serial.clone());
            let same = before
                .get(&key)
                .filter(|old| old.enrolment.id == enrolment.id);
            let seen = same.map_or_else(
                || {
                    let facts = restored.remove(&enrolment.id).unwrap_or_default();
                    Arc::new(Seen::of(facts))
                },
                |old| Arc::clone(&old.seen),
            );
            known.insert(key, Arc::new(build(enrolment, config, seen)));
        }
        let mut pending = lock(&self.pending);
        pending.retain(|key, _| !known.contains_key(key));
        let by_token = known.values().filter_map(|known: &Arc<Known>| {
            Some((known.enrolment.access.token_hash?, Arc::clone(known)))
        });
        self.by_token.store(Arc::new(by_token.collect()));
        self.known.store(Arc::new(known));
    }

    /// Remembers a serial that nobody enrolled; true at first sight, while there is room.
    pub(crate) fn first_sight(&self, vendor: Vendor, serial: &Serial, now: Millis) -> bool {
        let mut pending = lock(&self.pending);
        let key = (vendor, serial.clone());
        if pending.contains_key(&key) || pending.len() >= PENDING {
            return false;
        }
        pending.insert(key, now);
        true
    }

    /// True for a serial that waits for approval.
    pub(crate) fn is_pending(&self, vendor: Vendor, serial: &Serial) -> bool {
        lock(&self.pending).contains_key(&(vendor, serial.clone()))
    }

    /// Forgets a pending serial, so that it is seen for the first time again.
    pub(crate) fn forget_pending(&self, vendor: Vendor, serial: &Serial) {
        lock(&self.pending).remove(&(vendor, serial.clone()));
    }

    /// Serials that wait for approval.
    pub(crate) fn pending(&self) -> usize {
        lock(&self.pending).len()
    }

    /// Counts the enrolled terminals of each tenant, canaries left out.
    pub(crate) fn count(&self, now: Millis) -> HashMap<event::TenantId, Count> {
        let mut counts: HashMap<event::TenantId, Count> = HashMap::new();
        let known = self.known.load();
        for known in known.values().filter(|known| !known.enrolment.canary) {
            let count = counts.entry(known.enrolment.tenant.clone()).or_default();
            let presence = known.presence(now);
            if presence == Presence::Blocked {
                count.blocked += 1;
            } else {
                count.approved += 1;
            }
            count.online += usize::from(presence == Presence::Online);
            count.quiet += usize::from(presence == Presence::Quiet);
        }
        counts
    }

    /// The cursors that the mirror does not have yet; they count as saved from here on.
    pub(crate) fn take_unsaved(&self) -> Vec<(DeviceId, Text, Text)> {
        let mut unsaved = Vec::new();
        for known in self.known.load().values() {
            let mut facts = known.facts();
            if std::mem::take(&mut facts.unsaved) {
                let id = known.enrolment.id;
                unsaved.extend(facts.cursors().map(|(name, value)| (id, name, value)));
            }
        }
        unsaved
    }

    /// Marks cursors as not saved after all.
    pub(crate) fn not_saved(&self, cursors: &[(DeviceId, Text, Text)]) {
        for known in self.known.load().values() {
            if cursors.iter().any(|(id, _, _)| *id == known.enrolment.id) {
                known.facts().unsaved = true;
            }
        }
    }

    /// The status rows that are due: of terminals heard since their last row, and of those that
    /// went offline, each at most once a minute.
    pub(crate) fn due_states(&self, now: Millis) -> Vec<DeviceState> {
        let known = self.known.load();
        let served = known.values().filter(|known| known.has_tenant);
        served
            .filter_map(|known| due::due_state(known, now))
            .collect()
    }
}

fn build(enrolment: &Enrolment, config: &Config, seen: Arc<Seen>) -> Known {
    let tenant = config.tenant(&enrolment.tenant);
    let own = enrolment.time_zone.as_ref().and_then(|name| match Zone::named(name) {
        Ok(zone) => Some(zone),
        Err(error) => {
            tracing::warn!(serial = %enrolment.serial, %error, "the tenant's time zone is used");
            None
        }
    });
    let zone = own
        .or_else(|| tenant.map(|tenant| tenant.zone.clone()))
        .unwrap_or_else(Zone::utc);
    Known {
        device: Arc::new(Device {
            id: enrolment.id,
            tenant: Some(enrolment.tenant.clone()),
            vendor: enrolment.vendor,
            serial: enrolment.serial.clone(),
            name: enrolment.name.clone(),
            site: enrolment.site.clone(),
            zone,
            canary: enrolment.canary,
        }),
        set_clock: tenant.is_some_and(|tenant| tenant.set_clock),
        has_tenant: tenant.is_some(),
        networks: tenant
            .map(|tenant| tenant.networks.clone())
            .unwrap_or_default(),
        enrolment: enrolment.clone(),
        seen,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::TenantId;
    use std::path::Path;

    pub(super) fn enrolment(serial: &str, id: u8) -> Enrolment {
        Enrolment {
            id: DeviceId([id; 16]),
            vendor: Vendor::Zkteco,
            serial: Serial::new(serial).unwrap(),
            tenant: TenantId::new("main").unwrap(),
            state: EnrolmentState::Approved,
            name: None,
            site: None,
            time_zone: Some("Asia/Kolkata".into()),
            canary: false,
            accept_from: Some(Millis(1_000)),
            created_at: Millis(0),
            access: store::registry::Access::default(),
        }
    }

    fn stamp(text: &str) -> Stamp {
        Stamp::new(text).unwrap()
    }

    fn loaded() -> (Devices, Arc<Known>) {
        let devices = Devices::new();
        let config = Config::in_folder(Path::new("x"));
        let id = DeviceId([1; 16]);
        let stamps = vec![
            (id, "stamp:ATTLOG".into(), "500".into()),
            (id, "language".into(), "83".into()),
            (id, "dialect".into(), "access".into()),
            (id, "stamp:OPERLOG".into(), "not a stamp".into()),
        ];
        devices.replace(vec![enrolment("A1", 1)], stamps, &config);
        let known = devices
            .find(Vendor::Zkteco, &Serial::new("A1").unwrap())
            .unwrap();
        (devices, known)
    }

    #[test]
    fn stamps_language_and_dialect_come_back_from_the_mirror_and_survive_a_refresh() {
        let (devices, known) = loaded();
        assert!(devices.is_loaded());
        assert_eq!(known.facts().stamps, [(Table::AttLog, stamp("500"))]);
        assert_eq!(known.facts().language, Some(83));
        assert_eq!(known.facts().dialect, Some(Dialect::Access));
        assert_eq!(known.device.zone.name(), "Asia/Kolkata");

        known.facts().keep_stamp(&Table::AttLog, stamp("600"));
        let mut renamed = enrolment("A1", 1);
        renamed.name = Some("Door".into());
        devices.replace(
            vec![renamed],
            Vec::new(),
            &Config::in_folder(Path::new("x")),
        );
        let again = devices
            .find(Vendor::Zkteco, &Serial::new("A1").unwrap())
            .unwrap();
        assert_eq!(again.device.name.as_deref(), Some("Door"));
        assert_eq!(again.facts().stamps, [(Table::AttLog, stamp("600"))]);
    }

    #[test]
    fn a_new_enrolment_of_the_same_serial_starts_without_the_old_stamps() {
        let (devices, _) = loaded();
        devices.replace(
            vec![enrolment("A1", 2)],
            Vec::new(),
            &Config::in_folder(Path::new("x")),
        );
        let moved = devices
            .find(Vendor::Zkteco, &Serial::new("A1").unwrap())
            .unwrap();
        assert_eq!(*moved.facts(), Facts::default());
    }

    #[test]
    fn a_stamp_moves_forward_only_and_an_equal_one_costs_no_write() {
        let (devices, known) = loaded();
        let mut facts = known.facts();
        assert_eq!(facts.moved_stamp(&Table::AttLog, &stamp("499")), None);
        assert_eq!(facts.moved_stamp(&Table::AttLog, &stamp("500")), None);
        assert_eq!(
            facts.moved_stamp(&Table::AttLog, &stamp("501")),
            Some(stamp("501"))
        );
        assert_eq!(
            facts.moved_stamp(&Table::OperLog, &stamp("1")),
            Some(stamp("1"))
        );
        facts.keep_stamp(&Table::AttLog, stamp("501"));
        facts.keep_stamp(&Table::AttLog, stamp("400"));
        assert_eq!(facts.stamps, [(Table::AttLog, stamp("501"))]);
        drop(facts);
        let unsaved = devices.take_unsaved();
        assert!(unsaved.contains(&(DeviceId([1; 16]), "stamp:ATTLOG".into(), "501".into())));
        assert!(devices.take_unsaved().is_empty());
        devices.not_saved(&unsaved);
        assert_eq!(devices.take_unsaved().len(), 3);
    }

    #[test]
    fn only_records_before_the_enrolments_moment_are_left_out() {
        let (_, known) = loaded();
        assert!(known.is_before_enrolment(Some(Millis(999))));
        assert!(!known.is_before_enrolment(Some(Millis(1_000))));
        assert!(!known.is_before_enrolment(None));
    }

    #[test]
    fn a_pending_serial_is_new_once_and_there_are_at_most_a_thousand() {
        let devices = Devices::new();
        let serial = |n: usize| Serial::new(&format!("P{n}")).unwrap();
        assert!(devices.first_sight(Vendor::Zkteco, &serial(0), Millis(0)));
        assert!(!devices.first_sight(Vendor::Zkteco, &serial(0), Millis(1)));
        for n in 1..PENDING {
            assert!(devices.first_sight(Vendor::Zkteco, &serial(n), Millis(0)));
        }
        assert!(!devices.first_sight(Vendor::Zkteco, &serial(PENDING), Millis(0)));
        // Approval makes room.
        devices.replace(
            vec![enrolment("P7", 7)],
            Vec::new(),
            &Config::in_folder(Path::new("x")),
        );
        assert_eq!(devices.pending(), PENDING - 1);
    }

    #[test]
    fn a_status_row_is_due_once_a_minute_and_once_more_when_the_terminal_goes_silent() {
        let (devices, known) = loaded();
        assert!(devices.due_states(Millis(0)).is_empty());
        known.facts().last_contact = Some(Millis(1_000));
        let first = devices.due_states(Millis(2_000));
        assert_eq!(first[0].state, "online");
        known.facts().last_contact = Some(Millis(30_000));
        assert!(devices.due_states(Millis(31_000)).is_empty());
        assert_eq!(devices.due_states(Millis(63_000))[0].state, "online");
        assert!(devices.due_states(Millis(200_000)).is_empty());
        assert_eq!(devices.due_states(Millis(400_000))[0].state, "offline");
        assert!(devices.due_states(Millis(900_000)).is_empty());
    }

    #[test]
    fn a_sender_of_another_make_is_quiet_where_a_terminal_is_offline() {
        let (devices, _) = loaded();
        let mut sender = enrolment("GATE-1", 2);
        sender.vendor = Vendor::Other;
        let mut blocked = enrolment("B1", 3);
        blocked.state = EnrolmentState::Blocked;
        let all = vec![enrolment("A1", 1), sender, blocked];
        devices.replace(all, Vec::new(), &Config::in_folder(Path::new("x")));
        let told = |now: i64| {
            let mut all = devices.all(|_| true);
            all.sort_by_key(|known| known.enrolment.id);
            let words = all.iter().map(|known| known.presence(Millis(now)).as_str());
            let count = devices.count(Millis(now))[&TenantId::new("main").unwrap()];
            (
                words.collect::<Vec<_>>().join(" "),
                (count.online, count.quiet),
            )
        };
        assert_eq!(told(0), ("unheard quiet blocked".to_owned(), (0, 1)));
        for known in devices.all(|_| true) {
            known.facts().last_contact = Some(Millis(1_000));
        }
        assert_eq!(told(2_000), ("online online blocked".to_owned(), (2, 0)));
        assert_eq!(told(400_000), ("offline quiet blocked".to_owned(), (0, 1)));
        let mut states = devices.due_states(Millis(400_000));
        states.sort_by_key(|row| row.device.id);
        let rows: Vec<_> = states.iter().map(|row| row.state.as_str()).collect();
        assert_eq!(rows, ["offline", "quiet", "blocked"]);
    }

    #[test]
    fn settings_and_polls_tell_firmware_and_the_fill_of_the_log() {
        let mut facts = Facts::default();
        let pair = |k: &str, v: &str| (Text::new(k), Text::new(v));
        facts.settings(&[
            pair("~DeviceName", "K40"),
            pair("~MaxAttLogCount", "10"),
            pair("TransactionCount", "-1"),
        ]);
        facts.told(&Info::parse("Ver 8.0,1,1,77"));
        assert_eq!(facts.model.as_deref(), Some("K40"));
        assert_eq!(
            (facts.log_used, facts.log_capacity),
            (Some(77), Some(100_000))
        );
        assert_eq!(facts.firmware.as_deref(), Some("Ver 8.0"));
    }
}
