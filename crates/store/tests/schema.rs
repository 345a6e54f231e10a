//! The schema on each kind of store: how it gets there, and that readers find exactly what
//! the contract says.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use sqlx::SqlStr;
use store::schema::{self, SchemaState, VERSION};
use store::{AnyEngine, Cell, Dialect, Failure, Remedy, Trouble, Value, feed, registry};

mod common;
use common::{Store, empty_stores, stores};

const FEED: &str = "seq event_uid tenant vendor serial device_name kind person card local_time \
     time_zone occurred_at received_at status_code verify_code vendor_code direction door route \
     timeliness clock attributes raw";
const STATUS: &str = "serial tenant site state last_contact_at last_event_at clock_skew_seconds \
     log_used log_capacity gap_events completeness";

async fn column(engine: &mut AnyEngine, sql: &'static str, values: &[Value<'_>]) -> Vec<String> {
    let rows = engine
        .fetch(SqlStr::from_static(sql), values)
        .await
        .unwrap();
    rows.iter().map(|row| row.text(0).unwrap()).collect()
}

#[tokio::test]
async fn an_empty_database_is_behind_and_a_migrated_one_current() {
    for store in empty_stores().await {
        let mut engine = store.engine().await;
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Behind(0)
        );
        schema::migrate(&mut engine).await.unwrap();
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Current
        );
        let sql = "SELECT MAX(version) FROM _sqlx_migrations";
        let rows = engine.fetch(SqlStr::from_static(sql), &[]).await.unwrap();
        assert_eq!(rows[0].int(0).unwrap(), VERSION, "{}", store.name);
    }
}

#[tokio::test]
async fn migrating_again_changes_neither_name_nor_number() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let before = feed::head(&mut engine).await.unwrap();
        engine.begin().await.unwrap();
        engine.take_numbers(5).await.unwrap();
        engine.commit().await.unwrap();
        schema::migrate(&mut engine).await.unwrap();
        let after = feed::head(&mut store.engine().await).await.unwrap();
        assert_eq!(after.store_id, before.store_id, "{}", store.name);
        assert_eq!(after.next_seq, before.next_seq + 5, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_sessions_migrate_one_database_at_once_and_all_succeed() {
    for _ in 0..3 {
        for store in empty_stores().await {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let target = store.target.clone();
                    tokio::spawn(async move {
                        let mut engine = target.connect().await?;
                        schema::migrate(&mut engine).await?;
                        Ok::<_, Failure>(feed::head(&mut engine).await?.store_id)
                    })
                })
                .collect();
            let mut ids = Vec::new();
            for task in tasks {
                ids.push(
                    task.await
                        .unwrap()
                        .unwrap_or_else(|e| panic!("{}: {e}", store.name)),
                );
            }
            ids.dedup();
            assert_eq!(ids.len(), 1, "{}: {ids:?}", store.name);
        }
    }
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_begun_once_more() {
    for store in stores().await {
        let mut engine = store.engine().await;
        if engine.dialect() == Dialect::Sqlite {
            // SQLite migrates in one transaction: nothing of a cut one stays.
            continue;
        }
        let before = feed::head(&mut engine).await.unwrap();
        for sql in [
            "UPDATE _sqlx_migrations SET success = 0",
            "DROP VIEW device_status",
            "DROP TABLE audit",
        ] {
            engine.execute(SqlStr::from_static(sql), &[]).await.unwrap();
        }
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Behind(0)
        );
        schema::migrate(&mut engine).await.unwrap();
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Current
        );
        assert_eq!(
            columns_of(&store, "device_status").await,
            STATUS,
            "{}",
            store.name
        );
        assert_eq!(
            columns_of(&store, "audit").await.split(' ').count(),
            6,
            "{}",
            store.name
        );
        assert_eq!(
            feed::head(&mut engine).await.unwrap(),
            before,
            "{}",
            store.name
        );
    }
}

