//! `sentinel host`: sends this machine's facts to a sentinel elsewhere, again and again.
//!
//! It decides nothing and keeps nothing: what could not be sent is old at the next sending.
//! Silence is the message that the machine is gone, so that it never exits because the other
//! side does not answer; it says so in its log, once at the beginning and once at the end.

use std::time::Duration;

use daemon::config::Secret;
use daemon::logging::Escaped;
use fetch::{Fetch, Trust, Url};
use tokio_util::sync::CancellationToken;

use super::gather::{Facts, Gatherer};

/// From sending to sending.
pub const EVERY: Duration = Duration::from_secs(30);
/// Longest wait for the other side.
const SEND_WITHIN: Duration = Duration::from_secs(15);

/// Sends until it is cancelled. `to` is the admin door of a sentinel, with or without `/host`.
pub async fn run(
    to: &Url,
    token: &Secret,
    disks: &[String],
    trust: &Trust,
    end: CancellationToken,
) {
    let to = if to.path().ends_with("/host") {
        to.clone()
    } else {
        to.join("/host")
    };
    let gatherer = Gatherer::new(disks);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {}
        }
        let facts = gatherer.gather().await;
        match send(&to, token, &facts, trust).await {
            Ok(()) if failing => tracing::info!("the facts arrive again"),
            Ok(()) => {}
            Err(why) if failing => tracing::debug!(why = %Escaped(why), "the facts do not arrive"),
            Err(why) => {
                tracing::error!(%to, why = %Escaped(why), "the facts of this machine do not arrive");
                failing = true;
                continue;
            }
        }
        failing = false;
    }
}

/// Sends once.
///
/// # Errors
/// In words for people: nobody there, or what the other side said.
pub async fn send(to: &Url, token: &Secret, facts: &Facts, trust: &Trust) -> Result<(), String> {
    let body = serde_json::to_vec(facts).map_err(|error| error.to_string())?;
    let post = Fetch::post(to.clone(), "application/json", body)
        .header(
            "authorization",
            &format!("Bearer {}", token.expose().trim()),
        )
        .within(SEND_WITHIN)
        .trust(trust.clone());
    match post.send().await {
        Ok(answer) if answer.status == 204 => Ok(()),
        Ok(answer) if answer.status == 401 => {
            Err("the token is not one of its [[agent]] entries".to_owned())
        }
        Ok(answer) => Err(format!("HTTP {}", answer.status)),
        Err(failed) => Err(failed.to_string()),
    }
}
