//! What still holds a tenant's data after it was deleted here, and until when.

use std::path::{Path, PathBuf};

use backup::{Source, log};
use jiff::{SignedDuration, Timestamp};
use store::departure;

use super::super::backup::{locations, own, told};
use super::super::databases::{self, Place};
use super::super::{Context, out, restore};
use super::proof::Holder;
use super::words::Says;

/// A day as it is told.
fn day(at: Timestamp) -> String {
    at.strftime("%F").to_string()
}

fn holder(kind: &str, place: String, until: Option<Timestamp>) -> Holder {
    Holder {
        kind: kind.to_owned(),
        place,
        until: until.map(day),
    }
}

/// What holds it at this moment, of these databases; `files` are those that somebody else keeps.
pub(super) async fn all(
    places: &[Place],
    files: &[PathBuf],
    context: &Context,
) -> anyhow::Result<Vec<Holder>> {
    let mut found = copies(places, context)?;
    for place in places {
        let mut engine = databases::open(context, place).await?;
        let log = departure::binary_log(&mut engine).await;
        engine.close().await;
        if let Some(seconds) = log.map_err(|failure| databases::told(context, place, &failure))? {
            let kept = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
            let until = kept.map(|kept| Timestamp::now() + SignedDuration::from_secs(kept));
            found.push(holder("server_log", place.target.to_string(), until));
        }
    }
    let there = files.iter().filter(|file| file.exists());
    found.extend(there.map(|file| holder("file", file.display().to_string(), None)));
    Ok(found)
}

/// Copies of these databases in every location, and the pieces of the log behind them.
fn copies(places: &[Place], context: &Context) -> anyhow::Result<Vec<Holder>> {
    let mut found = Vec::new();
    let Some(settings) = &context.config.backup else {
        return Ok(found);
    };
    let wrong = |problem| told(context, &problem);
    for location in locations(settings) {
        for place in places {
            let safe = format!("{}{}", place.label, restore::SAFETY);
            for (kind, store, stays) in [
                ("copy", &place.label, settings.keep.reach()),
                ("safety_copy", &safe, restore::SAFE_FOR),
            ] {
                for copy in location.copies(store).map_err(wrong)? {
                    let until = Some(copy.at + stays);
                    found.push(holder(kind, copy.folder.display().to_string(), until));
                }
            }
            if !settings.binary_log {
                continue;
            }
            let Source::Mysql(login) = own(&place.target).map_err(wrong)? else {
                continue;
            };
            let server = log::folder_of(&login.url);
            let pieces = log::pieces(&location, &server).map_err(wrong)?;
            if let Some(last) = pieces.iter().map(|piece| piece.at).max() {
                let folder = format!("{}/{server}", location.shown());
                found.push(holder(
                    "shipped_log",
                    folder,
                    Some(last + settings.keep.reach()),
                ));
            }
        }
    }
    Ok(found)
}

impl Holder {
    /// Whether it is there today, as far as that can be seen from here.
    pub(super) fn is_there(&self, today: &str) -> bool {
        match self.kind.as_str() {
            // What lies behind rclone has no path here, and is judged by its day.
            "copy" | "safety_copy" | "file" if Path::new(&self.place).is_absolute() => {
                Path::new(&self.place).exists()
            }
            _ => self.until.as_deref().is_none_or(|until| until >= today),
        }
    }
}

/// Says which there are and until when.
pub(super) fn tell(held: &[Holder], context: &Context) -> anyhow::Result<()> {
    for one in held {
        let kind = match one.kind.as_str() {
            "copy" => Says::Copy,
            "safety_copy" => Says::SafetyCopy,
            "shipped_log" => Says::ShippedLog,
            "server_log" => Says::ServerLog,
            _ => Says::OtherFile,
        };
        let kind = context.say(kind, &[]);
        match &one.until {
            Some(until) => {
                out::line(&context.say(Says::Holds, &[until, &one.place, &kind]))?;
            }
            None => out::line(&context.say(Says::HoldsOn, &[&one.place, &kind]))?,
        }
    }
    Ok(())
}
