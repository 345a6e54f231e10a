//! `satellite backup prune`, and what a run removes at its end.
//!
//! Four sorts of things go, each by its own rule: copies by `backup.keep`, what a restore kept safe
//! after a month, the pieces of a binary log with the copies that they follow, and what is left of a
//! store that the configuration names no more, when it is older than `backup.keep` lets any copy
//! become. A location is judged by what it holds itself; but for what is left of such a store, nothing
//! goes anywhere while nothing newer is proven.

use std::collections::BTreeMap;

use backup::log::{self, Piece};
use backup::{Copied, Evidence, Location, Problem};
use daemon::exit::Exit;
use jiff::{SignedDuration, Timestamp};
use satellite::config::Backup;

use super::words::Says;
use super::{Context, locations, out, program, ship, shown, told};
use crate::cli::databases;
use crate::cli::restore::{SAFE_FOR, SAFETY};

/// Copies of which none is proven that nobody has to hear of: the first of a new installation.
const UNPROVEN: usize = 1;

/// What may go.
enum Going {
    Copy(Location, Copied),
    Piece(Location, String, Piece),
}

impl Going {
    fn remove(&self) -> Result<(), Problem> {
        match self {
            Self::Copy(location, copy) => location.remove(copy),
            Self::Piece(location, server, piece) => log::remove(location, server, piece),
        }
    }
}

