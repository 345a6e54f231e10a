//! `satellite restore --report`: what was lost, what came back, how long it took, beside what was
//! promised. Everything is read from the databases; nothing is asked of the running satellite.

use std::collections::HashMap;

use backup::{Kept as _, Restored};
use daemon::exit::Exit;
use event::{DeviceId, Millis};
use jiff::SignedDuration;
use serde_json::{Value, json};
use store::assurance::{self, WindowState};
use store::{AnyEngine, Failure, census, feed};

use super::words::Says;
use crate::cli::backup::{PROMISED_RTO, span};
use crate::cli::databases::{self, Place};
use crate::cli::{Context, out, time};

/// What one database says since the restore.
struct Since {
    label: String,
    /// When satellite opened the new epoch; `None` before it has started.
    serving: Option<Millis>,
    /// Records of before the restore that came after it.
    came_back: u64,
    /// What is still missing.
    open: Vec<Open>,
}

/// A window that a terminal has not brought yet.
struct Open {
    serial: String,
    from: Millis,
    to: Millis,
    state: WindowState,
}

pub(super) async fn run(as_json: bool, context: &Context) -> anyhow::Result<Exit> {
    let Some(restored) = Restored::read(&context.config.state_dir) else {
        out::complain(&context.say(Says::NeverRestored, &[]));
        return Ok(Exit::Failed);
    };
    let mut all = Vec::new();
    for place in databases::places(context, None) {
        if restored.stores.iter().any(|it| it.store == place.label) {
            let mut engine = databases::open(context, &place).await?;
            let read = since(&mut engine, &place, &restored).await;
            all.push(read.map_err(|failure| databases::told(context, &place, &failure))?);
        }
    }
    let figures = Figures::of(&restored, &all);
    if as_json {
        out::json(&figures.json(&restored, &all))?;
    } else {
        tell(&figures, &all, context)?;
    }
    let whole = figures.rto.is_some() && all.iter().all(|it| it.open.is_empty());
    Ok(if whole { Exit::Fine } else { Exit::Failed })
}

async fn since(
    engine: &mut AnyEngine,
    place: &Place,
    restored: &Restored,
) -> Result<Since, Failure> {
    let begun = Millis(restored.begun_at.as_millisecond());
    let head = feed::head(engine).await?;
    let above = head.epoch() << feed::EPOCH_BITS;
    let found = census::since_epoch(engine, above, begun).await?;
    let serving = found
        .first
        .filter(|at| at.0 >= restored.finished_at.as_millisecond());
    let missing = assurance::missing(engine, None).await?;
    let mut serials: HashMap<DeviceId, String> = HashMap::new();
    if !missing.is_empty() {
        serials = assurance::serials(engine).await?.into_iter().collect();
    }
    let open = missing.into_iter().map(|window| Open {
        serial: serials
            .get(&window.device)
            .cloned()
            .unwrap_or_else(|| window.device.to_string()),
        from: window.begins_at,
        to: window.ends_at,
        state: window.state,
    });
    Ok(Since {
        label: place.label.clone(),
        serving,
        came_back: serving.map_or(0, |_| found.older),
        open: open.collect(),
    })
}

struct Figures {
    rpo_before: SignedDuration,
    rpo_after: Option<SignedDuration>,
    rto: Option<SignedDuration>,
}

impl Figures {
    fn of(restored: &Restored, all: &[Since]) -> Self {
        let reached = restored.stores.iter();
        let reached = reached.map(|it| it.log_until.map_or(it.copy, |until| until.max(it.copy)));
        let oldest = reached.min().unwrap_or(restored.begun_at);
        let serving: Option<Vec<Millis>> = all.iter().map(|it| it.serving).collect();
        let last = serving.and_then(|all| all.into_iter().max());
        let begun = restored.begun_at.as_millisecond();
        let rto = last.map(|at| SignedDuration::from_millis(at.0 - begun));
        let windows = all.iter().flat_map(|it| &it.open);
        let longest = windows.map(|it| it.to.0 - it.from.0).max().unwrap_or(0);
        Self {
            rpo_before: restored.begun_at.duration_since(oldest),
            rpo_after: rto.map(|_| SignedDuration::from_millis(longest)),
            rto,
        }
    }

    fn json(&self, restored: &Restored, all: &[Since]) -> Value {
        let stores = all.iter().map(|it| {
            let open = it.open.iter().map(|window| {
                json!({
                    "serial": window.serial,
                    "from": time::utc(window.from),
                    "to": time::utc(window.to),
                    "state": window.state.as_str(),
                })
            });
            json!({
                "store": it.label,
                "came_back": it.came_back,
                "missing": open.collect::<Vec<_>>(),
            })
        });
        json!({
            "begun_at": restored.begun_at.to_string(),
            "rpo_before_seconds": self.rpo_before.as_secs(),
            "rpo_after_seconds": self.rpo_after.map(|it| it.as_secs()),
            "rto_seconds": self.rto.map(|it| it.as_secs()),
            "promised_rto_seconds": PROMISED_RTO.as_secs(),
            "stores": stores.collect::<Vec<_>>(),
        })
    }
}

fn tell(figures: &Figures, all: &[Since], context: &Context) -> anyhow::Result<()> {
    let every = context.config.backup.as_ref().map(|it| it.every);
    let every = every.and_then(|it| SignedDuration::try_from(it).ok());
    let rpo = every.map_or_else(|| "-".to_owned(), span);
    let not_yet = || context.say(Says::NotYet, &[]);
    let lines = [
        (Says::RpoBefore, span(figures.rpo_before), rpo.clone()),
        (
            Says::RpoAfter,
            figures.rpo_after.map_or_else(not_yet, span),
            rpo,
        ),
        (
            Says::Rto,
            figures.rto.map_or_else(not_yet, span),
            span(PROMISED_RTO),
        ),
    ];
    for (what, measured, promised) in lines {
        let what = context.say(what, &[]);
        out::line(&context.say(Says::Line, &[&what, &measured, &promised]))?;
    }
    let zone = context.zone(None, None);
    for store in all {
        out::line(&context.say(Says::CameBack, &[&store.label, &store.came_back]))?;
        for window in &store.open {
            let (from, to) = (time::show(window.from, &zone), time::show(window.to, &zone));
            let serial = daemon::logging::Escaped(&window.serial);
            let state = window.state.as_str();
            let values: [&dyn std::fmt::Display; 5] = [&store.label, &serial, &from, &to, &state];
            out::line(&context.say(Says::Open, &values))?;
        }
    }
    if figures.rto.is_some() && all.iter().all(|it| it.open.is_empty()) {
        out::line(&context.say(Says::NothingOpen, &[]))?;
    }
    Ok(())
}
