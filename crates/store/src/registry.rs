//! The registry of terminals: which serial is enrolled for which tenant, and who changed that.
//!
//! An enrolment is one random [`DeviceId`]. Approving and blocking keep it; a terminal that
//! goes to another tenant, or is replaced, gets a new one, and the old stays as a past row, so
//! that a resold terminal never writes into another client's history. Every change and its
//! line in `audit` are one transaction, and changes happen one after the other.

use event::{DeviceId, Millis, Serial, TenantId, Text, Vendor};
use serde_json::json;

pub use crate::access::{Access, TokenHash, normal_mac};
use crate::lockdown::{self, Lockdown};
use crate::transaction::{ended, for_update};
use crate::{AnyEngine, Failure, Row, Trouble, Value, access};

/// Whether data of an enrolled terminal is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EnrolmentState {
    /// Its events are stored.
    Approved,
    /// Its data is refused.
    Blocked,
}

impl EnrolmentState {
    /// The word in the database and in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Blocked => "blocked",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Approved, Self::Blocked]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// One enrolment of one terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Random, never reused.
    pub id: DeviceId,
    /// Protocol family.
    pub vendor: Vendor,
    /// Serial number as the terminal names itself.
    pub serial: Serial,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whether its data is taken.
    pub state: EnrolmentState,
    /// A name that people gave it.
    pub name: Option<Text>,
    /// A place that people gave it.
    pub site: Option<Text>,
    /// Its own IANA zone; `None` means the tenant's.
    pub time_zone: Option<Text>,
    /// One of the watchdog's own terminals.
    pub canary: bool,
    /// Records older than this are acknowledged and not stored.
    pub accept_from: Option<Millis>,
    /// When it was enrolled.
    pub created_at: Millis,
    /// How it is reached.
    pub access: Access,
}

/// What [`enrol`] is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnrolment {
    /// Protocol family.
    pub vendor: Vendor,
    /// Serial number as the terminal names itself.
    pub serial: Serial,
    /// Whose it is to be.
    pub tenant: TenantId,
    /// Its name, at most 128 characters.
    pub name: Option<Text>,
    /// Its place, at most 128 characters.
    pub site: Option<Text>,
    /// Its own IANA zone, checked by the caller, at most 64 characters.
    pub time_zone: Option<Text>,
    /// One of the watchdog's own terminals. Counts for a new enrolment only: changing it
    /// later would move stored events from one view to the other.
    pub canary: bool,
    /// `None` for the default: everything for a serial never seen, only what is newer than
    /// now for one that was enrolled before.
    pub accept_from: Option<Option<Millis>>,
    /// A new enrolment even for the same tenant.
    pub replace: bool,
    /// How it is reached. What is not given stays as it is in an enrolment that is kept; a new
    /// enrolment takes over nothing from the one before.
    pub access: Access,
}

impl NewEnrolment {
    /// An enrolment of which nothing more is known.
    pub fn of(vendor: Vendor, serial: Serial, tenant: TenantId) -> Self {
        Self {
            vendor,
            serial,
            tenant,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            replace: false,
            access: Access::default(),
        }
    }
}

/// What [`enrol`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// There was no active enrolment.
    New(Enrolment),
    /// The same tenant had it: it keeps its id, is approved, and has what was given.
    Already(Enrolment),
    /// Another tenant had it, or a replacement was asked for.
    Moved {
        /// The enrolment that has ended.
        before: Box<Enrolment>,
        /// The one that is active.
        now: Enrolment,
    },
}

