//! Who watches the watcher: satellite asks sentinel's health page, and writes a mail by itself
//! when it gets no good answer for too long.
//!
//! Once for each silence, with reminders, and once more when sentinel is back; all in one
//! thread, through an outbox in `state_dir/guard.db`. The silence itself is kept in
//! `state_dir/guard.json`, so that a restart neither forgets it nor tells it twice. Nothing here
//! may ever delay a terminal: the task shares nothing with the way of events, and whatever
//! fails in it is logged and tried again.

mod letter;
mod silence;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::logging::Escaped;
use fetch::Fetch;
use jiff::Timestamp;
use notify::{CapRule, Letter, Outbox, Pump, Relay, Sender, SmtpRelay, Ways};
use tokio_util::sync::CancellationToken;

use crate::config::SentinelGuard;
use crate::hub::Hub;
use silence::{Silence, Tell};

/// Longest wait for the health page.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Pause before everything is set up again after it failed.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Letters that ended are forgotten after so many days.
const KEPT_DAYS: i64 = 90;

/// Guards until the end begins. What the configuration says at the start holds to the end.
pub(crate) async fn run(hub: Arc<Hub>) {
    let config = hub.config.load_full();
    let Some(guard) = &config.sentinel_guard else {
        return;
    };
    let end = hub.drain.token();
    loop {
        let watching = watch(guard, &config.state_dir, end.clone());
        match watching.await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(error = %Escaped(format!("{error:#}")), "nobody watches sentinel");
            }
        }
        tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
    }
}

/// Asks, and tells, until it is cancelled.
///
/// # Errors
/// The outbox or the state file cannot be used.
pub async fn watch(
    guard: &SentinelGuard,
    state_dir: &Path,
    end: CancellationToken,
) -> anyhow::Result<()> {
    let pump = pump(guard, state_dir).await?;
    let file = state_dir.join("guard.json");
    let mut silence = Silence::load(&file, guard.silent_after);
    let delivering = tokio::spawn({
        let (pump, end) = (pump.clone(), end.clone());
        async move { pump.run(end).await }
    });
    let every = (guard.silent_after / 6).clamp(Duration::from_secs(5), Duration::from_secs(30));
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let done = loop {
        tokio::select! {
            () = end.cancelled() => break Ok(()),
            _ = tick.tick() => {}
        }
        let heard = ask(guard).await;
        let words = heard.as_ref().err().cloned();
        let tell = silence.heard(heard.is_ok(), Instant::now(), Timestamp::now());
        if let Err(error) = told(guard, &pump, &file, &mut silence, tell, words).await {
            break Err(error);
        }
    };
    delivering.abort();
    done
}

/// Whether sentinel says that it is well.
async fn ask(guard: &SentinelGuard) -> Result<(), String> {
    let asked = Fetch::get(guard.health_url.clone())
        .within(ASK_WITHIN)
        .limit(4096);
    match asked.send().await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body);
            Err(format!("HTTP {}: {}", answer.status, body.trim()))
        }
        Err(failed) => Err(failed.to_string()),
    }
}

/// Queues the letters, then writes down that they were: in this order a crash in between tells
/// the same step again, which the outbox recognises.
async fn told(
    guard: &SentinelGuard,
    pump: &Pump,
    file: &Path,
    silence: &mut Silence,
    tell: Option<Tell>,
    words: Option<String>,
) -> anyhow::Result<()> {
    let Some(tell) = tell else {
        return Ok(silence.save(file)?);
    };
    match &tell {
        Tell::Silent { step, .. } => {
            tracing::error!(step, why = %Escaped(words.as_deref().unwrap_or("")), "sentinel is silent; a mail goes out");
        }
        Tell::Back { .. } => tracing::info!("sentinel answers again; a mail goes out"),
    }
    let letters: Vec<Letter> = guard
        .to
        .iter()
        .map(|to| letter::write(guard, &tell, to, words.as_deref()))
        .collect::<Result<_, _>>()?;
    let now = Timestamp::now();
    pump.outbox().queue_all(&letters, now).await?;
    silence.told(&tell, now);
    silence.save(file)?;
    if let Ok(before) = now.checked_sub(jiff::SignedDuration::from_hours(24 * KEPT_DAYS)) {
        pump.outbox().prune(before).await?;
    }
    Ok(())
}

async fn pump(guard: &SentinelGuard, state_dir: &Path) -> anyhow::Result<Pump> {
    let mut relays: Vec<Arc<dyn Relay>> = Vec::with_capacity(guard.relays.len());
    for url in &guard.relays {
        let mut relay = SmtpRelay::new(url)?;
        if let Some((user, password)) = &guard.login {
            relay = relay.login(user, password.clone());
        }
        relays.push(Arc::new(relay));
    }
    let ways = Ways {
        from: Sender::new(&guard.from, "Satélite")?,
        relays,
        webhooks: Vec::new(),
    };
    let outbox = Outbox::open(&state_dir.join("guard.db")).await?;
    Ok(Pump::new(outbox, ways, CapRule::default()).await?)
}
