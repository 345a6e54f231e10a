//! `/devices`: every enrolled terminal as it was seen last, for whoever watches all of them.
//!
//! For thousands of terminals, whole or page by page: it carries what decides whether somebody must
//! act, and no more. The names are a contract with sentinel and stand in
//! `docs/devices.schema.json`. It is answered from memory, so that it tells the truth about
//! terminals while every database is down. A question that is not understood is refused: a list of
//! other terminals than those that were meant would be believed.

use std::num::NonZeroUsize;
use std::sync::Arc;

use event::Millis;
use serde::Serialize;

use crate::devices::{Known, inventory};
use crate::door::Transport;
use crate::hub::Hub;
use crate::tally::wide;

use super::conditions::{ConditionStatus, held};

/// What `/devices` answers.
#[derive(Debug, Serialize)]
pub struct Devices {
    /// When this was written, UTC, by satellite's clock; the times below are by the same.
    pub at: String,
    /// False until the enrolments are known: then the list says nothing.
    pub loaded: bool,
    /// Every enrolled terminal that was asked for, canaries and blocked ones included.
    pub devices: Vec<DeviceStatus>,
    /// What `after` has to say for the next page; `null` when this is the last one.
    pub next: Option<String>,
}

/// Which terminals are asked for; without anything, all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    tenant: Option<String>,
    serial: Option<String>,
    /// Only those for which a condition holds.
    with_conditions: bool,
    /// Only those behind this place, which an earlier page named.
    after: Option<[String; 3]>,
    /// At most so many.
    limit: Option<NonZeroUsize>,
}

impl Asked {
    /// Reads what stands behind the question mark.
    ///
    /// # Errors
    /// A word or a value is none that is known here; the error says which ones are.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = || format!("{name}={value} is not understood");
            match &*name {
                "tenant" => asked.tenant = Some(value.into_owned()),
                "serial" => asked.serial = Some(value.into_owned()),
                "with_conditions" => asked.with_conditions = value.parse().map_err(|_| wrong())?,
                "after" => asked.after = Some(place_in(&value).ok_or_else(wrong)?),
                "limit" => asked.limit = Some(value.parse().map_err(|_| wrong())?),
                _ => {
                    let known = "tenant, serial, with_conditions, after, limit";
                    return Err(format!("{}; known are {known}", wrong()));
                }
            }
        }
        Ok(asked)
    }

    fn wants(&self, known: &Known) -> bool {
        let enrolment = &known.enrolment;
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|it| it == own);
        let is_behind = |after: &[String; 3]| place(known) > after.each_ref().map(String::as_str);
        is(&self.tenant, enrolment.tenant.as_str())
            && is(&self.serial, enrolment.serial.as_str())
            && self.after.as_ref().is_none_or(is_behind)
            && (!self.with_conditions || !held(known).is_empty())
    }
}

/// Where a terminal stands in the list; no two share it.
fn place(known: &Known) -> [&str; 3] {
    let enrolment = &known.enrolment;
    let vendor = enrolment.vendor.as_str();
    [enrolment.tenant.as_str(), enrolment.serial.as_str(), vendor]
}

/// The same as an earlier page wrote it: `acme/SIM0000001/zkteco`.
fn place_in(text: &str) -> Option<[String; 3]> {
    let mut parts = text.split('/').map(str::to_owned);
    let place = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(place)
}

/// One terminal.
#[derive(Debug, Serialize)]
pub struct DeviceStatus {
    /// Serial number, as it is enrolled.
    pub serial: String,
    /// `zkteco`, `hikvision`, …
    pub vendor: &'static str,
    /// Whose it is.
    pub tenant: String,
    /// Where it stands, if that was said.
    pub site: Option<String>,
    /// The name people gave it.
    pub name: Option<String>,
    /// The label of the store that takes its events; `null` when its tenant is no longer in
    /// the configuration.
    pub store: Option<String>,
    /// `online`, `quiet` (a sender of another make that has not sent lately), `offline`, `unheard` (not
    /// since satellite was started), or `blocked`.
    pub state: &'static str,
    /// True for a terminal that is not real.
    pub canary: bool,
    /// When it last spoke to us, UTC.
    pub last_contact_at: Option<String>,
    /// When its newest event happened, UTC.
    pub last_event_at: Option<String>,
    /// Silence from which on it is no longer online: five minutes, or three polls where those take longer.
    pub offline_after_seconds: u64,
    /// How far its clock is ahead of ours; `null` where it says nothing of its clock.
    pub clock_skew_seconds: Option<i64>,
    /// Records in its log.
    pub log_used: Option<i64>,
    /// Records that its log can hold.
    pub log_capacity: Option<i64>,
    /// Events that it is known to have and we do not.
    pub gap_events: Option<u64>,
    /// `proven`, `seen` or `unproven`.
    pub completeness: &'static str,
    /// Its model, in its own words.
    pub model: Option<String>,
    /// Its firmware, in its own words.
    pub firmware: Option<String>,
    /// The protocol it speaks.
    pub dialect: Option<String>,
    /// Where it was last heard from, or is dialled.
    pub address: Option<String>,
    /// How its last request came, `plain`, `tls` or by an `edge`; `null` before the first, and for one that only
    /// we dial.
    pub transport: Option<&'static str>,
    /// IANA name of the zone its clock is read in.
    pub time_zone: String,
    /// People enrolled in it.
    pub users_used: Option<i64>,
    /// People that it can hold.
    pub users_capacity: Option<i64>,
    /// Its record is known to be whole up to here, UTC.
    pub complete_to: Option<String>,
    /// What is known of it through an edge, or of it as an edge; `null` for every other terminal.
    pub edge: Option<EdgeStatus>,
    /// What holds now, by name.
    pub conditions: Vec<ConditionStatus>,
}