impl Enrolled {
    /// The enrolment that is active now.
    pub fn enrolment(&self) -> &Enrolment {
        match self {
            Self::New(now) | Self::Already(now) | Self::Moved { now, .. } => now,
        }
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// The database.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// No such terminal is enrolled.
    #[error("no terminal with the serial {0} is enrolled")]
    NotFound(Serial),
    /// Terminals of two vendors carry the same serial.
    #[error("terminals of several vendors have the serial {0}; enrol it again with its vendor")]
    Ambiguous(Serial),
    /// A lockdown stops new enrolments.
    #[error("enrolments are stopped by a lockdown since {} UTC, begun by {}", .0.since.text(), .0.actor.escape_debug())]
    LockedDown(Lockdown),
    /// A text that is longer than its column.
    #[error("the {field} is longer than {limit} characters")]
    TooLong {
        /// Which one.
        field: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// A text that is no MAC address.
    #[error("'{}' is not a MAC address; an example is 44:19:b6:00:11:22", .0.escape_debug())]
    Mac(Text),
}

/// A line of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When.
    pub happened_at: Millis,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest, as a JSON text.
    pub detail: String,
}

/// What [`enrolment_row`] reads. The registry and its mirror have all three tables.
pub(crate) const SELECT: &str = "SELECT e.device_id, e.vendor, e.serial, e.tenant, e.state, \
     e.name, e.site, e.time_zone, e.canary, CAST(e.accept_from AS CHAR), \
     CAST(e.created_at AS CHAR), a.address, a.user_name, a.secret_file, a.token_hash, a.mac, \
     s.every_seconds FROM enrolment e LEFT JOIN access a ON a.device_id = e.device_id \
     LEFT JOIN schedule s ON s.device_id = e.device_id";

/// Every active enrolment, by serial.
pub async fn all(engine: &mut AnyEngine) -> Result<Vec<Enrolment>, Failure> {
    let sql = format!("{SELECT} WHERE e.active = 1 ORDER BY e.serial, e.vendor");
    let rows = engine.fetch(crate::built(sql), &[]).await?;
    rows.iter().map(enrolment_row).collect()
}

/// The active enrolment of that serial; of the first vendor by name if none is given.
pub async fn find(
    engine: &mut AnyEngine,
    vendor: Option<Vendor>,
    serial: &Serial,
) -> Result<Option<Enrolment>, Failure> {
    Ok(find_each(engine, vendor, serial).await?.into_iter().next())
}

async fn find_each(
    engine: &mut AnyEngine,
    vendor: Option<Vendor>,
    serial: &Serial,
) -> Result<Vec<Enrolment>, Failure> {
    let mut sql = format!("{SELECT} WHERE e.serial = ? AND e.active = 1");
    let mut values = vec![Value::Text(serial.as_str())];
    if let Some(vendor) = vendor {
        sql.push_str(" AND e.vendor = ?");
        values.push(Value::Text(vendor.as_str()));
    }
    sql.push_str(" ORDER BY e.vendor");
    let rows = engine.fetch(crate::built(sql), &values).await?;
    rows.iter().map(enrolment_row).collect()
}

/// The active enrolment whose token hashes to that; `None` when there is none, also when an
/// enrolment that has ended once had it.
pub async fn find_by_token(
    engine: &mut AnyEngine,
    hash: &TokenHash,
) -> Result<Option<Enrolment>, Failure> {
    let sql = format!("{SELECT} WHERE a.token_hash = ? AND e.active = 1 ORDER BY e.device_id");
    let rows = engine
        .fetch(crate::built(sql), &[Value::Bytes(&hash.0)])
        .await?;
    rows.first().map(enrolment_row).transpose()
}

/// Enrols a terminal and approves it. The same tenant's enrolment is kept (name, site, zone,
/// `accept_from` and access change where given); another tenant's ends and a new one begins.
pub async fn enrol(
    engine: &mut AnyEngine,
    new: NewEnrolment,
    now: Millis,
    actor: &str,
) -> Result<Enrolled, RegistryError> {
    fits("name", new.name.as_deref(), 128)?;
    fits("site", new.site.as_deref(), 128)?;
    fits("time zone", new.time_zone.as_deref(), 64)?;
    let access = new.access.checked()?;
    let new = NewEnrolment { access, ..new };
    engine.begin().await?;
    let done = enrol_inside(engine, new, now, actor).await;
    ended(engine, done).await
}

async fn enrol_inside(
    engine: &mut AnyEngine,
    new: NewEnrolment,
    now: Millis,
    actor: &str,
) -> Result<Enrolled, RegistryError> {
    queue_up(engine).await?;
    let before = find(engine, Some(new.vendor), &new.serial).await?;
    let goes_on = before.as_ref().is_some_and(|before| {
        before.tenant == new.tenant && !new.replace && before.state == EnrolmentState::Approved
    });
    if !goes_on {
        not_locked(engine, &new.tenant).await?;
    }
    let (action, enrolled) = match before {
        Some(before) if before.tenant == new.tenant && !new.replace => {
            let kept = Enrolment {
                state: EnrolmentState::Approved,
                name: new.name.or(before.name),
                site: new.site.or(before.site),
                time_zone: new.time_zone.or(before.time_zone),
                accept_from: new.accept_from.unwrap_or(before.accept_from),
                access: new.access.or(before.access),
                ..before
            };
            update(engine, &kept).await?;
            ("add", Enrolled::Already(kept))
        }
        Some(before) => {
            let sql = crate::fixed("UPDATE enrolment SET active = NULL WHERE device_id = ?");
            engine.execute(sql, &[Value::Bytes(&before.id.0)]).await?;
            let fresh = fresh(new, Some(now), now)?;
            insert(engine, &fresh, true).await?;
            let action = if before.tenant == fresh.tenant {
                "replace"
            } else {
                "move"
            };
            let before = Box::new(before);
            (action, Enrolled::Moved { before, now: fresh })
        }
        None => {
            let seen = was_enrolled(engine, &new).await?;
            let fresh = fresh(new, seen.then_some(now), now)?;
            insert(engine, &fresh, true).await?;
            ("add", Enrolled::New(fresh))
        }
    };
    let detail = match &enrolled {
        Enrolled::New(it) | Enrolled::Already(it) => describe(it),
        Enrolled::Moved { before, now } => {
            json!({ "before": describe(before), "now": describe(now) })
        }
    };
    let subject = enrolled.enrolment().serial.as_str();
    audit_inside(engine, now, actor, action, subject, &detail.to_string()).await?;
    Ok(enrolled)
}

pub(crate) fn fits(
    field: &'static str,
    text: Option<&str>,
    limit: usize,
) -> Result<(), RegistryError> {
    match text {
        Some(text) if text.chars().count() > limit => Err(RegistryError::TooLong { field, limit }),
        _ => Ok(()),
    }
}

fn fresh(new: NewEnrolment, from: Option<Millis>, now: Millis) -> Result<Enrolment, Failure> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| Failure::wait(Trouble::Other, error))?;
    Ok(Enrolment {
        id: DeviceId(id),
        vendor: new.vendor,
        serial: new.serial,
        tenant: new.tenant,
        state: EnrolmentState::Approved,
        name: new.name,
        site: new.site,
        time_zone: new.time_zone,
        canary: new.canary,
        accept_from: new.accept_from.unwrap_or(from),
        created_at: now,
        access: new.access,
    })
}

