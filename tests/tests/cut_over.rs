//! Promises about the way from the program that ran before: its receiver misses nothing while both
//! run, its table is filled as it always was, and terminals go over and back with nothing lost.
//!
//! Judged by the terminals' ledger, the old receiver's own file and the old application's table, each
//! over a way of its own, against the feed. About 40 s, mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{
    Checker, OldReceiver, Place, Punch, Random, Running, SatelliteProcess, Setup, Switchboard,
    attlog, blocking, seed,
};
use serde_json::Value;
use terminals::{Faults, Ledger, Scenario};

const LIMIT: Duration = Duration::from_secs(60);

/// Terminals whose punches are all different, with connections that break as they do.
fn scenario(seed: u64, prefix: &str, count: u32, rate: f64) -> Scenario {
    Scenario {
        seed,
        count,
        serial_prefix: prefix.to_owned(),
        rate,
        poll_s: Some(1),
        error_delay_ms: Some(100),
        timeout_s: 20,
        ramp_ms: 200,
        faults: Faults {
            replay: 0.05,
            ack_lost: 0.05,
            half_body: 0.05,
            ..Faults::default()
        },
        ..Scenario::default()
    }
}

/// Every punch that a terminal was told is kept.
fn acknowledged(ledger: &Path) -> Result<BTreeSet<Punch>> {
    let records = Ledger::read(ledger)?;
    let punches = records.into_iter().map(|record| Punch {
        serial: record.serial,
        person: record.pin,
        time: record.time,
    });
    Ok(punches.collect())
}

/// The punches in the feed, each once or this fails.
async fn fed(place: &Place) -> Result<BTreeSet<Punch>> {
    let mut checker = Checker::open(place).await?;
    let rows = checker.feed().await?;
    let punches: Vec<Punch> = rows.iter().filter_map(promises::FeedRow::punch).collect();
    let (all, each) = (punches.len(), punches.into_iter().collect::<BTreeSet<_>>());
    ensure!(all == each.len(), "{} doubles", all - each.len());
    Ok(each)
}

/// What `/status` says of an output.
async fn status(satellite: &SatelliteProcess, name: &str) -> Result<Value> {
    let status: Value = serde_json::from_str(&satellite.admin("/status").await?.body)?;
    let outputs = status["outputs"].as_array().context("no outputs")?;
    let one = outputs.iter().find(|it| it["name"] == name);
    one.cloned().with_context(|| format!("{outputs:?}"))
}

