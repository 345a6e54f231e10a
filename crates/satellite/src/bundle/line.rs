//! What the lines of a bundle say, and the way back from a line to what is stored.
//!
//! An event stands as an edge carries it, with what else its row has, so that the row comes back
//! with the same content. Its identity is not simply believed: it must be one that the record
//! makes, as for an edge, or the record goes into quarantine, where it can be read again.

use event::{
    Bytes, ClockFlag, Device, DeviceId, Event, Millis, NameError, Quarantined, Reason, Route,
    Serial, TenantId, Text, Timeliness, Vendor, Zone,
};
use serde::{Deserialize, Serialize};
use store::feed::FeedRow;
use store::moving::{Origin, Terminal};
use store::quarantine::QuarantineRow;
use store::registry::{Access, AuditRow, Enrolment, EnrolmentState};

use crate::edge::read::{self, Around};
use crate::edge::wire::{Carried, Raw};

/// Longest detail and source of a record in quarantine, in characters.
const DETAIL: usize = 450;
const SOURCE: usize = 60;
/// How often a terminal may be visited, in seconds.
const EVERY: std::ops::RangeInclusive<u32> = 30..=3_600;
/// Cursors that mean something in one installation only: where an edge's feed stands, and when
/// a device that locked us out may be tried again.
const STAYS: [&str; 2] = ["edge:", "hik:lockout"];

/// An enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLine {
    device_id: String,
    vendor: Vendor,
    serial: Serial,
    /// False for one that has ended.
    pub active: bool,
    state: String,
    name: Option<Text>,
    site: Option<Text>,
    time_zone: Option<Text>,
    accept_from: Option<i64>,
    created_at: i64,
    address: Option<Text>,
    user: Option<Text>,
    mac: Option<Text>,
    every_seconds: Option<u32>,
}

impl DeviceLine {
    /// The line of an enrolment.
    #[must_use]
    pub fn of(terminal: &Terminal) -> Self {
        let one = terminal.enrolment.clone();
        Self {
            device_id: one.id.to_string(),
            vendor: one.vendor,
            serial: one.serial,
            active: terminal.is_active,
            state: one.state.as_str().to_owned(),
            name: one.name,
            site: one.site,
            time_zone: one.time_zone,
            accept_from: one.accept_from.map(|at| at.0),
            created_at: one.created_at.0,
            address: one.access.address,
            user: one.access.user,
            mac: one.access.mac,
            every_seconds: one.access.every,
        }
    }

    /// The terminal whose records come in through it now.
    pub(super) fn active_name(&self) -> Option<(Vendor, Serial)> {
        self.active.then(|| (self.vendor, self.serial.clone()))
    }

    /// The enrolment, for that tenant. `None` for a line that says nothing that can be enrolled.
    #[must_use]
    pub fn terminal(&self, tenant: &TenantId) -> Option<Terminal> {
        let zone = self.time_zone.as_deref();
        let fits = |text: &Option<Text>, limit| {
            let text = text.as_deref().unwrap_or_default();
            text.chars().count() <= limit && !text.chars().any(char::is_control)
        };
        let is_fit = zone.is_none_or(|zone| Zone::named(zone).is_ok())
            && self
                .every_seconds
                .is_none_or(|every| EVERY.contains(&every))
            && [(&self.name, 128), (&self.site, 128), (&self.time_zone, 64)]
                .iter()
                .all(|(text, limit)| fits(text, *limit))
            && [(&self.address, 255), (&self.user, 64), (&self.mac, 17)]
                .iter()
                .all(|(text, limit)| fits(text, *limit));
        if !is_fit {
            return None;
        }
        let time = |at: i64| Some(Millis(at)).filter(|at| read::is_a_time(*at));
        Some(Terminal {
            enrolment: Enrolment {
                id: DeviceId::from_hex(&self.device_id)?,
                vendor: self.vendor,
                serial: self.serial.clone(),
                tenant: tenant.clone(),
                state: EnrolmentState::from_word(&self.state)?,
                name: self.name.clone(),
                site: self.site.clone(),
                time_zone: self.time_zone.clone(),
                canary: false,
                accept_from: match self.accept_from {
                    Some(at) => Some(time(at)?),
                    None => None,
                },
                created_at: time(self.created_at)?,
                access: Access {
                    address: self.address.clone(),
                    user: self.user.clone(),
                    mac: self.mac.clone(),
                    every: self.every_seconds,
                    ..Access::default()
                },
            },
            is_active: self.active,
        })
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    device_id: String,
    event_uid: String,
    time_zone: String,
    timeliness: String,
    clock: String,
    #[serde(flatten)]
    carried: Carried,
}

impl EventLine {
    /// The line of a row; `None` for one that is no terminal's.
    #[must_use]
    pub fn of(row: &FeedRow, origin: &Origin, language: Option<u16>) -> Option<Self> {
        let language = language.filter(|_| row.vendor == "zkteco" && row.kind != "punch");
        Some(Self {
            device_id: origin.device.to_string(),
            event_uid: row.event_uid.clone(),
            time_zone: row.time_zone.clone(),
            timeliness: row.timeliness.clone(),
            clock: row.clock.clone(),
            carried: Carried::of(row, &origin.ident.0, language)?,
        })
    }

    /// The number of its enrolment.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        DeviceId::from_hex(&self.device_id)
    }

    /// The zone of its terminal's wall clock when it came.
    #[must_use]
    pub fn zone(&self) -> Option<Zone> {
        Zone::named(&self.time_zone).ok()
    }

