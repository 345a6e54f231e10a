//! What a database holds, as a count and a content hash for each table and day.
//!
//! Two databases hold the same exactly when these agree, whatever engine, version or order of
//! rows: a row is its values in the order of its columns, numbers in decimal, everything else as
//! its bytes; rows are added up, so that their order does not matter and a doubled row shows.
//! A day is named by the first ten characters of when the row came, so that a difference says
//! where to look. Copies are proven by it. Nothing here writes, except a copy of a SQLite file
//! somewhere else, and [`clear`], which makes room for a copy that is restored.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::Dialect;
use crate::{AnyEngine, Cell, Failure, Row, Value};

/// Columns that say when a row came, the first that a table has.
const WHEN: [&str; 5] = [
    "received_at",
    "happened_at",
    "first_at",
    "created_at",
    "found_at",
];
/// Characters of a time that are its day.
const DAY: usize = 10;
/// What readers of the databases are promised.
const VIEWS: [&str; 3] = ["event_feed", "canary_feed", "device_status"];

/// Where the day of a row stands among its columns; `None` for tables without one.
pub fn day_column<S: AsRef<str>>(columns: &[S]) -> Option<usize> {
    let place = |name: &&str| columns.iter().position(|column| column.as_ref() == *name);
    WHEN.iter().find_map(place)
}

/// The rows of one table and day: how many, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// The first 16 bytes of each row's BLAKE3, added up; in text 32 hexadecimal digits.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub hash: u128,
}

fn to_hex<S: Serializer>(hash: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{hash:032x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
    let text = String::deserialize(from)?;
    u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
}

/// One row while its values are collected.
#[derive(Debug, Default)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// Adds the next value; `None` is NULL.
    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.0.push(0),
            Some(bytes) => {
                self.0.push(1);
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.0.extend_from_slice(&length.to_le_bytes());
                self.0.extend_from_slice(bytes);
            }
        }
    }

    /// Forgets the values, to begin the next row.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn hash(&self) -> u128 {
        let hash = blake3::hash(&self.0);
        let first = hash.as_bytes().first_chunk::<16>();
        first.map_or(0, |bytes| u128::from_le_bytes(*bytes))
    }
}

/// Sums for each table and day. Tables without rows stand there without days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contents(BTreeMap<String, BTreeMap<String, Sum>>);

impl Contents {
    /// Notes that there is such a table.
    pub fn table(&mut self, name: &str) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), BTreeMap::new());
        }
    }

    /// Adds a row; `when` is the value of its [`day_column`].
    pub fn add(&mut self, table: &str, when: Option<&[u8]>, row: &RowBytes) {
        self.table(table);
        let when = when.unwrap_or_default();
        let day = String::from_utf8_lossy(when.get(..DAY).unwrap_or(when));
        let Some(days) = self.0.get_mut(table) else {
            return;
        };
        if !days.contains_key(&*day) {
            days.insert(day.to_string(), Sum::default());
        }
        if let Some(sum) = days.get_mut(&*day) {
            sum.rows += 1;
            sum.hash = sum.hash.wrapping_add(row.hash());
        }
    }

    /// All rows.
    pub fn rows(&self) -> u64 {
        self.0
            .values()
            .flat_map(BTreeMap::values)
            .map(|sum| sum.rows)
            .sum()
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.0.len()
    }

    /// Rows of one table.
    pub fn rows_of(&self, table: &str) -> u64 {
        let days = self.0.get(table);
        days.map_or(0, |days| days.values().map(|sum| sum.rows).sum())
    }

    /// Where two differ: `table day` with the rows of each; empty when they hold the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let none = BTreeMap::new();
        let tables = self.0.keys().chain(other.0.keys());
        for table in tables.collect::<std::collections::BTreeSet<_>>() {
            let (one, two) = (self.0.get(table), other.0.get(table));
            if one.is_none() || two.is_none() {
                found.push(format!("{table}: only on one side"));
            }
            let (one, two) = (one.unwrap_or(&none), two.unwrap_or(&none));
            let days = one.keys().chain(two.keys());
            for day in days.collect::<std::collections::BTreeSet<_>>() {
                let sum = |side: &BTreeMap<String, Sum>| side.get(day).copied().unwrap_or_default();
                let (here, there) = (sum(one), sum(two));
                if here != there {
                    found.push(format!("{table} {day}: {} / {}", here.rows, there.rows));
                }
            }
        }
        found
    }
}

/// Reads every row of every table, one at a time.
///
/// # Errors
/// The database cannot be read.
pub async fn read(engine: &mut AnyEngine) -> Result<Contents, Failure> {
    let tables = match engine.dialect() {
        Dialect::Mysql => {
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
        }
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        }
    };
    let tables = engine.fetch(crate::fixed(tables), &[]).await?;
    let mut contents = Contents::default();
    for table in &tables {
        read_table(engine, &table.text(0)?, &mut contents).await?;
    }
    Ok(contents)
}

