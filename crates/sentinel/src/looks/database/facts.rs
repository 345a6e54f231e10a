//! What a MySQL or MariaDB server says of itself, and what of that is wrong.
//!
//! Settings are read with SHOW, because a variable that a server does not have is then simply
//! absent. The judgement is a pure function. Sources: the reference manuals of MySQL 8.4 and
//! MariaDB 11 on the variables named here; Galera's documentation on `wsrep_*`.

use std::collections::HashMap;
use std::time::Duration;

use crate::looks::store::{Failed, Reader};
use crate::words::Phrase;
use crate::{Fact, Kind, Severity, Trouble, Value};

/// Connections from which on they run out, as a share of those granted.
const NEARLY_ALL: f64 = 0.85;
/// A replica is behind from so many seconds on.
const BEHIND: f64 = 300.0;

const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', \
     'super_read_only', 'innodb_read_only', 'innodb_force_recovery', \
     'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'log_bin', 'sync_binlog', \
     'max_connections', 'wsrep_on')";
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', \
     'wsrep_cluster_status', 'wsrep_ready', 'wsrep_cluster_size', 'wsrep_local_state_comment')";

/// What a server said. What it did not say is `None` or absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Variables and status values by their lower-case names.
    pub values: HashMap<String, String>,
    /// Connections that are open.
    pub connections: Option<f64>,
    /// Connections that it grants.
    pub max_connections: Option<f64>,
    /// By how many seconds it is behind its source, if it is a replica whose state we may see.
    pub replica_lag: Option<f64>,
    /// Why its replication does not run, if it is a replica and does not.
    pub replica_stopped: Option<String>,
}

impl Settings {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.value(name)?.parse().ok()
    }

    fn is_on(&self, name: &str) -> bool {
        let off = |value: &str| matches!(value, "OFF" | "0" | "NO" | "");
        self.value(name).is_some_and(|value| !off(value))
    }
}

/// Asks. A SQLite file says nothing and has nothing to set.
pub(super) async fn read(reader: &mut Reader, within: Duration) -> Result<Settings, Failed> {
    let mut settings = Settings::default();
    if matches!(reader, Reader::Sqlite(_)) {
        return Ok(settings);
    }
    for sql in [VARIABLES, STATUS] {
        for row in reader.ask(sql, within).await? {
            if let [Some(name), Some(value)] = row.as_slice() {
                settings.values.insert(name.to_lowercase(), value.clone());
            }
        }
    }
    settings.connections = settings.number("threads_connected");
    settings.max_connections = settings.number("max_connections");
    replica(reader, &mut settings, within).await?;
    Ok(settings)
}

/// The state of replication, where our user may see it. `SHOW REPLICA STATUS` has dozens of
/// columns that differ from server to server; the few of MariaDB's and MySQL's that matter are
/// also in tables.
async fn replica(
    reader: &mut Reader,
    settings: &mut Settings,
    within: Duration,
) -> Result<(), Failed> {
    let sql = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slave_running', 'Replica_running')";
    let rows = reader.ask(sql, within).await?;
    let running = rows.iter().find_map(|row| match row.as_slice() {
        [_, Some(value)] => Some(value.as_str()),
        _ => None,
    });
    // A server that never was a replica says OFF too: only the detailed state tells.
    let Reader::Mysql(connection) = reader else {
        return Ok(());
    };
    let asked = sqlx::raw_sql("SHOW SLAVE STATUS").fetch_all(connection);
    let Ok(Ok(rows)) = tokio::time::timeout(within, asked).await else {
        return Ok(());
    };
    use sqlx::Row as _;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let text = |name: &str| -> Option<String> { row.try_get_unchecked(name).ok().flatten() };
    let thread = |old: &str, new: &str| text(old).or_else(|| text(new)).unwrap_or_default();
    let io = thread("Slave_IO_Running", "Replica_IO_Running");
    let sql = thread("Slave_SQL_Running", "Replica_SQL_Running");
    settings.replica_lag = text("Seconds_Behind_Master")
        .or_else(|| text("Seconds_Behind_Source"))
        .and_then(|seconds| seconds.parse().ok());
    if io != "Yes" || sql != "Yes" {
        let error = text("Last_Error").unwrap_or_default();
        let running = running.unwrap_or("-");
        settings.replica_stopped = Some(format!("IO {io}, SQL {sql} ({running}) {error}"));
    }
    Ok(())
}

/// What is wrong, at most one of each kind.
pub fn troubles(settings: &Settings) -> Vec<Trouble> {
    let found = [
        read_only(settings),
        durability(settings),
        connections(settings),
        replication(settings),
    ];
    found.into_iter().flatten().collect()
}

fn read_only(settings: &Settings) -> Option<Trouble> {
    let names = ["read_only", "super_read_only", "innodb_read_only"];
    let set = names.into_iter().find(|name| settings.is_on(name));
    // From 4 on InnoDB takes no writes.
    let forced = settings
        .value("innodb_force_recovery")
        .and_then(|n| n.parse::<u8>().ok());
    let forced = forced
        .filter(|level| *level > 0)
        .map(|_| "innodb_force_recovery");
    let name = set.or(forced)?;
    let shown = format!("{name} = {}", settings.value(name).unwrap_or_default());
    Some(Trouble::new(Kind::DatabaseReadOnly).fact(Fact::Setting, Value::heard(shown)))
}

