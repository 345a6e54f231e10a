//! Our own form of a record, for senders that can write one: `satellite.records/1`.
//!
//! It is a mapping like any other, with the names of the feed's columns, and frozen by the rows that
//! it has made: a field may be added to the attributes, never to what makes an identity. Its published
//! schema is `docs/records.schema.json`, held against this by a test.

use std::collections::BTreeMap;

use crate::mapping::Mapping;
use crate::raw::{OneOrMore, RawDirections, RawFields, RawFormat, RawKinds, RawMapping, RawTime};

/// The name in `schema`.
pub(crate) const SCHEMA: &str = "satellite.records/1";
/// Further values that are kept as text.
const ATTRIBUTES: [&str; 4] = ["mask", "note", "temperature", "work_code"];

/// The mapping of our own form.
pub(crate) fn mapping() -> Mapping {
    let word = |text: &str| vec![text.to_owned()];
    let path = |text: &str| Some(text.to_owned());
    let named = ATTRIBUTES.map(|name| (name.to_owned(), name.to_owned()));
    let raw = RawMapping {
        make: None,
        format: RawFormat::Json,
        records: path("records"),
        separator: None,
        header: true,
        trim: None,
        fields: RawFields {
            time: OneOrMore::One("time".to_owned()),
            serial: path("serial"),
            id: path("id"),
            person: path("person"),
            card: path("card"),
            code: path("event"),
            status: path("status_code"),
            verify: path("verify_code"),
            direction: path("direction"),
            door: path("door"),
        },
        time: RawTime::default(),
        kinds: RawKinds {
            punch: word("punch"),
            access: word("access"),
            alarm: word("alarm"),
            operation: word("operation"),
            device: word("device"),
            ..RawKinds::default()
        },
        directions: RawDirections {
            inward: word("in"),
            outward: word("out"),
        },
        verify: BTreeMap::new(),
        attributes: named.into_iter().collect(),
    };
    let checked = Mapping::checked(raw);
    // A fixed text; a test reads it.
    let mut own = checked.unwrap_or_else(|wrong| unreachable!("{}: {}", wrong.key, wrong.en));
    own.is_own = true;
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Mapping, normalize};
    use event::{Bytes, Event, Kind, Millis, Route, Zone};
    use serde_json::Value;

    fn read(body: &str) -> (Vec<Event>, Vec<&'static str>) {
        let reading = Mapping::own().read(&Bytes::copy_from_slice(body.as_bytes()));
        let zone = Zone::named("America/Mexico_City").unwrap();
        let around = Context {
            zone: &zone,
            route: Route::Mqtt,
            received_at: Millis(1_795_273_204_500),
        };
        let own = Mapping::own();
        let events = reading
            .records
            .iter()
            .map(|one| normalize(&own, one, &around));
        (events.collect(), reading.faults())
    }

    #[test]
    fn a_record_in_our_own_form_becomes_the_columns_of_the_same_names() {
        let (events, faults) = read(
            r#"{"schema":"satellite.records/1","records":[{"id":"a-1","serial":"P-7","event":"punch",
            "time":"2026-11-27T09:00:03-06:00","person":"0042","status_code":"0","verify_code":"15",
            "direction":"in","door":"2","work_code":7,"mask":true},
            {"event":"door_forced","time":"2026-11-27 09:00:04"}]}"#,
        );
        assert_eq!(faults, [""; 0]);
        let [punch, other] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((punch.kind, other.kind), (Kind::Punch, Kind::Other));
        assert_eq!(punch.person.as_deref(), Some("0042"));
        assert_eq!(punch.local_time.as_deref(), Some("2026-11-27 09:00:03"));
        assert_eq!(punch.direction, Some(event::Direction::In));
        let attributes: Value = serde_json::from_str(punch.attributes.as_deref().unwrap()).unwrap();
        assert_eq!(
            attributes,
            serde_json::json!({"mask": "true", "work_code": "7"})
        );
        // A time without an offset is the terminal's own wall clock.
        assert_eq!(other.occurred_at, Some(Millis(1_795_791_604_000)));
        assert_eq!(other.vendor_code.as_deref(), Some("door_forced"));
    }

    #[test]
    fn what_is_not_in_our_form_waits_for_a_mapping_and_what_is_nearly_says_why() {
        let nobody =
            "no satellite.records/1, and no [[mapping]] of the configuration is for this sender";
        for (body, fault) in [
            (
                r#"{"rows":[{"at":"2026-11-27T09:00:03Z","user":1}]}"#,
                nobody,
            ),
            (r#"{"time":"2026-11-27T09:00:03Z","user":1}"#, nobody),
            ("1\t2026-11-27 09:00:03\t0", nobody),
            (
                r#"{"schema":"satellite.records/1","time":"2026-11-27T09:00:03Z","person":"1"}"#,
                "the record does not say in `event` what happened",
            ),
            (
                r#"{"schema":"satellite.records/1","records":[{"event":"punch","time":"soon","person":"1"}]}"#,
                "a time that is not of the mapping's format, or of no calendar",
            ),
        ] {
            assert_eq!(read(body), (Vec::new(), vec![fault]), "{body}");
        }
        // One that is right among others is read, whatever the message calls itself.
        let (events, faults) = read(
            r#"[{"event":"punch","time":"2026-11-27T09:00:03Z","person":"1"},{"event":"punch"}]"#,
        );
        assert_eq!((events.len(), faults.len()), (1, 1));
    }

    #[test]
    fn the_published_schema_names_the_fields_that_are_read_and_no_others() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/records.schema.json"
        );
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
        let record = &schema["$defs"]["record"];
        let named = record["properties"].as_object().unwrap().keys();
        let mut named: Vec<String> = named.cloned().collect();
        named.sort();
        let own = Mapping::own();
        let whole = |path: &crate::mapping::Path| path.join(".");
        let mut read: Vec<String> = own.time.iter().map(&whole).collect();
        read.extend([&own.serial, &own.id].into_iter().flatten().map(&whole));
        read.extend(own.fields.iter().map(|(_, path)| whole(path)));
        read.extend(own.attributes.iter().map(|(_, path)| whole(path)));
        read.sort();
        assert_eq!(named, read);
        assert_eq!(record["required"], serde_json::json!(["event", "time"]));
        for example in schema["examples"].as_array().unwrap() {
            let (events, faults) = read_value(example);
            assert!(
                !events.is_empty() && faults.is_empty(),
                "{example}: {faults:?}"
            );
        }
    }

    fn read_value(body: &Value) -> (Vec<Event>, Vec<&'static str>) {
        read(&body.to_string())
    }
}
