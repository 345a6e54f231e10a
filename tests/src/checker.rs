//! Reads `event_feed` over a connection of its own and holds it against a ledger.
//!
//! The feed is read as any other program would read it: by `seq`, page by page, from the view
//! of the outside contract. What was acknowledged comes from the terminals' ledger files. A
//! comparison of nothing with nothing is an error, never a success.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};
use terminals::{AccessRecord, Ledger};

use crate::place::Place;

/// Rows of one page.
const PAGE: i64 = 2_000;
/// What a failed comparison shows of each list.
const SHOWN: usize = 10;

/// One page of the feed, in the words of both engines.
const FEED: &str = "SELECT seq, tenant, serial, kind, person, local_time, vendor FROM event_feed \
                    WHERE seq > ? ORDER BY seq LIMIT ?";

/// A punch: who, where, when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Punch {
    /// The terminal.
    pub serial: String,
    /// The person as sent.
    pub person: String,
    /// The terminal's wall time.
    pub time: String,
}

/// A row of `event_feed`, as far as promises look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// The cursor.
    pub seq: i64,
    /// Whose terminal; absent for rows of satellite itself.
    pub tenant: Option<String>,
    /// The terminal.
    pub serial: String,
    /// `punch`, `device`, …
    pub kind: String,
    /// The person as sent.
    pub person: Option<String>,
    /// The terminal's wall time.
    pub local_time: Option<String>,
    /// `zkteco`, `hikvision`, or `satellite`.
    pub vendor: String,
}

impl FeedRow {
    /// The punch in this row; `None` for rows of another kind.
    #[must_use]
    pub fn punch(&self) -> Option<Punch> {
        (self.kind == "punch").then(|| Punch {
            serial: self.serial.clone(),
            person: self.person.clone().unwrap_or_default(),
            time: self.local_time.clone().unwrap_or_default(),
        })
    }

    fn from_mysql(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        // The columns are utf8mb4_bin, which the driver takes for bytes when it checks types.
        Ok(Self {
            seq: row.try_get_unchecked(0)?,
            tenant: row.try_get_unchecked(1)?,
            serial: row.try_get_unchecked(2)?,
            kind: row.try_get_unchecked(3)?,
            person: row.try_get_unchecked(4)?,
            local_time: row.try_get_unchecked(5)?,
            vendor: row.try_get_unchecked(6)?,
        })
    }

    fn from_sqlite(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get(0)?,
            tenant: row.try_get(1)?,
            serial: row.try_get(2)?,
            kind: row.try_get(3)?,
            person: row.try_get(4)?,
            local_time: row.try_get(5)?,
            vendor: row.try_get(6)?,
        })
    }
}

/// The columns of access events, in the words of both engines.
const ACCESS: &str = "SELECT serial, person, local_time, vendor_code, attributes FROM event_feed \
                      WHERE kind IN ('access', 'alarm', 'device') AND serial <> '' ORDER BY seq";

type AccessColumns = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// An access event of the feed in the words of the ledger.
fn access_record((serial, pin, time, event, attributes): AccessColumns) -> Result<AccessRecord> {
    let attributes: serde_json::Value = serde_json::from_str(&attributes.unwrap_or_default())
        .with_context(|| format!("an event of {serial} has no attributes"))?;
    let index = attributes["index"].as_str().unwrap_or_default().parse()?;
    Ok(AccessRecord {
        serial,
        pin: pin.unwrap_or_default(),
        time: time.unwrap_or_default(),
        index,
        event: event.unwrap_or_default().parse()?,
    })
}

