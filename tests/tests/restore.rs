//! Promise: after a disaster a copy is put back by one command, what it lacks comes back from the
//! terminals, a reader that was stopped before misses nothing, and what cannot be restored is told
//! with the next step and changes nothing.
//!
//! The real program on both engines; terminals of every kind, whose ledgers are held against
//! `event_feed` over another connection.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Copies, FeedRow, Follower, Mixed, Place, Punch, SatelliteProcess, Setup, attlog,
    blocking, fails, outcome, said, seed, shared_mariadb, until, works,
};
use serde_json::Value;
use terminals::Scenario;

const LONG: Duration = Duration::from_secs(90);
const STORE: &str = "store";

/// Takes the database away, as a disk or a hand does.
async fn destroy(place: &Place) -> Result<()> {
    match place.clone() {
        Place::Sqlite(file) => Ok(fs::remove_file(file)?),
        Place::Mariadb { server, database } => {
            blocking(move || server.sql(&format!("DROP DATABASE `{database}`")).map(drop)).await
        }
    }
}

fn punches<'r>(rows: impl IntoIterator<Item = &'r FeedRow>) -> BTreeSet<Punch> {
    rows.into_iter().filter_map(FeedRow::punch).collect()
}

fn busy() -> Scenario {
    Scenario {
        seed: seed(),
        backlog: 40,
        backlog_spacing_s: 97,
        rate: 120.0,
        records: Some(60),
        poll_s: Some(1),
        error_delay_ms: Some(100),
        people: 40,
        ..Scenario::default()
    }
}

