//! `satellite backup verify` and `drill`: the newest copy of each database, restored and compared.
//!
//! From the second location when there is one: that is the copy that has to serve when this
//! machine is gone. What is restored lies in a temporary folder of our own and goes with it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use backup::{Board, Copied, Drill, DrillState, DrillStore, Proof};
use daemon::config::{ConfigError, Said, Secret, secret_file, secret_places};
use daemon::exit::Exit;
use event::TenantId;
use jiff::{SignedDuration, Timestamp};
use satellite::config::{Backup, SECRETS_FOLDER};

use super::words::Says;
use super::{Only, alone, locations, save, shown, told};
use crate::cli::words::Bilingual as _;
use crate::cli::{Context, databases, out, program};

/// The customer's plan: an application or database is back within three hours.
pub(in crate::cli) const PROMISED_RTO: SignedDuration = SignedDuration::from_hours(3);

/// A temporary folder that only we can read; gone with this value.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> anyhow::Result<Self> {
        let id = std::process::id();
        let folder = std::env::temp_dir().join(format!("satellite-verify-{id}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The secret key that opens the copies.
pub(in crate::cli) fn key(settings: &Backup) -> anyhow::Result<Secret> {
    let Some(name) = &settings.identity_file else {
        let (es, en) = Says::NoIdentity.texts();
        return Err(ConfigError::about("backup.identity_file", Said::new(en, es)).into());
    };
    Ok(secret_file(
        name,
        &secret_places(Path::new(SECRETS_FOLDER)),
    )?)
}

pub(super) async fn run(only: &Only, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(only.tenant.as_deref())?;
    let stores = prove(tenant.as_ref(), settings, context).await?;
    let whole = stores.iter().all(|it| it.problem.is_none());
    Ok(if whole { Exit::Fine } else { Exit::Failed })
}

/// Proves the newest copy of each database, and tells how each went.
async fn prove(
    tenant: Option<&TenantId>,
    settings: &Backup,
    context: &Context,
) -> anyhow::Result<Vec<DrillStore>> {
    let (key, _alone) = (key(settings)?, alone(context)?);
    let state_dir = &context.config.state_dir;
    let mut board = Board::open(state_dir).map_err(|it| told(context, &it))?;
    let temporary = Temporary::new()?;
    let places = locations(settings);
    let location = places.last().context("there is a location")?.clone();
    let mut proof = Proof::new(&key, state_dir, &temporary.0, places);
    let mut stores = Vec::new();
    for place in databases::places(context, tenant) {
        let copies = location
            .copies(&place.label)
            .map_err(|it| told(context, &it))?;
        let Some(newest) = copies.first() else {
            let values: [&dyn std::fmt::Display; 3] = [&place.label, &location.shown(), &program()];
            let why = context.say(Says::NothingToProve, &values);
            out::complain(&why);
            stores.push(DrillStore {
                store: place.label,
                copy: None,
                log_until: None,
                rows: 0,
                seconds: 0.0,
                problem: Some(why),
            });
            continue;
        };
        let clock = Instant::now();
        let done = backup::verify(newest, &mut proof).await;
        board.proved(&place.label, newest.at, done.as_ref().map(|_| ()));
        save(&board, context)?;
        let mut store = DrillStore {
            store: place.label.clone(),
            copy: Some(newest.at),
            log_until: None,
            rows: 0,
            seconds: clock.elapsed().as_secs_f64(),
            problem: None,
        };
        match done {
            Ok((evidence, path)) => {
                store.rows = evidence.rows;
                store.log_until = evidence.replayed.as_ref().map(|it| it.until);
                say_proved(newest, &evidence, &path, context)?;
            }
            Err(problem) => {
                let why = shown(context, &problem);
                out::complain(&context.say(Says::Failed, &[&place.label, &why]));
                store.problem = Some(why);
            }
        }
        stores.push(store);
    }
    Ok(stores)
}

/// A proof as an exercise: measured, judged, and kept for the daily mail.
pub(super) async fn drill(settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let (at, clock) = (Timestamp::now(), Instant::now());
    let stores = prove(None, settings, context).await?;
    // What was committed after a copy is there as far as its log was shipped.
    let reached = stores.iter().filter_map(|it| it.log_until.or(it.copy));
    let oldest = reached.min();
    let seconds = |it: std::time::Duration| i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
    let mut drill = Drill {
        at,
        passed: false,
        rpo_seconds: oldest.map_or(-1, |oldest| at.duration_since(oldest).as_secs()),
        promised_rpo_seconds: seconds(settings.every),
        rto_seconds: seconds(clock.elapsed()),
        promised_rto_seconds: PROMISED_RTO.as_secs(),
        stores,
    };
    drill.judge();
    let state_dir = &context.config.state_dir;
    let (path, sha256) = drill.keep(state_dir).map_err(|it| told(context, &it))?;
    let mut board = Board::open(state_dir).map_err(|it| told(context, &it))?;
    board.drilled(DrillState {
        at,
        passed: drill.passed,
        rpo_seconds: drill.rpo_seconds,
        rto_seconds: drill.rto_seconds,
        evidence: path.display().to_string(),
        sha256,
    });
    save(&board, context)?;
    let word = if drill.passed {
        Says::DrillPassed
    } else {
        Says::DrillFailed
    };
    let rpo = oldest.map_or_else(
        || context.say(Says::Never, &[]),
        |_| super::show::span(SignedDuration::from_secs(drill.rpo_seconds)),
    );
    let values: [&dyn std::fmt::Display; 5] = [
        &rpo,
        &super::show::span(settings.every.try_into().unwrap_or(SignedDuration::MAX)),
        &super::show::span(SignedDuration::from_secs(drill.rto_seconds)),
        &super::show::span(PROMISED_RTO),
        &path.display(),
    ];
    out::line(&context.say(word, &values))?;
    Ok(if drill.passed {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn say_proved(
    copy: &Copied,
    evidence: &backup::Evidence,
    path: &Path,
    context: &Context,
) -> anyhow::Result<()> {
    let seconds = format!("{:.1}", evidence.seconds);
    let values: [&dyn std::fmt::Display; 6] = [
        &copy.store,
        &copy.name(),
        &evidence.tables,
        &evidence.rows,
        &seconds,
        &path.display(),
    ];
    out::line(&context.say(Says::Proved, &values))?;
    let age = super::show::span(Timestamp::now().duration_since(copy.at));
    out::line(&context.say(Says::ProvedAt, &[&age, &copy.folder.display()]))?;
    if let Some(replayed) = &evidence.replayed {
        let behind = super::show::span(Timestamp::now().duration_since(replayed.until));
        out::line(&context.say(Says::Replayed, &[&replayed.rows, &behind]))?;
    }
    Ok(())
}
