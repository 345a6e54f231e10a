//! What `devices show` says of a terminal that is dialled on port 4370 beyond all others.
//!
//! All of it is the running satellite's: what the terminal counts and what of its log was read.
//! Without a running satellite nothing is claimed.

use event::{Millis, Zone};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::registry::Enrolment;

use super::super::words::{Speaks as _, Word};
use super::super::{Context, time};
use super::hikvision::{Condition, conditions_page, meaning};

/// What a running satellite says of one terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Live {
    pub(crate) serial: String,
    connection: String,
    transport: Option<String>,
    listening: bool,
    model: Option<String>,
    firmware: Option<String>,
    users: Option<u32>,
    records: Option<u32>,
    read: Option<u32>,
    read_at: Option<String>,
    clock_ahead_seconds: Option<i64>,
    missing: u64,
    unresolved: u64,
    completeness: Option<String>,
    pub(crate) conditions: Vec<Condition>,
}

/// One terminal, as far as it is known.
pub(crate) struct Pulled<'a> {
    pub(crate) enrolment: &'a Enrolment,
    pub(crate) live: Result<Option<Live>, String>,
    pub(crate) zone: &'a Zone,
}

impl Pulled<'_> {
    fn running(&self) -> Option<&Live> {
        self.live.as_ref().ok().and_then(Option::as_ref)
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "address": self.enrolment.access.address.as_deref(),
            "key": self.enrolment.access.secret_file.is_some(),
            "running": self.live.is_ok(),
            "live": self.running(),
        })
    }

    /// The facts under those that every terminal has; what nobody can say makes no line.
    pub(crate) fn facts(&self, context: &Context) -> Vec<(&'static str, String)> {
        let names = context.lang.headings(&[
            Word::Address,
            Word::Connection4370,
            Word::LivePunches,
            Word::Model,
            Word::Firmware,
            Word::Meaning,
            Word::Counted,
            Word::ReadOf,
            Word::ReadAt,
            Word::Missing,
            Word::Unresolved,
            Word::ClockAhead,
        ]);
        let escaped = |text: &str| daemon::logging::Escaped(text).to_string();
        let address = self.enrolment.access.address.as_deref().unwrap_or_default();
        let mut values = vec![escaped(address)];
        if let Some(live) = self.running() {
            let number = |n: Option<u32>| n.map(|n| n.to_string()).unwrap_or_default();
            let text = |text: &Option<String>| escaped(text.as_deref().unwrap_or_default());
            let transport = live.transport.as_deref().unwrap_or_default().to_uppercase();
            let link = context.lang.term(&live.connection);
            let yes = if live.listening {
                Word::ComeLive
            } else {
                Word::ComeNot
            };
            let read_at = live.read_at.as_deref().and_then(Millis::parse);
            values.extend([
                format!("{link} {transport}").trim().to_owned(),
                context.say(yes, &[]),
                text(&live.model),
                text(&live.firmware),
                live.completeness
                    .as_deref()
                    .map(|word| meaning(word, context))
                    .unwrap_or_default(),
                number(live.records),
                number(live.read),
                time::show_if(read_at, self.zone),
                live.missing.to_string(),
                live.unresolved.to_string(),
                live.clock_ahead_seconds
                    .map(|seconds| format!("{seconds} s"))
                    .unwrap_or_default(),
            ]);
        }
        let facts = names.into_iter().zip(values);
        facts.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The conditions that hold, each with what to do.
    pub(crate) fn conditions(&self, context: &Context) -> String {
        let live = self.live.as_ref();
        let held = live.map(|live| live.as_ref().map(|live| &live.conditions[..]));
        conditions_page(held, self.enrolment, self.zone, context)
    }
}
