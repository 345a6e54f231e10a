//! The documents of a device that is dialled: facts, clock, capabilities, search.
//!
//! Questions are read as devices read them: what must be there and is not is refused by name,
//! a page too large is clamped without a word, and a question that a device does not
//! understand finds nothing. What a search hands out is counted by the machine.

use serde::Serialize;
use serde_json::{Value, json};

use super::device::Inner;
use super::machine::Machine;
use super::options::SerialRange;
use super::ring::{LAST_SERIAL, Page, Query, Row};
use super::wire::Response;
use super::words;
use crate::random::draw;

const DRAW_SHUFFLE: u64 = 410;

/// A refusal in XML, as it answers requests whose documents are XML.
pub(super) fn refusal_xml(status: u16, code: u8, words: &str, sub: &str, error: u32) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ResponseStatus version=\"2.0\" \
         xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n<requestURL></requestURL>\n\
         <statusCode>{code}</statusCode>\n<statusString>{words}</statusString>\n\
         <subStatusCode>{sub}</subStatusCode>\n<errorCode>{error}</errorCode>\n\
         <errorMsg>{sub}</errorMsg>\n</ResponseStatus>\n"
    );
    Response::xml(status, xml)
}

/// The same as JSON, with what it is about.
fn refusal_json(code: u8, sub: &str, about: &str) -> Response {
    let words = if code == 4 {
        "Invalid Operation"
    } else {
        "Invalid Content"
    };
    let body = json!({
        "statusCode": code, "statusString": words, "subStatusCode": sub,
        "errorCode": 1_610_612_736, "errorMsg": about,
    });
    Response::json(400, words::json(&body))
}

fn not_supported() -> Response {
    refusal_xml(403, 4, "Invalid Operation", "notSupport", 1_073_741_825)
}

/// Facts about the device.
pub(super) fn device_info(machine: &Machine) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeviceInfo version=\"2.0\" \
         xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n\
         <deviceName>Access Controller</deviceName>\n<deviceID>255</deviceID>\n\
         <model>DS-K1T000-SIM</model>\n<serialNumber>{serial}</serialNumber>\n\
         <macAddress>{mac}</macAddress>\n<firmwareVersion>V3.3.5</firmwareVersion>\n\
         <firmwareReleasedDate>build 210513</firmwareReleasedDate>\n\
         <deviceType>ACS</deviceType>\n<subSerialNumber>{short}</subSerialNumber>\n\
         </DeviceInfo>\n",
        serial = machine.serial,
        mac = machine.mac,
        short = words::short_serial(&machine.serial),
    );
    Response::xml(200, xml)
}

/// The device's clock and zone; the sign of the zone is inverted, as POSIX has it.
pub(super) fn time(machine: &Machine) -> Response {
    let now = machine.now_s();
    let minutes = machine.offset_s(now) / 60;
    let sign = if minutes < 0 { '+' } else { '-' };
    let minutes = minutes.unsigned_abs();
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Time version=\"2.0\" \
         xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n<timeMode>manual</timeMode>\n\
         <localTime>{}</localTime>\n<timeZone>CST{sign}{}:{:02}:00</timeZone>\n</Time>\n",
        machine.stamp(now),
        minutes / 60,
        minutes % 60,
    );
    Response::xml(200, xml)
}

/// What the search can do.
pub(super) fn capabilities(device: &Inner) -> Response {
    let options = &device.options.search;
    if !options.supported {
        return not_supported();
    }
    let mut cond = json!({
        "searchID": {"@min": 1, "@max": 64},
        "searchResultPosition": {"@min": 0, "@max": position_cap(device)},
        "maxResults": {"@min": 1, "@max": options.page_cap},
        "major": {"@opt": "0,1,2,3,5"},
        "minorEvent": {"@opt": "1,6,7,8,9,21,22,25,26,38,39,75,76"},
        "minorOperation": {"@opt": "112,113,121,122,123,1024,1029"},
        "startTime": {"@min": 1, "@max": 32},
        "endTime": {"@min": 1, "@max": 32},
        "employeeNoString": {"@min": 0, "@max": 32},
        "timeReverseOrder": true,
    });
    if options.serials
        && options.serial_range == SerialRange::Works
        && let Some(fields) = cond.as_object_mut()
    {
        for name in ["beginSerialNo", "endSerialNo"] {
            fields.insert(name.to_owned(), json!({"@min": 1, "@max": LAST_SERIAL}));
        }
    }
    let body = json!({"AcsEvent": {
        "AcsEventCond": cond, "InfoList": {"maxSize": options.page_cap},
    }});
    Response::json(200, words::json(&body))
}