pub(crate) fn describe(enrolment: &Enrolment) -> serde_json::Value {
    json!({
        "device_id": enrolment.id.to_string(),
        "vendor": enrolment.vendor.as_str(),
        "tenant": enrolment.tenant.as_str(),
        "state": enrolment.state.as_str(),
        "name": enrolment.name.as_deref(),
        "site": enrolment.site.as_deref(),
        "time_zone": enrolment.time_zone.as_deref(),
        "canary": enrolment.canary,
        "accept_from": enrolment.accept_from.map(Millis::text),
        "access": enrolment.access.described(),
    })
}

async fn was_enrolled(engine: &mut AnyEngine, new: &NewEnrolment) -> Result<bool, Failure> {
    let sql = "SELECT device_id FROM enrolment WHERE vendor = ? AND serial = ? LIMIT 1";
    let values = [
        Value::Text(new.vendor.as_str()),
        Value::Text(new.serial.as_str()),
    ];
    Ok(!engine.fetch(crate::fixed(sql), &values).await?.is_empty())
}

async fn update(engine: &mut AnyEngine, kept: &Enrolment) -> Result<(), Failure> {
    let sql = "UPDATE enrolment SET state = ?, name = ?, site = ?, time_zone = ?, accept_from = ? \
               WHERE device_id = ?";
    let accept_from = kept.accept_from.map(Millis::text);
    let values = [
        Value::Text(kept.state.as_str()),
        Value::opt(kept.name.as_deref()),
        Value::opt(kept.site.as_deref()),
        Value::opt(kept.time_zone.as_deref()),
        Value::opt(accept_from.as_deref()),
        Value::Bytes(&kept.id.0),
    ];
    engine.execute(crate::fixed(sql), &values).await?;
    access::write(engine, kept.id, &kept.access).await
}

pub(crate) async fn insert(
    engine: &mut AnyEngine,
    fresh: &Enrolment,
    is_active: bool,
) -> Result<(), Failure> {
    let sql = "INSERT INTO enrolment (device_id, vendor, serial, active, tenant, state, name, \
               site, time_zone, canary, accept_from, created_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (accept_from, created) = (fresh.accept_from.map(Millis::text), fresh.created_at.text());
    let values = [
        Value::Bytes(&fresh.id.0),
        Value::Text(fresh.vendor.as_str()),
        Value::Text(fresh.serial.as_str()),
        if is_active {
            Value::Int(1)
        } else {
            Value::Null
        },
        Value::Text(fresh.tenant.as_str()),
        Value::Text(fresh.state.as_str()),
        Value::opt(fresh.name.as_deref()),
        Value::opt(fresh.site.as_deref()),
        Value::opt(fresh.time_zone.as_deref()),
        Value::Int(i64::from(fresh.canary)),
        Value::opt(accept_from.as_deref()),
        Value::Text(&created),
    ];
    engine.execute(crate::fixed(sql), &values).await?;
    access::write(engine, fresh.id, &fresh.access).await
}

