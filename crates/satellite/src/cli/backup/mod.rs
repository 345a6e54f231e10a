//! `satellite backup run|ship|list|plan|verify|drill|prune`: copies of the databases, proven by restoring them.
//!
//! Thin: what a copy is and how it is proven stands in the crate `backup`. Each database is copied
//! for itself, and one that cannot be copied costs the others nothing. Whatever happened is written
//! into `state_dir/backup.json`, which `/status` shows to the watchdog; a run that was skipped because another
//! is on its way is a failure and not a silence.

mod going;
mod measured;
mod prove;
mod ship;
mod show;
mod words;

pub(super) use prove::{PROMISED_RTO, key};
pub(super) use show::{moment, span};

use std::fs::{File, TryLockError};
use std::path::Path;
use std::str::FromStr as _;
use std::time::Instant;

use anyhow::Context as _;
use backup::{Board, Location, Login, Pace, Plan, Problem, Source, Taken, Work};
use clap::Subcommand;
use daemon::config::{ConfigError, Said, Secret, StoreUrl, secret_file, secret_places};
use daemon::exit::Exit;
use jiff::Timestamp;
use satellite::config::{Backup, SECRETS_FOLDER, STORE_LABEL};
use store::Target;

use super::databases::{self, Place};
use super::{Context, out, program, tenant};
use words::Says;

pub(crate) const EXAMPLES: &str = "Examples:
  satellite backup run                 # from a timer, so that none is ever older than three hours
  satellite backup ship                # a service: the binary log of MariaDB, every minute
  satellite backup plan                # the table of the contingency plan
  satellite backup verify              # from a timer, every night
  satellite backup drill               # from a timer, once a week
  satellite backup list";

