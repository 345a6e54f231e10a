//! `satellite devices list`: every terminal in one table.
//!
//! Enrolments come from the registry, contact and completeness from each tenant's database,
//! and the terminals that wait for approval from the state folder. A database that is down
//! leaves its columns empty and is named; the list itself still appears.

use std::collections::HashMap;

use clap::ValueEnum;
use daemon::exit::Exit;
use event::{DeviceId, Millis, TenantId, Text, Vendor};
use serde::Deserialize;
use serde_json::{Value, json};
use store::inventory::{self, Inventory};
use store::mirror::Pending;
use store::registry::{Enrolment, EnrolmentState};
use store::status::{self, StatusRow};

use super::super::words::{Speaks as _, Word};
use super::super::{Context, out, table, time};
use super::super::{databases, http};
use super::hikvision;

/// What `devices list` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this tenant's; pending ones belong to nobody yet
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only approved terminals whose last request came over plain HTTP; asks the running satellite
    #[arg(long)]
    plain: bool,
    /// What each one is: model, firmware, protocol, address, log, clock
    #[arg(long)]
    inventory: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The states by which terminals are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    Approved,
    Blocked,
    Pending,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Blocked => "blocked",
            Self::Pending => "pending",
        }
    }
}

/// One line of the list.
pub(crate) struct Line<'a> {
    pub(crate) enrolment: &'a Enrolment,
    pub(crate) status: Option<&'a StatusRow>,
    pub(crate) inventory: Option<&'a Inventory>,
}

/// Lists.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let enrolments = databases::enrolments(context).await?;
    let pending = waiting(context, &enrolments).await;
    let states = states(context, tenant.as_ref()).await;
    let inventories = inventories(context, tenant.as_ref()).await;
    let state = |state: State| args.state.is_none_or(|wanted| wanted == state);
    let of_tenant = |id: &TenantId| tenant.as_ref().is_none_or(|tenant| tenant == id);
    let spoken = spoken(args.plain, context).await?;
    let plain = |one: &Enrolment| {
        let spoken = spoken.get(&key(one)).map(String::as_str);
        !args.plain || one.state == EnrolmentState::Approved && spoken == Some("plain")
    };
    let wanted = |one: &&Enrolment| {
        let its_state = args
            .state
            .is_none_or(|wanted| wanted.as_str() == one.state.as_str());
        of_tenant(&one.tenant) && its_state && plain(one)
    };
    let lines: Vec<Line<'_>> = enrolments
        .iter()
        .filter(wanted)
        .map(|enrolment| Line {
            enrolment,
            status: states.get(&key(enrolment)),
            inventory: inventories.get(&enrolment.id),
        })
        .collect();
    let pending: Vec<&Pending> = if state(State::Pending) && tenant.is_none() && !args.plain {
        pending.iter().collect()
    } else {
        Vec::new()
    };
    if args.json {
        let lines = lines.iter().map(|line| {
            let mut one = enrolled_json(line, context);
            if let Some(spoken) = spoken.get(&key(line.enrolment)) {
                one["transport"] = spoken.as_str().into();
            }
            one
        });
        let all: Vec<Value> = lines.chain(pending.into_iter().map(pending_json)).collect();
        out::json(&Value::Array(all))?;
    } else if args.inventory {
        out::print(&inventory_table(&lines, context))?;
    } else if args.plain && lines.is_empty() {
        out::line(&context.say(Word::NonePlain, &[]))?;
    } else {
        print(&lines, &pending, context)?;
    }
    Ok(Exit::Fine)
}

/// How each terminal last spoke, by tenant and serial: what the running satellite says.
async fn spoken(asked: bool, context: &Context) -> anyhow::Result<HashMap<Key, String>> {
    if !asked {
        return Ok(HashMap::new());
    }
    let listener = context.config.listen.admin;
    let listed = http::devices::<Spoken>(listener, "").await;
    let listed = listed.map_err(|why| {
        let why = context.lang.detail(&why.to_string());
        anyhow::anyhow!(context.say(Word::PlainNeedsDaemon, &[&listener, &why]))
    })?;
    let of = |one: Spoken| Some(((one.tenant, one.serial), one.transport?));
    Ok(listed.into_iter().filter_map(of).collect())
}