/// Approves or blocks an enrolled terminal.
pub async fn set_state(
    engine: &mut AnyEngine,
    serial: &Serial,
    state: EnrolmentState,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    engine.begin().await?;
    let done = set_state_inside(engine, serial, state, now, actor).await;
    ended(engine, done).await
}

async fn set_state_inside(
    engine: &mut AnyEngine,
    serial: &Serial,
    state: EnrolmentState,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    queue_up(engine).await?;
    let before = only_one(engine, serial).await?;
    if state == EnrolmentState::Approved && before.state != state {
        not_locked(engine, &before.tenant).await?;
    }
    let action = match state {
        EnrolmentState::Approved => "approve",
        EnrolmentState::Blocked => "block",
    };
    let detail = json!({ "before": before.state.as_str(), "device_id": before.id.to_string() });
    let after = Enrolment { state, ..before };
    update(engine, &after).await?;
    audit_inside(
        engine,
        now,
        actor,
        action,
        serial.as_str(),
        &detail.to_string(),
    )
    .await?;
    Ok(after)
}

/// Nobody is let in while a lockdown holds.
pub(crate) async fn not_locked(
    engine: &mut AnyEngine,
    tenant: &TenantId,
) -> Result<(), RegistryError> {
    let held = lockdown::active(engine).await?;
    match held.into_iter().find(|one| one.stops(Some(tenant))) {
        Some(held) => Err(RegistryError::LockedDown(held)),
        None => Ok(()),
    }
}

/// The one terminal of that serial, where none may be guessed.
async fn only_one(engine: &mut AnyEngine, serial: &Serial) -> Result<Enrolment, RegistryError> {
    let mut found = find_each(engine, None, serial).await?;
    let one = found.pop();
    if !found.is_empty() {
        return Err(RegistryError::Ambiguous(serial.clone()));
    }
    one.ok_or_else(|| RegistryError::NotFound(serial.clone()))
}

/// Gives an enrolled terminal the token that hashes to this. The one before, if there was one,
/// stops working with this change.
pub async fn set_token(
    engine: &mut AnyEngine,
    serial: &Serial,
    hash: TokenHash,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    engine.begin().await?;
    let done = set_token_inside(engine, serial, hash, now, actor).await;
    ended(engine, done).await
}

async fn set_token_inside(
    engine: &mut AnyEngine,
    serial: &Serial,
    hash: TokenHash,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    queue_up(engine).await?;
    let mut enrolment = only_one(engine, serial).await?;
    let replaced = enrolment.access.token_hash.replace(hash).is_some();
    access::write(engine, enrolment.id, &enrolment.access).await?;
    let detail = json!({ "device_id": enrolment.id.to_string(), "replaced": replaced });
    let (subject, detail) = (serial.as_str(), detail.to_string());
    audit_inside(engine, now, actor, "token", subject, &detail).await?;
    Ok(enrolment)
}

/// Has a dialled terminal visited every so many seconds; `None` leaves it to satellite again.
pub async fn set_schedule(
    engine: &mut AnyEngine,
    serial: &Serial,
    every: Option<u32>,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    engine.begin().await?;
    let done = set_schedule_inside(engine, serial, every, now, actor).await;
    ended(engine, done).await
}

async fn set_schedule_inside(
    engine: &mut AnyEngine,
    serial: &Serial,
    every: Option<u32>,
    now: Millis,
    actor: &str,
) -> Result<Enrolment, RegistryError> {
    queue_up(engine).await?;
    let mut enrolment = only_one(engine, serial).await?;
    let before = std::mem::replace(&mut enrolment.access.every, every);
    access::write_schedule(engine, enrolment.id, every).await?;
    let id = enrolment.id.to_string();
    let detail = json!({ "device_id": id, "before_seconds": before, "every_seconds": every });
    let (subject, detail) = (serial.as_str(), detail.to_string());
    audit_inside(engine, now, actor, "schedule", subject, &detail).await?;
    Ok(enrolment)
}

