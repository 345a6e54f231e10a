//! Events to an MQTT broker: a message for each, QoS 1, and its acknowledgement.
//!
//! A delivery is taken when the broker has acknowledged every message of it. What ends a connection
//! (also a delivery that was given up in the middle) ends it for good; the next delivery begins with
//! a new one and with the same rows. Beside the events it can keep, retained, whether each terminal
//! is online and whether this output is connected; those follow what is, and nothing waits for them.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use mqtt::{Message, Names, Publisher};
use serde_json::json;
use store::feed::FeedRow;
use tokio::time::Instant;

use super::course::Verdict;
use super::shape::{event_json, utc};
use crate::config::{Broker, Output};
use crate::devices::Known;
use crate::hub::Hub;
use crate::{broker, clock};

/// Longest that a broker may take for its next acknowledgement.
const WITHIN: Duration = Duration::from_secs(15);
/// Between two looks at the states of terminals.
const STATES_EVERY: Duration = Duration::from_secs(2);
/// Most states that go out at once.
const STATES: usize = 500;

/// What is kept between two deliveries.
#[derive(Default)]
pub(super) struct Line {
    publisher: Option<Publisher>,
    /// The state of each terminal as the broker has it from this connection.
    states: HashMap<String, &'static str>,
    looked: Option<Instant>,
}

/// Publishes the rows once.
pub(super) async fn publish(broker: &Broker, rows: &[FeedRow], line: &mut Line) -> Verdict {
    let messages = rows.iter().map(|row| message(broker, row)).collect();
    match line.send(broker, messages).await {
        Ok(()) => Verdict::Taken,
        Err(why) => Verdict::Later(why),
    }
}

/// Brings the states of the tenant's terminals up to date.
pub(super) async fn states(broker: &Broker, output: &Output, hub: &Hub, line: &mut Line) {
    let recent = |looked: Instant| looked.elapsed() < STATES_EVERY;
    let Some(topic) = &broker.state_topic else {
        return;
    };
    if line.looked.is_some_and(recent) {
        return;
    }
    line.looked = Some(Instant::now());
    let now = clock::now();
    let own = |known: &Known| known.enrolment.tenant == output.tenant && !known.enrolment.canary;
    let mut changed = Vec::new();
    let mut messages = Vec::new();
    for known in hub.devices.all(own) {
        let serial = known.enrolment.serial.to_string();
        let state = known.presence(now).as_str();
        let key = format!("{}/{serial}", known.enrolment.vendor);
        if line.states.get(&key) == Some(&state) || messages.len() >= STATES {
            continue;
        }
        let names = Names {
            tenant: output.tenant.as_str(),
            vendor: known.enrolment.vendor.as_str(),
            serial: &serial,
            kind: "state",
        };
        let last = known.facts().last_contact.map(utc);
        let said = json!({ "serial": serial, "state": state, "last_contact_at": last });
        messages.push(Message {
            topic: topic.fill(&names),
            payload: Bytes::from(said.to_string()),
            retained: true,
        });
        changed.push((key, state));
    }
    if messages.is_empty() {
        return;
    }
    match line.send(broker, messages).await {
        Ok(()) => line.states.extend(changed),
        Err(why) => tracing::debug!(output = output.name, why, "states are told later"),
    }
}

fn message(broker: &Broker, row: &FeedRow) -> Message {
    let names = Names {
        tenant: row.tenant.as_deref().unwrap_or_default(),
        vendor: &row.vendor,
        serial: &row.serial,
        kind: &row.kind,
    };
    Message {
        topic: broker.topic.fill(&names),
        payload: Bytes::from(serde_json::Value::Object(event_json(row)).to_string()),
        retained: false,
    }
}

impl Line {
    /// Publishes over the connection that stands, or a new one.
    async fn send(&mut self, broker: &Broker, messages: Vec<Message>) -> Result<(), String> {
        // Taken out, so that a delivery that is given up in the middle takes its connection along.
        let kept = self.publisher.take().filter(|kept| !kept.is_over());
        let publisher = match kept {
            Some(kept) => kept,
            None => {
                self.states.clear();
                opened(broker).await?
            }
        };
        let done = publisher.publish(messages, WITHIN).await;
        done.map_err(|failed| failed.to_string())?;
        self.publisher = Some(publisher);
        Ok(())
    }
}

/// A new connection, whose existence is told where that is wanted.
async fn opened(broker: &Broker) -> Result<Publisher, String> {
    let status = broker.status_topic.as_ref();
    let mut options = broker::options(&broker.link);
    options.will = status.map(|topic| (topic.clone(), "offline".to_owned()));
    let stream = broker::reach(&broker.link).await?;
    let publisher = Publisher::open(stream, &options, broker::WITHIN).await;
    let publisher = publisher.map_err(|failed| failed.to_string())?;
    if let Some(topic) = status {
        let online = Message {
            topic: topic.clone(),
            payload: Bytes::from_static(b"online"),
            retained: true,
        };
        let done = publisher.publish(vec![online], WITHIN).await;
        done.map_err(|failed| failed.to_string())?;
    }
    Ok(publisher)
}

#[cfg(test)]
mod tests {
    use super::super::shape::sample;
    use super::*;
    use crate::config::Link;
    use mqtt::Template;

    #[test]
    fn a_message_is_the_event_of_the_schema_under_a_topic_that_no_serial_can_leave() {
        let link = Link {
            url: "http://broker:1883".parse().unwrap(),
            login: None,
            client_id: "x".to_owned(),
            authorities: None,
            allow_internal: true,
        };
        let broker = Broker {
            link,
            topic: Template::read("s/{tenant}/{vendor}/{serial}/{kind}").unwrap(),
            state_topic: None,
            status_topic: None,
        };
        let mut row = sample(7);
        row.serial = "../#/+".to_owned();
        let made = message(&broker, &row);
        assert_eq!(made.topic, "s/acme/zkteco/..____/punch");
        let event: serde_json::Value = serde_json::from_slice(&made.payload).unwrap();
        assert_eq!(event, serde_json::Value::Object(event_json(&row)));
    }
}
