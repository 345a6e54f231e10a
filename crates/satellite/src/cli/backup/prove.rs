//! `satellite backup verify`: the newest copy of each database, restored and compared.
//!
//! From the second location when there is one: that is the copy that has to serve when this
//! machine is gone. What is restored lies in a temporary folder of our own and goes with it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use backup::{Board, Copied, Location, Proof};
use daemon::config::{ConfigError, Said, Secret, secret_file, secret_places};
use daemon::exit::Exit;
use jiff::Timestamp;
use satellite::config::{Backup, SECRETS_FOLDER};

use super::words::Says;
use super::{Only, alone, save, shown, told};
use crate::cli::words::Bilingual as _;
use crate::cli::{Context, databases, out, program};

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
fn key(settings: &Backup) -> anyhow::Result<Secret> {
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
    let (key, _alone) = (key(settings)?, alone(context)?);
    let state_dir = &context.config.state_dir;
    let mut board = Board::open(state_dir).map_err(|it| told(context, &it))?;
    let temporary = Temporary::new()?;
    let mut proof = Proof::new(&key, state_dir, &temporary.0);
    let folder = settings.second.as_ref().unwrap_or(&settings.folder);
    let location = Location(folder.clone());
    let mut exit = Exit::Fine;
    for place in databases::places(context, tenant.as_ref()) {
        let copies = location
            .copies(&place.label)
            .map_err(|it| told(context, &it))?;
        let Some(newest) = copies.first() else {
            let values: [&dyn std::fmt::Display; 3] = [&place.label, &folder.display(), &program()];
            out::complain(&context.say(Says::NothingToProve, &values));
            exit = Exit::Failed;
            continue;
        };
        let done = backup::verify(newest, &mut proof).await;
        board.proved(&place.label, newest.at, done.as_ref().map(|_| ()));
        save(&board, context)?;
        match done {
            Ok((evidence, path)) => say_proved(newest, &evidence, &path, context)?,
            Err(problem) => {
                let why = shown(context, &problem);
                out::complain(&context.say(Says::Failed, &[&place.label, &why]));
                exit = Exit::Failed;
            }
        }
    }
    Ok(exit)
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
    Ok(())
}
