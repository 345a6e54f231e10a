//! `satellite backup list` and `plan`: what there is, and the table of the contingency plan.
//!
//! Both read folders and the board and connect to nothing, so that they serve in the hour when
//! every database is gone.

use backup::{Board, Copied, Evidence, Location, Problem, StoreState};
use daemon::exit::Exit;
use event::Millis;
use jiff::{SignedDuration, Timestamp};
use satellite::config::Backup;
use serde_json::{Value, json};

use super::words::Says;
use super::{going, locations, measured, shown, tenants, told};
use crate::cli::databases::{self, Place};
use crate::cli::restore::SAFETY;
use crate::cli::words::Bilingual as _;
use crate::cli::{Context, out, table, time};

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    if tenths == 0 {
        return format!("{} KiB", bytes.div_ceil(1024));
    }
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// A length of time for people.
pub(in crate::cli) fn span(length: SignedDuration) -> String {
    match length.as_mins() {
        minutes @ ..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        minutes => format!("{} d", minutes / 1440),
    }
}

pub(super) fn headings<const N: usize>(context: &Context, words: [Says; N]) -> [&'static str; N] {
    words.map(|word| {
        let (es, en) = word.texts();
        context.lang.pick(es, en)
    })
}

pub(in crate::cli) fn moment(at: Timestamp, context: &Context) -> String {
    time::show(Millis(at.as_millisecond()), &context.zone(None, None))
}

/// Every copy in every location.
pub(super) fn list(as_json: bool, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let state_dir = &context.config.state_dir;
    let (mut copies, mut exit) = (Vec::new(), Exit::Fine);
    for location in locations(settings) {
        match copies_in(&location, settings, context) {
            Ok(found) => copies.extend(found),
            // What lies in the other location is wanted all the more.
            Err(problem) => {
                out::complain(&shown(context, &problem));
                exit = Exit::Failed;
            }
        }
    }
    copies.sort_by(|one, other| (&one.store, other.at).cmp(&(&other.store, one.at)));
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for copy in copies {
        let proven = Evidence::proves(state_dir, &copy.store, copy.at);
        rows.push(row(&copy, proven, context));
        all.push(json!({
            "store": copy.store,
            "copy": copy.name(),
            "made_at": copy.at.to_string(),
            "bytes": copy.bytes,
            "verified": proven,
            "kept_by_restore": copy.store.ends_with(SAFETY),
            "folder": copy.folder.display().to_string(),
        }));
    }
    if as_json {
        out::json(&all)?;
    } else {
        let words = [
            Says::Store,
            Says::Copy,
            Says::Made,
            Says::Size,
            Says::Proven,
            Says::Where,
        ];
        out::print(&table::table(&headings(context, words), &rows))?;
    }
    Ok(exit)
}

/// Those of each database, what restores kept safe, and what is left of clients that went.
fn copies_in(
    location: &Location,
    settings: &Backup,
    context: &Context,
) -> Result<Vec<Copied>, Problem> {
    let mut all = Vec::new();
    for place in databases::places(context, None) {
        all.extend(location.copies(&place.label)?);
        all.extend(location.copies(&format!("{}{SAFETY}", place.label))?);
    }
    let left = going::left(location, settings, context)?;
    all.extend(left.into_iter().flat_map(|left| left.copies));
    Ok(all)
}

fn row(copy: &Copied, proven: bool, context: &Context) -> Vec<String> {
    let proven = match proven {
        true => context.say(Says::Yes, &[]),
        false if copy.store.ends_with(SAFETY) => context.say(Says::SafeCopy, &[]),
        false => String::new(),
    };
    vec![
        copy.store.clone(),
        copy.name(),
        moment(copy.at, context),
        size(copy.bytes),
        proven,
        copy.folder.display().to_string(),
    ]
}

