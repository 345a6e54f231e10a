//! Each day's events as one file in a folder, for whoever picks files up.
//!
//! A delivered event only marks its day: an empty file with a dot before its name, on disk before
//! anything is said to be delivered, so that neither a kill nor a cursor that moved on forgets a day.
//! When a marked day has ended in the tenant's zone, its file is made from the feed, whole, under
//! another name, brought to disk and renamed; then the mark goes. An event of a day whose file is
//! there marks the day again, and the file is made anew: the same rows make the same bytes. Everything
//! that touches the folder runs where it may hang without holding up anybody else.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use event::{Millis, WallTime, Zone};
use jiff::civil::Date;
use store::Failure;
use store::feed::FeedRow;
use store::outputs::{self as feed, Page, Wanted};

use super::course::Verdict;
use super::edge::Wish;
use super::sheet::{csv_head, csv_rows, json_row};
use crate::clock;
use crate::config::{Daily, Format, Output};
use crate::hub::Hub;
use crate::stores::finished;

/// How often it is looked which days have ended.
const ROUND: Duration = Duration::from_secs(5);
/// Rows read at once.
const PAGE: usize = 1_000;
/// The end of the name of a day's mark, and of the mark while its file is made: what is marked
/// meanwhile is made once more.
const DUE: &str = ".due";
const MAKING: &str = ".making";

/// What is kept between two deliveries. All of it may be lost at any moment.
#[derive(Default)]
pub(super) struct Tray {
    /// Days that are marked.
    marked: HashSet<Date>,
    looked: Option<Instant>,
    /// The last file could not be made; not known after a start.
    is_failing: Option<bool>,
}

impl Tray {
    /// The last file could not be made.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing == Some(true)
    }
}

/// Why a file was not made.
enum No {
    /// The folder.
    Folder(io::Error),
    /// Our own database, or the end began.
    Store(Failure),
}

impl From<io::Error> for No {
    fn from(error: io::Error) -> Self {
        Self::Folder(error)
    }
}

/// Marks the days of the rows.
pub(super) async fn deliver(
    tray: &mut Tray,
    (daily, output): (&Daily, &Output),
    hub: &Hub,
    rows: &[FeedRow],
) -> Verdict {
    let zone = zone(hub, output);
    let days = rows.iter().filter_map(|row| day_of(at(row), &zone));
    let new: HashSet<Date> = days.filter(|day| !tray.marked.contains(day)).collect();
    if new.is_empty() {
        return Verdict::Taken;
    }
    let marks: Vec<PathBuf> = new
        .iter()
        .map(|day| hidden(daily, output, *day, DUE))
        .collect();
    let folder = daily.folder.clone();
    let done = blocking(move || {
        for mark in &marks {
            File::create(mark)?.sync_all()?;
        }
        File::open(folder)?.sync_all()
    });
    match done.await {
        Ok(()) => {
            tray.marked.extend(new);
            Verdict::Taken
        }
        Err(error) => Verdict::Later(told(&error)),
    }
}

/// Makes the files of days that have ended.
pub(super) async fn make(tray: &mut Tray, (daily, output): (&Daily, &Output), hub: &Hub) -> Wish {
    if tray.looked.is_some_and(|at| at.elapsed() < ROUND) {
        return Wish::None;
    }
    tray.looked = Some(Instant::now());
    let done = make_due(tray, (daily, output), hub).await;
    let was_failing = tray.is_failing.replace(done.is_err());
    match done {
        Ok(()) if was_failing != Some(false) => Wish::Goes,
        Ok(()) => Wish::None,
        Err(No::Folder(error)) => Wish::Stands(told(&error)),
        Err(No::Store(failure)) => Wish::Stands(format!("our own database: {failure}")),
    }
}