    /// The event of a terminal in that zone, or the record as it belongs in quarantine.
    ///
    /// # Errors
    /// What has to be set aside.
    pub fn event(&self, device: &Device) -> Result<Event, Quarantined> {
        let received_at = Some(Millis(self.carried.received_at));
        let at = received_at.filter(|at| read::is_a_time(*at));
        let around = Around {
            device,
            edge: "",
            at: at.unwrap_or(Millis(0)),
        };
        let words = Route::from_word(&self.carried.route)
            .zip(Timeliness::from_word(&self.timeliness))
            .zip(ClockFlag::from_word(&self.clock));
        let aside = |why: &str| {
            let raw = self.carried.raw.bytes().unwrap_or_default();
            Quarantined {
                source: Text::const_new("bundle"),
                ..read::unfit(why, raw, &around)
            }
        };
        let Some(((route, timeliness), clock)) = words else {
            return Err(aside("a word that is not known"));
        };
        let checked = self.checked(&around).map_err(|why| aside(&why))?;
        let sent = self.carried.occurred_at.map(Millis);
        Ok(Event {
            occurred_at: sent.filter(|at| read::is_a_time(*at)),
            received_at: around.at,
            route,
            timeliness,
            clock,
            ..checked
        })
    }

    /// The event as its columns say, when its identity follows from its record. A record that an
    /// edge brought does not say how the edge got it, so that both forms are tried.
    fn checked(&self, around: &Around<'_>) -> Result<Event, String> {
        let read = read::event(&self.carried, around);
        let made = read.or_else(|first| {
            let searched = Carried {
                route: Route::Poll.as_str().to_owned(),
                ..self.carried.clone()
            };
            read::event(&searched, around).map_err(|_| first)
        });
        let made = made.map_err(|aside| aside.detail.to_string())?;
        let raw = made.raw;
        read::as_sent(&self.carried, &raw, made.ident, around).map_err(str::to_owned)
    }
}

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarantineLine {
    device_id: String,
    reason: String,
    detail: String,
    source: String,
    route: String,
    first_at: i64,
    last_at: i64,
    seen: i64,
    /// When somebody dealt with it.
    settled_at: Option<i64>,
    #[serde(flatten)]
    raw: Raw,
}

impl QuarantineLine {
    /// The line of a record.
    #[must_use]
    pub fn of(row: &QuarantineRow) -> Self {
        Self {
            device_id: row.device_id.to_string(),
            reason: row.reason.clone(),
            detail: row.detail.clone(),
            source: row.source.clone(),
            route: row.route.clone(),
            first_at: row.first_at.0,
            last_at: row.last_at.0,
            seen: row.seen,
            settled_at: row.settled_at.map(|at| at.0),
            raw: Raw::of(&row.raw),
        }
    }

    /// The number of its enrolment.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        DeviceId::from_hex(&self.device_id)
    }

    /// When somebody dealt with it.
    #[must_use]
    pub fn settled_at(&self) -> Option<Millis> {
        let at = self.settled_at.map(Millis);
        at.filter(|at| read::is_a_time(*at))
    }

    /// The record; `None` for a line that says none.
    #[must_use]
    pub fn record(&self) -> Option<Quarantined> {
        let short = |text: &str, limit: usize| -> Text {
            let text = text.chars().filter(|c| !c.is_control());
            text.take(limit).collect()
        };
        let raw: Bytes = self.raw.bytes()?;
        let at = Some(Millis(self.first_at)).filter(|at| read::is_a_time(*at));
        Some(Quarantined {
            reason: Reason::from_word(&self.reason).unwrap_or(Reason::Unreadable),
            detail: short(&self.detail, DETAIL),
            source: short(&self.source, SOURCE),
            route: Route::from_word(&self.route)?,
            received_at: at?,
            raw,
        })
        .filter(|record| !record.raw.is_empty() && record.raw.len() <= Quarantined::RAW_LIMIT)
    }
}

/// Up to where a terminal has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorLine {
    device_id: String,
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

impl CursorLine {
    /// The line of a cursor; `None` for one that means nothing elsewhere.
    #[must_use]
    pub fn of(device: DeviceId, name: &Text, value: &Text) -> Option<Self> {
        let stays = STAYS.iter().any(|begin| name.starts_with(begin));
        (!stays).then(|| Self {
            device_id: device.to_string(),
            name: name.clone(),
            value: value.clone(),
        })
    }

    /// The number of its enrolment; `None` for a line that says no cursor that may be taken over.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        let id = DeviceId::from_hex(&self.device_id)?;
        Self::of(id, &self.name, &self.value).map(|_| id)
    }
}

/// A line of the audit, as it stood in the other installation. It stays in the bundle: an audit says
/// who did what in its own installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLine {
    id: i64,
    at: String,
    actor: String,
    action: String,
    subject: String,
    detail: serde_json::Value,
}

impl AuditLine {
    /// The line, with what remains of its detail.
    #[must_use]
    pub fn of(row: &AuditRow, detail: serde_json::Value) -> Self {
        Self {
            id: row.id,
            at: row.happened_at.text(),
            actor: row.actor.clone(),
            action: row.action.clone(),
            subject: row.subject.clone(),
            detail,
        }
    }
}

/// The tenant that a bundle names.
///
/// # Errors
/// It is no name of a tenant.
pub fn tenant(manifest: &super::Manifest) -> Result<TenantId, NameError> {
    TenantId::new(&manifest.tenant)
}
