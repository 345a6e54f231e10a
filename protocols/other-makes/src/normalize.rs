//! Records to events: the one place that decides what a mapped field becomes.
//!
//! | Mapped | becomes |
//! |---|---|
//! | `time` | `occurred_at`; `local_time` in the terminal's zone, as it was sent where it has no zone |
//! | `person`, `card`, `door` | the same |
//! | `status`, `verify`, `code` | `status_code`, `verify_code`, `vendor_code` |
//! | `direction` | `direction`, where the mapping lists the value |
//! | `[attributes]`, `make`, the word for `verify` | `attributes` |
//!
//! Identity: `genid`, the sender's id; where it has none, `gen`, the time as it was sent, then name
//! and value of each mapped field that is there, in the order of [`Field::ALL`]. Attributes stay
//! out. These forms are frozen by the rows they have made. Times are never corrected; nothing here
//! reads a clock.

use event::{
    ClockFlag, Event, Ident, IdentForm, Millis, Resolved, Route, Text, Timeliness, WallTime, Zone,
};
use serde_json::{Map, Value};

use crate::mapping::{Field, Mapping};
use crate::moment::Moment;
use crate::reading::Record;

/// What an event needs to know besides its record.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The zone of the terminal.
    pub zone: &'a Zone,
    /// How the record came.
    pub route: Route,
    /// When it came, by our clock.
    pub received_at: Millis,
}

/// Makes the event of a record.
pub fn normalize(mapping: &Mapping, record: &Record, context: &Context<'_>) -> Event {
    let (resolved, local_time) = placed(mapping, record.moment, context.zone);
    let received_at = context.received_at;
    let field = |field: Field| record.field(field).cloned();
    let direction = field(Field::Direction);
    Event {
        ident: ident(record),
        kind: record.kind,
        person: field(Field::Person),
        card: field(Field::Card),
        local_time,
        occurred_at: Some(resolved.at),
        received_at,
        status_code: field(Field::Status),
        verify_code: field(Field::Verify),
        vendor_code: field(Field::Code),
        direction: direction.and_then(|code| mapping.directions.get(&code).copied()),
        door: field(Field::Door),
        route: context.route,
        timeliness: Timeliness::of(resolved.at, received_at),
        clock: ClockFlag::of(resolved, received_at),
        attributes: attributes(mapping, record),
        raw: record.raw.clone(),
    }
}

/// The instant, and what the terminal's clock showed then.
fn placed(mapping: &Mapping, moment: Moment, zone: &Zone) -> (Resolved, Option<Text>) {
    let said = match (moment, &mapping.zone) {
        (Moment::Wall(wall), None) => {
            return (zone.resolve(&wall), Some(shown(&wall)));
        }
        (Moment::Wall(wall), Some(written_in)) => written_in.resolve(&wall),
        (Moment::Instant(at), _) => Resolved {
            at,
            ambiguous: false,
        },
    };
    let offset = i64::from(zone.offset_seconds_at(said.at)) * 1_000;
    let there = Millis(said.at.0.saturating_add(offset)).text();
    let wall = there
        .get(..19)
        .and_then(|text| WallTime::parse(text.as_bytes()));
    (said, wall.as_ref().map(shown))
}

fn shown(wall: &WallTime) -> Text {
    Text::from(wall.to_string())
}

fn ident(record: &Record) -> Ident {
    if let Some(id) = &record.id {
        return IdentForm::new("genid").field(id.as_bytes()).finish();
    }
    let mut form = IdentForm::new("gen").field(record.time.as_bytes());
    for (field, text) in &record.fields {
        form = form.field(field.as_str().as_bytes()).field(text.as_bytes());
    }
    form.finish()
}

fn attributes(mapping: &Mapping, record: &Record) -> Option<String> {
    let mut all = Map::new();
    let mut add = |name: &str, text: &str| all.insert(name.to_owned(), Value::from(text));
    if let Some(make) = &mapping.make {
        add("make", make);
    }
    let verify = record.field(Field::Verify);
    if let Some(word) = verify.and_then(|code| mapping.verify.get(code)) {
        add("verify", word);
    }
    for (name, text) in &record.attributes {
        add(name, text);
    }
    (!all.is_empty()).then(|| Value::Object(all).to_string())
}