async fn a_disaster_is_undone(place: Place) -> Result<()> {
    let copies = Copies::new()?;
    let counts = [2, 2, 1, 1];
    let mut house = Mixed::open_with(&place, busy(), counts, &[], &copies.table("")?).await?;
    house.people(5).await?;
    house.pushing.acked_more(120, LONG).await?;
    works(&house.satellite, &["backup", "run"]).await?;
    house.people(5).await?;
    until(LONG, "all records are made", async || {
        Ok(house.pushing.summary().acked >= 4 * 60)
    })
    .await?;
    let before = house.equal(LONG).await?;
    let mut follower = Follower::default();
    follower.catch_up(&mut Checker::open(&place).await?).await?;

    fails(
        &house.satellite,
        &["restore", "--yes", "all"],
        "stop it first",
    )
    .await?;
    house.satellite.kill9().await?;
    destroy(&place).await?;
    fails(&house.satellite, &["restore"], "nothing was done").await?;
    let text = works(&house.satellite, &["restore", "--yes", "all"]).await?;
    ensure!(
        text.contains("old (") && text.contains("NOT VERIFIED"),
        "{text}"
    );
    let copied = Checker::open(&place).await?.feed().await?.len();
    ensure!(copied < follower.seen().len(), "the copy was not older");

    fails(&house.satellite, &["restore", "--report"], "not yet").await?;
    house.satellite.run().await?;
    let after = house.equal(LONG).await?;
    println!("{before} rows before, {copied} in the copy, {after} after");
    let mut checker = Checker::open(&place).await?;
    follower.catch_up(&mut checker).await?;
    let all = checker.feed().await?;
    let (met, all) = (punches(follower.seen()), punches(&all));
    ensure!(
        all.is_subset(&met),
        "the reader missed {}",
        all.difference(&met).count()
    );
    let report = ["restore", "--report", "--json"];
    until(LONG, "everything has come back", async || {
        let (fine, _) = outcome(&house.satellite, &report).await?;
        Ok(fine)
    })
    .await?;
    let told: Value = serde_json::from_str(&works(&house.satellite, &report).await?)?;
    ensure!(told["rpo_after_seconds"] == 0, "{told:#}");
    ensure!(
        told["stores"][0]["came_back"].as_u64() > Some(0),
        "{told:#}"
    );
    let sql = "SELECT actor FROM audit WHERE action = 'restore'";
    let audit = checker.texts(sql, sql).await?;
    ensure!(audit == ["operator"], "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_disaster_a_restore_on_sqlite_brings_all_back_and_a_reader_misses_nothing()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    a_disaster_is_undone(Place::sqlite(folder.path())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_disaster_a_restore_on_mariadb_brings_all_back_and_a_reader_misses_nothing()
-> Result<()> {
    a_disaster_is_undone(shared_mariadb(Flavor::Durable).await?).await
}

/// A stopped satellite with a few rows and one copy of them.
async fn copied(copies: &Copies, place: &Place, more: &str) -> Result<SatelliteProcess> {
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table(more)?;
    let mut satellite = SatelliteProcess::start(&setup.enrol(["RES0000001"])).await?;
    let line = b"1\t2026-11-26 09:00:00\t0\t1\n";
    let request = attlog("RES0000001", "1", line);
    ensure!(satellite.send(&request).await?.accepts(1), "not accepted");
    satellite.terminate().await?;
    works(&satellite, &["backup", "run"]).await?;
    Ok(satellite)
}

async fn rows(place: &Place) -> Result<usize> {
    Ok(Checker::open(place).await?.feed().await?.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_cannot_be_done_names_the_next_step_and_changes_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let satellite = copied(&copies, &place, "").await?;
    let restore = ["restore", "--yes", "all"];
    let before = rows(&place).await?;
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?;
    let [right, wrong] = ["key", "foreign"].map(|name| copies.key(name).display().to_string());
    fs::write(&file, text.replace(&right, &wrong))?;
    fails(&satellite, &restore, "was made for other keys").await?;
    fs::write(&file, &text)?;
    fails(
        &satellite,
        &["restore", "--copy", "20200101T000000Z"],
        "there is no copy",
    )
    .await?;
    fails(
        &satellite,
        &["restore", "--yes", "acme"],
        "nothing was done",
    )
    .await?;
    // One location's copy is cut: the other one serves. Both are: neither.
    let cut = |location: &std::path::Path| -> Result<()> {
        let newest = Copies::named(location, STORE)?;
        let data = newest.first().context("no copy")?.join("data.db.gz.age");
        let bytes = fs::read(&data)?;
        Ok(fs::write(
            &data,
            bytes.get(..bytes.len() / 2).unwrap_or_default(),
        )?)
    };
    cut(&copies.first())?;
    let said = works(&satellite, &restore).await?;
    ensure!(said.contains("the other one is used"), "{said}");
    ensure!(said.contains("what was there is in"), "{said}");
    cut(copies.second())?;
    fails(&satellite, &restore, "is damaged").await?;
    ensure!(rows(&place).await? == before, "rows have changed");
    // What is there is kept under a name that no other command takes for the newest copy.
    let safe = Copies::named(&copies.first(), "store.before-restore")?;
    ensure!(safe.len() == 1, "{safe:?}");
    // A whole copy, and no room where it has to go.
    works(&satellite, &["backup", "run"]).await?;
    let other = tempfile::tempdir()?;
    let small = other.path().join("small");
    let moved = place.url().replace(
        &folder.path().display().to_string(),
        &small.display().to_string(),
    );
    fs::write(&file, text.replace(&place.url(), &moved))?;
    let script = "mkdir -p \"$D\" && mount -t tmpfs -o size=64k tmpfs \"$D\" && exec \"$@\"";
    let order = satellite.order(&restore);
    let mut command = tokio::process::Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    command
        .arg(order.as_std().get_program())
        .args(order.as_std().get_args());
    let output = command.env("D", &small).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("permission denied") {
        println!("NOT TESTED: a full disk, because this system lets nobody mount one: {said}");
    } else {
        ensure!(
            !output.status.success() && said.contains("no space left"),
            "{said}"
        );
    }
    Ok(())
}

async fn a_restore_is_taken_back(place: Place) -> Result<()> {
    let copies = Copies::new()?;
    let mut satellite = copied(&copies, &place, "").await?;
    satellite.run().await?;
    let request = attlog("RES0000001", "2", b"2\t2026-11-26 09:01:00\t0\t1\n");
    ensure!(satellite.send(&request).await?.accepts(1), "not accepted");
    satellite.terminate().await?;
    // Copies are named by the second: the one that is kept has to have another name than the one put back.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(rows(&place).await? == 1, "the copy has one row");
    let list = works(&satellite, &["backup", "list", "--json"]).await?;
    let list: Value = serde_json::from_str(&list)?;
    let all = list.as_array().context("no copies")?;
    let kept = all.iter().find(|copy| copy["kept_by_restore"] == true);
    let name = kept.context("no safety copy is listed")?["copy"]
        .as_str()
        .context("it has no name")?;
    works(&satellite, &["restore", "--yes", "all", "--copy", name]).await?;
    ensure!(rows(&place).await? == 2, "what there was is not back");
    // Without a name the newest copy is still one that a backup made.
    works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(rows(&place).await? == 1, "a safety copy was the newest");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaced_comes_back_by_the_name_of_its_copy_on_sqlite() -> Result<()> {
    let folder = tempfile::tempdir()?;
    a_restore_is_taken_back(Place::sqlite(folder.path())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaced_comes_back_by_the_name_of_its_copy_on_mariadb() -> Result<()> {
    a_restore_is_taken_back(shared_mariadb(Flavor::Durable).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn satellite_does_not_start_on_half_of_a_copy_and_a_second_restore_ends_it() -> Result<()> {
    let (place, copies) = (shared_mariadb(Flavor::Durable).await?, Copies::new()?);
    let mut satellite = copied(&copies, &place, "").await?;
    let note = satellite.folder().join("state/restore-unfinished.json");
    // Whoever reads a table keeps it from being dropped: the restore stands in its middle.
    let mut reader = <sqlx::MySqlConnection as sqlx::Connection>::connect(&place.url()).await?;
    sqlx::raw_sql("LOCK TABLES event READ")
        .execute(&mut reader)
        .await?;
    let order = &mut satellite.order(&["restore", "--yes", "all", "--without-safety-copy"]);
    let mut restore = order.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    until(LONG, "the restore has begun", async || Ok(note.exists())).await?;
    restore.kill().await?;
    drop(reader);
    let (fine, text) = outcome(&satellite, &["run"]).await?;
    ensure!(
        !fine && text.contains("a restore began and did not end"),
        "{text}"
    );
    works(
        &satellite,
        &["restore", "--yes", "all", "--without-safety-copy"],
    )
    .await?;
    ensure!(!note.exists(), "the second restore ended it");
    satellite.run().await?;
    ensure!(rows(&place).await? == 1, "the copy is there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_people_are_needed_nobody_restores_alone_and_both_stand_in_the_audit()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let satellite = copied(&copies, &place, "two_people = true").await?;
    let restore = ["restore", "--yes", "all"];
    fails(&satellite, &["restore", "--approve"], "nobody has asked").await?;
    fails(&satellite, &restore, "a second person is needed").await?;
    fails(
        &satellite,
        &["restore", "--approve"],
        "somebody else has to",
    )
    .await?;
    fails(&satellite, &restore, "a second person is needed").await?;
    let (fine, text) = said(&satellite, &["restore", "--approve"], "second").await?;
    ensure!(
        fine && text.contains("second approves what operator"),
        "{text}"
    );
    works(&satellite, &restore).await?;
    // It held once.
    fails(&satellite, &restore, "a second person is needed").await?;
    let mut checker = Checker::open(&place).await?;
    let sql = "SELECT detail FROM audit WHERE action = 'restore'";
    let detail = checker.texts(sql, sql).await?;
    ensure!(
        detail.len() == 1 && detail[0].contains("\"approved_by\":\"second\""),
        "{detail:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_the_newest_copy_measures_and_leaves_evidence() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let satellite = copied(&copies, &place, "").await?;
    let said = works(&satellite, &["backup", "drill", "--lang", "es"]).await?;
    ensure!(said.contains("SIMULACRO APROBADO"), "{said}");
    let state = satellite.folder().join("state");
    let board: Value = serde_json::from_str(&fs::read_to_string(state.join("backup.json"))?)?;
    let drill = &board["drill"];
    ensure!(drill["passed"] == true, "{board:#}");
    let evidence = drill["evidence"].as_str().context("no evidence")?;
    let sums = format!("{evidence}.sha256");
    let noted = fs::read_to_string(&sums)?;
    ensure!(
        noted.starts_with(drill["sha256"].as_str().context("no hash")?),
        "{noted}"
    );
    let mut check = tokio::process::Command::new("sha256sum");
    check
        .arg("-c")
        .arg(&sums)
        .current_dir(state.join("backup-evidence"));
    ensure!(
        check.stdout(Stdio::null()).status().await?.success(),
        "the hash does not fit"
    );
    // Without its copy it fails, and says so.
    for location in [copies.first(), copies.second().to_owned()] {
        fs::remove_dir_all(location.join(STORE))?;
    }
    fails(
        &satellite,
        &["backup", "drill", "--lang", "es"],
        "SIMULACRO REPROBADO",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_and_a_lockdown_stand_on_when_an_older_copy_is_restored_and_that_is_told()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let satellite = copied(&copies, &place, "").await?;
    let hold = [
        "db", "hold", "on", "--tenant", "acme", "--reason", "lawsuit",
    ];
    works(&satellite, &hold).await?;
    works(&satellite, &["lockdown", "on", "--tenant", "acme"]).await?;
    let text = works(&satellite, &["restore", "--yes", "all"]).await?;
    for told in [
        "acme: the legal hold that stood",
        "acme: the lockdown that stood",
    ] {
        ensure!(text.contains(told), "{text}");
    }
    let mut checker = Checker::open(&place).await?;
    for action in ["hold_on", "lockdown_on"] {
        let sql = format!("SELECT detail FROM audit WHERE action = '{action}'").leak();
        let lines = checker.texts(sql, sql).await?;
        let stood = |line: &String| line.contains("stood since");
        ensure!(lines.len() == 1 && lines.iter().all(stood), "{lines:?}");
    }
    // What ended before the copy was made does not come back by itself.
    let text = works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(text.contains("acme: the legal hold"), "{text}");
    works(&satellite, &["db", "hold", "off", "--tenant", "acme"]).await?;
    let text = works(&satellite, &["restore", "--yes", "all"]).await?;
    ensure!(!text.contains("the legal hold"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_outlives_a_restore_that_was_cut_off_and_a_registry_that_is_gone() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let satellite = copied(&copies, &place, "").await?;
    let restore = ["restore", "--yes", "all"];
    works(&satellite, &["db", "hold", "on"]).await?;
    let Place::Sqlite(file) = &place else {
        anyhow::bail!("it is SQLite");
    };
    // Where the file is made until it is whole.
    let in_the_way = file.with_added_extension("restoring");
    fs::create_dir(&in_the_way)?;
    fails(&satellite, &restore, "could not be restored").await?;
    fs::remove_dir(&in_the_way)?;
    destroy(&place).await?;
    let text = works(&satellite, &restore).await?;
    ensure!(text.contains("acme: the legal hold that stood"), "{text}");
    let held = works(&satellite, &["db", "hold", "status", "--json"]).await?;
    ensure!(held.contains("acme"), "{held}");

    // What ended after that is not noted any more.
    works(&satellite, &["db", "hold", "off"]).await?;
    let text = works(&satellite, &restore).await?;
    ensure!(!text.contains("the legal hold"), "{text}");
    Ok(())
}
