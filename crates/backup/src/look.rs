//! What can be seen without making a copy: the programs that are needed, and the places themselves.

use std::time::Duration;

use crate::copies::bounded;
use crate::{Location, Problem, programs};

/// A program that copies need and that is not installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: &'static str,
    /// The package that has it.
    pub package: &'static str,
}

/// The programs that are needed and not installed: one that encrypts, one that dumps where a
/// database lies on a server, and one that carries where the second location is a remote.
#[must_use]
pub fn missing_programs(on_server: bool, second: Option<&Location>) -> Vec<Missing> {
    let remote = matches!(second, Some(Location::Remote(_)));
    let needed: [(bool, &[&'static str], &'static str); 3] = [
        (true, &["age"], "age"),
        (on_server, &["mariadb-dump", "mysqldump"], "mariadb-client"),
        (remote, &["rclone"], "rclone"),
    ];
    let absent = needed.into_iter().filter_map(|(wanted, names, package)| {
        let missing = wanted && programs::find(names, package).is_err();
        let name = names.first().copied().filter(|_| missing)?;
        Some(Missing { name, package })
    });
    absent.collect()
}

/// The stores that have a whole copy in a location, asked for no longer than `limit`.
///
/// # Errors
/// The location cannot be read, or does not answer.
pub async fn stores_within(location: &Location, limit: Duration) -> Result<Vec<String>, Problem> {
    let location = location.clone();
    bounded(limit, ("the location", "la ubicación"), move || {
        location.stores()
    })
    .await
}