enum Connection {
    Mysql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// A reader of one database.
pub struct Checker {
    connection: Connection,
}

impl Checker {
    /// Connects.
    ///
    /// # Errors
    /// The database cannot be reached, or the file does not exist.
    pub async fn open(place: &Place) -> Result<Self> {
        let connection = match place {
            Place::Sqlite(file) => {
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(false)
                    .busy_timeout(Duration::from_secs(10));
                Connection::Sqlite(options.connect().await.context("the file cannot be read")?)
            }
            Place::Mariadb { .. } => {
                let options = MySqlConnectOptions::from_str(&place.url())?.charset("utf8mb4");
                let connected = tokio::time::timeout(Duration::from_secs(10), options.connect());
                let connected = connected.await.context("the database does not answer")?;
                Connection::Mysql(connected.context("the database cannot be reached")?)
            }
        };
        Ok(Self { connection })
    }

    /// At most `limit` rows after `seq`, in the order of `seq`.
    ///
    /// # Errors
    /// The view cannot be read, or a column is not what the contract says.
    pub async fn rows_after(&mut self, seq: i64, limit: i64) -> Result<Vec<FeedRow>> {
        let rows = match &mut self.connection {
            Connection::Mysql(connection) => {
                let query = sqlx::query(FEED).bind(seq).bind(limit);
                let rows = query.fetch_all(connection).await?;
                rows.iter()
                    .map(FeedRow::from_mysql)
                    .collect::<Result<Vec<_>, _>>()
            }
            Connection::Sqlite(connection) => {
                let query = sqlx::query(FEED).bind(seq).bind(limit);
                let rows = query.fetch_all(connection).await?;
                rows.iter().map(FeedRow::from_sqlite).collect()
            }
        };
        rows.context("event_feed cannot be read")
    }

    /// The whole feed.
    ///
    /// # Errors
    /// As [`rows_after`](Self::rows_after).
    pub async fn feed(&mut self) -> Result<Vec<FeedRow>> {
        let mut feed: Vec<FeedRow> = Vec::new();
        loop {
            let after = feed.last().map_or(i64::MIN, |row| row.seq);
            let page = self.rows_after(after, PAGE).await?;
            if page.is_empty() {
                return Ok(feed);
            }
            feed.extend(page);
        }
    }

    /// The one number that a statement answers.
    ///
    /// # Errors
    /// The statement fails or answers something else.
    pub async fn number(&mut self, statement: &'static str) -> Result<i64> {
        Ok(match &mut self.connection {
            Connection::Mysql(connection) => {
                let row = sqlx::query(statement).fetch_one(connection).await?;
                row.try_get_unchecked(0)?
            }
            Connection::Sqlite(connection) => {
                let row = sqlx::query(statement).fetch_one(connection).await?;
                row.try_get(0)?
            }
        })
    }

    /// Damages the database: a statement that changes rows; how many.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn damage(&mut self, statement: &'static str) -> Result<u64> {
        Ok(match &mut self.connection {
            Connection::Mysql(connection) => {
                let done = sqlx::query(statement).execute(connection).await?;
                done.rows_affected()
            }
            Connection::Sqlite(connection) => {
                let done = sqlx::query(statement).execute(connection).await?;
                done.rows_affected()
            }
        })
    }

    /// The texts of the first column of a statement, each engine in its own words.
    ///
    /// # Errors
    /// The statement fails or answers something else.
    pub async fn texts(
        &mut self,
        mysql: &'static str,
        sqlite: &'static str,
    ) -> Result<Vec<String>> {
        let texts = match &mut self.connection {
            Connection::Mysql(connection) => {
                let rows = sqlx::query(mysql).fetch_all(connection).await?;
                let texts = rows.iter().map(|row| row.try_get_unchecked(0));
                texts.collect::<Result<Vec<String>, _>>()?
            }
            Connection::Sqlite(connection) => {
                let rows = sqlx::query(sqlite).fetch_all(connection).await?;
                let texts = rows.iter().map(|row| row.try_get(0));
                texts.collect::<Result<Vec<String>, _>>()?
            }
        };
        Ok(texts)
    }