#[tokio::test]
async fn a_database_of_the_first_version_is_behind_and_keeps_its_rows_when_it_is_brought_up() {
    for store in stores().await {
        let mut engine = store.engine().await;
        insert_device(&mut engine).await;
        insert_person(&mut engine, 1, "7").await.unwrap();
        let enrolment = "INSERT INTO enrolment (device_id, vendor, serial, active, tenant, state, \
                         canary, created_at) VALUES (?, 'hikvision', 'DS1', 1, 'acme', \
                         'approved', 0, '2026-11-21 10:15:30.123')";
        // All that later versions added.
        let back = [
            enrolment,
            "DROP TABLE access",
            "DROP TABLE command",
            "DROP TABLE schedule",
            "DROP TABLE output_cursor",
            "DROP TABLE output_letter",
            "DELETE FROM _sqlx_migrations WHERE version >= 2",
        ];
        for sql in back {
            let values: &[Value<'_>] = match sql == enrolment {
                true => &[Value::Bytes(&[1; 16])],
                false => &[],
            };
            engine
                .execute(SqlStr::from_static(sql), values)
                .await
                .unwrap();
        }
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Behind(1),
            "{}",
            store.name
        );
        let unasked = registry::all(&mut engine).await.unwrap_err();
        assert_eq!(unasked.trouble(), Trouble::Schema, "{}", store.name);

        let mut engine = store.engine().await;
        let before = feed::head(&mut engine).await.unwrap();
        schema::migrate(&mut engine).await.unwrap();
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Current
        );
        assert_eq!(feed::head(&mut engine).await.unwrap(), before);
        let all = registry::all(&mut engine).await.unwrap();
        assert_eq!(all.len(), 1, "{}", store.name);
        assert_eq!(all[0].access, registry::Access::default());
        let rows = feed::read(&mut engine, &feed::FeedFilter::default())
            .await
            .unwrap();
        assert_eq!(rows.len(), 1, "{}", store.name);
    }
}

async fn columns_of(store: &Store, view: &str) -> String {
    let mut engine = store.engine().await;
    let sql = match engine.dialect() {
        Dialect::Mysql => {
            "SELECT column_name FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position"
        }
        Dialect::Sqlite => "SELECT name FROM pragma_table_info(?) ORDER BY cid",
    };
    column(&mut engine, sql, &[Value::Text(view)])
        .await
        .join(" ")
}

#[tokio::test]
async fn the_views_have_exactly_the_columns_of_the_contract() {
    for store in stores().await {
        assert_eq!(
            columns_of(&store, "event_feed").await,
            FEED,
            "{}",
            store.name
        );
        assert_eq!(
            columns_of(&store, "canary_feed").await,
            FEED,
            "{}",
            store.name
        );
        assert_eq!(
            columns_of(&store, "device_status").await,
            STATUS,
            "{}",
            store.name
        );
    }
}

#[tokio::test]
async fn every_text_is_utf8mb4_bin_whatever_the_server_defaults_to() {
    let mut looked = 0;
    for store in stores().await {
        let mut engine = store.engine().await;
        if engine.dialect() == Dialect::Sqlite {
            continue;
        }
        let sql = "SELECT CONCAT(table_name, '.', column_name, ' ', collation_name) \
                   FROM information_schema.columns WHERE table_schema = DATABASE() \
                   AND collation_name IS NOT NULL AND table_name <> '_sqlx_migrations'";
        let texts = column(&mut engine, sql, &[]).await;
        for text in &texts {
            assert!(text.ends_with(" utf8mb4_bin"), "{}: {text}", store.name);
        }
        assert!(
            texts
                .iter()
                .any(|text| text.starts_with("event_feed.event_uid "))
        );
        looked += texts.len();
    }
    assert!(looked > 100, "only {looked} columns were looked at");
}

async fn insert_person(engine: &mut AnyEngine, seq: i64, person: &str) -> Result<u64, Failure> {
    let sql = "INSERT INTO event (seq, device_id, ident, event_uid, kind, person, time_zone, \
               received_at, route, timeliness, clock, raw) \
               VALUES (?, ?, ?, ?, 'punch', ?, 'UTC', '2026-11-21 10:15:30.123', 'push', 'live', \
               'ok', ?)";
    let mut ident = [0; 16];
    ident[..8].copy_from_slice(&seq.to_be_bytes());
    let values = [
        Value::Int(seq),
        Value::Bytes(&[1; 16]),
        Value::Bytes(&ident),
        Value::Bytes(&[2; 32]),
        Value::Text(person),
        Value::Bytes(b"1\t\xff\0"),
    ];
    engine.execute(SqlStr::from_static(sql), &values).await
}

