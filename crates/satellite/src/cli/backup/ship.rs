//! `satellite backup ship`: the binary log of each server, shipped behind the copies every minute.
//!
//! One server may hold the databases of many tenants; its log is shipped once. A round that fails
//! is told once and tried again, and `backup.json` says up to when everything is shipped, so that
//! the watchdog tells when that moment stands still.

use std::collections::BTreeMap;
use std::time::Duration;

use backup::log::{self, Marked, Shipping};
use backup::{Board, LogState, Login, Problem, Source};
use daemon::config::{ConfigError, Said};
use daemon::exit::Exit;
use jiff::Timestamp;
use satellite::config::Backup;

use super::words::Says;
use super::{Context, locked, out, plan_of, shown, source, told};
use crate::cli::databases::{self, Place};
use crate::cli::words::Bilingual as _;

/// From round to round.
const EVERY: Duration = Duration::from_secs(60);

/// A server whose log is shipped, and the databases on it.
pub(super) struct Server {
    /// The folder of its log in a location.
    pub(super) label: String,
    /// Its databases.
    pub(super) places: Vec<Place>,
    login: Box<Login>,
}

/// Every server of the configuration; none where the log is not shipped.
pub(super) fn servers(context: &Context, settings: &Backup) -> Result<Vec<Server>, Problem> {
    if !settings.binary_log {
        return Ok(Vec::new());
    }
    let mut servers: BTreeMap<String, Server> = BTreeMap::new();
    for place in databases::places(context, None) {
        let Source::Mysql(login) = source(&place.target, settings)? else {
            continue;
        };
        let label = log::folder_of(&login.url);
        let places = Vec::new();
        let new = |label: &String| Server {
            label: label.clone(),
            places,
            login,
        };
        let server = servers.entry(label).or_insert_with_key(new);
        server.places.push(place);
    }
    Ok(servers.into_values().collect())
}

pub(super) async fn run(once: bool, settings: &Backup, context: &Context) -> anyhow::Result<Exit> {
    let servers = servers(context, settings).map_err(|it| told(context, &it))?;
    if servers.is_empty() {
        let (es, en) = Says::NoLog.texts();
        return Err(ConfigError::about("backup.binary_log", Said::new(en, es)).into());
    }
    let _alone = locked(context, "ship.lock")?;
    let state_dir = &context.config.state_dir;
    let board = Board::open(state_dir).map_err(|it| told(context, &it))?;
    let mut states: Vec<LogState> = board.logs().to_vec();
    states.retain(|state| servers.iter().any(|it| it.label == state.server));
    let mut turn = tokio::time::interval(EVERY);
    loop {
        turn.tick().await;
        let mut exit = Exit::Fine;
        for server in &servers {
            let at = states.iter().position(|it| it.server == server.label);
            let mut state = at.map(|at| states.swap_remove(at)).unwrap_or_default();
            state.server.clone_from(&server.label);
            if !round(server, &mut state, once, settings, context).await? {
                exit = Exit::Failed;
            }
            states.push(state);
            Board::shipped(state_dir, &states).map_err(|it| told(context, &it))?;
        }
        if once {
            return Ok(exit);
        }
    }
}

/// One round for one server; false when not everything is everywhere.
async fn round(
    server: &Server,
    state: &mut LogState,
    once: bool,
    settings: &Backup,
    context: &Context,
) -> anyhow::Result<bool> {
    state.tried_at = Some(Timestamp::now());
    let copies = marks(server, settings);
    let shipping = Shipping {
        login: &server.login,
        copies: &copies,
        plan: &plan_of(settings),
        state_dir: &context.config.state_dir,
    };
    let problem = match log::ship(&shipping).await {
        Ok(shipped) => {
            if once {
                let values: [&dyn std::fmt::Display; 3] =
                    [&server.label, &shipped.pieces, &shipped.until];
                out::line(&context.say(Says::Shipped, &values))?;
            }
            if shipped.second_failed.is_none() {
                state.shipped_until = Some(shipped.until);
            }
            shipped.second_failed
        }
        Err(problem) => Some(problem),
    };
    let error = problem.as_ref().map(ToString::to_string);
    if error != state.error {
        // Once when it begins and once when it ends: a line a minute hides everything else.
        match &problem {
            Some(problem) => {
                let why = shown(context, problem);
                out::complain(&context.say(Says::NotShipped, &[&server.label, &why]));
            }
            None => out::line(&context.say(Says::ShippedAgain, &[&server.label]))?,
        }
    } else if let Some(problem) = problem.as_ref().filter(|_| once) {
        let why = shown(context, problem);
        out::complain(&context.say(Says::NotShipped, &[&server.label, &why]));
    }
    state.error_es = problem.as_ref().map(Problem::in_spanish);
    state.error = error;
    Ok(problem.is_none())
}

/// Where the newest copy of each database stands in the log. What cannot be read has none.
fn marks(server: &Server, settings: &Backup) -> Vec<Marked> {
    let mut marks = Vec::new();
    for place in &server.places {
        let location = backup::Location::folder(settings.folder.as_path());
        let copies = location.copies(&place.label).unwrap_or_default();
        let newest = copies.first().and_then(|copy| copy.manifest().ok());
        if let Some(manifest) = newest
            && let Some(mark) = manifest.log
        {
            let at = manifest.started_at;
            marks.push(Marked { mark, at });
        }
    }
    marks
}