/// What is read of a terminal in `/devices`.
#[derive(Deserialize)]
struct Spoken {
    tenant: String,
    serial: String,
    transport: Option<String>,
}

/// What each terminal said of itself, by its enrolment. A database that does not answer was
/// named when its other facts were read.
pub(crate) async fn inventories(
    context: &Context,
    tenant: Option<&TenantId>,
) -> HashMap<DeviceId, Inventory> {
    let mut all = HashMap::new();
    for place in databases::places(context, tenant) {
        if let Ok(mut engine) = databases::open(context, &place).await {
            all.extend(inventory::read(&mut engine).await.unwrap_or_default());
        }
    }
    all
}

fn inventory_table(lines: &[Line<'_>], context: &Context) -> String {
    let headings = context.lang.headings(&[
        Word::Serial,
        Word::Tenant,
        Word::Model,
        Word::Firmware,
        Word::Dialect,
        Word::Address,
        Word::TimeZone,
        Word::LogUsed,
        Word::People,
        Word::ClockAhead,
        Word::LastContact,
        Word::LastEvent,
    ]);
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| inventory_row(line, context))
        .collect();
    table::table(&headings, &rows)
}

fn inventory_row(line: &Line<'_>, context: &Context) -> Vec<String> {
    let (one, status) = (line.enrolment, line.status);
    let zone = context.zone(one.time_zone.as_deref(), Some(&one.tenant));
    let at = |get: fn(&StatusRow) -> Option<Millis>| time::show_if(status.and_then(get), &zone);
    let said = |get: fn(&Inventory) -> Option<&Text>| {
        let text = line.inventory.and_then(get);
        text.map(ToString::to_string).unwrap_or_default()
    };
    let address = said(|it| it.address.as_ref());
    let enrolled = one.access.address.as_deref().unwrap_or_default();
    vec![
        one.serial.to_string(),
        one.tenant.to_string(),
        said(|it| it.model.as_ref()),
        said(|it| it.firmware.as_ref()),
        context.lang.term(&said(|it| it.dialect.as_ref())),
        if address.is_empty() {
            enrolled.to_owned()
        } else {
            address
        },
        zone.name().to_owned(),
        fill(
            status.and_then(|status| status.log_used),
            status.and_then(|status| status.log_capacity),
        ),
        fill(
            line.inventory.and_then(|it| it.users_used),
            line.inventory.and_then(|it| it.users_capacity),
        ),
        status
            .and_then(|status| status.clock_skew_seconds)
            .map(|ahead| format!("{ahead:+} s"))
            .unwrap_or_default(),
        at(|status| status.last_contact_at),
        at(|status| status.last_event_at),
    ]
}

/// `77 / 100000 (0 %)`, or as much of it as is known.
pub(super) fn fill(used: Option<i64>, capacity: Option<i64>) -> String {
    match (used, capacity) {
        (Some(used), Some(capacity)) if capacity > 0 => {
            let percent = used.saturating_mul(100) / capacity;
            format!("{used} / {capacity} ({percent} %)")
        }
        (Some(used), _) => used.to_string(),
        (None, Some(capacity)) => format!("? / {capacity}"),
        (None, None) => String::new(),
    }
}

/// Terminals that wait: listed as pending and not enrolled since.
pub(crate) async fn waiting(context: &Context, enrolments: &[Enrolment]) -> Vec<Pending> {
    let Some(mirror) = databases::mirror(context).await else {
        return Vec::new();
    };
    let mut pending = mirror.pending().await.unwrap_or_else(|failure| {
        out::complain(&context.say(
            Word::MirrorTrouble,
            &[
                &context.config.state_dir.display(),
                &context.lang.detail(&failure.text),
            ],
        ));
        Vec::new()
    });
    let known = |waits: &Pending| {
        enrolments
            .iter()
            .any(|one| one.vendor == waits.vendor && one.serial == waits.serial)
    };
    pending.retain(|waits| !known(waits));
    pending
}

pub(crate) type Key = (String, String);

