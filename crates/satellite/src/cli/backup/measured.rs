//! What `plan` says of the contingencies: RPO and RTO as they were promised, and as they are.
//!
//! The promises are the customer's plan. What is measured is what a drill or a restore on this
//! machine measured, with its date; what was never measured says so and is never guessed. RPO at
//! this moment is what would be lost now: the age of the oldest newest copy, or of the end of the
//! binary log behind it.

use backup::{Board, Kept as _, LogState, Restored};
use jiff::{SignedDuration, Timestamp};
use satellite::config::Backup;
use serde_json::{Value, json};

use super::ship;
use super::show::{headings, moment, span};
use super::words::Says;
use crate::cli::{Context, databases, out, table};

/// The customer's plan: hours until an application or a database is back.
const FAILURE_HOURS: [i64; 2] = [2, 3];
/// Hours until everything is back when the server is lost.
const SERVER_HOURS: [i64; 2] = [4, 5];

/// One kind of contingency.
struct Row {
    what: Says,
    hours: [i64; 2],
    /// RPO, RTO, when, and by what.
    measured: Option<(SignedDuration, SignedDuration, Timestamp, String)>,
}

/// What would be lost at this moment; `None` when a database has no copy.
fn now(board: &Board, settings: &Backup, context: &Context) -> Option<SignedDuration> {
    let servers = ship::servers(context, settings).unwrap_or_default();
    let shipped = |label: &str| {
        let on = servers.iter().find(|server| {
            let mut places = server.places.iter();
            places.any(|place| place.label == label)
        })?;
        let state: &LogState = board.logs().iter().find(|it| it.server == on.label)?;
        state.shipped_until
    };
    let reached = databases::places(context, None).into_iter().map(|place| {
        let copy = board.store(&place.label)?.started_at?;
        Some(shipped(&place.label).map_or(copy, |until| until.max(copy)))
    });
    let oldest = reached
        .collect::<Option<Vec<Timestamp>>>()?
        .into_iter()
        .min()?;
    Some(Timestamp::now().duration_since(oldest))
}

fn rows(board: &Board, context: &Context) -> [Row; 2] {
    let drill = board.drill().map(|drill| {
        let word = match drill.passed {
            true => Says::Passed,
            false => Says::NotPassed,
        };
        let how = context.say(word, &[]);
        let by = context.say(Says::ByDrill, &[&moment(drill.at, context), &how]);
        let [rpo, rto] = [drill.rpo_seconds, drill.rto_seconds].map(SignedDuration::from_secs);
        (rpo, rto, drill.at, by)
    });
    let restored = Restored::read(&context.config.state_dir);
    // Where something was there before, it was no new machine.
    let anew = restored.filter(|it| it.stores.iter().all(|it| it.safety_copy.is_none()));
    let restored = anew.map(|restored| {
        let reached = restored.stores.iter();
        let reached = reached.map(|it| it.log_until.map_or(it.copy, |until| until.max(it.copy)));
        let rpo = reached.min().unwrap_or(restored.begun_at);
        let at = restored.begun_at;
        let by = context.say(Says::ByRestore, &[&moment(at, context)]);
        let rto = restored.finished_at.duration_since(at);
        (at.duration_since(rpo), rto, at, by)
    });
    [
        Row {
            what: Says::Failure,
            hours: FAILURE_HOURS,
            measured: drill,
        },
        Row {
            what: Says::ServerLost,
            hours: SERVER_HOURS,
            measured: restored,
        },
    ]
}

pub(super) fn tell(board: &Board, settings: &Backup, context: &Context) -> anyhow::Result<()> {
    let words = [
        Says::Contingency,
        Says::RpoPromised,
        Says::RpoNow,
        Says::RpoMeasured,
        Says::RtoPromised,
        Says::RtoMeasured,
        Says::MeasuredBy,
    ];
    let every = SignedDuration::try_from(settings.every).unwrap_or(SignedDuration::MAX);
    let not = || context.say(Says::NotMeasured, &[]);
    let now = now(board, settings, context).map_or_else(|| context.say(Says::Never, &[]), span);
    let cells = rows(board, context).map(|row| {
        let [from, to] = row.hours;
        let [rpo, rto, by] = match row.measured {
            Some((rpo, rto, _, by)) => [known(rpo, &not), span(rto), by],
            None => [not(), not(), String::new()],
        };
        vec![
            context.say(row.what, &[]),
            span(every),
            now.clone(),
            rpo,
            context.say(Says::Hours, &[&from, &to]),
            rto,
            by,
        ]
    });
    out::print(&table::table(&headings(context, words), &cells))?;
    let servers = ship::servers(context, settings).unwrap_or_default();
    for server in servers {
        let state = board.logs().iter().find(|it| it.server == server.label);
        let until = state.and_then(|it| it.shipped_until);
        let until = until.map_or_else(|| context.say(Says::Never, &[]), |at| moment(at, context));
        let what = context.say(Says::LogUntil, &[]);
        out::line(&format!("{what}: {until} ({})", server.label))?;
    }
    Ok(())
}

/// A drill without any copy measured nothing.
fn known(rpo: SignedDuration, not: &impl Fn() -> String) -> String {
    match rpo.is_negative() {
        true => not(),
        false => span(rpo),
    }
}

pub(super) fn json(board: &Board, settings: &Backup, context: &Context) -> Value {
    let each = rows(board, context).map(|row| {
        let measured = row.measured.as_ref();
        json!({
            "contingency": match row.what {
                Says::ServerLost => "server",
                _ => "database",
            },
            "rpo_promised_seconds": settings.every.as_secs(),
            "rpo_now_seconds": now(board, settings, context).map(|it| it.as_secs()),
            "rpo_measured_seconds": measured.map(|it| it.0.as_secs()).filter(|it| *it >= 0),
            "rto_promised_seconds": row.hours.map(|hours| hours * 3_600),
            "rto_measured_seconds": measured.map(|it| it.1.as_secs()),
            "measured_at": measured.map(|it| it.2.to_string()),
        })
    });
    Value::from(each.to_vec())
}