fn position_cap(device: &Inner) -> u64 {
    let options = &device.options.search;
    let usual = if options.serials { 300_000 } else { 1_000 };
    options.position_cap.unwrap_or(usual)
}

/// How many rows a question finds.
pub(super) fn total(device: &Inner, body: &[u8]) -> Response {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(cond) = question.get("AcsEventTotalNumCond") else {
        return refusal_json(6, "MessageParametersLack", "AcsEventTotalNumCond");
    };
    match query(device, cond) {
        Ok(mut query) => {
            (query.position, query.count) = (0, 0);
            let total = device.machine.search(&query).total;
            let body = json!({"AcsEventTotalNum": {"totalNum": total}});
            Response::json(200, words::json(&body))
        }
        Err(refused) => *refused,
    }
}

/// A page of the log.
pub(super) fn search(device: &Inner, body: &[u8]) -> Response {
    let options = &device.options.search;
    if !options.supported {
        return not_supported();
    }
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(cond) = question.get("AcsEventCond") else {
        return refusal_json(6, "MessageParametersLack", "AcsEventCond");
    };
    let Some(id) = cond.get("searchID").and_then(Value::as_str) else {
        return refusal_json(6, "MessageParametersLack", "searchID");
    };
    for needed in ["searchResultPosition", "maxResults"] {
        if number(cond, needed).is_none() {
            return refusal_json(6, "MessageParametersLack", needed);
        }
    }
    let query = match query(device, cond) {
        Ok(query) => query,
        Err(refused) => return *refused,
    };
    if query.position > position_cap(device) || !understood(device, cond) {
        return answer(
            device,
            id,
            &query,
            Page {
                total: 0,
                rows: Vec::new(),
            },
        );
    }
    let page = device.machine.search(&query);
    answer(device, id, &query, page)
}

/// The question as the log takes it.
fn query(device: &Inner, cond: &Value) -> Result<Query, Box<Response>> {
    let options = &device.options.search;
    let lack = |name| Box::new(refusal_json(6, "MessageParametersLack", name));
    let bad = |name| Box::new(refusal_json(6, "badParameters", name));
    let code = |name| {
        let value = number(cond, name).ok_or_else(|| lack(name))?;
        u16::try_from(value).map_err(|_| bad(name))
    };
    let (major, minor) = (code("major")?, code("minor")?);
    if options.refuse_minor_zero && minor == 0 && major != 0 {
        return Err(Box::new(refusal_json(4, "invalidOperation", "minor")));
    }
    let moment = |name| match cond.get(name).and_then(Value::as_str) {
        Some(text) => read_time(&device.machine, text)
            .map(Some)
            .ok_or_else(|| bad(name)),
        None => Ok(None),
    };
    let (first, last) = (number(cond, "beginSerialNo"), number(cond, "endSerialNo"));
    let asked = first.is_some() || last.is_some();
    let (first, last) = (first.unwrap_or(1), last.unwrap_or(LAST_SERIAL));
    let serials = match options.serial_range {
        SerialRange::Refused if asked => return Err(bad("beginSerialNo")),
        SerialRange::Works if asked && options.serials => {
            let range = 1..=LAST_SERIAL;
            if !range.contains(&first) || !range.contains(&last) {
                return Err(bad("endSerialNo"));
            }
            Some((first, last))
        }
        _ => None,
    };
    let person = cond.get("employeeNoString").and_then(Value::as_str);
    Ok(Query {
        serials,
        from_s: moment("startTime")?,
        to_s: moment("endTime")?,
        major,
        minor,
        person: person.filter(|text| !text.is_empty()).map(str::to_owned),
        newest_first: cond.get("timeReverseOrder") == Some(&Value::Bool(true)),
        position: number(cond, "searchResultPosition").unwrap_or(0),
        count: number(cond, "maxResults")
            .unwrap_or(0)
            .min(options.page_cap),
    })
}

