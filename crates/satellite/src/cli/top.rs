//! `satellite top`: the running satellite on one screen, drawn over itself every two seconds.
//!
//! What is shown is what `/status`, `/devices` and `/metrics` of the admin door say, and nothing
//! else: there is no second way to a figure. Rates are what counters rose by between two looks.
//! While the door does not answer, the screen says so and keeps trying. However this ends, the
//! terminal is as it was before.

use std::time::{Duration, Instant};

use daemon::exit::Exit;
use daemon::signals::Signals;

use super::words::Word;
use super::{Context, out};

mod look;
mod picture;
mod terminal;

use look::Look;
use terminal::{Key, Terminal};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite top
  satellite top --every 10s --lang es
q, Esc or Ctrl-C ends it. It needs a terminal of 80 by 24; over ssh: ssh -t SERVER satellite top.";

/// What `top` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often to look: 1s to 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = every)]
    every: Duration,
}

fn every(text: &str) -> Result<Duration, String> {
    let span: daemon::config::Span = text.parse().map_err(|error| format!("{error}"))?;
    if (1..=60).contains(&span.0.as_secs()) {
        Ok(span.0)
    } else {
        Err("1s to 1m".to_owned())
    }
}

/// Shows until somebody has seen enough.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let door = context.config.listen.admin;
    let Some(mut terminal) = Terminal::take()? else {
        out::complain(&context.say(Word::TopNoTerminal, &[&door]));
        return Ok(Exit::Failed);
    };
    let mut signals = Signals::new()?;
    let mut tick = tokio::time::interval(args.every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<(Instant, Look)> = None;
    loop {
        tokio::select! {
            key = terminal.key() => if key == Key::End {
                return Ok(Exit::Fine);
            },
            _ = signals.next() => return Ok(Exit::Fine),
            _ = tick.tick() => {
                let begun = Instant::now();
                let now = Look::take(door).await;
                let size = terminal.size();
                let lines = match &now {
                    Ok(now) => {
                        let earlier = before.as_ref().map(|(at, look)| (begun - *at, look));
                        picture::of(now, earlier, size, context.lang)
                    }
                    Err(error) => picture::silent(&door, error, context.lang),
                };
                terminal.draw(&lines, size)?;
                before = now.ok().map(|now| (begun, now));
            }
        }
    }
}