/// A number that is higher after every change than before it.
pub async fn change_number(engine: &mut AnyEngine) -> Result<i64, Failure> {
    let sql = crate::fixed("SELECT MAX(id) FROM audit");
    let rows = engine.fetch(sql, &[]).await?;
    Ok(rows
        .first()
        .map_or(Ok(None), |row| row.opt_int(0))?
        .unwrap_or(0))
}

/// Adds a line to the audit, for a command that changes nothing in the registry itself.
/// Actors are cut at 128 characters, subjects at 190.
pub async fn audit(
    engine: &mut AnyEngine,
    now: Millis,
    actor: &str,
    action: &str,
    subject: &str,
    detail_json: &str,
) -> Result<(), Failure> {
    engine.begin().await?;
    let done = match queue_up(engine).await {
        Ok(()) => audit_inside(engine, now, actor, action, subject, detail_json).await,
        Err(failure) => Err(failure),
    };
    ended(engine, done).await
}

/// Waits until no other change is under way, so that lines of the audit appear in the order of
/// their numbers. Without it a lower number could become visible after a higher one, and
/// whoever watches [`change_number`] would miss that change.
pub(crate) async fn queue_up(engine: &mut AnyEngine) -> Result<(), Failure> {
    let end = for_update(engine.dialect());
    let sql = format!("SELECT id FROM feed_head WHERE id = 1{end}");
    if engine.fetch(crate::built(sql), &[]).await?.is_empty() {
        return Err(Failure::schema(
            "feed_head has no row; run `satellite db migrate`",
        ));
    }
    Ok(())
}

pub(crate) async fn audit_inside(
    engine: &mut AnyEngine,
    now: Millis,
    actor: &str,
    action: &str,
    subject: &str,
    detail_json: &str,
) -> Result<(), Failure> {
    let sql = "INSERT INTO audit (happened_at, actor, action, subject, detail) \
               VALUES (?, ?, ?, ?, ?)";
    let actor: String = actor.chars().take(128).collect();
    let subject: String = subject.chars().take(190).collect();
    let values = [
        Value::Text(&now.text()),
        Value::Text(&actor),
        Value::Text(action),
        Value::Text(&subject),
        Value::Text(detail_json),
    ];
    engine.execute(crate::fixed(sql), &values).await.map(drop)
}

/// At most `limit` lines of the audit with a higher number than `after`, in their order.
pub async fn audit_after(
    engine: &mut AnyEngine,
    after: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, Failure> {
    let sql = "SELECT id, CAST(happened_at AS CHAR), actor, action, subject, detail FROM audit \
               WHERE id > ? ORDER BY id LIMIT ?";
    let values = [Value::Int(after), Value::Int(i64::from(limit))];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    rows.iter().map(audit_row).collect()
}

fn audit_row(row: &Row) -> Result<AuditRow, Failure> {
    Ok(AuditRow {
        id: row.int(0)?,
        happened_at: row.time(1)?,
        actor: row.text(2)?,
        action: row.text(3)?,
        subject: row.text(4)?,
        detail: row.text(5)?,
    })
}

/// The last `limit` lines of the audit, oldest first.
pub async fn audit_tail(engine: &mut AnyEngine, limit: u32) -> Result<Vec<AuditRow>, Failure> {
    let sql = "SELECT id, CAST(happened_at AS CHAR), actor, action, subject, detail FROM audit \
               ORDER BY id DESC LIMIT ?";
    let rows = engine
        .fetch(crate::fixed(sql), &[Value::Int(i64::from(limit))])
        .await?;
    rows.iter().rev().map(audit_row).collect()
}

/// Reads the columns in the order of [`SELECT`], which the mirror shares.
pub(crate) fn enrolment_row(row: &Row) -> Result<Enrolment, Failure> {
    let strange = |what: &str| Failure::schema(format!("'{what}' in the registry is not known"));
    let (vendor, state) = (row.text(1)?, row.text(4)?);
    Ok(Enrolment {
        id: row.device_id(0)?,
        vendor: Vendor::from_word(&vendor).ok_or_else(|| strange(&vendor))?,
        serial: Serial::new(&row.text(2)?).map_err(Failure::schema)?,
        tenant: TenantId::new(&row.text(3)?).map_err(Failure::schema)?,
        state: EnrolmentState::from_word(&state).ok_or_else(|| strange(&state))?,
        name: row.opt_text(5)?.map(Text::from),
        site: row.opt_text(6)?.map(Text::from),
        time_zone: row.opt_text(7)?.map(Text::from),
        canary: row.int(8)? != 0,
        accept_from: row.opt_time(9)?,
        created_at: row.time(10)?,
        access: Access::read(row, 11)?,
    })
}