async fn read_table(
    engine: &mut AnyEngine,
    table: &str,
    contents: &mut Contents,
) -> Result<(), Failure> {
    let columns = match engine.dialect() {
        Dialect::Mysql => {
            "SELECT column_name FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
        }
        Dialect::Sqlite => "SELECT name FROM pragma_table_info(?) ORDER BY cid",
    };
    let columns = engine
        .fetch(crate::fixed(columns), &[Value::Text(table)])
        .await?;
    let columns: Result<Vec<String>, Failure> = columns.iter().map(|row| row.text(0)).collect();
    let day = day_column(&columns?);
    contents.table(table);
    let mut bytes = RowBytes::default();
    let name = table.replace('`', "``");
    engine
        .each_row(
            crate::built(format!("SELECT * FROM `{name}`")),
            &mut |row| {
                bytes.clear();
                row.0.iter().for_each(|cell| bytes.push(said(cell)));
                let when = day.and_then(|at| row.0.get(at)).and_then(said);
                contents.add(table, when, &bytes);
            },
        )
        .await
}

/// The bytes of a cell that [`crate::Engine::each_row`] brought.
fn said(cell: &Cell) -> Option<&[u8]> {
    match cell {
        Cell::Data(data) => Some(data),
        Cell::Null | Cell::Int(_) => None,
    }
}

/// How many rows each view of the outside contract has, by its name.
///
/// # Errors
/// A view is not there or cannot be read.
pub async fn views(engine: &mut AnyEngine) -> Result<Vec<(&'static str, u64)>, Failure> {
    let mut counts = Vec::new();
    for view in VIEWS {
        let mut rows = 0;
        let sql = crate::built(format!("SELECT * FROM {view}"));
        engine.each_row(sql, &mut |_: Row| rows += 1).await?;
        counts.push((view, rows));
    }
    Ok(counts)
}

/// Writes a SQLite database as it stands at this moment into a new file, while others write.
///
/// # Errors
/// It is no SQLite database, it cannot be read, or the file cannot be written.
pub async fn copy_sqlite(engine: &mut AnyEngine, to: &Path) -> Result<(), Failure> {
    let to = to
        .to_str()
        .ok_or_else(|| Failure::schema("the path of a copy is no text"))?;
    let sql = crate::fixed("VACUUM INTO ?");
    engine.execute(sql, &[Value::Text(to)]).await.map(drop)
}

/// Drops every view and table of a database on a server, for a copy that takes their place.
///
/// # Errors
/// The account may not, or the server does not answer.
pub async fn clear(engine: &mut AnyEngine) -> Result<(), Failure> {
    let sql = "SELECT table_name, table_type FROM information_schema.tables \
               WHERE table_schema = DATABASE()";
    let found = engine.fetch(crate::fixed(sql), &[]).await?;
    engine
        .execute(crate::fixed("SET SESSION foreign_key_checks = 0"), &[])
        .await?;
    for row in &found {
        let name = row.text(0)?.replace('`', "``");
        let sort = match row.text(1)?.as_str() {
            "VIEW" => "VIEW",
            _ => "TABLE",
        };
        let sql = crate::built(format!("DROP {sort} IF EXISTS `{name}`"));
        engine.execute(sql, &[]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&[u8]>]) -> RowBytes {
        let mut row = RowBytes::default();
        values.iter().for_each(|value| row.push(*value));
        row
    }

    #[test]
    fn rows_in_any_order_are_the_same_and_a_doubled_or_changed_one_is_named_by_its_day() {
        let rows = [
            row(&[Some(b"1"), None]),
            row(&[Some(b"2"), Some(b"")]),
            row(&[Some(b"3"), Some(b"x")]),
        ];
        let made = |order: &[usize]| {
            let mut contents = Contents::default();
            contents.table("empty");
            for at in order {
                contents.add("event", Some(b"2026-11-26 09:00:00.000"), &rows[*at]);
            }
            contents
        };
        assert_eq!(made(&[0, 1, 2]), made(&[2, 0, 1]));
        let doubled = made(&[0, 1, 1]).differences(&made(&[0, 1, 2]));
        assert_eq!(doubled, ["event 2026-11-26: 3 / 3"]);
        let missing = made(&[0, 1]).differences(&Contents::default());
        assert_eq!(
            missing,
            [
                "empty: only on one side",
                "event: only on one side",
                "event 2026-11-26: 2 / 0"
            ]
        );
    }

    #[test]
    fn values_cannot_run_into_each_other() {
        assert_ne!(
            row(&[Some(b"ab"), Some(b"c")]).hash(),
            row(&[Some(b"a"), Some(b"bc")]).hash()
        );
        assert_ne!(row(&[None]).hash(), row(&[Some(b"")]).hash());
    }

    #[test]
    fn sums_survive_their_text() {
        let mut contents = Contents::default();
        contents.add("event", None, &row(&[Some(b"1")]));
        let text = serde_json::to_string(&contents).unwrap();
        assert_eq!(serde_json::from_str::<Contents>(&text).unwrap(), contents);
    }
}