async fn make_due(
    tray: &mut Tray,
    (daily, output): (&Daily, &Output),
    hub: &Hub,
) -> Result<(), No> {
    let zone = zone(hub, output);
    let (name, folder, every) = (output.name.clone(), daily.folder.clone(), daily.every);
    let format = daily.format;
    let due = blocking(move || due(&folder, &name, format, every)).await?;
    let mut done = Ok(());
    for day in due {
        let ended = span(day, &zone).filter(|(_, end)| *end <= clock::now());
        let Some(span) = ended else { continue };
        tray.marked.remove(&day);
        if let Err(no) = one(day, span, (daily, output), hub).await {
            // The other days are made all the same, and what was written is no longer in the way.
            let partial = hidden(daily, output, day, ".part");
            blocking(|| fs::remove_file(partial)).await.ok();
            done = Err(no);
        }
    }
    done
}

/// Days that are marked and have no file, or one that is old enough to be made anew.
fn due(folder: &Path, name: &str, format: Format, every: Duration) -> io::Result<Vec<Date>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let day = entry.to_str().and_then(|it| it.strip_prefix('.'));
        let day = day.and_then(|it| it.strip_prefix(name)?.strip_prefix('-'));
        let day = day.and_then(|it| it.strip_suffix(DUE).or_else(|| it.strip_suffix(MAKING)));
        let Some(day) = day.and_then(|it| it.parse::<Date>().ok()) else {
            continue;
        };
        let file = folder.join(file_name(name, day, format));
        let made = fs::metadata(file).and_then(|made| made.modified());
        let age = made
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_none_or(|age| age >= every) {
            days.push(day);
        }
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

/// Makes one file.
async fn one(
    day: Date,
    span: (Millis, Millis),
    (daily, output): (&Daily, &Output),
    hub: &Hub,
) -> Result<(), No> {
    let path = daily
        .folder
        .join(file_name(&output.name, day, daily.format));
    let [partial, due, making] = [".part", DUE, MAKING].map(|end| hidden(daily, output, day, end));
    let (format, made, mark) = (daily.format, partial.clone(), making.clone());
    let mut out = blocking(move || {
        match fs::rename(due, mark) {
            // It was begun before, and was cut off.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        let mut out = io::BufWriter::new(File::create(made)?);
        if format == Format::Csv {
            out.write_all(csv_head()?.as_bytes())?;
        }
        Ok(out)
    })
    .await?;
    let mut after = 0;
    loop {
        let page = page(output, hub, span, after).await.map_err(No::Store)?;
        (after, out) = (page.up_to, written(out, format, page.rows).await?);
        if !page.has_more {
            break;
        }
    }
    let folder = daily.folder.clone();
    let done = blocking(move || {
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&partial, &path)?;
        File::open(folder)?.sync_all()?;
        fs::remove_file(making)
    });
    Ok(done.await?)
}

async fn written(
    mut out: io::BufWriter<File>,
    format: Format,
    rows: Vec<FeedRow>,
) -> io::Result<io::BufWriter<File>> {
    blocking(move || {
        match format {
            Format::Csv => out.write_all(csv_rows(&rows)?.as_bytes())?,
            Format::Jsonl => {
                for row in &rows {
                    writeln!(out, "{}", json_row(row))?;
                }
            }
        }
        Ok(out)
    })
    .await
}

/// The next rows of the day. No session is held while they are written.
async fn page(
    output: &Output,
    hub: &Hub,
    span: (Millis, Millis),
    after: i64,
) -> Result<Page, Failure> {
    let store = hub.stores.load().of(&output.tenant).cloned();
    let store = store.ok_or_else(|| Failure::schema("its tenant is gone"))?;
    let wanted = Wanted {
        tenant: output.tenant.as_str(),
        kinds: &output.kinds,
        between: Some(span),
        limit: PAGE,
    };
    let mut session = store.session().await?;
    let page = feed::page(session.engine(), wanted, after).await;
    finished(session, page)
}