pub(super) fn prune(dry_run: bool, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let found = look(settings, context);
    for left in &found.left {
        let place = &left.place;
        let line = match left.ends {
            Some(ends) => context.say(Says::LeftUntil, &[place, &ends.strftime("%F")]),
            None => context.say(Says::LeftForGood, &[place]),
        };
        out::remark(&line);
    }
    let mut pieces = 0;
    for it in &found.going {
        if !dry_run {
            it.remove().map_err(|it| told(context, &it))?;
        }
        let word = if dry_run { Says::WouldGo } else { Says::Gone };
        match it {
            Going::Copy(_, copy) => out::line(&context.say(word, &[&copy.folder.display()]))?,
            Going::Piece(..) => pieces += 1,
        }
    }
    if pieces > 0 {
        let word = match dry_run {
            true => Says::PiecesWouldGo,
            false => Says::PiecesGone,
        };
        out::line(&context.say(word, &[&pieces]))?;
    }
    for store in found.unproven.keys() {
        out::remark(&context.say(Says::NothingProven, &[store, &program()]));
    }
    if found.going.is_empty() {
        out::line(&context.say(Says::NothingGoes, &[]))?;
    }
    Ok(if found.is_whole {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// What a run removes at its end. A copy that cannot be removed is told by `prune` itself.
pub(super) fn prune_quietly(settings: &Backup, context: &Context) {
    let found = look(settings, context);
    for it in &found.going {
        if let Err(problem) = it.remove() {
            out::complain(&shown(context, &problem));
        }
    }
    for (store, _) in found.unproven.iter().filter(|it| *it.1 > UNPROVEN) {
        out::remark(&context.say(Says::NothingProven, &[store, &program()]));
    }
}

/// What was found in the locations.
#[derive(Default)]
struct Found {
    going: Vec<Going>,
    /// Stores with copies in a location of which none is proven, and how many there are at most.
    unproven: BTreeMap<String, usize>,
    left: Vec<Left>,
    /// False when a location could not be read, which has been told.
    is_whole: bool,
}

/// Looks through every location. One that cannot be read keeps nothing in the other one.
fn look(settings: &Backup, context: &Context) -> Found {
    let mut found = Found {
        is_whole: true,
        ..Found::default()
    };
    for location in locations(settings) {
        if let Err(problem) = look_in(&location, &mut found, settings, context) {
            out::complain(&shown(context, &problem));
            found.is_whole = false;
        }
    }
    found
}

fn look_in(
    location: &Location,
    found: &mut Found,
    settings: &Backup,
    context: &Context,
) -> Result<(), Problem> {
    let (state_dir, now) = (&context.config.state_dir, Timestamp::now());
    let mut going = Vec::new();
    for place in databases::places(context, None) {
        let proven = |at: Timestamp| Evidence::proves(state_dir, &place.label, at);
        let copies = location.copies(&place.label)?;
        let moments: Vec<Timestamp> = copies.iter().map(|copy| copy.at).collect();
        let last_proven = moments.iter().copied().find(|at| proven(*at));
        if last_proven.is_none() && !moments.is_empty() {
            let most = found.unproven.entry(place.label.clone()).or_default();
            *most = (*most).max(moments.len());
        }
        let gone = settings.keep.may_go(&moments, proven, now);
        let copies = copies.into_iter().filter(|copy| gone.contains(&copy.at));
        let safe = location.copies(&format!("{}{SAFETY}", place.label))?;
        let safe = safe
            .into_iter()
            .filter(|copy| is_over(copy.at, last_proven, now));
        let copies = copies.chain(safe);
        going.extend(copies.map(|copy| Going::Copy(location.clone(), copy)));
    }
    let left = left(location, settings, context)?;
    for it in &left {
        let gone = it.copies.iter().filter(|copy| {
            let age = now.duration_since(copy.at);
            it.ends.is_some() && age > settings.keep.reach()
        });
        going.extend(gone.map(|copy| Going::Copy(location.clone(), copy.clone())));
    }
    going.extend(pieces(location, settings, context, now)?);
    found.going.extend(going);
    found.left.extend(left);
    Ok(())
}

/// Copies of a store that the configuration names no more.
pub(super) struct Left {
    /// Where they are, as people name it.
    place: String,
    pub(super) copies: Vec<Copied>,
    /// When the last of them goes; never, when none was ever proven here: whether they are ours is not
    /// known then, because several installations may share a location.
    ends: Option<Timestamp>,
}

/// What is left in a location.
pub(super) fn left(
    location: &Location,
    settings: &Backup,
    context: &Context,
) -> Result<Vec<Left>, Problem> {
    let state_dir = &context.config.state_dir;
    let named: Vec<String> = databases::places(context, None)
        .into_iter()
        .map(|place| place.label)
        .collect();
    let is_ours = |store: &str| Evidence::knows(state_dir, store);
    left_beside(location, &named, is_ours, settings.keep.reach())
}

/// What is left in a location beside the copies of the stores that are named.
fn left_beside(
    location: &Location,
    named: &[String],
    is_ours: impl Fn(&str) -> bool,
    reach: SignedDuration,
) -> Result<Vec<Left>, Problem> {
    let mut all = Vec::new();
    for folder in location.stores()? {
        let store = folder.strip_suffix(SAFETY).unwrap_or(&folder);
        if named.iter().any(|it| it == store) {
            continue;
        }
        let copies = location.copies(&folder)?;
        let newest = copies.iter().map(|copy| copy.at).max();
        all.push(Left {
            place: format!("{}/{folder}", location.shown()),
            ends: newest
                .filter(|_| is_ours(store))
                .map(|newest| newest + reach),
            copies,
        });
    }
    Ok(all)
}

/// Whether what a restore kept safe at that moment is of no use any more.
fn is_over(safe: Timestamp, last_proven: Option<Timestamp>, now: Timestamp) -> bool {
    now.duration_since(safe) > SAFE_FOR && last_proven.is_some_and(|proven| proven > safe)
}

/// The pieces of each server's log in this location that follow no copy that stays.
fn pieces(
    location: &Location,
    settings: &Backup,
    context: &Context,
    now: Timestamp,
) -> Result<Vec<Going>, Problem> {
    let state_dir = &context.config.state_dir;
    let mut going = Vec::new();
    for server in ship::servers(context, settings)? {
        let (mut copies, mut proven) = (Vec::new(), Vec::new());
        for place in &server.places {
            let moments = location.copies(&place.label)?.into_iter().map(|it| it.at);
            let moments: Vec<Timestamp> = moments.collect();
            let is_proven = |at: &&Timestamp| Evidence::proves(state_dir, &place.label, **at);
            proven.push(moments.iter().find(is_proven).copied());
            let gone = settings.keep.may_go(&moments, |at| is_proven(&&at), now);
            copies.extend(moments.into_iter().filter(|at| !gone.contains(at)));
        }
        // The database that was proven the longest time ago decides for its whole server.
        let proven: Option<Vec<Timestamp>> = proven.into_iter().collect();
        let proven = proven.and_then(|all| all.into_iter().min());
        let all = log::pieces(location, &server.label)?;
        let moments: Vec<Timestamp> = all.iter().map(|piece| piece.at).collect();
        let gone = log::may_go(&moments, &copies, proven, settings.every, now);
        let gone = all.into_iter().filter(|piece| gone.contains(&piece.at));
        let label = &server.label;
        going.extend(gone.map(|piece| Going::Piece(location.clone(), label.clone(), piece)));
    }
    Ok(going)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_client_that_left_go_by_age_and_those_of_strangers_stay() {
        let folder = tempfile::tempdir().unwrap();
        for copy in [
            "acme/20261101T060000Z",
            "left/20260101T060000Z",
            "left/20261101T060000Z",
            "left.before-restore/20261020T060000Z",
            "strange/20200101T060000Z",
            "server/mariadb-bin",
        ] {
            std::fs::create_dir_all(folder.path().join(copy)).unwrap();
        }
        let location = Location::folder(folder.path());
        let named = ["acme".to_owned()];
        let is_ours = |store: &str| store == "left";
        let reach = SignedDuration::from_hours(240);
        let all = left_beside(&location, &named, is_ours, reach).unwrap();
        let told = all.iter().map(|left| {
            let name = left.place.rsplit('/').next().unwrap();
            let ends = left.ends.map(|at| at.strftime("%F").to_string());
            (name.to_owned(), left.copies.len(), ends)
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("left".to_owned(), 2, Some("2026-11-11".to_owned())),
                (
                    "left.before-restore".to_owned(),
                    1,
                    Some("2026-10-30".to_owned())
                ),
                ("strange".to_owned(), 1, None),
            ]
        );
    }

    #[test]
    fn what_a_restore_kept_safe_goes_after_a_month_and_not_before_a_newer_copy_is_proven() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let safe = at("2026-10-20T06:00:00Z");
        let (soon, late) = (at("2026-11-18T06:00:00Z"), at("2026-11-21T06:00:00Z"));
        let proven = Some(at("2026-11-01T06:00:00Z"));
        assert!(is_over(safe, proven, late));
        assert!(!is_over(safe, proven, soon));
        assert!(!is_over(safe, None, late));
        assert!(!is_over(safe, Some(at("2026-10-19T06:00:00Z")), late));
    }
}
