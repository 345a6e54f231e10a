//! Promise: what a ZKTeco terminal on port 4370 holds is in the feed once, whatever its firmware
//! looks like and whatever happens on the way: lost datagrams, broken connections, a killed
//! satellite, a database that is away, a database that came back older than it was. Nothing in a
//! terminal is ever disabled or cleared.
//!
//! Ten simulated terminals, each unkind in another way, are dialled over real sockets. Their
//! ledger, which has each record before it can be read, is held against `event_feed`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use mariadb::{Flavor, Server};
use promises::pull::{House, holds};
use promises::{Checker, Place, Setup, attlog, blocking, sum_of};
use terminals::pull::{Events, PullOptions, RecordSize, SecondClient, SessionField};

const MINUTE: Duration = Duration::from_secs(60);

/// Ten terminals: what each does beyond the plain one.
fn unkind(at: u32) -> PullOptions {
    let mut terminal = PullOptions {
        serial: format!("PULT{at:07}"),
        seed: u64::from(at) + 1,
        history: 90,
        ..PullOptions::default()
    };
    let t = &mut terminal;
    match at {
        0 => t.history = 4_000,
        1 => {
            (t.record, t.events) = (RecordSize::FortyNine, Events::Bytes(52));
            (t.zero_counts, t.sizes_bytes, t.split) = (true, 112, true);
        }
        2 => {
            (t.record, t.events) = (RecordSize::Sixteen, Events::Bytes(12));
            (t.empty_first, t.sizes_bytes) = (true, 92);
        }
        3 => {
            (t.record, t.events) = (RecordSize::Eight, Events::Bytes(10));
            t.small_users = true;
        }
        4 => {
            (t.record, t.events) = (RecordSize::EightFlags, Events::Bytes(14));
            t.stray_every = 3;
        }
        5 => {
            (t.tcp, t.events, t.history) = (false, Events::Bytes(52), 900);
            (t.loss, t.swap) = (0.05, 0.05);
        }
        6 => {
            (t.silent_tcp, t.record, t.events) = (true, RecordSize::Sixteen, Events::Bytes(36));
            t.session_field = SessionField::Session;
        }
        7 => {
            (t.comm_key, t.strip_zeros, t.strict_sums) = (123_456, true, true);
            t.events = Events::Bytes(37);
        }
        8 => {
            (t.direct_only, t.prepare_ms) = (true, 50);
            t.session_field = SessionField::Nought;
        }
        _ => {
            (t.events, t.lingers_ms, t.tcp_piece) = (Events::Refused, 1_500, 512);
            t.second = SecondClient::Closed;
            t.history = 1_000;
        }
    }
    terminal
}

fn ten() -> Vec<PullOptions> {
    (0..10).map(unkind).collect()
}

fn plain(serial: &str) -> PullOptions {
    PullOptions {
        serial: serial.to_owned(),
        history: 30,
        ..PullOptions::default()
    }
}

