//! An event as programs outside get it: the columns of `event_feed` under their own names.
//!
//! The form is a contract (`docs/events.schema.json`, held against this by a test): fields are only
//! ever added. The record's bytes are not in it; `event_uid` leads to them. Absent is `null`.

use event::Millis;
use serde_json::{Map, Value, json};
use store::feed::FeedRow;

/// `2026-11-21T14:59:58.000Z`.
pub fn utc(at: Millis) -> String {
    let mut text = at.text().replacen(' ', "T", 1);
    text.push('Z');
    text
}

/// The event without its bytes.
pub fn event_json(row: &FeedRow) -> Map<String, Value> {
    // Attributes are JSON already; what is not stays a text.
    let attributes = row
        .attributes
        .as_deref()
        .map(|text| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text)));
    let fields = [
        ("seq", json!(row.seq)),
        ("event_uid", json!(row.event_uid)),
        ("tenant", json!(row.tenant)),
        ("vendor", json!(row.vendor)),
        ("serial", json!(row.serial)),
        ("device_name", json!(row.device_name)),
        ("kind", json!(row.kind)),
        ("person", json!(row.person)),
        ("card", json!(row.card)),
        ("local_time", json!(row.local_time)),
        ("time_zone", json!(row.time_zone)),
        ("occurred_at", json!(row.occurred_at.map(utc))),
        ("received_at", json!(utc(row.received_at))),
        ("status_code", json!(row.status_code)),
        ("verify_code", json!(row.verify_code)),
        ("vendor_code", json!(row.vendor_code)),
        ("direction", json!(row.direction)),
        ("door", json!(row.door)),
        ("route", json!(row.route)),
        ("timeliness", json!(row.timeliness)),
        ("clock", json!(row.clock)),
        ("attributes", json!(attributes)),
    ];
    let owned = fields.map(|(name, value)| (name.to_owned(), value));
    owned.into_iter().collect()
}

/// A row with something in every column, for tests of whoever writes rows.
#[cfg(test)]
pub(super) fn sample(seq: i64) -> FeedRow {
    let some = |text: &str| Some(text.to_owned());
    FeedRow {
        seq,
        event_uid: format!("{seq:064x}"),
        tenant: some("acme"),
        vendor: "zkteco".to_owned(),
        serial: "ABC1".to_owned(),
        device_name: some("Entrada \"norte\"\n"),
        kind: "punch".to_owned(),
        person: some("0042"),
        card: None,
        local_time: some("2026-11-21 09:00:03"),
        time_zone: "America/Mexico_City".to_owned(),
        occurred_at: Some(Millis(1_795_273_203_000)),
        received_at: Millis(1_795_273_204_500),
        status_code: some("0"),
        verify_code: some("1"),
        vendor_code: None,
        direction: some("in"),
        door: None,
        route: "push".to_owned(),
        timeliness: "live".to_owned(),
        clock: "ok".to_owned(),
        attributes: some("{\"work_code\":\"7\"}"),
        raw: b"0042\t2026-11-21 09:00:03\t0\t1".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_fields_that_its_published_schema_has_and_no_others() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.schema.json");
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(docs).unwrap()).unwrap();
        let event = &schema["properties"]["events"]["items"];
        let names = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
        let (mut ours, mut theirs) = (
            names(&event_json(&sample(1))),
            names(event["properties"].as_object().unwrap()),
        );
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
        let needed = event["required"].as_array().unwrap();
        assert_eq!(needed.len(), ours.len());
    }

    #[test]
    fn times_are_utc_and_attributes_that_are_no_json_stay_a_text() {
        let mut row = sample(1);
        assert_eq!(event_json(&row)["received_at"], "2026-11-21T15:00:04.500Z");
        assert_eq!(event_json(&row)["attributes"]["work_code"], "7");
        row.attributes = Some("{broken".to_owned());
        assert_eq!(event_json(&row)["attributes"], "{broken");
    }
}
