//! How the copies of the databases stand, for `/status`: what the commands wrote into
//! `state_dir/backup.json`, kept in memory.
//!
//! The daemon copies nothing. It shows the file to the watchdog, which may not enter `state_dir`,
//! and never shows an older file as the one that is there now: what cannot be read says why.

use std::path::Path;

use backup::{Board, DrillState, TenantState};
use serde::Serialize;

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
    /// Why the file cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

/// Reads the file again, where copies are configured at all.
pub(crate) async fn look(hub: &Hub) {
    let config = hub.config.load_full();
    let status = match &config.backup {
        None => None,
        Some(settings) => {
            let folder = config.state_dir.clone();
            let read = tokio::task::spawn_blocking(move || read(&folder)).await;
            let ((tenants, drill), unreadable) = match read {
                Ok(Ok(read)) => (read, None),
                Ok(Err(why)) => ((Vec::new(), None), Some(why)),
                Err(error) => ((Vec::new(), None), Some(error.to_string())),
            };
            Some(CopiesStatus {
                every_seconds: settings.every.as_secs(),
                tenants,
                drill,
                unreadable,
            })
        }
    };
    hub.copies.store(std::sync::Arc::new(status));
}

fn read(state_dir: &Path) -> Result<(Vec<TenantState>, Option<DrillState>), String> {
    let board = Board::open(state_dir).map_err(|problem| problem.to_string())?;
    Ok((board.tenants().to_vec(), board.drill().cloned()))
}