    /// Every row of every table: the table, then the bytes of each value in the order of its columns.
    /// Sorted, so that two of them can be held against each other.
    ///
    /// # Errors
    /// A table cannot be read.
    pub async fn everything(&mut self) -> Result<Vec<String>> {
        let tables = self
            .texts(
                "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
            )
            .await?;
        let mut all = Vec::new();
        for table in tables {
            all.extend(self.rows_of(&table).await?);
        }
        all.sort();
        Ok(all)
    }

    async fn rows_of(&mut self, table: &str) -> Result<Vec<String>> {
        let columns = match self.connection {
            Connection::Mysql(_) => format!(
                "SELECT CAST(column_name AS CHAR) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}' \
                 ORDER BY ordinal_position"
            ),
            Connection::Sqlite(_) => {
                format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
            }
        };
        let columns = self.made(columns).await?;
        let values = columns
            .iter()
            .map(|name| format!("COALESCE(HEX(`{name}`), '-')"));
        let values: Vec<String> = values.collect();
        let row = match self.connection {
            Connection::Mysql(_) => format!("CONCAT_WS('|', '{table}', {})", values.join(", ")),
            Connection::Sqlite(_) => format!("'{table}|' || {}", values.join(" || '|' || ")),
        };
        self.made(format!("SELECT {row} FROM `{table}`")).await
    }

    async fn made(&mut self, statement: String) -> Result<Vec<String>> {
        let statement = AssertSqlSafe(statement);
        Ok(match &mut self.connection {
            Connection::Mysql(connection) => {
                let rows = sqlx::query(statement).fetch_all(connection).await?;
                let texts = rows.iter().map(|row| row.try_get_unchecked(0));
                texts.collect::<Result<_, _>>()?
            }
            Connection::Sqlite(connection) => {
                let rows = sqlx::query(statement).fetch_all(connection).await?;
                let texts = rows.iter().map(|row| row.try_get(0));
                texts.collect::<Result<_, _>>()?
            }
        })
    }