pub(crate) fn key(enrolment: &Enrolment) -> Key {
    (enrolment.tenant.to_string(), enrolment.serial.to_string())
}

/// What was last seen of each terminal, by tenant and serial.
pub(crate) async fn states(
    context: &Context,
    tenant: Option<&TenantId>,
) -> HashMap<Key, StatusRow> {
    let mut states: HashMap<Key, StatusRow> = HashMap::new();
    for place in databases::places(context, tenant) {
        let rows = match databases::open(context, &place).await {
            Ok(mut engine) => status::read(&mut engine)
                .await
                .map_err(|failure| databases::told(context, &place, &failure)),
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => rows
                .into_iter()
                .for_each(|row| keep_newest(&mut states, row)),
            Err(error) => out::complain(&format!("{error:#}")),
        }
    }
    states
}

/// A terminal that was replaced has a row for each of its histories; the newest counts.
fn keep_newest(states: &mut HashMap<Key, StatusRow>, row: StatusRow) {
    let key = (row.tenant.clone().unwrap_or_default(), row.serial.clone());
    let older = states
        .get(&key)
        .is_none_or(|known| known.last_contact_at <= row.last_contact_at);
    if older {
        states.insert(key, row);
    }
}

pub(crate) fn enrolled_json(line: &Line<'_>, context: &Context) -> Value {
    let (one, status) = (line.enrolment, line.status);
    let zone = context.zone(one.time_zone.as_deref(), Some(&one.tenant));
    json!({
        "serial": one.serial.as_str(),
        "vendor": one.vendor.as_str(),
        "tenant": one.tenant.as_str(),
        "state": one.state.as_str(),
        "name": one.name.as_deref(),
        "site": one.site.as_deref(),
        "time_zone": zone.name(),
        "canary": one.canary,
        "device_id": one.id.to_string(),
        "accept_from": one.accept_from.map(time::utc),
        "created_at": time::utc(one.created_at),
        "reached": hikvision::reached(one),
        "address": one.access.address.as_deref(),
        "connection": status.map(|status| status.state.as_str()),
        "last_contact_at": status.and_then(|status| status.last_contact_at).map(time::utc),
        "last_event_at": status.and_then(|status| status.last_event_at).map(time::utc),
        "clock_skew_seconds": status.and_then(|status| status.clock_skew_seconds),
        "log_used": status.and_then(|status| status.log_used),
        "log_capacity": status.and_then(|status| status.log_capacity),
        "gap_events": status.and_then(|status| status.gap_events),
        "completeness": status.map(|status| status.completeness.as_str()),
        "inventory": line.inventory.map(inventory_json),
    })
}

fn inventory_json(it: &Inventory) -> Value {
    json!({
        "model": it.model.as_deref(),
        "firmware": it.firmware.as_deref(),
        "dialect": it.dialect.as_deref(),
        "address": it.address.as_deref(),
        "users_used": it.users_used,
        "users_capacity": it.users_capacity,
        "first_contact_at": it.first_contact_at.map(time::utc),
    })
}

pub(crate) fn pending_json(pending: &Pending) -> Value {
    json!({
        "serial": pending.serial.as_str(),
        "vendor": pending.vendor.as_str(),
        "tenant": null,
        "state": State::Pending.as_str(),
        "first_seen_at": time::utc(pending.first_seen),
        "address": pending.address.as_str(),
        "model": pending.model.as_deref(),
    })
}