async fn until_state(satellite: &SatelliteProcess, name: &str, state: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let now = status(satellite, name).await?;
        if now["state"] == state {
            return Ok(now);
        }
        ensure!(begun.elapsed() < LIMIT, "not {state}: {now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_terminals_move_one_by_one_and_ten_move_back_with_nothing_lost_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let old = OldReceiver::start(folder.path(), "direct", false).unwrap();
    let mut behind = OldReceiver::start(folder.path(), "behind", true).unwrap();
    let board = Switchboard::start(old.address()).await.unwrap();
    let place = Place::sqlite(folder.path());
    let seed = seed();
    let mut random = Random::new(seed);
    let scenario = scenario(seed, "CUT", 50, 120.0);
    let serials = scenario.serials();
    let mut setup = Setup::new(place.clone()).enrol(serials.clone());
    setup.of_tenants = format!(
        "forward_to = \"http://{}\"\nforward_allow_internal = true\n",
        behind.address()
    );
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    until_state(&satellite, "forward-acme", "fine")
        .await
        .unwrap();
    let fleet = Running::start(scenario, board.address(), folder.path(), "ledger").unwrap();
    fleet.acked_more(200, LIMIT).await.unwrap();

    for (at, serial) in serials.iter().enumerate() {
        board.point(serial, satellite.devices());
        tokio::time::sleep(random.millis(20, 160)).await;
        match at {
            // The old receiver is switched off for a while, and satellite is killed meanwhile.
            15 => behind.down(),
            20 => {
                until_state(&satellite, "forward-acme", "failing")
                    .await
                    .unwrap();
                satellite.kill9().await.unwrap();
                satellite.run().await.unwrap();
            }
            30 => behind.up().unwrap(),
            40 => {
                satellite.kill9().await.unwrap();
                satellite.run().await.unwrap();
            }
            _ => {}
        }
    }
    fleet.acked_more(200, LIMIT).await.unwrap();
    for serial in serials.iter().take(10) {
        board.point(serial, old.address());
        tokio::time::sleep(random.millis(20, 160)).await;
    }
    fleet.acked_more(300, LIMIT).await.unwrap();
    let (summary, ledger) = fleet.finish(LIMIT).await.unwrap();

    let acknowledged = acknowledged(&ledger).unwrap();
    let here = fed(&place).await.unwrap();
    let begun = Instant::now();
    while !here.is_subset(&behind.punches().unwrap()) {
        assert!(
            begun.elapsed() < LIMIT,
            "the old receiver does not get everything"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (direct, forwarded) = (old.punches().unwrap(), behind.punches().unwrap());
    let theirs: BTreeSet<_> = direct.union(&forwarded).cloned().collect();
    println!(
        "{} acknowledged: {} by satellite, {} by the old receiver, {} forwarded; {:?}",
        acknowledged.len(),
        here.len(),
        direct.len(),
        forwarded.len(),
        behind.signs(),
    );
    assert!(acknowledged.len() as u64 <= summary.acked);
    assert!(
        acknowledged.is_subset(&theirs),
        "the old program misses punches"
    );
    let both: BTreeSet<_> = direct.union(&here).cloned().collect();
    assert!(acknowledged.is_subset(&both), "punches are lost");
    assert!(
        here.len() > 400 && direct.len() > 400,
        "hardly anything moved"
    );
    // Terminals are seen over there as well, and what it hands out reaches none of them.
    let signs = behind.signs();
    assert!(signs.polls > 0, "{signs:?}");
    assert_eq!(
        signs.results, 0,
        "a command of the old receiver came through"
    );
    until_state(&satellite, "forward-acme", "fine")
        .await
        .unwrap();
}

const SCHEMA: &str = "CREATE TABLE portal.empleado (numero VARCHAR(10) PRIMARY KEY) ENGINE=InnoDB; \
    CREATE TABLE portal.checada (id INT AUTO_INCREMENT PRIMARY KEY, \
    uid CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE, \
    empleado VARCHAR(10) NOT NULL, fecha DATETIME NOT NULL, dia VARCHAR(10) NOT NULL, \
    tipo INT NOT NULL, metodo INT NOT NULL, reloj VARCHAR(8) NOT NULL, origen VARCHAR(20) NOT NULL, \
    CHECK (metodo < 9), UNIQUE KEY una_vez (empleado, fecha)) ENGINE=InnoDB DEFAULT CHARSET=latin1; \
    CREATE USER escritor@'127.0.0.1' IDENTIFIED BY 'de-la-tabla'; \
    CREATE USER escritor@localhost IDENTIFIED BY 'de-la-tabla'; \
    GRANT SELECT, INSERT ON portal.checada TO escritor@'127.0.0.1'; \
    GRANT SELECT, INSERT ON portal.checada TO escritor@localhost;";

/// The output as a customer writes it.
fn table(server: &Server, folder: &Path) -> String {
    let file = folder.join("portal");
    let mut options = std::fs::OpenOptions::new();
    let made = options.create(true).write(true).truncate(true).mode(0o640);
    let mut out = made.open(&file).unwrap();
    std::io::Write::write_all(&mut out, b"de-la-tabla\n").unwrap();
    format!(
        r#"[[output]]
name = "portal"
tenant = "acme"
kind = "table"
url = "mysql://escritor@127.0.0.1:{port}/portal"
password_file = "{password}"
table = "checada"
kinds = ["punch"]
batch = 50
[output.columns]
uid = "event_uid"
empleado = "person"
fecha = {{ time = "occurred_at" }}
dia = {{ time = "local_time", format = "%d/%m/%Y" }}
tipo = {{ of = "status_code", codes = {{ "0" = 1, "1" = 2 }}, otherwise = 0 }}
metodo = {{ of = "verify_code", codes = {{ "1" = 1, "15" = 2, "99" = 99 }} }}
reloj = "serial"
origen = {{ value = "satélite" }}

"#,
        port = server.port(),
        password = file.display(),
    )
}

async fn asked(server: &Arc<Server>, query: &str) -> Result<String> {
    let (server, query) = (Arc::clone(server), query.to_owned());
    blocking(move || server.sql(&query)).await
}

/// Waits until the application has so many rows.
async fn has(server: &Arc<Server>, rows: usize) -> Result<()> {
    let begun = Instant::now();
    loop {
        let count = asked(server, "SELECT COUNT(*) FROM portal.checada").await?;
        if count.trim() == rows.to_string() {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "{} of {rows} rows", count.trim());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_applications_table_gets_each_punch_once_through_kills_of_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let made = Arc::clone(&server);
    blocking(move || {
        made.create_database("portal")?;
        made.sql(SCHEMA)
    })
    .await
    .unwrap();
    let place = Place::sqlite(folder.path());
    let seed = seed();
    let scenario = Scenario {
        serial_prefix: "T".to_owned(),
        ..scenario(seed, "T", 4, 1_500.0)
    };
    let mut setup = Setup::new(place.clone()).enrol(scenario.serials());
    // Every verify mode that the simulator has, and the application has too few letters for none.
    setup.more = table(&server, folder.path())
        .replace("\"99\" = 99 } }", "\"99\" = 99 }, otherwise = 3 }")
        .replace("\"serial\"", "{ value = \"reloj\" }");
    asked(&server, "ALTER TABLE portal.checada DROP KEY una_vez")
        .await
        .unwrap();
    let mut satellite = SatelliteProcess::start(&setup).await.unwrap();
    let fleet = Running::start(scenario, satellite.devices(), folder.path(), "ledger").unwrap();
    fleet.acked_more(100, LIMIT).await.unwrap();
    for round in 0..3 {
        let victim = Arc::clone(&server);
        blocking(move || victim.kill9()).await.unwrap();
        fleet.acked_more(100, LIMIT).await.unwrap();
        until_state(&satellite, "portal", "failing").await.unwrap();
        if round == 1 {
            satellite.kill9().await.unwrap();
            satellite.run().await.unwrap();
        }
        let victim = Arc::clone(&server);
        blocking(move || victim.restart()).await.unwrap();
        fleet.acked_more(50, LIMIT).await.unwrap();
        satellite.kill9().await.unwrap();
        satellite.run().await.unwrap();
    }
    let (_, ledger) = fleet.finish(LIMIT).await.unwrap();
    let punches = acknowledged(&ledger).unwrap();
    has(&server, punches.len()).await.unwrap();

    // Row by row: who and when, over another connection.
    let query =
        "SELECT uid, empleado, fecha + INTERVAL 0 SECOND, dia FROM portal.checada ORDER BY uid";
    let rows = asked(&server, query).await.unwrap();
    let fed = Checker::open(&place)
        .await
        .unwrap()
        .texts(
            "",
            "SELECT event_uid || char(9) || person || char(9) || local_time || char(9) || \
             substr(local_time, 9, 2) || '/' || substr(local_time, 6, 2) || '/' || \
             substr(local_time, 1, 4) FROM event_feed WHERE kind = 'punch' ORDER BY event_uid",
        )
        .await
        .unwrap();
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows, fed);
    println!("{} punches in the application's table", rows.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_table_refuses_is_a_dead_letter_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let made = Arc::clone(&server);
    blocking(move || {
        made.create_database("portal")?;
        made.sql(SCHEMA)
    })
    .await
    .unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["R1", "R2", "RELOJ-LARGO"]);
    setup.more = table(&server, folder.path());
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    until_state(&satellite, "portal", "fine").await.unwrap();
    let post = async |serial: &str, lines: &str, count| {
        let reply = satellite
            .send(&attlog(serial, "1", lines.as_bytes()))
            .await
            .unwrap();
        assert!(reply.accepts(count), "{reply:?}");
    };
    let lines: String = (1..=60)
        .map(|person| {
            let verify = match person {
                // No code for it; a code that the CHECK refuses.
                20 => 7,
                30 => 99,
                _ => 15,
            };
            format!(
                "{person}\t2026-11-21 09:00:{:02}\t{}\t{verify}\n",
                person % 60,
                person % 2
            )
        })
        .collect();
    post("R1", &lines, 60).await;
    has(&server, 58).await.unwrap();
    // The same person at the same second at another terminal: the application's own key refuses it.
    post(
        "R2",
        "5\t2026-11-21 09:00:05\t0\t1\n6\t2026-11-21 10:00:05\t0\t1\n",
        2,
    )
    .await;
    // A name that the column is too short for, and two people that it takes.
    post("RELOJ-LARGO", "7\t2026-11-21 10:00:06\t0\t1\n", 1).await;
    post(
        "R1",
        "12345678901\t2026-11-21 11:00:00\t0\t1\n8\t2026-11-21 11:00:01\t1\t1\n",
        2,
    )
    .await;
    has(&server, 60).await.unwrap();
    until_state(&satellite, "portal", "fine").await.unwrap();

    let query = "SELECT empleado, fecha, dia, tipo, metodo, reloj, CONVERT(origen USING utf8mb4) \
                 FROM portal.checada WHERE empleado IN ('1', '2') ORDER BY fecha";
    let rows = asked(&server, query).await.unwrap();
    assert_eq!(
        rows.lines().collect::<Vec<_>>(),
        [
            "1\t2026-11-21 09:00:01\t21/11/2026\t2\t2\tR1\tsatélite",
            "2\t2026-11-21 09:00:02\t21/11/2026\t1\t2\tR1\tsatélite"
        ]
    );
    let listed = satellite
        .command(["outputs", "list", "--json"])
        .await
        .unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["dead_letters"], 5, "{listed}");
    let reasons = "SELECT reason FROM output_letter ORDER BY reason";
    let mut checker = Checker::open(&place).await.unwrap();
    let reasons = checker.texts(reasons, reasons).await.unwrap().join("\n");
    for words in ["1062", "una_vez", "4025", "1406", "column metodo"] {
        assert!(reasons.contains(words), "{words}: {reasons}");
    }
    assert!(!reasons.contains("12345678901"), "{reasons}");

    // The application was mended: what it refused goes once more, and what it has stays as it is.
    asked(
        &server,
        "ALTER TABLE portal.checada DROP KEY una_vez, MODIFY empleado VARCHAR(30) NOT NULL, \
         MODIFY reloj VARCHAR(30) NOT NULL",
    )
    .await
    .unwrap();
    satellite
        .command(["outputs", "replay", "portal", "--dead"])
        .await
        .unwrap();
    has(&server, 63).await.unwrap();
    satellite
        .command(["outputs", "replay", "portal", "--since", "2h"])
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    has(&server, 63).await.unwrap();

    // Without its unique key nothing is written: it would stand there twice.
    asked(&server, "ALTER TABLE portal.checada DROP KEY uid")
        .await
        .unwrap();
    let checked = satellite
        .order(&["check", "--connect"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        said.contains("uid") && checked.status.code() == Some(1),
        "{said}"
    );
}
