//! What the database server itself can do, measured through its own client program: the ceilings
//! that satellite's figures are held against.
//!
//! The tables are made `LIKE event`, so that rows have the same shape and the same keys. Each
//! ceiling starts with an empty table. The client reads its statements from a pipe; making
//! their text is not in the time, starting the client is (some hundredths of a second).

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use event::{Device, Event, EventUid};
use mariadb::Address;

use crate::parse::number;
use crate::samples;

/// Rows in one statement of the multi-row ceiling: the size of an ordinary upload.
const ROWS_PER_STATEMENT: usize = 100;
/// Client connections of the ceilings that have several.
pub(crate) const CLIENTS: u64 = 8;

/// Columns in the order in which rows are written here.
const COLUMNS: &str = "seq, device_id, ident, event_uid, kind, person, card, local_time, time_zone, \
     occurred_at, received_at, status_code, verify_code, vendor_code, direction, door, route, \
     timeliness, clock, attributes, raw";

/// Rows a second by multi-row INSERT: 100 rows a statement, each statement its own
/// transaction, one connection. It is what everything is held against, so that it is measured
/// three times and the middle one counts.
pub(crate) fn multi_row(address: &Address, database: &str, rows: u64) -> Result<f64> {
    let tuples = tuples(0, rows)?;
    let mut rates = Vec::new();
    for name in ["ceiling_first", "ceiling_second", "ceiling_third"] {
        rates.push(multi_row_once(address, database, name, &tuples)?);
    }
    rates.sort_by(f64::total_cmp);
    rates.get(1).copied().context("three are measured")
}

fn multi_row_once(address: &Address, database: &str, name: &str, tuples: &[String]) -> Result<f64> {
    let table = fresh_table(address, database, name)?;
    let sql = inserts(&table, tuples, ROWS_PER_STATEMENT)?;
    let rows = u64::try_from(tuples.len())?;
    timed(address, &table, rows, || address.sql(&sql).map(drop))
}

/// Rows a second by one `LOAD DATA LOCAL INFILE` with all rows in one transaction.
pub(crate) fn load_data(address: &Address, database: &str, rows: u64) -> Result<f64> {
    let table = fresh_table(address, database, "ceiling_load_data")?;
    let mut file = tempfile::NamedTempFile::new().context("no temporary file")?;
    file.write_all(tab_separated(rows)?.as_bytes())?;
    let sql = format!(
        "LOAD DATA LOCAL INFILE '{}' INTO TABLE {table} (seq, @d, @i, @u, kind, person, local_time, \
         time_zone, occurred_at, received_at, status_code, verify_code, route, timeliness, clock, @r) \
         SET device_id = UNHEX(@d), ident = UNHEX(@i), event_uid = UNHEX(@u), raw = UNHEX(@r);",
        file.path().display()
    );
    timed(address, &table, rows, || address.sql(&sql).map(drop))
}

/// Rows a second by single-row INSERT, each its own transaction, over [`CLIENTS`] connections.
pub(crate) fn single_row(address: &Address, database: &str, rows_each: u64) -> Result<f64> {
    over_connections(address, database, rows_each, 1)
}

/// Rows a second by multi-row INSERT, 100 rows a statement, each its own transaction, over
/// [`CLIENTS`] connections.
pub(crate) fn multi_row_connections(
    address: &Address,
    database: &str,
    rows_each: u64,
) -> Result<f64> {
    over_connections(address, database, rows_each, ROWS_PER_STATEMENT)
}

fn over_connections(
    address: &Address,
    database: &str,
    rows_each: u64,
    rows_per_statement: usize,
) -> Result<f64> {
    let name = format!("ceiling_connections_{rows_per_statement}");
    let table = fresh_table(address, database, &name)?;
    let mut scripts = Vec::new();
    for client in 0..CLIENTS {
        let tuples = tuples(client * rows_each, rows_each)?;
        scripts.push(inserts(&table, &tuples, rows_per_statement)?);
    }
    timed(address, &table, CLIENTS * rows_each, || {
        std::thread::scope(|scope| {
            let clients: Vec<_> = scripts
                .iter()
                .map(|sql| scope.spawn(|| address.sql(sql).map(drop)))
                .collect();
            clients.into_iter().try_for_each(|client| {
                let ended = client.join();
                ended.map_err(|_| anyhow::anyhow!("a client's thread has panicked"))?
            })
        })
    })
}