    /// Changes rows by a statement with one value of bytes, and answers how many.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn change(&mut self, statement: &'static str, value: &[u8]) -> Result<u64> {
        Ok(match &mut self.connection {
            Connection::Mysql(connection) => {
                let query = sqlx::query(statement).bind(value);
                query.execute(connection).await?.rows_affected()
            }
            Connection::Sqlite(connection) => {
                let query = sqlx::query(statement).bind(value);
                query.execute(connection).await?.rows_affected()
            }
        })
    }

    /// Writes a copy of a SQLite database as it stands at this moment.
    ///
    /// # Errors
    /// It is no SQLite database, or the copy cannot be written.
    pub async fn copy_sqlite(&mut self, to: &Path) -> Result<()> {
        let Connection::Sqlite(connection) = &mut self.connection else {
            anyhow::bail!("only a SQLite database is copied this way");
        };
        let to = to.to_str().context("the path of the copy is no text")?;
        let query = sqlx::query("VACUUM INTO ?").bind(to);
        query
            .execute(connection)
            .await
            .context("VACUUM INTO failed")?;
        Ok(())
    }

    /// Every access event of the terminals whose serial begins with `prefix`, in order.
    ///
    /// # Errors
    /// The view cannot be read, or an event lacks its number.
    pub async fn access(&mut self, prefix: &str) -> Result<Vec<AccessRecord>> {
        let columns: Vec<AccessColumns> = match &mut self.connection {
            Connection::Mysql(connection) => {
                let rows = sqlx::query(ACCESS).fetch_all(connection).await?;
                let read = |row: &MySqlRow| -> Result<AccessColumns, sqlx::Error> {
                    Ok((
                        row.try_get_unchecked(0)?,
                        row.try_get_unchecked(1)?,
                        row.try_get_unchecked(2)?,
                        row.try_get_unchecked(3)?,
                        row.try_get_unchecked(4)?,
                    ))
                };
                rows.iter().map(read).collect::<Result<_, _>>()?
            }
            Connection::Sqlite(connection) => {
                let rows = sqlx::query(ACCESS).fetch_all(connection).await?;
                let read = |row: &SqliteRow| -> Result<AccessColumns, sqlx::Error> {
                    Ok((
                        row.try_get(0)?,
                        row.try_get(1)?,
                        row.try_get(2)?,
                        row.try_get(3)?,
                        row.try_get(4)?,
                    ))
                };
                rows.iter().map(read).collect::<Result<_, _>>()?
            }
        };
        let own = columns.into_iter().filter(|row| row.0.starts_with(prefix));
        own.map(access_record).collect()
    }

    /// Holds the access events of the feed against those of a ledger.
    ///
    /// # Errors
    /// One cannot be read, the ledger holds none, or an event is missing, doubled or was never
    /// acknowledged; the first few are in the error.
    pub async fn access_is_exact(&mut self, ledger: &Path, prefix: &str) -> Result<usize> {
        let acked = Ledger::read_access(ledger).context("the ledger cannot be read")?;
        let distinct: BTreeSet<&AccessRecord> = acked.iter().collect();
        ensure!(
            !acked.is_empty(),
            "the ledger holds no access event: nothing was compared"
        );
        ensure!(
            distinct.len() == acked.len(),
            "the ledger holds an event twice"
        );
        let feed = self.access(prefix).await?;
        let stored: BTreeSet<&AccessRecord> = feed.iter().collect();
        let missing: Vec<_> = distinct.difference(&stored).take(SHOWN).collect();
        let unacked: Vec<_> = stored.difference(&distinct).take(SHOWN).collect();
        let doubled = feed.len() - stored.len();
        ensure!(
            missing.is_empty() && unacked.is_empty() && doubled == 0,
            "{} events acknowledged, {} rows; missing: {missing:#?}; never acknowledged: \
             {unacked:#?}; {doubled} doubled",
            acked.len(),
            feed.len()
        );
        Ok(feed.len())
    }

    /// Compares the punches of the feed with those of the ledgers, taken together. Hikvision
    /// devices have a ledger and a comparison of their own.
    ///
    /// # Errors
    /// The feed or a ledger cannot be read, or either holds no punch at all.
    pub async fn compare(&mut self, ledgers: &[&Path]) -> Result<Comparison> {
        self.compare_of(ledgers, |_| true).await
    }

    /// The same for those terminals of the feed alone whose serial is `ours`.
    ///
    /// # Errors
    /// As [`compare`](Self::compare).
    pub async fn compare_of(
        &mut self,
        ledgers: &[&Path],
        ours: impl Fn(&str) -> bool,
    ) -> Result<Comparison> {
        let mut acked = BTreeSet::new();
        for ledger in ledgers {
            let records = Ledger::read(ledger).context("the ledger cannot be read")?;
            acked.extend(
                Ledger::distinct(&records)
                    .into_iter()
                    .map(|(serial, person, time)| Punch {
                        serial: serial.to_owned(),
                        person: person.to_owned(),
                        time: time.to_owned(),
                    }),
            );
        }
        let feed = self.feed().await?;
        let own = feed
            .iter()
            .filter(|row| row.vendor != "hikvision" && ours(&row.serial));
        let comparison = Comparison::new(&acked, own.filter_map(FeedRow::punch));
        ensure!(
            comparison.acked > 0,
            "no ledger holds a record: nothing was compared"
        );
        ensure!(
            comparison.rows > 0,
            "event_feed holds no punch: nothing was compared"
        );
        Ok(comparison)
    }
}

/// A ledger held against a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Punches that were acknowledged, each counted once.
    pub acked: usize,
    /// Punches in the feed, each row counted.
    pub rows: usize,
    /// Acknowledged, and not in the feed.
    pub missing: Vec<Punch>,
    /// In the feed more than once.
    pub doubled: Vec<Punch>,
    /// In the feed, and never acknowledged. Right while terminals still hold records; wrong
    /// when they hold none any more, or when they are another tenant's.
    pub unacked: Vec<Punch>,
}