/// Looks whether files can be made there, and leaves none.
///
/// # Errors
/// What is wrong, in English.
pub async fn look(daily: &Daily) -> Result<(), String> {
    let probe = daily
        .folder
        .join(format!(".satellite-{}.probe", std::process::id()));
    let done = blocking(move || {
        File::create(&probe)?.sync_all()?;
        fs::remove_file(probe)
    });
    done.await.map_err(|error| told(&error))
}

/// Runs what may hang.
async fn blocking<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn told(error: &io::Error) -> String {
    format!("the folder cannot be written: {error}")
}

/// A name that nobody picks up.
fn hidden(daily: &Daily, output: &Output, day: Date, end: &str) -> PathBuf {
    daily.folder.join(format!(".{}-{day}{end}", output.name))
}

fn file_name(name: &str, day: Date, format: Format) -> String {
    format!("{name}-{day}.{}", format.as_str())
}

fn zone(hub: &Hub, output: &Output) -> Zone {
    let config = hub.config.load();
    let tenant = config.tenant(&output.tenant);
    tenant.map_or_else(Zone::utc, |tenant| tenant.zone.clone())
}

/// When an event belongs to a day: when it happened, or where that is unknown, when it came.
fn at(row: &FeedRow) -> Millis {
    row.occurred_at.unwrap_or(row.received_at)
}

/// The day in that zone whose [`span`] a moment is in.
fn day_of(at: Millis, zone: &Zone) -> Option<Date> {
    let offset = i64::from(zone.offset_seconds_at(at)) * 1000;
    let wall = Millis(at.0.saturating_add(offset)).text();
    let day: Date = wall.get(..10)?.parse().ok()?;
    // Where a clock is set at midnight the two can differ by one.
    let near = [Some(day), day.yesterday().ok(), day.tomorrow().ok()];
    let mut near = near.into_iter().flatten();
    near.find(|day| span(*day, zone).is_some_and(|(from, to)| (from..to).contains(&at)))
}

/// From when to when a day lasts in that zone.
fn span(day: Date, zone: &Zone) -> Option<(Millis, Millis)> {
    let begins = |day: Date| {
        let wall = WallTime::parse(format!("{day} 00:00:00").as_bytes())?;
        Some(zone.resolve(&wall).at)
    };
    Some((begins(day)?, begins(day.tomorrow().ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_day_is_the_tenants_own() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let of = |text: &str| {
            day_of(Millis::parse(text).unwrap(), &zone)
                .unwrap()
                .to_string()
        };
        assert_eq!(of("2026-11-27 05:59:59.999"), "2026-11-26");
        assert_eq!(of("2026-11-27 06:00:00.000"), "2026-11-27");
    }

    proptest! {
        #[test]
        fn every_moment_is_in_the_day_it_belongs_to(
            at in 0i64..4_000_000_000_000,
            zone in prop::sample::select(vec!["America/Mexico_City", "Asia/Beirut", "America/Santiago", "UTC"]),
        ) {
            let zone = Zone::named(zone).unwrap();
            let day = day_of(Millis(at), &zone).unwrap();
            let (from, to) = span(day, &zone).unwrap();
            prop_assert!((from.0..to.0).contains(&at));
        }
    }

    #[test]
    fn a_day_is_due_while_it_is_marked_and_its_file_is_not_new() {
        let folder = tempfile::tempdir().unwrap();
        let touch = |name: &str| File::create(folder.path().join(name)).unwrap();
        let due = |every| {
            let due = due(
                folder.path(),
                "acme",
                Format::Csv,
                Duration::from_secs(every),
            );
            due.unwrap()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        touch(".acme-2026-11-26.due");
        touch(".acme-2026-11-25.making");
        touch(".acme-2026-11-25.due");
        touch(".acme-x.due");
        touch(".other-2026-11-24.due");
        touch("acme-2026-11-23.csv");
        assert_eq!(due(3_600), ["2026-11-25", "2026-11-26"]);
        touch("acme-2026-11-25.csv");
        assert_eq!(due(3_600), ["2026-11-26"]);
        assert_eq!(due(0), ["2026-11-25", "2026-11-26"]);
    }
}
