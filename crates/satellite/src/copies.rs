//! How the copies of the databases stand, for `/status`: what the commands wrote into
//! `state_dir/backup.json`, kept in memory.
//!
//! The daemon copies nothing. It shows the file to the watchdog, which may not enter `state_dir`,
//! and never shows an older file as the one that is there now: what cannot be read says why.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use backup::{Board, DrillState, LogState, TenantState};
use daemon::config::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;
use store::Target;

use crate::Config;
use crate::config::STORE_LABEL;
use crate::hub::Hub;

/// How the copies stand.
#[derive(Debug, Clone, Serialize)]
pub struct CopiesStatus {
    /// How often a copy is promised.
    pub every_seconds: u64,
    /// Each tenant that was copied, or should have been.
    pub tenants: Vec<TenantState>,
    /// The last drill.
    pub drill: Option<DrillState>,
    /// How far the binary log of each server was shipped, where that is wanted.
    pub logs: Vec<LogStatus>,
    /// Why the file cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

/// How far the binary log of one server was shipped.
#[derive(Debug, Clone, Serialize)]
pub struct LogStatus {
    /// The folder of its log in a location of copies.
    pub server: String,
    /// The tenants who have data on it.
    pub tenants: Vec<String>,
    /// Everything that was committed before lies in every location.
    pub shipped_until: Option<Timestamp>,
    /// Why the last round failed.
    pub error: Option<String>,
    /// The same in Spanish.
    pub error_es: Option<String>,
}

/// Reads the file again, where copies are configured at all.
pub(crate) async fn look(hub: &Hub) {
    let config = hub.config.load_full();
    let status = match &config.backup {
        None => None,
        Some(settings) => {
            let folder = config.state_dir.clone();
            let read = tokio::task::spawn_blocking(move || Board::open(&folder)).await;
            let (board, unreadable) = match read {
                Ok(Ok(board)) => (Some(board), None),
                Ok(Err(problem)) => (None, Some(problem.to_string())),
                Err(error) => (None, Some(error.to_string())),
            };
            let logs = match settings.binary_log {
                true => logs(&config, board.as_ref().map_or(&[], Board::logs)),
                false => Vec::new(),
            };
            Some(CopiesStatus {
                every_seconds: settings.every.as_secs(),
                tenants: board
                    .as_ref()
                    .map_or_else(Vec::new, |it| it.tenants().to_vec()),
                drill: board.as_ref().and_then(|it| it.drill().cloned()),
                logs,
                unreadable,
            })
        }
    };
    hub.copies.store(std::sync::Arc::new(status));
}

/// Every server whose log has to be shipped, also one of which nothing was shipped yet.
fn logs(config: &Config, shipped: &[LogState]) -> Vec<LogStatus> {
    let mut servers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let all = || config.tenants.iter().map(|tenant| tenant.id.to_string());
    for (label, target) in config.stores() {
        let Target::Mysql { url, .. } = &target else {
            continue;
        };
        let Ok(StoreUrl::Mysql(url)) = StoreUrl::from_str(url) else {
            continue;
        };
        let tenants = servers.entry(backup::log::folder_of(&url)).or_default();
        // Every tenant needs the registry.
        match label == STORE_LABEL {
            true => tenants.extend(all()),
            false => tenants.push(label),
        }
    }
    let each = servers.into_iter().map(|(server, mut tenants)| {
        tenants.sort();
        tenants.dedup();
        let state = shipped.iter().find(|it| it.server == server);
        LogStatus {
            tenants,
            shipped_until: state.and_then(|it| it.shipped_until),
            error: state.and_then(|it| it.error.clone()),
            error_es: state.and_then(|it| it.error_es.clone()),
            server,
        }
    });
    each.collect()
}
