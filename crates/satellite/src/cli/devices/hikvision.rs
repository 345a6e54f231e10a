//! What `devices show` and `devices list` say of Hikvision devices beyond all others.
//!
//! What is stored comes from the serial chain in the device's event database, what happens now
//! from the running satellite's `/status`. The two are kept apart: without a running satellite
//! what is stored is shown and said to be only that. Nothing here claims more completeness than
//! either of them did.

use std::collections::HashMap;

use daemon::logging::Escaped;
use event::{DeviceId, Millis, Vendor, Zone};
use hikvision_isapi::Chain;
use satellite::hikvision::CHAIN_CURSOR;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::registry::Enrolment;

use super::super::conditions;
use super::super::databases;
use super::super::words::{Speaks as _, Word};
use super::super::{Context, http, time};
use super::pull;

/// What a running satellite says of one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Live {
    serial: String,
    search: String,
    stream: String,
    replaying: bool,
    newest_stored: Option<u64>,
    newest_on_device: Option<u64>,
    missing: u64,
    lost: u64,
    completeness: Option<String>,
    poll_seconds: u64,
    footprint_percent: u8,
    pub(crate) conditions: Vec<Condition>,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) name: String,
    since: String,
    detail: String,
}

/// What a running satellite knows of a terminal through an edge, or of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) by: Option<String>,
    pub(crate) said_at: String,
    pub(crate) lag_seconds: Option<u64>,
    pub(crate) held_back: Option<u64>,
}

#[derive(Deserialize)]
struct Listed {
    serial: String,
    edge: Option<Carried>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    hikvision: Vec<Live>,
    #[serde(default)]
    pull: Vec<pull::Live>,
}

/// How events come from a terminal: `push`, `dialled`, `listens`; `None` when they cannot.
pub(crate) fn reached(one: &Enrolment) -> Option<&'static str> {
    match one.vendor {
        _ if one.access.address.is_some() => Some("dialled"),
        Vendor::Hikvision | Vendor::Other | Vendor::Satellite
            if one.access.token_hash.is_some() =>
        {
            Some("listens")
        }
        Vendor::Hikvision => None,
        _ => Some("push"),
    }
}

/// Asks the running satellite for every Hikvision device, by serial.
///
/// # Errors
/// It does not answer, or not as expected.
pub(crate) async fn live(context: &Context) -> Result<HashMap<String, Live>, String> {
    let status = status(context).await?;
    let by_serial = |live: Live| (live.serial.clone(), live);
    Ok(status.hikvision.into_iter().map(by_serial).collect())
}

/// Asks the running satellite for a terminal that is dialled on port 4370.
///
/// # Errors
/// It does not answer, or not as expected.
pub(crate) async fn live_pull(
    context: &Context,
    serial: &str,
) -> Result<Option<pull::Live>, String> {
    let mut all = status(context).await?.pull.into_iter();
    Ok(all.find(|live| live.serial == serial))
}

/// Asks the running satellite for the conditions that hold for a terminal, whatever its kind;
/// `None` when it does not list the terminal.
///
/// # Errors
/// It does not answer, or not as expected.
pub(crate) async fn held(
    context: &Context,
    serial: &str,
) -> Result<Option<Vec<Condition>>, String> {
    let door = context.config.listen.admin;
    let listed = http::devices::<Listed>(door, &format!("&serial={serial}")).await;
    let listed = listed.map_err(|error| error.to_string())?;
    // An older version lists all of them.
    let mut own = listed.into_iter().filter(|one| one.serial == serial);
    Ok(own.next().map(|one| one.conditions))
}

/// Asks the running satellite what it knows of a terminal through an edge; `None` when nothing, or
/// when nobody answers.
pub(crate) async fn carried(context: &Context, serial: &str) -> Option<Carried> {
    let door = context.config.listen.admin;
    let listed = http::devices::<Listed>(door, &format!("&serial={serial}")).await;
    let mut own = listed.ok()?.into_iter();
    own.find(|one| one.serial == serial)?.edge
}

async fn status(context: &Context) -> Result<Status, String> {
    answer(context, "/status").await
}

