//! The copies of the databases: whether any are made, the programs that make them, the places where
//! they lie, and how old the newest of each database is.
//!
//! The board says how runs ended and the places themselves whether they can be read; a place that
//! hangs is given up. Nothing is copied here.

use std::time::Duration;

use backup::{Board, Location, StoreState};
use jiff::{SignedDuration, Timestamp};
use satellite::config::{Backup, Receiver};
use store::Target;

use super::words::Says;
use super::{Context, Findings, settings};
use crate::cli::backup::{locations, shown, span};
use crate::cli::databases;
use crate::cli::words::Lang;

/// How long a place may take to say what lies there.
const LIST_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn look(context: &Context, findings: &mut Findings) {
    let Some(table) = &context.config.backup else {
        // What an edge has is in the cloud too.
        let outputs = &context.config.outputs;
        if !outputs.iter().any(|it| matches!(it.to, Receiver::Edge(_))) {
            findings.care(Says::NoCopies, &[], settings::edit(context));
        }
        return;
    };
    let places = databases::places(context, None);
    let is_server = |target: &Target| matches!(target, Target::Mysql { .. });
    let on_server = places.iter().any(|place| is_server(&place.target));
    for missing in backup::missing_programs(on_server, table.second.as_ref()) {
        findings.bad(
            Says::ProgramMissing,
            &[&missing.name],
            format!("apt-get install {}", missing.package),
        );
    }
    for location in locations(table) {
        lies(&location, context, findings).await;
    }
    if table.second.is_none() {
        findings.care(Says::OnePlace, &[], settings::edit(context));
    }
    let board = match Board::open(&context.config.state_dir) {
        Ok(board) => board,
        Err(problem) => {
            let seen = shown(context, &problem);
            return findings.bad(Says::BoardUnread, &[&seen], run());
        }
    };
    let now = Timestamp::now();
    for place in &places {
        let noted = board.store(&place.label);
        stands(&place.label, noted, now, table, context, findings);
    }
}

fn run() -> String {
    "satellite backup run".to_owned()
}

/// Whether a place can be read.
async fn lies(location: &Location, context: &Context, findings: &mut Findings) {
    let name = location.shown();
    match backup::stores_within(location, LIST_WITHIN).await {
        Ok(stores) => findings.good(Says::CopiesLie, &[&name, &stores.len()]),
        Err(problem) => {
            let seen = shown(context, &problem);
            findings.bad(Says::PlaceAway, &[&name, &seen], run());
        }
    }
}

/// How the newest copy of one database stands.
fn stands(
    label: &str,
    noted: Option<&StoreState>,
    now: Timestamp,
    table: &Backup,
    context: &Context,
    findings: &mut Findings,
) {
    let error = noted.and_then(|state| {
        let spanish = state.error_es.as_ref().filter(|_| context.lang == Lang::Es);
        spanish.or(state.error.as_ref())
    });
    if let Some(error) = error {
        findings.bad(Says::CopyFailed, &[&label, error], run());
    }
    let Some(made) = noted.and_then(|state| state.started_at) else {
        return findings.bad(Says::NeverCopied, &[&label], run());
    };
    let age = now.duration_since(made);
    let promised = SignedDuration::try_from(table.every).unwrap_or(SignedDuration::MAX);
    if age > promised {
        let timer = "systemctl enable --now satellite-backup.timer; satellite backup run";
        findings.bad(
            Says::CopyOld,
            &[&label, &span(age), &span(promised)],
            timer.to_owned(),
        );
    } else {
        findings.good(Says::CopyYoung, &[&label, &span(age)]);
    }
    if noted.and_then(|state| state.verified_at).is_none() {
        let verify = "satellite backup verify".to_owned();
        findings.care(Says::NeverProven, &[&label], verify);
    }
}