fn print(lines: &[Line<'_>], pending: &[&Pending], context: &Context) -> anyhow::Result<()> {
    let program = super::super::program();
    if lines.is_empty() && pending.is_empty() {
        return Ok(out::line(&context.say(Word::NoDevices, &[&program]))?);
    }
    if !lines.is_empty() {
        let headings = context.lang.headings(&[
            Word::Serial,
            Word::Vendor,
            Word::Tenant,
            Word::State,
            Word::Name,
            Word::Site,
            Word::Reached,
            Word::LastContact,
            Word::LastEvent,
            Word::Completeness,
            Word::Missing,
        ]);
        let rows: Vec<Vec<String>> = lines.iter().map(|line| row(line, context)).collect();
        out::print(&table::table(&headings, &rows))?;
        out::print(&meanings(lines, context))?;
    }
    if !pending.is_empty() {
        let headings = context.lang.headings(&[
            Word::Serial,
            Word::State,
            Word::FirstSeen,
            Word::From,
            Word::Model,
        ]);
        let rows: Vec<Vec<String>> = pending
            .iter()
            .map(|pending| pending_row(pending, context))
            .collect();
        out::print(&table::table(&headings, &rows))?;
        out::line(&match pending {
            [only] => {
                let tenant = context.tenant_to_type();
                context.say(Word::ApproveIt, &[&program, &only.serial, &tenant])
            }
            _ => context.say(Word::ApproveThem, &[&program]),
        })?;
    }
    Ok(())
}

/// One line for each word of completeness that is in the table of a list with several vendors'
/// means of proof; a list of push terminals alone, which have none, needs no legend.
fn meanings(lines: &[Line<'_>], context: &Context) -> String {
    if lines.iter().all(|line| {
        line.enrolment.access.address.is_none() && line.enrolment.vendor != Vendor::Hikvision
    }) {
        return String::new();
    }
    let words = ["proven", "seen", "unproven"].into_iter().filter(|word| {
        let statuses = lines.iter().filter_map(|line| line.status);
        statuses
            .into_iter()
            .any(|status| status.completeness == *word)
    });
    words
        .map(|word| {
            let meaning = hikvision::meaning(word, context);
            format!("{}: {meaning}\n", context.lang.term(word))
        })
        .collect()
}

fn row(line: &Line<'_>, context: &Context) -> Vec<String> {
    let (one, status) = (line.enrolment, line.status);
    let zone = context.zone(one.time_zone.as_deref(), Some(&one.tenant));
    let at = |get: fn(&StatusRow) -> Option<Millis>| time::show_if(status.and_then(get), &zone);
    vec![
        one.serial.to_string(),
        one.vendor.to_string(),
        one.tenant.to_string(),
        context.lang.term(one.state.as_str()),
        one.name.as_deref().unwrap_or_default().to_owned(),
        one.site.as_deref().unwrap_or_default().to_owned(),
        hikvision::ways(one, context),
        at(|status| status.last_contact_at),
        at(|status| status.last_event_at),
        status
            .map(|status| context.lang.term(&status.completeness))
            .unwrap_or_default(),
        status
            .and_then(|status| status.gap_events)
            .map(|n| n.to_string())
            .unwrap_or_default(),
    ]
}

fn pending_row(pending: &Pending, context: &Context) -> Vec<String> {
    vec![
        pending.serial.to_string(),
        context.lang.term(State::Pending.as_str()),
        time::show(pending.first_seen, &context.zone(None, None)),
        pending.address.to_string(),
        pending.model.as_deref().unwrap_or_default().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(contact: Option<i64>, completeness: &str) -> StatusRow {
        StatusRow {
            serial: "ABC1".to_owned(),
            tenant: Some("acme".to_owned()),
            site: None,
            state: "online".to_owned(),
            last_contact_at: contact.map(Millis),
            last_event_at: None,
            clock_skew_seconds: None,
            log_used: None,
            log_capacity: None,
            gap_events: None,
            completeness: completeness.to_owned(),
        }
    }

    #[test]
    fn a_fill_says_no_more_than_is_known() {
        assert_eq!(fill(Some(77), Some(100_000)), "77 / 100000 (0 %)");
        assert_eq!(fill(Some(9_500), Some(10_000)), "9500 / 10000 (95 %)");
        assert_eq!(fill(Some(77), None), "77");
        assert_eq!(fill(None, Some(500)), "? / 500");
        assert_eq!(fill(Some(5), Some(0)), "5");
    }

    #[test]
    fn of_several_histories_of_one_terminal_the_newest_is_shown() {
        let mut states = HashMap::new();
        for row in [
            status(Some(5), "old"),
            status(Some(9), "new"),
            status(None, "never"),
        ] {
            keep_newest(&mut states, row);
        }
        let only = states.get(&("acme".to_owned(), "ABC1".to_owned())).unwrap();
        assert_eq!((states.len(), only.completeness.as_str()), (1, "new"));
    }
}