/// The statements that insert these rows, so many each.
fn inserts(table: &str, tuples: &[String], rows_per_statement: usize) -> Result<String> {
    let mut sql = String::new();
    for chunk in tuples.chunks(rows_per_statement) {
        writeln!(
            sql,
            "INSERT INTO {table} ({COLUMNS}) VALUES {};",
            chunk.join(",")
        )?;
    }
    Ok(sql)
}

fn fresh_table(address: &Address, database: &str, name: &str) -> Result<String> {
    let table = format!("`{database}`.`{name}`");
    address.sql(&format!("CREATE TABLE {table} LIKE `{database}`.event;"))?;
    Ok(table)
}

/// Times the work and looks whether the rows are there.
fn timed(
    address: &Address,
    table: &str,
    rows: u64,
    work: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    let begin = Instant::now();
    work()?;
    let seconds = begin.elapsed().as_secs_f64();
    let found: u64 = address
        .sql(&format!("SELECT COUNT(*) FROM {table};"))?
        .trim()
        .parse()?;
    ensure!(
        found == rows,
        "{table} holds {found} rows instead of {rows}"
    );
    Ok(number(rows) / seconds)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into memory cannot fail.
            write!(text, "{byte:02x}").ok();
            text
        })
}

/// The values of an event that are not NULL, in the order of the TSV, bytes as hexadecimal.
fn values(seq: u64, device: &Device, event: &Event) -> Result<[String; 16]> {
    let text = |value: &Option<event::Text>| {
        value
            .as_ref()
            .map(ToString::to_string)
            .context("a sample lacks a value")
    };
    let occurred = event.occurred_at.context("a sample has no time")?;
    Ok([
        seq.to_string(),
        hex(&device.id.0),
        hex(&event.ident.0),
        hex(&EventUid::of(device.id, event.ident).0),
        event.kind.to_string(),
        text(&event.person)?,
        text(&event.local_time)?,
        device.zone.name().to_owned(),
        occurred.text(),
        event.received_at.text(),
        text(&event.status_code)?,
        text(&event.verify_code)?,
        event.route.to_string(),
        event.timeliness.to_string(),
        event.clock.to_string(),
        hex(&event.raw),
    ])
}

/// Rows as the parenthesised lists of an INSERT.
fn tuples(first: u64, count: u64) -> Result<Vec<String>> {
    let device = samples::device(0)?;
    let events = samples::events(first, count)?;
    let tuple = |(seq, event): (u64, &Event)| {
        let [
            seq,
            id,
            ident,
            uid,
            kind,
            person,
            local,
            zone,
            occurred,
            received,
            status,
            verify,
            route,
            timeliness,
            clock,
            raw,
        ] = values(seq, &device, event)?;
        Ok(format!(
            "({seq},x'{id}',x'{ident}',x'{uid}','{kind}','{person}',NULL,'{local}','{zone}',\
             '{occurred}','{received}','{status}','{verify}',NULL,NULL,NULL,'{route}',\
             '{timeliness}','{clock}',NULL,x'{raw}')"
        ))
    };
    (first + 1..).zip(&events).map(tuple).collect()
}

/// Rows as the lines of a file for LOAD DATA.
fn tab_separated(count: u64) -> Result<String> {
    let device = samples::device(0)?;
    let events = samples::events(0, count)?;
    let mut text = String::new();
    for (seq, event) in (1..).zip(&events) {
        text.push_str(&values(seq, &device, event)?.join("\t"));
        text.push('\n');
    }
    Ok(text)
}
