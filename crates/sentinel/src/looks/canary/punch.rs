//! The ways of a canary's punch, and what goes over the wire. Pure: time comes in.
//!
//! The bytes are written by hand and by nobody's protocol crate, so that what reads them at
//! satellite cannot agree with itself alone. Sources: the push protocol's `cdata` upload of table
//! ATTLOG; ISAPI's `EventNotificationAlert` in JSON for an access controller, where a post without
//! the device's own serial numbers is one that satellite can only tell by its content; the published
//! schema `satellite.records/1`, with an id, so that a punch that is sent again is one row; the same
//! as a message of a broker, which names its terminal itself, so that it is never taken for another's.

use std::sync::Arc;

use fetch::{Answer, Fetch, Url};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::Value;
use crate::config::{BrokerCanary, CanaryDoor, WatchedStore};
use crate::words::Phrase;

/// By which door of satellite, at which address.
pub(super) struct Way {
    door: CanaryDoor,
    url: Url,
    pub(super) sort: Sort,
}

/// For what a way speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// For what terminals see: the first address of the configuration is the public one.
    Public,
    /// For itself: another address of the same doors.
    Inner,
    /// For a broker.
    Broker,
}

/// How a punch is sent.
pub(super) enum Errand {
    /// A request, and what tells in its answer an acknowledgement from the reason why there is none.
    Post(Fetch, fn(&Answer) -> Result<(), Value>),
    /// A message to a broker.
    Publish(Arc<BrokerCanary>, String),
}

/// Every door of a database through every address; a broker has one of its own.
pub(super) fn ways(urls: &[String], store: &WatchedStore) -> Vec<Way> {
    let way = |door: &CanaryDoor, url: &Url, sort| Way {
        door: door.clone(),
        url: url.clone(),
        sort,
    };
    let mut ways = Vec::new();
    let urls = urls.iter().filter_map(|url| url.parse::<Url>().ok());
    for (index, url) in urls.enumerate() {
        let posts = |door: &&CanaryDoor| !matches!(door, CanaryDoor::Mqtt(_));
        let doors = store.canaries.iter().filter(posts);
        let sort = if index == 0 {
            Sort::Public
        } else {
            Sort::Inner
        };
        ways.extend(doors.map(|door| way(door, &url, sort)));
    }
    for door in &store.canaries {
        if let CanaryDoor::Mqtt(canary) = door {
            ways.push(way(door, &canary.url, Sort::Broker));
        }
    }
    ways
}

impl Way {
    /// What it is called in texts for people; without the token.
    pub(super) fn shown(&self) -> String {
        let door = match self.door {
            CanaryDoor::Zkteco(_) => "zkteco",
            CanaryDoor::Hikvision(_) => "hikvision",
            CanaryDoor::Ingest(_) => "ingest",
            CanaryDoor::Mqtt(_) => return format!("mqtt {}", self.place()),
        };
        format!("{door} {}", self.url)
    }

    /// Host and port, as satellite names a broker of an `[[input]]`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port())
    }

    /// The canary of a broker, by its serial there; `None` for a door.
    pub(super) fn of_broker(&self) -> Option<&str> {
        match &self.door {
            CanaryDoor::Mqtt(canary) => Some(&canary.serial),
            _ => None,
        }
    }

    /// True when an acknowledgement may stand for a place in satellite's journal.
    pub(super) fn may_be_journalled(&self) -> bool {
        matches!(self.door, CanaryDoor::Hikvision(_) | CanaryDoor::Ingest(_))
    }

    /// False when the acknowledgement is a broker's: what it took may still be on its way, or lost,
    /// and satellite has promised nothing.
    pub(super) fn is_promised(&self) -> bool {
        self.sort != Sort::Broker
    }

    /// A punch by a person that no other punch ever had; the person and the errand.
    pub(super) fn punch(&self, index: usize, now: Timestamp, zone: &TimeZone) -> (String, Errand) {
        let salt = std::process::id() % 10_000;
        let person = format!("S{}W{index}P{salt}", now.as_millisecond());
        let local = now.to_zoned(zone.clone());
        let post = |path: &str, kind, body| Fetch::post(self.url.join(path), kind, body);
        let errand = match &self.door {
            CanaryDoor::Zkteco(serial) => {
                let query = format!(
                    "/iclock/cdata?SN={serial}&table=ATTLOG&Stamp={}",
                    now.as_second()
                );
                let at = local.strftime("%Y-%m-%d %H:%M:%S");
                let body = format!("{person}\t{at}\t0\t1\n");
                Errand::Post(post(&query, "text/plain", body), said_ok)
            }
            CanaryDoor::Hikvision(path) => {
                let body = controller_event(&person, &local);
                Errand::Post(post(path.expose(), "application/json", body), said_200)
            }
            CanaryDoor::Ingest(path) => {
                let body = record(&person, &local, None);
                Errand::Post(post(path.expose(), "application/json", body), took_it)
            }
            CanaryDoor::Mqtt(canary) => {
                let record = record(&person, &local, Some(&canary.serial));
                Errand::Publish(Arc::clone(canary), record)
            }
        };
        (person, errand)
    }
}

/// What an access controller posts.
fn controller_event(person: &str, local: &Zoned) -> String {
    let event = serde_json::json!({
        "dateTime": with_offset(local),
        "eventType": "AccessControllerEvent",
        "eventState": "active",
        "AccessControllerEvent": {
            "deviceName": "canary",
            "majorEventType": 5,
            "subEventType": 75,
            "employeeNoString": person,
        },
    });
    event.to_string()
}

