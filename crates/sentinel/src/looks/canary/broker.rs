//! A canary's message to a broker, with QoS 1: over a connection of its own, so that names,
//! certificates and the login are seen each time.

use std::time::Duration;

use mqtt::{Failed, Message, Options, Publisher};

use crate::Value;
use crate::config::BrokerCanary;
use crate::looks::said;
use crate::words::Phrase;

/// Longest time for our leave.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Publishes it and waits until the broker has it.
///
/// # Errors
/// Why it has not, never later than `within`.
pub(super) async fn published(
    canary: &BrokerCanary,
    record: String,
    within: Duration,
) -> Result<(), Value> {
    let all = tokio::time::timeout(within, publish(canary, record, within));
    let late = || Err(Phrase::BrokerLate.with([within.into()]));
    let publisher = all.await.unwrap_or_else(|_| late())?;
    // The broker has it: how we part changes nothing of that.
    publisher.leave(LEAVES_WITHIN).await.ok();
    Ok(())
}

async fn publish(
    canary: &BrokerCanary,
    record: String,
    within: Duration,
) -> Result<Publisher, Value> {
    let only_public = !canary.allow_internal;
    let stream = fetch::open(&canary.url, &canary.trust, only_public, within).await;
    let stream = Box::new(stream.map_err(|failed| said(&failed))?);
    let login = canary.login.as_ref();
    let options = Options {
        // Two of one name would end each other's connections.
        client_id: format!("sentinel-{}-{}", canary.serial, std::process::id()),
        login: login.map(|(user, password)| (user.clone(), password.expose().to_owned())),
        will: None,
    };
    let opened = Publisher::open(stream, &options, within).await;
    let publisher = opened.map_err(|failed| of_broker(&failed))?;
    let message = Message {
        topic: canary.topic.clone(),
        payload: record.into(),
        retained: false,
    };
    let sent = publisher.publish(vec![message], within).await;
    sent.map_err(|failed| of_broker(&failed))?;
    Ok(publisher)
}

/// Why the broker does not take it, as our sentence.
fn of_broker(failed: &Failed) -> Value {
    match failed {
        Failed::Refused(words) => Phrase::BrokerRefuses.with([Value::heard(words)]),
        Failed::Late(after) => Phrase::BrokerLate.with([(*after).into()]),
        Failed::Broken(words) => Phrase::BrokerBroke.with([Value::heard(words)]),
        Failed::Subscription => Phrase::BrokerBroke.with([Value::heard(failed.to_string())]),
    }
}