/// Connections break, satellite is killed; afterwards everything is there once.
async fn through_everything(house: &mut House, place: &Place) -> Result<()> {
    house.people(5).await?;
    house.equal(place, 2 * MINUTE).await?;
    for terminal in &house.terminals {
        terminal.cut();
    }
    house.people(3).await?;
    house.satellite.kill9().await?;
    house.people(4).await?;
    house.satellite.run().await?;
    house.people(3).await?;
    house.equal(place, 2 * MINUTE).await?;
    house.people(1).await?;
    let compared = house.equal(place, 2 * MINUTE).await?;
    println!(
        "{} punches of {} terminals",
        compared.acked,
        house.terminals.len()
    );
    for terminal in &house.terminals {
        let did = terminal.counters();
        ensure!(
            (did.disables, did.destroyed, did.clock_sets, did.bad_sums) == (0, 0, 0, 0),
            "{}: {did:?}",
            terminal.serial()
        );
        ensure!(did.logs >= 3, "{}: {did:?}", terminal.serial());
    }
    let events: u64 = house.terminals.iter().map(|t| t.counters().acks).sum();
    ensure!(events > 0, "no event was sent: that way was not tried");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_terminals_end_with_ledger_equal_to_feed_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut house = House::open(&Setup::new(place.clone()), ten())
        .await
        .unwrap();
    through_everything(&mut house, &place).await.unwrap();
    let proven = house.shown("PULT0000000").await.unwrap();
    assert_eq!(
        proven["pull"]["live"]["completeness"], "proven",
        "{proven:#}"
    );
    // This one tells no counts: nothing may be called proven.
    let unproven = house.shown("PULT0000001").await.unwrap();
    assert_eq!(
        unproven["pull"]["live"]["completeness"], "unproven",
        "{unproven:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_terminals_end_with_ledger_equal_to_feed_on_mariadb_through_an_outage() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut house = House::open(&Setup::new(place.clone()), ten())
        .await
        .unwrap();
    through_everything(&mut house, &place).await.unwrap();

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    house.people(6).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let started = Arc::clone(&server);
    blocking(move || started.restart()).await.unwrap();
    house.people(2).await.unwrap();
    house.equal(&place, 2 * MINUTE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_copy_of_the_database_lacks_is_read_again_from_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let kinds = [0, 3, 7].map(unkind).to_vec();
    let mut house = House::open(&Setup::new(place.clone()), kinds)
        .await
        .unwrap();
    house.people(10).await.unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    let copy = folder.path().join("copy.db");
    let mut checker = Checker::open(&place).await.unwrap();
    checker.copy_sqlite(&copy).await.unwrap();
    drop(checker);

    house.people(20).await.unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    house.satellite.kill9().await.unwrap();
    place.put_back(&copy).await.unwrap();
    house.satellite.run().await.unwrap();
    house.equal(&place, MINUTE).await.unwrap();
}

/// Posts the terminal's newest records as the same firmware pushes them.
async fn push(house: &House, count: usize) -> Result<()> {
    let terminal = &house.terminals[0];
    let lines = terminal.pushed(count);
    let body = lines.join("\n") + "\n";
    let request = attlog(terminal.serial(), "9999", body.as_bytes());
    let reply = house.satellite.send(&request).await?;
    ensure!(reply.accepts(lines.len()), "{reply:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_pushes_and_is_dialled_gives_one_row_for_each_punch() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let both = PullOptions {
        strip_zeros: true,
        ..plain("PULBOTH")
    };
    let house = House::open(&Setup::new(place.clone()), vec![both])
        .await
        .unwrap();
    // Pulled first.
    house.equal(&place, MINUTE).await.unwrap();
    push(&house, 30).await.unwrap();
    // Pushed first: the terminal is away for the dialler.
    house.terminals[0].set_down(true);
    house.people(15).await.unwrap();
    push(&house, 15).await.unwrap();
    house.terminals[0].set_down(false);
    // Both at once, three times.
    for _ in 0..3 {
        house.people(7).await.unwrap();
        push(&house, 20).await.unwrap();
    }
    let compared = house.equal(&place, MINUTE).await.unwrap();
    assert_eq!(compared.acked, 66);
    let metrics = house.satellite.admin("/metrics").await.unwrap().body;
    let by = |route| {
        let labels = [("tenant", "acme"), ("route", route)];
        sum_of(&metrics, "satellite_events_committed_total", &labels).unwrap()
    };
    assert!(
        by("push") >= 1.0 && by("pull") >= 30.0,
        "{} {}",
        by("push"),
        by("pull")
    );
    let aside = sum_of(&metrics, "satellite_quarantined_total", &[]).unwrap();
    assert!(aside.abs() < 0.5, "{aside} records in quarantine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_communication_key_is_named_not_hammered_and_mended_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let locked = PullOptions {
        comm_key: 123_456,
        ..plain("PULKEY1")
    };
    let house = House::open(&Setup::new(place.clone()), vec![locked])
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    let terminal = &house.terminals[0];
    terminal.set_key(654_321);
    terminal.cut();
    terminal.crowd(3).await.unwrap();
    house
        .until_named("PULKEY1", "comm_key_refused", MINUTE)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let tries = terminal.counters().wrong_keys;
    assert!(tries <= 2, "{tries} tries with a wrong key");
    let traced = house
        .satellite
        .command(["trace", "PULKEY1", "--json"])
        .await;
    let traced = traced.unwrap_or_else(|error| format!("{error:#}"));
    assert!(
        traced.contains("Comm") || traced.contains("clave"),
        "{traced}"
    );

    house.write_key("PULKEY1", 654_321).unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    assert!(!holds(
        &house.shown("PULKEY1").await.unwrap(),
        "comm_key_refused"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_on_the_terminal_is_named_and_nothing_is_missing_when_it_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let house = House::open(&Setup::new(place.clone()), vec![plain("PULBUSY")])
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    house.terminals[0].occupy(true);
    house.people(8).await.unwrap();
    house
        .until_named("PULBUSY", "no_session", MINUTE)
        .await
        .unwrap();
    house.terminals[0].occupy(false);
    house.equal(&place, MINUTE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleared_log_and_a_log_that_ran_over_are_named_and_what_is_new_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let small = PullOptions {
        capacity: 40,
        ..plain("PULROLL")
    };
    let kinds = vec![plain("PULCLEAR"), small];
    let house = House::open(&Setup::new(place.clone()), kinds)
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    // It overwrites its oldest records, all of which were read.
    house.terminals[1].crowd(25).await.unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    house.terminals[0].clear_log();
    house.terminals[0].crowd(2).await.unwrap();
    for terminal in &house.terminals {
        terminal.cut();
    }
    house
        .until_named("PULCLEAR", "log_cleared", MINUTE)
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    let rolled = house.shown("PULROLL").await.unwrap();
    assert!(!holds(&rolled, "log_cleared"), "{rolled:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_families_and_other_terminals_at_the_address_are_named_and_never_stored() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let secure = PullOptions {
        secure: true,
        ..plain("PULSECURE")
    };
    let panel = PullOptions {
        panel: true,
        ..plain("PULPANEL")
    };
    let kinds = vec![plain("PULOTHER"), secure, panel, plain("PULGOOD")];
    let house = House::open(&Setup::new(place.clone()), kinds)
        .await
        .unwrap();
    house
        .until_shown("PULOTHER", MINUTE, |shown| {
            shown["pull"]["live"]["read"] == 30
        })
        .await
        .unwrap();
    house.terminals[0].rename("SOMEBODYELSE");
    house.terminals[0].cut();
    house.terminals[0].crowd(3).await.unwrap();
    house
        .until_named("PULOTHER", "wrong_device", MINUTE)
        .await
        .unwrap();
    house
        .until_named("PULSECURE", "secure_pull", MINUTE)
        .await
        .unwrap();
    house
        .until_named("PULPANEL", "access_panel", MINUTE)
        .await
        .unwrap();
    let mut checker = Checker::open(&place).await.unwrap();
    let rows = checker.feed().await.unwrap();
    let of = |serial: &str| {
        let own = rows.iter().filter(|row| row.serial == serial);
        own.filter(|row| row.kind == "punch").count()
    };
    let each = ["PULOTHER", "PULSECURE", "PULPANEL", "PULGOOD"].map(of);
    assert_eq!(each, [30, 0, 0, 30]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_waits_in_quarantine_until_the_user_list_names_its_person() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let kinds = [3, 4].map(unkind).to_vec();
    let house = House::open(&Setup::new(place.clone()), kinds)
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    for terminal in &house.terminals {
        let place = terminal.enrol("987");
        terminal.punch(place).await.unwrap();
    }
    house.equal(&place, MINUTE).await.unwrap();
    let shown = house.shown(house.terminals[0].serial()).await.unwrap();
    assert!(!holds(&shown, "people_unresolved"), "{shown:#}");
    let metrics = house.satellite.admin("/metrics").await.unwrap().body;
    let aside = sum_of(
        &metrics,
        "satellite_quarantined_total",
        &[("reason", "bad_field")],
    );
    assert!(aside.unwrap_or(0.0) >= 2.0, "nobody had to wait: {aside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_punch_without_an_event_is_found_by_the_next_look_at_the_counts() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let quiet = PullOptions {
        event_loss: 1.0,
        ..plain("PULQUIET")
    };
    let house = House::open(&Setup::new(place.clone()), vec![quiet])
        .await
        .unwrap();
    house.equal(&place, MINUTE).await.unwrap();
    house.people(4).await.unwrap();
    house.equal(&place, 2 * MINUTE).await.unwrap();
}