async fn answer<T: DeserializeOwned>(context: &Context, path: &str) -> Result<T, String> {
    let asked = http::get(context.config.listen.admin, path).await;
    let (status, body) = asked.map_err(|error| error.to_string())?;
    if status != 200 {
        return Err(format!("HTTP {status}"));
    }
    serde_json::from_str(&body).map_err(|error| error.to_string())
}

/// The serial chains of these devices as they were last committed. A database that does not
/// answer leaves its devices out; it is named where its other facts are read.
pub(crate) async fn chains(
    context: &Context,
    enrolments: &[&Enrolment],
) -> HashMap<DeviceId, Chain> {
    let mut chains = HashMap::new();
    for place in databases::places(context, None) {
        let ids: Vec<DeviceId> = enrolments
            .iter()
            .filter(|one| context.config.target(&one.tenant) == Some(&place.target))
            .map(|one| one.id)
            .collect();
        if ids.is_empty() {
            continue;
        }
        let Ok(mut engine) = databases::open(context, &place).await else {
            continue;
        };
        let rows = store::cursors(&mut engine, Some(&ids)).await;
        for (id, name, value) in rows.unwrap_or_default() {
            if name == CHAIN_CURSOR
                && let Some(chain) = Chain::parse(&value)
            {
                chains.insert(id, chain);
            }
        }
    }
    chains
}

/// One device, as far as it is known.
pub(crate) struct Seen<'a> {
    pub(crate) enrolment: &'a Enrolment,
    pub(crate) chain: Option<Chain>,
    pub(crate) live: Result<Option<Live>, String>,
    /// The word that the database has.
    pub(crate) completeness: Option<String>,
    pub(crate) zone: &'a Zone,
}

impl Seen<'_> {
    fn running(&self) -> Option<&Live> {
        self.live.as_ref().ok().and_then(Option::as_ref)
    }

    /// The completeness to show: the running satellite's word, else the last that was stored.
    pub(crate) fn completeness(&self) -> Option<&str> {
        let live = self.running().and_then(|live| live.completeness.as_deref());
        live.or(self.completeness.as_deref())
    }

    /// As JSON: what is stored, and what is live, apart.
    pub(crate) fn json(&self) -> Value {
        let access = &self.enrolment.access;
        json!({
            "address": access.address.as_deref(),
            "user": access.user.as_deref(),
            "mac": access.mac.as_deref(),
            "reached": reached(self.enrolment),
            "listens": access.token_hash.is_some(),
            "running": self.live.is_ok(),
            "stored": self.chain.as_ref().map(stored_json),
            "live": self.running().map(live_json),
        })
    }

    /// The facts under those that every terminal has.
    pub(crate) fn facts(&self, context: &Context) -> Vec<(&'static str, String)> {
        let access = &self.enrolment.access;
        let text = |text: Option<&str>| Escaped(text.unwrap_or_default()).to_string();
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        let (live, chain) = (self.running(), self.chain.as_ref());
        let from = |live: Option<u64>, stored: Option<u64>| number(live.or(stored));
        let replay = live.map(|live| stream_word(live, context));
        let names = context.lang.headings(&[
            Word::Address,
            Word::User,
            Word::Reached,
            Word::Meaning,
            Word::LastStored,
            Word::NewestThere,
            Word::Missing,
            Word::Lost,
            Word::Before,
            Word::CountEpoch,
            Word::Stream,
            Word::Search,
            Word::PollEvery,
            Word::Footprints,
        ]);
        let values = [
            text(access.address.as_deref()),
            text(access.user.as_deref()),
            ways(self.enrolment, context),
            self.completeness()
                .map(|word| meaning(word, context))
                .unwrap_or_default(),
            from(
                live.and_then(|live| live.newest_stored),
                chain.and_then(Chain::newest),
            ),
            number(live.and_then(|live| live.newest_on_device)),
            from(live.map(|live| live.missing), chain.map(Chain::missing)),
            from(live.map(|live| live.lost), chain.map(Chain::lost)),
            number(chain.map(Chain::before)),
            number(chain.map(|chain| u64::from(chain.epoch()))),
            replay.unwrap_or_default(),
            live.map(|live| context.lang.term(&live.search))
                .unwrap_or_default(),
            live.filter(|live| live.poll_seconds > 0)
                .map(|live| format!("{} s", live.poll_seconds))
                .unwrap_or_default(),
            live.map(|live| format!("{} %", live.footprint_percent))
                .unwrap_or_default(),
        ];
        // What nobody can say now makes no line.
        let facts = names.into_iter().zip(values);
        facts.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The conditions that hold, each with since when, what it means and what to do; or that
    /// nobody can say.
    pub(crate) fn conditions(&self, context: &Context) -> String {
        let live = self
            .live
            .as_ref()
            .map(|live| live.as_ref().map(|live| &live.conditions[..]));
        conditions_page(live, self.enrolment, self.zone, context)
    }
}