/// What a program posts that speaks our own form.
fn record(person: &str, local: &Zoned, serial: Option<&str>) -> String {
    let record = serde_json::json!({
        "id": person,
        "event": "punch",
        "time": with_offset(local),
        "person": person,
        "serial": serial,
    });
    record.to_string()
}

fn with_offset(local: &Zoned) -> String {
    local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn said_ok(answer: &Answer) -> Result<(), Value> {
    let is_ok = answer.status == 200 && answer.body.starts_with(b"OK");
    is_ok.then_some(()).ok_or_else(|| words_of(answer))
}

fn said_200(answer: &Answer) -> Result<(), Value> {
    (answer.status == 200)
        .then_some(())
        .ok_or_else(|| words_of(answer))
}

/// The door for other makes refuses nothing for what it says, and tells what it did with it.
fn took_it(answer: &Answer) -> Result<(), Value> {
    said_200(answer)?;
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let any = |key: &str| told.get(key).and_then(serde_json::Value::as_u64) > Some(0);
    if any("stored") || any("known") || any("waiting") {
        Ok(())
    } else if any("quarantined") {
        Err(Phrase::PunchSetAside.into())
    } else {
        Err(words_of(answer))
    }
}

fn words_of(answer: &Answer) -> Value {
    let body = String::from_utf8_lossy(&answer.body);
    let body: String = body.trim().chars().take(120).collect();
    let status = Value::heard(answer.status.to_string());
    match body.is_empty() {
        true => Phrase::HttpStatus.with([status]),
        false => Phrase::HttpSays.with([status, Value::heard(body)]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use daemon::config::Secret;

    use super::*;

    fn store() -> WatchedStore {
        let secret = |path: &str| Secret::new(path.to_owned());
        WatchedStore {
            tenant: "acme".to_owned(),
            name: "Acme".to_owned(),
            url: "sqlite:///x.db".parse().unwrap(),
            password: None,
            canaries: vec![
                CanaryDoor::Zkteco("CANARY1".to_owned()),
                CanaryDoor::Hikvision(secret("/hikvision/t0ken")),
                CanaryDoor::Ingest(secret("/ingest/t0ken")),
                CanaryDoor::Mqtt(Arc::new(BrokerCanary {
                    url: "http://broker:1883".parse().unwrap(),
                    login: None,
                    trust: fetch::Trust::default(),
                    allow_internal: true,
                    topic: "plant/CANARY/punch".to_owned(),
                    serial: "CANARY".to_owned(),
                })),
            ],
        }
    }

    #[test]
    fn every_door_is_tried_through_every_address_and_no_text_shows_the_token() {
        let urls = [
            "https://a.mx".to_owned(),
            "http://127.0.0.1:8081".to_owned(),
        ];
        let ways = ways(&urls, &store());
        let shown: Vec<String> = ways.iter().map(Way::shown).collect();
        assert_eq!(
            shown,
            [
                "zkteco https://a.mx",
                "hikvision https://a.mx",
                "ingest https://a.mx",
                "zkteco http://127.0.0.1:8081",
                "hikvision http://127.0.0.1:8081",
                "ingest http://127.0.0.1:8081",
                "mqtt broker:1883",
            ]
        );
        let sorts: Vec<Sort> = ways.iter().map(|way| way.sort).collect();
        assert_eq!(sorts[..3], [Sort::Public; 3]);
        assert_eq!(
            sorts[3..],
            [Sort::Inner, Sort::Inner, Sort::Inner, Sort::Broker]
        );
        let journalled: Vec<bool> = ways.iter().map(Way::may_be_journalled).collect();
        assert_eq!(journalled, [false, true, true, false, true, true, false]);
    }

    #[test]
    fn no_two_punches_have_the_same_person() {
        let urls = ["http://a".to_owned(), "http://b".to_owned()];
        let ways = ways(&urls, &store());
        let mut persons = std::collections::HashSet::new();
        for second in 0..100 {
            let now = Timestamp::from_second(1_800_000_000 + second).unwrap();
            for (index, way) in ways.iter().enumerate() {
                assert!(persons.insert(way.punch(index, now, &TimeZone::UTC).0));
            }
        }
    }

    #[test]
    fn a_record_that_is_safe_is_acknowledged_and_one_that_was_set_aside_is_not() {
        let heard = |status, body: &str| {
            took_it(&Answer {
                status,
                location: None,
                body: body.as_bytes().to_vec(),
                is_cut: false,
                took: Duration::ZERO,
                date: None,
                certificate: None,
            })
        };
        for safe in [r#"{"stored":1}"#, r#"{"known":1}"#, r#"{"waiting":1}"#] {
            assert_eq!(heard(200, safe), Ok(()), "{safe}");
        }
        let aside = heard(200, r#"{"stored":0,"quarantined":1}"#);
        assert_eq!(aside, Err(Phrase::PunchSetAside.into()));
        for (status, body) in [
            (404, ""),
            (503, r#"{"stored":1}"#),
            (200, "<html>welcome</html>"),
            (200, r#"{"stored":0,"ignored":1}"#),
            (200, r#"{"stored":"1"}"#),
        ] {
            assert!(heard(status, body).is_err(), "{status} {body}");
        }
    }
}