impl Comparison {
    fn new(acked: &BTreeSet<Punch>, rows: impl Iterator<Item = Punch>) -> Self {
        let mut times: BTreeMap<Punch, usize> = BTreeMap::new();
        for punch in rows {
            *times.entry(punch).or_insert(0) += 1;
        }
        let missing = acked.iter().filter(|punch| !times.contains_key(*punch));
        let doubled = times.iter().filter(|(_, count)| **count > 1);
        let unacked = times.keys().filter(|punch| !acked.contains(*punch));
        Self {
            acked: acked.len(),
            rows: times.values().sum(),
            missing: missing.cloned().collect(),
            doubled: doubled.map(|(punch, _)| punch.clone()).collect(),
            unacked: unacked.cloned().collect(),
        }
    }

    /// Succeeds when every acknowledged punch is there once and nothing else is there.
    ///
    /// # Errors
    /// The numbers, and the first few punches of each list that should be empty.
    pub fn exact(&self) -> Result<()> {
        let few = |list: &[Punch]| format!("{:#?}", list.iter().take(SHOWN).collect::<Vec<_>>());
        ensure!(
            self.missing.is_empty() && self.doubled.is_empty() && self.unacked.is_empty(),
            "{} punches acknowledged, {} rows in the feed.\n\
             {} acknowledged and missing: {}\n{} doubled: {}\n{} never acknowledged: {}",
            self.acked,
            self.rows,
            self.missing.len(),
            few(&self.missing),
            self.doubled.len(),
            few(&self.doubled),
            self.unacked.len(),
            few(&self.unacked),
        );
        Ok(())
    }
}

/// A reader that remembers how far it has read and asks only for what comes after that: the
/// way in which every program reads the feed.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    at: i64,
    seen: Vec<FeedRow>,
}

impl Follower {
    /// Reads everything new there is over this connection; returns how many rows that were.
    ///
    /// # Errors
    /// The feed cannot be read, or its rows do not rise.
    pub async fn catch_up(&mut self, checker: &mut Checker) -> Result<usize> {
        let before = self.seen.len();
        loop {
            let page = checker.rows_after(self.at, PAGE).await?;
            if page.is_empty() {
                return Ok(self.seen.len() - before);
            }
            for row in page {
                ensure!(row.seq > self.at, "seq {} after {}", row.seq, self.at);
                self.at = row.seq;
                self.seen.push(row);
            }
        }
    }

    /// The highest `seq` read.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.at
    }

    /// Every row read, in order.
    #[must_use]
    pub fn seen(&self) -> &[FeedRow] {
        &self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn punch(person: &str) -> Punch {
        Punch {
            serial: "S1".to_owned(),
            person: person.to_owned(),
            time: "2026-11-21 09:00:00".to_owned(),
        }
    }

    #[test]
    fn a_missing_a_doubled_and_an_unknown_punch_are_each_found() {
        let acked = BTreeSet::from([punch("1"), punch("2"), punch("3")]);
        let rows = ["1", "2", "2", "4"].map(punch);
        let comparison = Comparison::new(&acked, rows.into_iter());
        assert_eq!((comparison.acked, comparison.rows), (3, 4));
        assert_eq!(comparison.missing, [punch("3")]);
        assert_eq!(comparison.doubled, [punch("2")]);
        assert_eq!(comparison.unacked, [punch("4")]);
        let told = comparison.exact().unwrap_err().to_string();
        assert!(told.contains("1 acknowledged and missing"), "{told}");
    }

    #[test]
    fn equal_sides_are_exact() {
        let acked = BTreeSet::from([punch("1"), punch("01")]);
        let rows = ["01", "1"].map(punch).into_iter();
        Comparison::new(&acked, rows).exact().unwrap();
    }
}
