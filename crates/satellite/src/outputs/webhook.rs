//! Events to an HTTP receiver: a signed POST of JSON, and its status.
//!
//! Only the status of an answer counts; its body is not read beyond a few bytes and never logged.
//! Redirects are not followed, because they could carry personal data elsewhere. Unless the
//! configuration allows it, inner addresses are refused at the moment of connecting, whatever the
//! name led to when the file was written.

use std::time::Duration;

use fetch::Fetch;
use serde_json::{Value, json};
use store::feed::FeedRow;

use super::course::{Verdict, judge};
use super::shape::event_json;
use crate::config::{Hook, Output};

/// Longest that a receiver may take for one delivery.
const WITHIN: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read, in vain.
const ANSWER: usize = 4096;
/// The version of the form of a body.
const SCHEMA: &str = "satellite.events/1";

/// Posts them once.
pub(super) async fn post(hook: &Hook, output: &Output, rows: &[FeedRow]) -> Verdict {
    let body = body(output, rows).to_string();
    let signature = notify::signature(&hook.key, body.as_bytes(), jiff::Timestamp::now());
    let sent = Fetch::post(hook.url.clone(), "application/json", body)
        .header(
            "user-agent",
            concat!("satellite/", env!("CARGO_PKG_VERSION")),
        )
        .header("x-satellite-signature", &signature)
        .only_public(!hook.allow_internal)
        .within(WITHIN)
        .limit(ANSWER)
        .send()
        .await;
    match sent {
        Ok(answer) => judge(answer.status),
        Err(failed) => Verdict::Later(failed.to_string()),
    }
}

fn body(output: &Output, rows: &[FeedRow]) -> Value {
    let events: Vec<Value> = rows
        .iter()
        .map(|row| Value::Object(event_json(row)))
        .collect();
    json!({
        "schema": SCHEMA,
        "output": output.name,
        "tenant": output.tenant.as_str(),
        "events": events,
    })
}