/// What, how often, where, the last good one, the last proven one, the next.
pub(super) fn plan(as_json: bool, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let board = Board::open(&context.config.state_dir).map_err(|it| told(context, &it))?;
    let places = databases::places(context, None);
    if as_json {
        let all = places
            .iter()
            .map(|place| plan_json(place, board.store(&place.label), settings, context));
        let mut all: Vec<Value> = all.collect();
        let measured = measured::json(&board, settings, context);
        for one in &mut all {
            one["measured"] = measured.clone();
        }
        out::json(&all)?;
        return Ok(Exit::Fine);
    }
    let words = [
        Says::Store,
        Says::What,
        Says::Every,
        Says::Keep,
        Says::First,
        Says::Second,
        Says::LastGood,
        Says::LastProven,
        Says::Next,
    ];
    let rows = places
        .iter()
        .map(|place| plan_row(place, board.store(&place.label), settings, context));
    out::print(&table::table(
        &headings(context, words),
        &rows.collect::<Vec<_>>(),
    ))?;
    out::print("\n")?;
    measured::tell(&board, settings, context)?;
    Ok(Exit::Fine)
}

/// When the next copy is due; `None` when it already is.
fn next(state: Option<&StoreState>, settings: &Backup) -> Option<Timestamp> {
    let last = state.and_then(|state| state.started_at)?;
    let every = SignedDuration::try_from(settings.every).unwrap_or(SignedDuration::MAX);
    let due = last.checked_add(every).ok()?;
    (due > Timestamp::now()).then_some(due)
}

fn plan_row(
    place: &Place,
    state: Option<&StoreState>,
    settings: &Backup,
    context: &Context,
) -> Vec<String> {
    let never = || context.say(Says::Never, &[]);
    let told = |at: Option<Timestamp>| {
        at.map_or_else(never, |at| {
            let age = span(Timestamp::now().duration_since(at));
            format!("{} ({age})", moment(at, context))
        })
    };
    let every = SignedDuration::try_from(settings.every).unwrap_or(SignedDuration::MAX);
    vec![
        place.label.clone(),
        place.target.to_string(),
        span(every),
        settings.keep.name().to_owned(),
        settings.folder.display().to_string(),
        second(settings, context),
        told(state.and_then(|state| state.started_at)),
        told(state.and_then(|state| state.verified_at)),
        next(state, settings).map_or_else(|| context.say(Says::Now, &[]), |at| moment(at, context)),
    ]
}

/// The second location, and whether it is one.
fn second(settings: &Backup, context: &Context) -> String {
    let Some(second) = &settings.second else {
        return context.say(Says::NoSecond, &[]);
    };
    match second.is_apart_from(&settings.folder) {
        Ok(true) => second.shown(),
        _ => context.say(Says::SameDisk, &[&second.shown()]),
    }
}

fn plan_json(
    place: &Place,
    state: Option<&StoreState>,
    settings: &Backup,
    context: &Context,
) -> Value {
    let second = settings.second.as_ref();
    let apart = second.is_some_and(|it| it.is_apart_from(&settings.folder) == Ok(true));
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "store": place.label,
        "tenants": tenants(context, place),
        "what": place.target.to_string(),
        "every_seconds": settings.every.as_secs(),
        "keep": settings.keep.name(),
        "location": settings.folder.display().to_string(),
        "second": second.map(Location::shown),
        "second_is_another_disk": apart,
        "last_good": text(state.and_then(|state| state.started_at)),
        "last_verified": text(state.and_then(|state| state.verified_at)),
        "last_tried": text(state.and_then(|state| state.tried_at)),
        "error": state.and_then(|state| state.error.clone()),
        "next": text(next(state, settings)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_told_as_people_say_them() {
        assert_eq!(
            [1, 200_000, 3 << 20].map(size),
            ["1 KiB", "0.1 MiB", "3.0 MiB"]
        );
        let ages = [5, 165, 3000].map(|minutes| span(SignedDuration::from_mins(minutes)));
        assert_eq!(ages, ["5 min", "2 h 45 min", "2 d"]);
    }
}