/// A terminal that an edge brings, or an edge.
#[derive(Debug, Serialize)]
pub struct EdgeStatus {
    /// The serial of the edge that brings it; `null` of an edge itself.
    pub by: Option<String>,
    /// When the edge last said so, UTC.
    pub said_at: String,
    /// Of an edge: age of the oldest event that it had not delivered before its last batch, and its
    /// silence since.
    pub lag_seconds: Option<u64>,
    /// Of an edge: terminals that it speaks for and that are not approved for its tenant.
    pub held_back: Option<u64>,
}

fn edge(known: &Known, now: Millis) -> Option<EdgeStatus> {
    let slot = known.edge();
    let carried = slot.carried().map(|it| EdgeStatus {
        by: Some(it.by.to_string()),
        said_at: it.at.text(),
        lag_seconds: None,
        held_back: None,
    });
    carried.or_else(|| {
        slot.bringer().map(|it| EdgeStatus {
            by: None,
            said_at: it.at.text(),
            lag_seconds: Some(it.lag(now)),
            held_back: Some(wide(it.held_back)),
        })
    })
}

/// The terminals that are asked for, by tenant and serial.
pub(super) fn list(hub: &Hub, asked: &Asked, now: Millis) -> Devices {
    let mut known = hub.devices.all(|known| asked.wants(known));
    known.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    let next = page(&mut known, asked.limit);
    let stores = hub.stores.load();
    let label = |known: &Known| {
        let store = stores.of(&known.enrolment.tenant);
        store.map(|store| store.label.clone())
    };
    Devices {
        at: now.text(),
        loaded: hub.devices.is_loaded(),
        devices: known
            .iter()
            .map(|known| status(known, label(known), now))
            .collect(),
        next,
    }
}

/// Keeps so many of the first; answers where the last of them stands, when there are more.
fn page(known: &mut Vec<Arc<Known>>, limit: Option<NonZeroUsize>) -> Option<String> {
    let limit = limit?.get();
    if known.len() <= limit {
        return None;
    }
    known.truncate(limit);
    known.last().map(|last| place(last).join("/"))
}

fn status(known: &Known, store: Option<String>, now: Millis) -> DeviceStatus {
    let facts = known.facts().clone();
    let enrolment = &known.enrolment;
    let (completeness, missing) = known.claim();
    let told = inventory(known, &facts);
    let text = |text: &Option<event::Text>| text.as_ref().map(ToString::to_string);
    DeviceStatus {
        serial: enrolment.serial.to_string(),
        vendor: enrolment.vendor.as_str(),
        tenant: enrolment.tenant.to_string(),
        site: text(&enrolment.site),
        name: text(&enrolment.name),
        store,
        state: known.presence(now).as_str(),
        canary: enrolment.canary,
        last_contact_at: facts.last_contact.map(Millis::text),
        last_event_at: facts.last_event.map(Millis::text),
        offline_after_seconds: known.offline_after().unsigned_abs() / 1_000,
        clock_skew_seconds: facts.skew.seconds(now).map(|(ahead, _)| ahead),
        log_used: facts.log_used,
        log_capacity: facts.log_capacity,
        gap_events: missing,
        completeness: completeness.as_str(),
        model: text(&told.model),
        firmware: text(&told.firmware),
        dialect: text(&told.dialect),
        address: text(&told.address),
        transport: facts.heard_over.map(Transport::as_str),
        time_zone: known.device.zone.name().to_owned(),
        users_used: told.users_used,
        users_capacity: told.users_capacity,
        complete_to: facts
            .assured
            .as_ref()
            .and_then(|assured| assured.complete_to)
            .or_else(|| known.audit().complete_to())
            .map(Millis::text),
        edge: edge(known, now),
        conditions: held(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_understood_whole_or_refused_with_the_words_that_are_known() {
        let asked = Asked::read("tenant=acme&limit=2&after=acme%2FSIM1%2Fzkteco").unwrap();
        let after = ["acme", "SIM1", "zkteco"].map(str::to_owned);
        assert_eq!(
            (asked.limit.map(NonZeroUsize::get), asked.after),
            (Some(2), Some(after))
        );
        assert_eq!(Asked::read(""), Ok(Asked::default()));
        for wrong in [
            "limit=0",
            "limit=-1",
            "with_conditions=si",
            "after=acme",
            "after=a/b/c/d",
            "tenants=acme",
        ] {
            let said = Asked::read(wrong).unwrap_err();
            assert!(said.starts_with(wrong), "{said}");
        }
        let said = Asked::read("x=1").unwrap_err();
        assert!(said.contains("with_conditions"), "{said}");
    }
}