/// What `backup` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a copy of every database, in both locations
    #[command(
        after_help = "Example:\n  satellite backup run\nExit status 0 when every database was copied, 1 when one was not; the copies before stay as they are."
    )]
    Run(Only),
    /// Ship the binary log of MariaDB behind the copies, every minute
    #[command(
        after_help = "Example:\n  satellite backup ship --once\nNeeds backup.binary_log. satellite-ship.service runs it; what it ships is replayed by restore, verify and drill."
    )]
    Ship {
        /// One round, and end
        #[arg(long)]
        once: bool,
    },
    /// Every copy: when, how large, where, whether it was proven
    #[command(after_help = "Example:\n  satellite backup list --json")]
    List(Shown),
    /// What is copied, how often, where to, the last good one, the last proven one, the next
    #[command(after_help = "Example:\n  satellite backup plan --lang es")]
    Plan(Shown),
    /// Restore the newest copy into a private scratch server and compare every row
    #[command(after_help = "Example:\n  satellite backup verify")]
    Verify(Only),
    /// The same as an exercise: measure what would be lost and how long it takes, and judge
    #[command(
        after_help = "Example:\n  satellite backup drill\nExit status 0 when it passed: everything equal, within what was promised. sentinel's daily mail shows it."
    )]
    Drill,
    /// Remove the copies that backup.keep no longer wants
    #[command(
        after_help = "Example:\n  satellite backup prune --dry-run\nA copy goes only when a newer one has been verified; the last verified one never goes. What a restore kept safe goes after 30 days, when a newer copy has been verified."
    )]
    Prune {
        /// Say what would go and remove nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which databases.
#[derive(clap::Args)]
pub(crate) struct Only {
    /// Only this tenant's database [default: every one]
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
}

/// How it is shown.
#[derive(clap::Args)]
pub(crate) struct Shown {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Carries it out.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    let settings = needed(context)?;
    match command {
        Command::Run(only) => make(&only, settings, context).await,
        Command::Ship { once } => ship::run(once, settings, context).await,
        Command::List(shown) => show::list(shown.json, settings, context),
        Command::Plan(shown) => show::plan(shown.json, settings, context),
        Command::Verify(only) => prove::run(&only, settings, context).await,
        Command::Drill => prove::drill(settings, context).await,
        Command::Prune { dry_run } => {
            let _alone = alone(context)?;
            going::prune(dry_run, settings, context)
        }
    }
}

/// The table `[backup]`, which the commands need.
pub(super) fn needed(context: &Context) -> anyhow::Result<&Backup> {
    context.config.backup.as_ref().ok_or_else(|| {
        let (es, en) = super::words::Bilingual::texts(Says::NoBackup);
        ConfigError::about("backup", Said::new(en, es)).into()
    })
}

/// Where copies go and what makes them.
pub(super) fn plan_of(settings: &Backup) -> Plan {
    Plan {
        folder: settings.folder.clone(),
        second: settings.second.clone(),
        recipients: settings.recipients.clone(),
        time_limit: settings.time_limit,
    }
}

async fn make(only: &Only, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(only.tenant.as_deref())?;
    let _alone = alone(context)?;
    let plan = plan_of(settings);
    let state_dir = &context.config.state_dir;
    let mut board = Board::open(state_dir).map_err(|it| told(context, &it))?;
    let mut exit = Exit::Fine;
    for place in databases::places(context, tenant.as_ref()) {
        let (begun, clock) = (Timestamp::now(), Instant::now());
        let tenants = tenants(context, &place);
        let done = match work(&place, tenants.clone(), settings, context) {
            Ok(work) => backup::take(&work, &plan, state_dir, begun).await,
            Err(problem) => Err(problem),
        };
        board.ran(&place.label, &tenants, begun, &done);
        // After each, so that a run that is killed has told of those before.
        save(&board, context)?;
        match done {
            Ok(taken) => {
                say_taken(&taken, clock, context)?;
                exit = if taken.second_failed.is_some() {
                    Exit::Failed
                } else {
                    exit
                };
            }
            Err(problem) => {
                let why = shown(context, &problem);
                out::complain(&context.say(Says::Failed, &[&place.label, &why]));
                exit = Exit::Failed;
            }
        }
    }
    going::prune_quietly(settings, context);
    Ok(exit)
}

fn say_taken(taken: &Taken, clock: Instant, context: &Context) -> anyhow::Result<()> {
    let copy = &taken.copy;
    let size = show::size(copy.bytes);
    let seconds = format!("{:.1}", clock.elapsed().as_secs_f64());
    let where_ = match taken.locations {
        2 => context.say(Says::TwoDisks, &[]),
        _ => context.say(Says::OneLocation, &[]),
    };
    let values: [&dyn std::fmt::Display; 6] = [
        &copy.store,
        &copy.name(),
        &taken.rows,
        &size,
        &seconds,
        &where_,
    ];
    out::line(&context.say(Says::Taken, &values))?;
    if let Some(problem) = &taken.second_failed {
        let why = shown(context, problem);
        out::complain(&context.say(Says::SecondFailed, &[&copy.store, &why]));
    }
    Ok(())
}

/// The tenants whose events are in that database.
pub(super) fn tenants(context: &Context, place: &Place) -> Vec<String> {
    let config = &context.config;
    let here = config
        .tenants
        .iter()
        .filter(|tenant| config.target(&tenant.id) == Some(&place.target));
    here.map(|tenant| tenant.id.to_string()).collect()
}

/// What is copied of a store, and what goes with it.
pub(super) fn work(
    place: &Place,
    tenants: Vec<String>,
    settings: &Backup,
    context: &Context,
) -> Result<Work, Problem> {
    let registry = place.label == STORE_LABEL;
    Ok(Work {
        store: place.label.clone(),
        place: place.target.to_string(),
        tenants,
        source: source(&place.target, settings)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        configuration: context.config.file.clone().filter(|_| registry),
        deletions: tenant::proofs(&context.config.state_dir).filter(|_| registry),
        binary_log: settings.binary_log,
        secrets: if registry { secrets() } else { Vec::new() },
        pace: Pace::Gentle,
    })
}

/// The database with the account that copies.
fn source(target: &Target, settings: &Backup) -> Result<Source, Problem> {
    let mut own = own(target)?;
    if let (Source::Mysql(login), Some(user)) = (&mut own, &settings.user) {
        login.user.clone_from(user);
        login.password = password_of(settings)?;
    }
    Ok(own)
}

/// The database with the store's own account.
pub(super) fn own(target: &Target) -> Result<Source, Problem> {
    let (url, password) = match target {
        Target::Sqlite(file) => return Ok(Source::Sqlite(file.clone())),
        Target::Mysql { url, password, .. } => (url, password),
    };
    let Ok(StoreUrl::Mysql(url)) = StoreUrl::from_str(url) else {
        return Err(Problem::setting(&Said::new(
            "the address of the database cannot be read",
            "la dirección de la base de datos no se puede leer",
        )));
    };
    Ok(Source::Mysql(Box::new(Login {
        user: url.user.clone(),
        url,
        password: password.as_deref().map(|it| Secret::new(it.to_owned())),
    })))
}

fn password_of(settings: &Backup) -> Result<Option<Secret>, Problem> {
    let places = secret_places(Path::new(SECRETS_FOLDER));
    let named = settings.password_file.as_deref();
    let read = named.map(|name| secret_file(name, &places)).transpose();
    read.map_err(|wrong| Problem::setting(&wrong.message))
}

/// Names of the passwords of this installation: whoever restores it has to have them.
fn secrets() -> Vec<String> {
    let entries = std::fs::read_dir(SECRETS_FOLDER)
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Keeps other runs out until it is dropped.
pub(super) fn alone(context: &Context) -> anyhow::Result<File> {
    locked(context, "backup.lock")
}

/// Keeps others out who take the same lock.
fn locked(context: &Context, name: &str) -> anyhow::Result<File> {
    let path = context.config.state_dir.join(name);
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!(context.say(Says::Busy, &[&path.display()]))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// The board as it is now, with the stores that there are.
fn save(board: &Board, context: &Context) -> anyhow::Result<()> {
    let labels = databases::places(context, None)
        .into_iter()
        .map(|place| place.label);
    let labels: Vec<String> = labels.collect();
    board
        .save(STORE_LABEL, &labels)
        .map_err(|it| told(context, &it))
}

/// Where copies are, the first location first.
pub(super) fn locations(settings: &Backup) -> Vec<Location> {
    let first = Location::folder(settings.folder.as_path());
    let second = settings.second.clone();
    std::iter::once(first).chain(second).collect()
}

/// A problem in the language of this command.
pub(super) fn shown(context: &Context, problem: &Problem) -> String {
    match context.lang {
        super::words::Lang::Es => problem.in_spanish(),
        super::words::Lang::En => problem.to_string(),
    }
}

/// The same as an error.
pub(super) fn told(context: &Context, problem: &Problem) -> anyhow::Error {
    anyhow::Error::msg(shown(context, problem))
}
