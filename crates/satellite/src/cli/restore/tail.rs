//! The binary log behind a copy: found, opened and told before anything is touched.
//!
//! Up to where it goes is said before a person says yes. A wanted moment that cannot be reached is
//! refused, because whoever names one wants that one; without one everything there is is put back.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use backup::log::{self, Ended, Tail};
use backup::{Manifest, Source};
use daemon::config::Secret;
use event::Millis;
use jiff::Timestamp;
use satellite::config::Backup;

use super::Says;
use crate::cli::backup::{locations, moment, shown, span, told};
use crate::cli::{Context, out, time};

/// A folder for what is opened; gone with this value.
pub(super) struct Unpacked(pub(super) PathBuf);

impl Unpacked {
    pub(super) fn new(context: &Context) -> anyhow::Result<Self> {
        let folder = context.config.state_dir.join("restore-log");
        if folder.exists() {
            // What a restore that was killed has left.
            fs::remove_dir_all(&folder)?;
        }
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What of the log is wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) until: Option<Timestamp>,
    pub(super) without: bool,
}

/// The moment up to which everything is wanted, as somebody wrote it.
pub(super) fn until(text: Option<&str>, context: &Context) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = text else {
        return Ok(None);
    };
    let now = Millis(Timestamp::now().as_millisecond());
    let read = time::moment(text, &context.zone(None, None), now);
    let at = read.map_err(anyhow::Error::msg)?;
    Ok(Some(Timestamp::from_millisecond(at.0)?))
}

/// Opens the log that follows the copy and says up to where it goes; `None` after a complaint.
pub(super) async fn find(
    manifest: &Manifest,
    source: &Source,
    wanted: Wanted,
    settings: &Backup,
    key: &Secret,
    unpacked: &Unpacked,
    context: &Context,
) -> anyhow::Result<Option<Option<Tail>>> {
    let folder = unpacked.0.join(&manifest.store);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let tail = match (wanted.without, is_elsewhere(manifest, source)) {
        (true, _) => None,
        (false, Some((of, here))) => {
            out::remark(&context.say(Says::OtherName, &[&of, &here]));
            None
        }
        (false, None) => {
            let places = locations(settings);
            let opened = log::unpack(manifest, &places, key, wanted.until, &folder);
            opened.await.map_err(|it| told(context, &it))?
        }
    };
    if let Some(until) = wanted.until.filter(|until| !reaches(tail.as_ref(), *until)) {
        let why = match &tail {
            None => context.say(Says::NoLogThere, &[]),
            Some(tail) => context.say(Says::LogEnds, &[&moment(tail.until, context)]),
        };
        let copy = moment(manifest.started_at, context);
        out::complain(&context.say(Says::NoUntil, &[&manifest.store, &copy, &why]));
        tracing::debug!(%until, "cannot be reached");
        return Ok(None);
    }
    tell(tail.as_ref(), manifest, context)?;
    Ok(Some(tail))
}

/// The name of the log's database and that of the one to be restored, where they differ.
fn is_elsewhere<'a>(manifest: &'a Manifest, source: &'a Source) -> Option<(&'a str, &'a str)> {
    let Source::Mysql(login) = source else {
        return None;
    };
    let mark = manifest.log.as_ref()?;
    (mark.database != login.url.database).then_some((&mark.database, &login.url.database))
}

fn reaches(tail: Option<&Tail>, until: Timestamp) -> bool {
    tail.is_some_and(|tail| tail.ended == Ended::Until || tail.until >= until)
}

fn tell(tail: Option<&Tail>, manifest: &Manifest, context: &Context) -> anyhow::Result<()> {
    let Some(tail) = tail else {
        if manifest.log.is_some() {
            out::line(&context.say(Says::NoTail, &[]))?;
        }
        return Ok(());
    };
    let behind = span(Timestamp::now().duration_since(tail.until));
    out::line(&context.say(Says::WillReplay, &[&moment(tail.until, context), &behind]))?;
    match &tail.ended {
        Ended::Away(statement) => out::remark(&context.say(Says::Away, &[statement])),
        Ended::Damaged(problem) => {
            let why = shown(context, problem);
            out::remark(&context.say(Says::DamagedLog, &[&why]));
        }
        Ended::Shipped | Ended::Until => {}
    }
    Ok(())
}