fn number(cond: &Value, name: &str) -> Option<u64> {
    cond.get(name).and_then(Value::as_u64)
}

/// UTC seconds of a time with offset, or of one in the device's own zone.
fn read_time(machine: &Machine, text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_second());
    }
    let wall: jiff::civil::DateTime = text.parse().ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(wall).ok()?.as_second();
    Some(at - i64::from(machine.offset_s(at)))
}

/// False for a question in another offset, on a device that only knows its own.
fn understood(device: &Inner, cond: &Value) -> bool {
    if !device.options.search.own_offset_only {
        return true;
    }
    let now = device.machine.stamp(device.machine.now_s());
    let own = now.get(19..).unwrap_or_default();
    ["startTime", "endTime"].iter().all(|name| {
        let text = cond.get(name).and_then(Value::as_str);
        text.is_none_or(|text| text.ends_with(own))
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    major: u16,
    minor: u16,
    time: String,
    net_user: &'static str,
    remote_host_addr: &'static str,
    card_no: &'static str,
    card_type: u8,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    report_channel: u8,
    card_reader_kind: u8,
    card_reader_no: u8,
    door_no: u8,
    employee_no_string: &'a str,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_no: Option<u64>,
    user_type: &'static str,
    current_verify_mode: &'static str,
    attendance_status: &'static str,
    status_value: u8,
    mask: &'static str,
}

fn item<'a>(device: &Inner, serial: u64, row: &'a Row) -> Item<'a> {
    let options = &device.options.search;
    let somebody = !row.person.is_empty();
    let operation = row.major == 3;
    Item {
        major: row.major,
        minor: row.minor,
        time: if options.plain_times {
            device.machine.wall(row.at_s)
        } else {
            device.machine.stamp(row.at_s)
        },
        net_user: if operation { "satellite" } else { "" },
        remote_host_addr: if operation { "127.0.0.1" } else { "0.0.0.0" },
        card_no: "",
        card_type: 0,
        name: if somebody {
            format!("Person {} \u{d1}u\u{f1}ez", row.person)
        } else {
            String::new()
        },
        report_channel: 0,
        card_reader_kind: 0,
        card_reader_no: u8::from(somebody),
        door_no: u8::from(row.major == 5),
        employee_no_string: &row.person,
        kind: 0,
        serial_no: options.serials.then_some(serial),
        user_type: "normal",
        current_verify_mode: "faceOrFpOrCardOrPw",
        attendance_status: words::status_name(row.status),
        status_value: row.status,
        mask: "unknown",
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "AcsEvent")]
    found: Found<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    #[serde(rename = "searchID")]
    search_id: &'a str,
    response_status_strg: &'static str,
    num_of_matches: Value,
    total_matches: Value,
    #[serde(rename = "InfoList", skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item<'a>>,
}

fn answer(device: &Inner, id: &str, query: &Query, mut page: Page) -> Response {
    let options = &device.options.search;
    if options.shuffle {
        let seed = device.options.seed;
        page.rows
            .sort_by_key(|(serial, _)| draw(seed, DRAW_SHUFFLE, *serial));
    }
    let matches = u64::try_from(page.rows.len()).unwrap_or(0);
    let after = query.position.saturating_add(matches);
    let count = |n: u64| {
        if options.text_numbers {
            json!(n.to_string())
        } else {
            json!(n)
        }
    };
    let items = page
        .rows
        .iter()
        .map(|(serial, row)| item(device, *serial, row));
    let body = words::json(&Answer {
        found: Found {
            search_id: id,
            response_status_strg: match matches {
                0 => "NO MATCH",
                _ if after < page.total => "MORE",
                _ => "OK",
            },
            num_of_matches: count(matches),
            total_matches: count(page.total),
            items: items.collect(),
        },
    });
    Response::json(200, body)
}