async fn insert_device(engine: &mut AnyEngine) {
    let sql = "INSERT INTO device (device_id, tenant, vendor, serial, time_zone, canary) \
               VALUES (?, 'acme', 'zkteco', 'A1', 'UTC', 0)";
    engine
        .execute(SqlStr::from_static(sql), &[Value::Bytes(&[1; 16])])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_would_cut_a_value_refuses_it_instead() {
    for store in stores().await {
        let mut engine = store.engine().await;
        if engine.dialect() == Dialect::Sqlite {
            continue;
        }
        let failure = insert_person(&mut engine, 1, &"x".repeat(65))
            .await
            .unwrap_err();
        assert_eq!(
            failure.remedy,
            Remedy::SetRowAside,
            "{}: {failure}",
            store.name
        );
    }
}

#[tokio::test]
async fn texts_bytes_and_numbers_come_back_as_they_went_in() {
    for store in stores().await {
        let mut engine = store.engine().await;
        insert_device(&mut engine).await;
        for (seq, person) in [(1, "Ñandú 😀"), (1 << 41, "0007")] {
            insert_person(&mut engine, seq, person).await.unwrap();
        }
        let rows = feed::read(&mut engine, &feed::FeedFilter::default())
            .await
            .unwrap();
        let got: Vec<_> = rows
            .iter()
            .map(|row| (row.seq, row.person.as_deref()))
            .collect();
        assert_eq!(
            got,
            [(1, Some("Ñandú 😀")), (1 << 41, Some("0007"))],
            "{}",
            store.name
        );
        assert_eq!(rows[0].raw, b"1\t\xff\0");
        assert_eq!(rows[0].received_at.text(), "2026-11-21 10:15:30.123");
        assert_eq!(rows[0].event_uid, "02".repeat(32));
        assert_eq!((&rows[0].occurred_at, &rows[0].card), (&None, &None));
    }
}

/// How the engine goes about a page of the feed: one line a table.
async fn plan(engine: &mut AnyEngine, query: &str) -> Vec<String> {
    let explain = match engine.dialect() {
        Dialect::Mysql => "EXPLAIN",
        Dialect::Sqlite => "EXPLAIN QUERY PLAN",
    };
    let sql = sqlx::AssertSqlSafe(format!("{explain} {query}"));
    let rows = engine
        .fetch(sqlx::SqlSafeStr::into_sql_str(sql), &[])
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.0.iter().map(text).collect())
        .collect()
}

#[tokio::test]
async fn a_reader_of_the_feed_walks_the_primary_key() {
    for store in stores().await {
        let mut engine = store.engine().await;
        insert_device(&mut engine).await;
        engine.begin().await.unwrap();
        for seq in 1..=500 {
            insert_person(&mut engine, seq, "7").await.unwrap();
        }
        engine.commit().await.unwrap();
        for (after, limit) in [(400, 10), (0, 10), (100, 200)] {
            for view in ["event_feed", "canary_feed"] {
                let query =
                    format!("SELECT * FROM {view} WHERE seq > {after} ORDER BY seq LIMIT {limit}");
                let plan = plan(&mut engine, &query).await;
                let whole = plan.join("\n");
                assert_eq!(plan.len(), 2, "{}: {query}\n{whole}", store.name);
                let (event, device) = match engine.dialect() {
                    Dialect::Mysql => ("SIMPLE e range PRIMARY", "SIMPLE d eq_ref PRIMARY"),
                    Dialect::Sqlite => ("SEARCH e USING INTEGER PRIMARY KEY", "SEARCH d USING"),
                };
                assert!(plan[0].contains(event), "{}: {query}\n{whole}", store.name);
                assert!(plan[1].contains(device), "{}: {query}\n{whole}", store.name);
                for sorting in ["filesort", "TEMP B-TREE", "temporary"] {
                    assert!(!whole.contains(sorting), "{}: {query}\n{whole}", store.name);
                }
            }
        }
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL ".to_owned(),
        Cell::Int(number) => format!("{number} "),
        Cell::Data(data) => format!("{} ", String::from_utf8_lossy(data)),
    }
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not-here");
    let target = store::Target::Sqlite(missing.join("events.db"));
    let failure = target.connect().await.err().unwrap();
    assert!(failure.text.contains("not-here"), "{failure}");
    assert!(!missing.exists());
}
