//! Rows into a table of another program, in a database of MySQL or MariaDB.
//!
//! The columns are their owner's: every value travels as text, and the server makes of it what the
//! column is, in strict mode, so that what does not fit is refused and never cut. One column holds
//! each row's name under a unique key of its own; a row whose name stands there already is passed
//! over, so that it may be tried as often as need be, whatever became of an earlier attempt. A row
//! that another key of the table takes for a double is refused and not passed over. What must never
//! happen here: `INSERT IGNORE`, `REPLACE`, an UPDATE or a DELETE; a name that is not quoted.

use std::collections::HashSet;

use crate::transaction::placeholders;
use crate::{AnyEngine, Failure, Value};

/// The table that rows go into.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// Its name.
    pub table: &'a str,
    /// The columns that are written, at least one.
    pub columns: &'a [&'a str],
    /// Which of them holds a row's name.
    pub name: usize,
}

/// What became of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// All of them stand in the table.
    Stored,
    /// The table refuses one of them for what is in it; none, or any, of them stand there.
    Refused(String),
}

impl Form<'_> {
    fn name(&self) -> &str {
        self.columns.get(self.name).copied().unwrap_or_default()
    }
}

/// A name, as statements write it.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Looks whether the column of names has a unique key of its own. Without one, what is tried twice
/// would stand there twice.
///
/// # Errors
/// It has none, there is no such table or column, or the server cannot be asked.
pub async fn check(engine: &mut AnyEngine, form: Form<'_>) -> Result<(), Failure> {
    let sql = "SELECT COUNT(*) FROM information_schema.statistics s \
               WHERE s.table_schema = DATABASE() AND s.table_name = ? AND s.column_name = ? \
               AND s.non_unique = 0 AND s.sub_part IS NULL AND NOT EXISTS \
               (SELECT 1 FROM information_schema.statistics o \
               WHERE o.table_schema = s.table_schema AND o.table_name = s.table_name \
               AND o.index_name = s.index_name AND o.seq_in_index > 1)";
    let values = [Value::Text(form.table), Value::Text(form.name())];
    let rows = engine.fetch(crate::fixed(sql), &values).await?;
    if rows.first().map_or(Ok(0), |row| row.int(0))? > 0 {
        return Ok(());
    }
    let columns: Vec<_> = form.columns.iter().map(|name| quoted(name)).collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE 1 = 0",
        columns.join(", "),
        quoted(form.table)
    );
    engine.fetch(crate::built(sql), &[]).await?;
    Err(Failure::schema(format!(
        "column {} of table {} has no unique key of its own",
        quoted(form.name()),
        quoted(form.table)
    )))
}

/// Puts rows into the table, each with its values in the order of the columns. The value of the
/// column of names is a [`Value::Text`].
///
/// # Errors
/// The server cannot be asked now, or the table is not as `form` says.
pub async fn put(
    engine: &mut AnyEngine,
    form: Form<'_>,
    rows: &[Vec<Value<'_>>],
) -> Result<Put, Failure> {
    let there = names(engine, form, rows).await?;
    let new: Vec<_> = rows
        .iter()
        .filter(|row| name_of(row, form).is_none_or(|name| !there.contains(name)))
        .collect();
    if new.is_empty() {
        return Ok(Put::Stored);
    }
    let columns: Vec<_> = form.columns.iter().map(|name| quoted(name)).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        quoted(form.table),
        columns.join(", "),
        placeholders(new.len(), columns.len())
    );
    let values: Vec<_> = new.iter().flat_map(|row| row.iter().copied()).collect();
    match engine.execute(crate::built(sql), &values).await {
        Ok(_) => Ok(Put::Stored),
        Err(failure) => match refusal(&failure) {
            Some(why) => Ok(Put::Refused(why)),
            None => Err(failure),
        },
    }
}

fn name_of<'a>(row: &[Value<'a>], form: Form<'_>) -> Option<&'a str> {
    match row.get(form.name) {
        Some(Value::Text(name)) => Some(name),
        _ => None,
    }
}

/// The names of these rows that stand in the table.
async fn names(
    engine: &mut AnyEngine,
    form: Form<'_>,
    rows: &[Vec<Value<'_>>],
) -> Result<HashSet<String>, Failure> {
    let names: Vec<_> = rows.iter().filter_map(|row| name_of(row, form)).collect();
    if names.is_empty() {
        return Err(Failure::schema("rows without a name"));
    }
    let name = quoted(form.name());
    let sql = format!(
        "SELECT {name} FROM {} WHERE {name} IN {}",
        quoted(form.table),
        placeholders(1, names.len())
    );
    let values: Vec<_> = names.into_iter().map(Value::Text).collect();
    let rows = engine.fetch(crate::built(sql), &values).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Errors that mean that a table refuses what is in a row, and what each says of it (numbers: MySQL
/// and MariaDB, "Server Error Message Reference").
pub const REFUSALS: &[(&[u16], &str)] = &[
    (&[1062], "another unique key has this value"),
    (&[1216, 1452], "a foreign key leads nowhere"),
    (&[1264, 1690], "out of range"),
    (&[1406], "too long"),
    (&[1048], "NULL is not allowed"),
    (
        &[1265, 1292, 1366, 1367, 1411, 3140],
        "not of the column's type",
    ),
    (&[1526], "no partition for it"),
    (&[3819, 4025], "a CHECK does not hold"),
    (&[1644], "a trigger refuses it"),
    (&[1153], "longer than max_allowed_packet"),
];

/// Why the table refuses what is in a row, in words that repeat none of its values; `None` when
/// something else is wrong.
fn refusal(failure: &Failure) -> Option<String> {
    let number = failure.number?;
    let (_, why) = REFUSALS
        .iter()
        .find(|(numbers, _)| numbers.contains(&number))?;
    // What follows the last of these words is the server's, and names a key or a column.
    let place = [" for key ", " for column "]
        .iter()
        .filter_map(|words| failure.text.rfind(words))
        .max()
        .and_then(|at| failure.text.get(at..))
        .filter(|place| place.len() < 120);
    let place = place.map(|place| place.escape_debug().to_string());
    Some(format!("{number}: {why}{}", place.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: u16, text: &str) -> Failure {
        Failure {
            number: Some(number),
            ..Failure::schema(text)
        }
    }

    #[test]
    fn a_refusal_names_the_key_or_the_column_and_repeats_no_value() {
        let said = |number, text| refusal(&failure(number, text)).unwrap();
        let text = "Duplicate entry '42-2026-11-21 for key 'x' 09:00' for key 'persona_fecha'";
        assert_eq!(
            said(1062, text),
            r"1062: another unique key has this value for key \'persona_fecha\'"
        );
        let text = "Data too long for column 'nombre' at row 1";
        assert_eq!(
            said(1406, text),
            r"1406: too long for column \'nombre\' at row 1"
        );
        let text = "secreto\n";
        assert_eq!(said(1644, text), "1644: a trigger refuses it");
        assert_eq!(refusal(&failure(1146, "no table")), None);
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a`; DROP TABLE b; -- "), "`a``; DROP TABLE b; -- `");
    }
}