/// Each promise of durability needs its setting; all that are wrong are named in one trouble.
fn durability(settings: &Settings) -> Option<Trouble> {
    let mut wrong = Vec::new();
    let mut must_be = |name: &str, wanted: &str| {
        if let Some(value) = settings.value(name).filter(|value| *value != wanted) {
            let places = [name, value, wanted].map(Value::heard);
            wrong.push(Phrase::ShouldBe.with(places));
        }
    };
    must_be("innodb_flush_log_at_trx_commit", "1");
    if settings.is_on("log_bin") {
        must_be("sync_binlog", "1");
    }
    if settings.value("innodb_doublewrite").is_some() && !settings.is_on("innodb_doublewrite") {
        let places = ["innodb_doublewrite", "OFF", "ON"].map(Value::heard);
        wrong.push(Phrase::ShouldBe.with(places));
    }
    let all = wrong
        .into_iter()
        .reduce(|all, one| Phrase::TwoOf.with([all, one]))?;
    Some(Trouble::new(Kind::DurabilityWeak).fact(Fact::Setting, all))
}

fn connections(settings: &Settings) -> Option<Trouble> {
    let (used, most) = settings.connections.zip(settings.max_connections)?;
    let share = used / most;
    (share >= NEARLY_ALL).then(|| {
        Trouble::new(Kind::DatabaseConnections)
            .fact(Fact::Used, Value::Ratio(share))
            .fact(
                Fact::Setting,
                Value::heard(format!("max_connections = {most}")),
            )
    })
}

fn replication(settings: &Settings) -> Option<Trouble> {
    if settings.is_on("wsrep_on") {
        let cluster = settings.value("wsrep_cluster_status").unwrap_or_default();
        let whole = cluster == "Primary" && settings.is_on("wsrep_ready");
        if !whole {
            let state = settings.value("wsrep_local_state_comment").unwrap_or("-");
            let trouble = Trouble::new(Kind::Replication).severity(Severity::Critical);
            return Some(trouble.fact(
                Fact::Setting,
                Value::heard(format!("wsrep_cluster_status = {cluster}, {state}")),
            ));
        }
    }
    if let Some(why) = &settings.replica_stopped {
        return Some(Trouble::new(Kind::Replication).fact(Fact::Detail, Value::heard(why)));
    }
    let lag = settings.replica_lag.filter(|lag| *lag > BEHIND)?;
    Some(Trouble::new(Kind::Replication).fact(Fact::Off, Value::Seconds(lag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[(&str, &str)]) -> Settings {
        let good = [
            ("read_only", "OFF"),
            ("innodb_flush_log_at_trx_commit", "1"),
            ("innodb_doublewrite", "ON"),
            ("log_bin", "ON"),
            ("sync_binlog", "1"),
            ("wsrep_on", "OFF"),
        ];
        let values = good.iter().chain(values);
        Settings {
            values: values
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            connections: Some(10.0),
            max_connections: Some(151.0),
            ..Settings::default()
        }
    }

    fn kinds(settings: &Settings) -> Vec<Kind> {
        troubles(settings)
            .into_iter()
            .map(|trouble| trouble.kind)
            .collect()
    }

    #[test]
    fn a_server_as_it_should_be_has_no_trouble_and_one_that_says_nothing_neither() {
        assert!(troubles(&with(&[])).is_empty());
        assert!(troubles(&Settings::default()).is_empty());
    }

    #[test]
    fn each_setting_that_breaks_a_promise_is_named() {
        for (name, value, kind) in [
            ("read_only", "ON", Kind::DatabaseReadOnly),
            ("super_read_only", "1", Kind::DatabaseReadOnly),
            ("innodb_force_recovery", "4", Kind::DatabaseReadOnly),
            ("innodb_flush_log_at_trx_commit", "2", Kind::DurabilityWeak),
            ("sync_binlog", "0", Kind::DurabilityWeak),
            ("innodb_doublewrite", "OFF", Kind::DurabilityWeak),
        ] {
            let found = troubles(&with(&[(name, value)]));
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].kind, kind);
            let shown = found[0].facts[&Fact::Setting].to_string();
            assert!(shown.contains(name), "{shown}");
        }
        // Without a binary log there is nothing to sync.
        assert!(troubles(&with(&[("log_bin", "OFF"), ("sync_binlog", "0")])).is_empty());
    }

    #[test]
    fn connections_that_run_out_a_late_replica_and_a_broken_cluster_are_told() {
        let mut full = with(&[]);
        full.connections = Some(140.0);
        assert_eq!(kinds(&full), [Kind::DatabaseConnections]);
        let mut late = with(&[]);
        late.replica_lag = Some(900.0);
        assert_eq!(kinds(&late), [Kind::Replication]);
        late.replica_lag = Some(2.0);
        assert!(kinds(&late).is_empty());
        late.replica_stopped = Some("IO No".to_owned());
        assert_eq!(kinds(&late), [Kind::Replication]);
        let cluster = [("wsrep_on", "ON"), ("wsrep_ready", "ON")];
        let whole = [&cluster[..], &[("wsrep_cluster_status", "Primary")]].concat();
        assert!(kinds(&with(&whole)).is_empty());
        let broken = [&cluster[..], &[("wsrep_cluster_status", "non-Primary")]].concat();
        assert_eq!(kinds(&with(&broken)), [Kind::Replication]);
    }
}
