//! The ways of a canary's punch, and what goes over the wire. Pure: time comes in.
//!
//! The bytes are written by hand and by nobody's protocol crate, so that what reads them at
//! satellite cannot agree with itself alone. Sources: the push protocol's `cdata` upload of table
//! ATTLOG; ISAPI's `EventNotificationAlert` in JSON for an access controller. A post without the
//! device's own serial numbers is one that satellite can only tell by its content.

use daemon::config::Secret;
use fetch::{Answer, Fetch, Url};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::WatchedStore;

/// By which door of satellite, at which address.
pub(super) struct Way {
    door: Door,
    url: Url,
    /// True for the first address of the configuration: the public one.
    pub(super) is_public: bool,
}

enum Door {
    Zkteco {
        serial: String,
    },
    /// The path with its token.
    Hikvision {
        path: Secret,
    },
}

/// A request, and what in its answer is an acknowledgement.
pub(super) type Post = (Fetch, fn(&Answer) -> bool);

/// Every door of a database through every address.
pub(super) fn ways(urls: &[String], store: &WatchedStore) -> Vec<Way> {
    let mut ways = Vec::new();
    let urls = urls.iter().filter_map(|url| url.parse::<Url>().ok());
    for (index, url) in urls.enumerate() {
        let mut push = |door| {
            ways.push(Way {
                door,
                url: url.clone(),
                is_public: index == 0,
            });
        };
        if let Some(serial) = &store.canary {
            push(Door::Zkteco {
                serial: serial.clone(),
            });
        }
        if let Some(address) = &store.hikvision_canary {
            push(Door::Hikvision {
                path: Secret::new(path(address.expose())),
            });
        }
    }
    ways
}

/// The path of a posting address, which may be given whole, as a path or as the bare token.
fn path(address: &str) -> String {
    let address = address.trim();
    match address.find("/hikvision/") {
        Some(at) => address.get(at..).unwrap_or_default().to_owned(),
        None => format!("/hikvision/{address}"),
    }
}

impl Way {
    /// What it is called in texts for people; without the token.
    pub(super) fn shown(&self) -> String {
        let door = match self.door {
            Door::Zkteco { .. } => "zkteco",
            Door::Hikvision { .. } => "hikvision",
        };
        format!("{door} {}", self.url)
    }

    /// True when an acknowledgement may stand for a place in satellite's journal.
    pub(super) fn may_be_journalled(&self) -> bool {
        matches!(self.door, Door::Hikvision { .. })
    }

    /// A punch by a person that no other punch ever had; the person and the request.
    pub(super) fn punch(&self, index: usize, now: Timestamp, zone: &TimeZone) -> (String, Post) {
        let salt = std::process::id() % 10_000;
        let person = format!("S{}W{index}P{salt}", now.as_millisecond());
        let local = now.to_zoned(zone.clone());
        match &self.door {
            Door::Zkteco { serial } => {
                let query = format!(
                    "/iclock/cdata?SN={serial}&table=ATTLOG&Stamp={}",
                    now.as_second()
                );
                let at = local.strftime("%Y-%m-%d %H:%M:%S");
                let body = format!("{person}\t{at}\t0\t1\n");
                let post = Fetch::post(self.url.join(&query), "text/plain", body);
                (
                    person,
                    (post, |answer| {
                        answer.status == 200 && answer.body.starts_with(b"OK")
                    }),
                )
            }
            Door::Hikvision { path } => {
                let at = local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
                let body = serde_json::json!({
                    "dateTime": at,
                    "eventType": "AccessControllerEvent",
                    "eventState": "active",
                    "AccessControllerEvent": {
                        "deviceName": "canary",
                        "majorEventType": 5,
                        "subEventType": 75,
                        "employeeNoString": person,
                    },
                });
                let url = self.url.join(path.expose());
                let post = Fetch::post(url, "application/json", body.to_string());
                (person, (post, |answer| answer.status == 200))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> WatchedStore {
        WatchedStore {
            tenant: "acme".to_owned(),
            name: "Acme".to_owned(),
            url: "sqlite:///x.db".parse().unwrap(),
            password: None,
            canary: Some("CANARY1".to_owned()),
            hikvision_canary: Some(Secret::new("http://h:1/hikvision/t0ken".to_owned())),
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
                "zkteco http://127.0.0.1:8081",
                "hikvision http://127.0.0.1:8081",
            ]
        );
        assert!(ways[0].is_public && !ways[2].is_public);
        assert!(!ways[0].may_be_journalled() && ways[1].may_be_journalled());
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
    fn a_posting_address_is_taken_whole_as_a_path_or_as_a_token() {
        for text in ["https://x/hikvision/tok\n", "/hikvision/tok", "tok"] {
            assert_eq!(path(text), "/hikvision/tok");
        }
    }
}
