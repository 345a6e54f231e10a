//! What belongs to a tenant that has gone goes, and nothing else, on both engines.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::collections::{BTreeMap, BTreeSet};

use event::{DeviceId, Millis, TenantId};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};
use store::departure::{self, Departed, Removal};
use store::{AnyEngine, Cell};

mod common;
use common::stores;

fn made(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

async fn names(engine: &mut AnyEngine, mysql: &'static str, sqlite: &'static str) -> Vec<String> {
    let sql = match engine.dialect() {
        store::Dialect::Mysql => mysql,
        store::Dialect::Sqlite => sqlite,
    };
    let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
    rows.iter().map(|row| row.text(0).unwrap()).collect()
}

#[tokio::test]
async fn every_table_there_is_is_searched_for_a_departed_tenant_or_named_as_nobodys() {
    let known: BTreeSet<String> = departure::tables()
        .chain(departure::OTHERS)
        .map(str::to_owned)
        .collect();
    for store in stores().await {
        let mut engine = store.engine().await;
        let there = names(
            &mut engine,
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'",
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        )
        .await;
        let there: BTreeSet<String> = there.into_iter().collect();
        assert_eq!(there, known, "{}", store.name);
        departure::may_delete(&mut engine).await.unwrap();
    }
}

/// A row of any table, made of what its columns want.
async fn fill(engine: &mut AnyEngine, table: &str, device: u8, n: u32, tenant: &str) {
    let columns = match engine.dialect() {
        store::Dialect::Mysql => format!(
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) \
             FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = '{table}'"
        ),
        store::Dialect::Sqlite => format!("SELECT name, type FROM pragma_table_info('{table}')"),
    };
    let columns = engine.fetch(made(columns), &[]).await.unwrap();
    let (mut list, mut values) = (Vec::new(), Vec::new());
    for column in &columns {
        let (name, kind) = (column.text(0).unwrap(), column.text(1).unwrap());
        let kind = kind.to_lowercase();
        let is_time = kind == "datetime"
            || ["_at", "_from", "_to", "_until", "_since"]
                .iter()
                .any(|end| name.ends_with(end));
        let value = match name.as_str() {
            "device_id" => format!("X'{}'", format!("{device:02x}").repeat(16)),
            "ident" | "raw_hash" | "event_uid" | "token_hash" if table != "output_letter" => {
                let size = if name == "event_uid" || name == "token_hash" {
                    32
                } else {
                    16
                };
                format!("X'{}'", format!("{n:08x}").repeat(size / 4))
            }
            "tenant" => format!("'{tenant}'"),
            "state" => "'blocked'".to_owned(),
            _ if is_time => "'2026-05-01 08:00:00.000'".to_owned(),
            _ if kind.contains("int") => (u32::from(device) * 10_000 + n).to_string(),
            _ if kind.contains("blob") || kind.contains("binary") => "X'00'".to_owned(),
            _ => format!("'{}'", u32::from(device) * 10_000 + n),
        };
        let value = match name.as_str() {
            "active" | "canary" | "paused" | "revive" => "1".to_owned(),
            _ => value,
        };
        list.push(format!("`{name}`"));
        values.push(value);
    }
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        list.join(", "),
        values.join(", ")
    );
    engine.execute(made(sql), &[]).await.unwrap();
}

async fn all_rows(engine: &mut AnyEngine) -> BTreeMap<String, Vec<Vec<Cell>>> {
    let mut all = BTreeMap::new();
    for table in departure::tables().chain(["feed_head"]) {
        let mut rows = Vec::new();
        let sql = made(format!("SELECT * FROM {table}"));
        engine
            .each_row(sql, &mut |row| rows.push(row.0))
            .await
            .unwrap();
        rows.sort_by_key(|row| format!("{row:?}"));
        all.insert(table.to_owned(), rows);
    }
    all
}

#[tokio::test]
async fn every_row_of_a_departed_tenant_goes_and_every_row_of_others_stays_as_it_is() {
    for store in stores().await {
        let mut engine = store.engine().await;
        for table in departure::tables() {
            fill(&mut engine, table, 9, 1, "beta").await;
        }
        let others = all_rows(&mut engine).await;
        for table in departure::tables() {
            engine.begin().await.unwrap();
            // Two enrolments, one of which has more than a step takes.
            let long = matches!(
                table,
                "event" | "quarantine" | "command" | "job" | "output_letter"
            );
            for n in 0..if long { 1_010 } else { 1 } {
                fill(&mut engine, table, 1, n, "acme").await;
            }
            if !table.starts_with("output") {
                fill(&mut engine, table, 2, 0, "acme").await;
            }
            engine.commit().await.unwrap();
        }
        let tenant = TenantId::new("acme").unwrap();
        let devices = departure::devices(&mut engine, &tenant).await.unwrap();
        let departed = Departed {
            tenant,
            devices: devices.into_keys().collect(),
            before: Millis::parse("2026-06-01 00:00:00.000").unwrap(),
        };
        assert_eq!(departed.devices, [DeviceId([1; 16]), DeviceId([2; 16])]);
        let before = departure::count(&mut engine, &departed).await.unwrap();
        assert!(before.values().all(|rows| *rows > 0), "{before:?}");
        assert_eq!(before["event"], 1_011);
        // What came later under the same name is somebody else's.
        let early = Departed {
            devices: Vec::new(),
            before: Millis::parse("2026-04-01 00:00:00.000").unwrap(),
            ..departed.clone()
        };
        assert_eq!(
            Removal::default().step(&mut engine, &early).await.unwrap(),
            None
        );

        let (mut removal, mut gone) = (Removal::default(), 0);
        while let Some(rows) = removal.step(&mut engine, &departed).await.unwrap() {
            assert!(rows <= 1_000, "{}: a step of {rows}", store.name);
            gone += rows;
        }
        assert_eq!(gone, before.values().sum::<u64>(), "{}", store.name);
        let mut other = store.engine().await;
        let after = departure::count(&mut other, &departed).await.unwrap();
        assert!(after.values().all(|rows| *rows == 0), "{after:?}");
        assert_eq!(all_rows(&mut other).await, others, "{}", store.name);
    }
}