/// The conditions that hold for a device, or why nobody can say.
pub(crate) fn conditions_page(
    live: Result<Option<&[Condition]>, &String>,
    enrolment: &Enrolment,
    zone: &Zone,
    context: &Context,
) -> String {
    let held = match live {
        Err(error) => {
            let admin = context.config.listen.admin;
            return format!(
                "{}\n",
                context.say(Word::OnlyStored, &[&admin, &context.lang.detail(error)])
            );
        }
        Ok(None) => return format!("{}\n", context.say(Word::NotNoticed, &[])),
        Ok(Some(held)) => held,
    };
    if held.is_empty() {
        return format!("{}\n", context.say(Word::NoConditions, &[]));
    }
    let program = super::super::program();
    let mut page = String::new();
    for condition in held {
        let since = Millis::parse(&condition.since)
            .map_or_else(|| condition.since.clone(), |at| time::show(at, zone));
        let detail = context.lang.detail(&condition.detail);
        let detail = Escaped(&detail);
        let head = context.say(Word::ConditionLine, &[&condition.name, &since, &detail]);
        page.push_str(&format!("{head}\n"));
        let told = conditions::told(context.lang, &condition.name, enrolment, &program);
        if let Some((means, advice)) = told {
            page.push_str(&format!("  {means}\n  → {advice}\n"));
        }
    }
    page
}

fn stream_word(live: &Live, context: &Context) -> String {
    match (live.stream.as_str(), live.replaying) {
        ("up", true) => context.say(Word::Replaying, &[]),
        ("up", false) => context.say(Word::IsLive, &[]),
        (word, _) => context.lang.term(word),
    }
}

/// The ways in which its events come, in words.
pub(crate) fn ways(one: &Enrolment, context: &Context) -> String {
    let also_posts = one.access.address.is_some() && one.access.token_hash.is_some();
    let first = reached(one).map(|word| context.lang.term(word));
    let ways = first
        .into_iter()
        .chain(also_posts.then(|| context.lang.term("listens")));
    ways.collect::<Vec<_>>().join(", ")
}

/// What a word of completeness claims, in one line.
pub(crate) fn meaning(word: &str, context: &Context) -> String {
    let known = match word {
        "proven" => Word::MeansProven,
        "seen" => Word::MeansSeen,
        "unproven" => Word::MeansUnproven,
        other => return Escaped(other).to_string(),
    };
    context.say(known, &[])
}

fn stored_json(chain: &Chain) -> Value {
    json!({
        "newest": chain.newest(),
        "missing": chain.missing(),
        "lost": chain.lost(),
        "before": chain.before(),
        "epoch": chain.epoch(),
    })
}

fn live_json(live: &Live) -> Value {
    json!({
        "search": live.search,
        "stream": live.stream,
        "replaying": live.replaying,
        "newest_stored": live.newest_stored,
        "newest_on_device": live.newest_on_device,
        "missing": live.missing,
        "lost": live.lost,
        "completeness": live.completeness,
        "poll_seconds": live.poll_seconds,
        "footprint_percent": live.footprint_percent,
        "conditions": conditions_json(&live.conditions),
    })
}

/// Conditions for programs, with their times in UTC.
pub(crate) fn conditions_json(held: &[Condition]) -> Value {
    let one = |condition: &Condition| {
        let since =
            Millis::parse(&condition.since).map_or_else(|| condition.since.clone(), time::utc);
        json!({ "name": condition.name, "since": since, "detail": condition.detail })
    };
    held.iter().map(one).collect()
}
