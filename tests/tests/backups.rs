//! Promise: a copy of a database that has a name is whole, and is proven by restoring it.
//!
//! The program copies while punches come in; copies are restored by hand with the distribution's
//! programs and held against the terminals' ledger over another connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mariadb::{Flavor, Server};
use promises::{
    Checker, Copies, Disk, Place, Random, Running, SatelliteProcess, Setup, Tenant, attlog,
    blocking, full, seed, shared_mariadb, unkind, until,
};
use tokio::process::Command;

/// The label of the registry's database.
const STORE: &str = "store";

/// An empty place of the same engine.
async fn empty_like(place: &Place, folder: &Path) -> Result<Place> {
    match place {
        Place::Sqlite(_) => Ok(Place::Sqlite(folder.join("restored.db"))),
        Place::Mariadb { server, .. } => Place::mariadb(server).await,
    }
}

/// What a command printed on both streams, and whether it ended with 0.
async fn outcome(satellite: &SatelliteProcess, words: &[&str]) -> Result<(bool, String)> {
    let output = ended(satellite.backup(words)).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

async fn works(satellite: &SatelliteProcess, words: &[&str]) -> Result<String> {
    let (fine, said) = outcome(satellite, words).await?;
    ensure!(fine, "backup {words:?}: {said}");
    Ok(said)
}

/// It ends with 1, says `what`, and leaves the named copies as they were.
async fn fails(
    (satellite, copies): (&SatelliteProcess, &Copies),
    words: &[&str],
    what: &str,
) -> Result<()> {
    let before = Copies::named(&copies.first(), STORE)?;
    let (fine, said) = outcome(satellite, words).await?;
    ensure!(!fine && said.contains(what), "not {what:?} but: {said}");
    let after = Copies::named(&copies.first(), STORE)?;
    ensure!(before == after, "{before:?} became {after:?}");
    println!("{}", said.trim());
    Ok(())
}

async fn a_copy_taken_while_punches_come_in_is_proven_and_restores(place: Place) -> Result<()> {
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    let scenario = unkind(seed(), "BAK", 10);
    setup.more = copies.table("")?;
    let satellite = SatelliteProcess::start(&setup.enrol(scenario.serials())).await?;
    let folder = satellite.folder().to_owned();
    let fleet = Running::start(scenario, satellite.devices(), &folder, "ledger")?;
    fleet.acked_more(1_000, Duration::from_secs(20)).await?;
    // What was acknowledged before the copy began has to be in it.
    let before = folder.join("before");
    fs::copy(fleet.ledger(), &before)?;
    println!("{}", works(&satellite, &["run"]).await?);
    fleet.acked_more(300, Duration::from_secs(20)).await?;
    println!("{}", works(&satellite, &["verify"]).await?);
    let (_, ledger) = fleet.finish(Duration::from_secs(60)).await?;

    let newest = Copies::named(copies.second(), STORE)?;
    let newest = newest
        .first()
        .context("no copy is in the second location")?;
    let restored = empty_like(&place, &folder).await?;
    copies.restore(newest, &restored).await?;
    let told = Checker::open(&restored).await?.compare(&[&before]).await?;
    println!(
        "{} acknowledged before the copy, {} rows in it",
        told.acked, told.rows
    );
    ensure!(
        told.missing.is_empty() && told.doubled.is_empty(),
        "{:?}",
        told.missing
    );
    let live = Checker::open(&place).await?.compare(&[&ledger]).await?;
    live.exact()?;
    ensure!(told.rows < live.rows, "nothing came in after the copy");

    let board = fs::read_to_string(folder.join("state/backup.json"))?;
    let board: serde_json::Value = serde_json::from_str(&board)?;
    let tenant = &board["tenants"][0];
    ensure!(
        tenant["tenant"] == "acme" && tenant["error"].is_null(),
        "{board:#}"
    );
    ensure!(tenant["verified_at"] == tenant["started_at"], "{board:#}");
    let plan = works(&satellite, &["plan", "--lang", "es"]).await?;
    ensure!(
        plan.contains("última comprobada") && !plan.contains("nunca"),
        "{plan}"
    );
    let plan = works(&satellite, &["plan", "--json"]).await?;
    let plan: serde_json::Value = serde_json::from_str(&plan)?;
    // The same facts for a machine, by the names that sentinel's file has.
    ensure!(plan[0]["store"] == STORE, "{plan:#}");
    ensure!(
        plan[0]["last_verified"] == tenant["verified_at"],
        "{plan:#}"
    );
    let listed: serde_json::Value =
        serde_json::from_str(&works(&satellite, &["list", "--json"]).await?)?;
    ensure!(
        listed.as_array().is_some_and(|all| all.len() == 2),
        "{listed:#}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_sqlite_taken_while_punches_come_in_is_proven_and_restores() -> Result<()> {
    let folder = tempfile::tempdir()?;
    a_copy_taken_while_punches_come_in_is_proven_and_restores(Place::sqlite(folder.path())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_mariadb_taken_while_punches_come_in_is_proven_and_restores() -> Result<()> {
    let place = shared_mariadb(Flavor::Durable).await?;
    a_copy_taken_while_punches_come_in_is_proven_and_restores(place).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_backup_at_any_moment_leaves_no_copy_with_a_name_that_does_not_restore()
-> Result<()> {
    let kills = if full() { 100 } else { 8 };
    let place = shared_mariadb(Flavor::Durable).await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("")?;
    let mut satellite = SatelliteProcess::prepare(&setup.enrol(["KBK0000001"])).await?;
    satellite.run().await?;
    let lines: String = (0..60)
        .map(|n| format!("{n}\t2026-11-26 09:00:{n:02}\t0\t1\n"))
        .collect();
    ensure!(
        satellite
            .send(&attlog("KBK0000001", "1", lines.as_bytes()))
            .await?
            .accepts(60)
    );
    let begun = Instant::now();
    works(&satellite, &["run"]).await?;
    let whole = u64::try_from(begun.elapsed().as_millis())?.max(50);
    let (mut random, mut killed, mut tries) = (Random::new(seed()), 0, 0);
    while killed < kills {
        // A copy takes as long as its rests, so that a moment drawn from an earlier one may be too late.
        ensure!(tries < 5 * kills, "only {killed} of {kills} were killed");
        tries += 1;
        let mut run = satellite.backup(&["run"]);
        let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        tokio::time::sleep(random.millis(0, whole)).await;
        if run.try_wait()?.is_none() {
            run.kill().await?;
            killed += 1;
        }
    }
    let mut restored = 0;
    for location in [copies.first(), copies.second().to_owned()] {
        for copy in Copies::named(&location, STORE)? {
            let to = empty_like(&place, satellite.folder()).await?;
            copies.restore(&copy, &to).await?;
            let rows = Checker::open(&to).await?.feed().await?.len();
            ensure!(rows == 60, "{}: {rows} rows", copy.display());
            restored += 1;
        }
    }
    // The next run clears up, and its copy is proven.
    works(&satellite, &["run"]).await?;
    works(&satellite, &["verify"]).await?;
    for location in [copies.first(), copies.second().to_owned()] {
        let entries = fs::read_dir(location.join(STORE))?.flatten();
        let hidden = entries.filter(|it| it.file_name().to_string_lossy().starts_with('.'));
        ensure!(hidden.count() == 0, "debris in {}", location.display());
    }
    println!("{killed} of {tries} killed within {whole} ms; {restored} named copies restored");
    Ok(())
}

/// A copy newer than all others with something else in its manifest and hashes that fit.
async fn forged(copies: &Copies, right: &str, other: &str) -> Result<PathBuf> {
    let newest = Copies::named(copies.second(), STORE)?;
    let newest = newest.first().context("no copy")?;
    let forged = newest.with_file_name("20991231T000000Z");
    fs::create_dir(&forged)?;
    for entry in fs::read_dir(newest)?.flatten() {
        fs::copy(entry.path(), forged.join(entry.file_name()))?;
    }
    let path = forged.join("manifest.json");
    let manifest = fs::read_to_string(&path)?;
    ensure!(manifest.contains(right), "{manifest}");
    fs::write(&path, manifest.replacen(right, other, 1))?;
    let sums = "sha256sum configuration.toml.gz.age data.db.gz.age manifest.json > SHA256SUMS";
    let mut shell = Command::new("sh");
    let summed = shell
        .args(["-c", sums])
        .current_dir(&forged)
        .status()
        .await?;
    ensure!(summed.success(), "sha256sum failed");
    Ok(forged)
}

/// Changes a file of the newest copy in the second location for the time of `look`.
async fn with_changed(
    copies: &Copies,
    file: &str,
    change: impl Fn(&mut Vec<u8>),
    look: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    let newest = Copies::named(copies.second(), STORE)?;
    let path = newest.first().context("no copy")?.join(file);
    let whole = fs::read(&path)?;
    let mut bytes = whole.clone();
    change(&mut bytes);
    fs::write(&path, &bytes)?;
    let looked = look().await;
    fs::write(&path, &whole)?;
    looked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_damaged_foreign_or_newer_is_found_and_the_next_step_is_named() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(Place::sqlite(folder.path()));
    setup.more = copies.table("")?;
    let satellite = SatelliteProcess::prepare(&setup).await?;
    let both = (&satellite, &copies);
    fails(both, &["verify"], "make one").await?;
    works(&satellite, &["run"]).await?;
    works(&satellite, &["verify"]).await?;

    let verify = async |what: &'static str| fails(both, &["verify"], what).await;
    let mut random = Random::new(seed());
    for file in [
        "data.db.gz.age",
        "configuration.toml.gz.age",
        "manifest.json",
        "SHA256SUMS",
    ] {
        let at = usize::try_from(random.millis(0, 1_000_000).as_millis())?;
        let flip = |bytes: &mut Vec<u8>| {
            let at = at % bytes.len();
            bytes[at] ^= 0x10;
        };
        with_changed(&copies, file, flip, async || verify("is damaged").await).await?;
    }
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    with_changed(&copies, "data.db.gz.age", cut, async || {
        verify("is damaged").await
    })
    .await?;
    // With another key, as when a copy of another installation lies there.
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?;
    let [right, wrong] = ["key", "foreign"].map(|name| copies.key(name).display().to_string());
    fs::write(&file, text.replace(&right, &wrong))?;
    verify("was made for other keys").await?;
    fs::write(&file, &text)?;
    // Copies whose hashes fit: of a later version, and of another database.
    for (right, other, what) in [
        ("\"format\": 1", "\"format\": 2", "install that version"),
        ("\"schema\": ", "\"schema\": 9", "install that version"),
        ("\"rows\": 1", "\"rows\": 2", "is not what was dumped"),
    ] {
        let forged = forged(&copies, right, other).await?;
        verify(what).await?;
        fs::remove_dir_all(&forged)?;
    }
    works(&satellite, &["verify"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_made_is_told_within_its_time_and_leaves_the_good_ones() -> Result<()>
{
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
    let place = Place::mariadb(server.address()).await?;
    let Place::Mariadb { database: name, .. } = place.clone() else {
        anyhow::bail!("it is MariaDB");
    };
    let copies = Copies::new()?;
    let mut setup = Setup::new(place);
    setup.more = copies.table("time_limit = \"10s\"")?;
    let satellite = SatelliteProcess::prepare(&setup).await?;
    works(&satellite, &["run"]).await?;
    let both = (&satellite, &copies);
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?;

    // The second location is gone: the first has its copy, and the run says so.
    let away = copies.second().display().to_string();
    fs::write(&file, text.replace(&away, "/nowhere/at/all"))?;
    let (fine, said) = outcome(&satellite, &["run"]).await?;
    ensure!(
        !fine && said.contains("did not reach the second location"),
        "{said}"
    );
    // One location is never called safe.
    fs::write(&file, text.replace(&format!("second = \"{away}\"\n"), ""))?;
    let (fine, said) = outcome(&satellite, &["run"]).await?;
    ensure!(fine && said.contains("on one disk only"), "{said}");
    fs::write(&file, &text)?;
    let full_disk = "mkdir -p \"$D\" && mount -t tmpfs -o size=8k tmpfs \"$D\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        full_disk,
        "sh",
    ]);
    let run = satellite.backup(&["run"]);
    command
        .arg(run.as_std().get_program())
        .args(run.as_std().get_args());
    let before = Copies::named(&copies.first(), STORE)?;
    let output = command.env("D", copies.first()).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("permission denied") {
        println!("NOT TESTED: a full disk, because this system lets nobody mount one: {said}");
    } else {
        ensure!(
            !output.status.success() && said.contains("no space left"),
            "{said}"
        );
        ensure!(before == Copies::named(&copies.first(), STORE)?);
    }

    // A server that hangs, one that lost the database, one that is gone.
    let paused = Arc::clone(&server);
    blocking(move || paused.pause()).await?;
    fails(both, &["run"], "was given up").await?;
    let going = Arc::clone(&server);
    blocking(move || going.resume()).await?;
    let drop_it = format!("DROP DATABASE `{name}`");
    let dropped = Arc::clone(&server);
    blocking(move || dropped.sql(&drop_it)).await?;
    fails(both, &["run"], "the last good copy is untouched").await?;
    let killed = Arc::clone(&server);
    blocking(move || killed.kill9()).await?;
    fails(both, &["run"], "the last good copy is untouched").await?;
    let board = fs::read_to_string(satellite.folder().join("state/backup.json"))?;
    let board: serde_json::Value = serde_json::from_str(&board)?;
    let tenant = &board["tenants"][0];
    ensure!(
        tenant["error"].is_string() && tenant["finished_at"].is_string(),
        "{board:#}"
    );
    works(&satellite, &["verify"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_in_the_middle_of_a_copy_is_told_and_leaves_no_half_copy() -> Result<()>
{
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
    let place = Place::mariadb(server.address()).await?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(place);
    setup.more = copies.table("")?;
    let mut satellite = SatelliteProcess::start(&setup.enrol(["GOES000001"])).await?;
    for hour in 0..20 {
        let line = |n: i32| format!("{n}\t2026-11-26 {hour:02}:00:00\t0\t1\n");
        let lines: String = (1..=2_000).map(line).collect();
        let upload = attlog("GOES000001", &hour.to_string(), lines.as_bytes());
        ensure!(satellite.send(&upload).await?.accepts(2_000));
    }
    satellite.terminate().await?;
    let begun = Instant::now();
    works(&satellite, &["run"]).await?;
    let whole = u64::try_from(begun.elapsed().as_millis())?;
    let (mut random, mut told) = (Random::new(seed()), 0);
    for _ in 0..6 {
        let before = Copies::named(&copies.first(), STORE)?;
        let run = ended(satellite.backup(&["run"]));
        let after = random.millis(whole / 8, whole * 3 / 4);
        let killed = Arc::clone(&server);
        let kill = async {
            tokio::time::sleep(after).await;
            blocking(move || killed.kill9()).await
        };
        let (output, kill) = tokio::join!(run, kill);
        kill?;
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            told += 1;
            ensure!(said.contains("the last good copy is untouched"), "{said}");
            ensure!(before == Copies::named(&copies.first(), STORE)?, "{said}");
        }
        let back = Arc::clone(&server);
        blocking(move || back.restart()).await?;
    }
    ensure!(told >= 3, "only {told} of 6 were in the middle of a copy");
    works(&satellite, &["run"]).await?;
    works(&satellite, &["verify"]).await?;
    println!("{told} of 6 times the database went in the middle of a copy of {whole} ms");
    Ok(())
}

/// A disk of which nothing answers any more.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(folder: &'a Path) -> Result<Self> {
        let done = std::process::Command::new("fsfreeze")
            .arg("--freeze")
            .arg(folder)
            .status()?;
        ensure!(done.success(), "fsfreeze: {done}");
        Ok(Self(folder))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let thaw = std::process::Command::new("fsfreeze")
            .arg("--unfreeze")
            .arg(self.0)
            .status();
        assert!(
            thaw.is_ok_and(|done| done.success()),
            "the disk stays frozen"
        );
    }
}

/// One of the two locations stands still, as a disk over a network does: what is told of it, and
/// how many named copies each location has then and after it answers again.
async fn a_location_that_hangs(
    hangs: impl Fn(&Copies) -> PathBuf,
    told: &str,
    here: usize,
) -> Result<()> {
    let (folder, slow) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let _disk = match Disk::under(slow.path()) {
        Ok(disk) => disk,
        Err(error) => {
            println!("SKIPPED, NOT PROVEN HERE: no disk can be mounted ({error:#})");
            return Ok(());
        }
    };
    let (copies, place) = (Copies::new()?, Place::sqlite(folder.path()));
    let mut setup = Setup::new(place);
    let (usual, slow) = (hangs(&copies), slow.path());
    let table = copies.table("time_limit = \"10s\"")?;
    let [old, new] = [&usual, slow].map(|path| format!("\"{}\"", path.display()));
    setup.more = table.replace(&old, &new);
    let satellite = SatelliteProcess::prepare(&setup).await?;
    works(&satellite, &["run"]).await?;

    let frozen = Frozen::new(slow)?;
    let begun = Instant::now();
    let run = tokio::spawn(ended(satellite.backup(&["run"])));
    let board = satellite.folder().join("state/backup.json");
    until(Duration::from_secs(40), "it is told", async || {
        let board: serde_json::Value = serde_json::from_str(&fs::read_to_string(&board)?)?;
        let error = board["tenants"][0]["error"].as_str().unwrap_or_default();
        Ok(error.contains(told))
    })
    .await?;
    println!("told after {:?}", begun.elapsed());
    let other = [copies.first(), copies.second().to_owned()];
    let other = other.into_iter().find(|path| *path != usual);
    let found = Copies::named(&other.context("no other location")?, STORE)?;
    ensure!(found.len() == here, "{found:?}");
    let found = Copies::named(slow, STORE)?;
    ensure!(found.len() == 1, "{found:?}");
    // Whoever waits for such a disk cannot end before it answers.
    drop(frozen);
    let output = run.await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains(told), "{said}");
    works(&satellite, &["run"]).await?;
    works(&satellite, &["verify"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_location_that_hangs_is_given_up_and_told_and_the_first_has_its_copy() -> Result<()>
{
    a_location_that_hangs(|copies| copies.second().to_owned(), "second location", 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_location_that_hangs_is_given_up_and_told_and_the_last_good_copies_stay()
-> Result<()> {
    a_location_that_hangs(Copies::first, "was given up", 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_leaves_the_temporary_tables_of_every_other_server_alone() -> Result<()> {
    let copies = Copies::new()?;
    let mut setup = Setup::new(shared_mariadb(Flavor::Durable).await?);
    setup.more = copies.table("")?;
    let satellite = SatelliteProcess::prepare(&setup).await?;
    works(&satellite, &["run"]).await?;
    // As a server that runs beside it has them in the folder that all use.
    let shared = tempfile::tempdir()?;
    let tables = ["MAI", "MAD"].map(|end| format!("#sql-temptable-1-1-1.{end}"));
    for table in &tables {
        fs::write(shared.path().join(table), "")?;
    }
    let mut verify = satellite.backup(&["verify"]);
    verify.env("TMPDIR", shared.path());
    let output = ended(verify).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    for table in &tables {
        ensure!(shared.path().join(table).exists(), "{table} was taken away");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_client_that_left_are_listed_and_go_on_their_day() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copies = Copies::new()?;
    let mut setup = Setup::new(Place::sqlite(folder.path()));
    setup.more = copies.table("")?;
    setup.tenants.push(Tenant {
        id: "beta".to_owned(),
        own: Some(Place::Sqlite(folder.path().join("beta.db"))),
    });
    let mut satellite = SatelliteProcess::start(&setup).await?;
    satellite.terminate().await?;
    works(&satellite, &["run"]).await?;
    works(&satellite, &["verify"]).await?;
    let both = [copies.first(), copies.second().to_owned()];
    for location in &both {
        let young = Copies::named(location, "beta")?.pop();
        let young = young.context("beta was not copied")?;
        let old = young.with_file_name("20240305T060000Z");
        fs::create_dir(&old)?;
        for entry in fs::read_dir(&young)? {
            let entry = entry?;
            fs::copy(entry.path(), old.join(entry.file_name()))?;
        }
    }
    let file = satellite.folder().join("satellite.toml");
    let text = fs::read_to_string(&file)?;
    let beta = text.split_once("\n[[tenant]]\nid = \"beta\"");
    fs::write(&file, beta.context("beta is the last")?.0)?;

    let listed = works(&satellite, &["list"]).await?;
    ensure!(listed.matches("/beta/").count() == 4, "{listed}");
    let would = works(&satellite, &["prune", "--dry-run"]).await?;
    ensure!(would.matches("20240305T060000Z").count() == 2, "{would}");
    works(&satellite, &["prune"]).await?;
    for location in &both {
        let left = Copies::named(location, "beta")?;
        ensure!(
            left.len() == 1 && !left[0].ends_with("20240305T060000Z"),
            "{left:?}"
        );
        // Weeks later, the only one that was verified being gone already.
        fs::rename(&left[0], left[0].with_file_name("20240405T060000Z"))?;
    }
    works(&satellite, &["prune"]).await?;
    for location in &both {
        let left = Copies::named(location, "beta")?;
        ensure!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

/// The end of a command, with what it printed.
async fn ended(mut command: Command) -> Result<Output> {
    command.stdin(Stdio::null());
    let limited = tokio::time::timeout(Duration::from_secs(90), command.output()).await;
    Ok(limited.context("the command has not ended")??)
}

/// Where the password stands while a copy is made.
fn command_lines() -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.map(|it| it.path().join("cmdline"));
    let read = lines.filter_map(|path: PathBuf| fs::read(path).ok());
    read.map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_for_copies_reads_and_nothing_more_and_its_password_is_in_no_command_line()
-> Result<()> {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await?);
    let place = Place::mariadb(server.address()).await?;
    let Place::Mariadb { database, .. } = &place else {
        anyhow::bail!("it is MariaDB");
    };
    let copies = Copies::new()?;
    let password = "p#a\"s'w\\o r=d;ñ";
    let secret = copies.key("password");
    fs::write(&secret, password)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&secret, mode)?;
    let more = format!(
        "user = \"satellite_backup\"\npassword_file = \"{}\"",
        secret.display()
    );
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table(&more)?;
    let satellite = SatelliteProcess::prepare(&setup).await?;
    let both = (&satellite, &copies);
    fails(both, &["run"], "give it the rights of grants.sql").await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no root")?;
    let shipped = fs::read_to_string(root.join("deploy/grants.sql"))?;
    let ours = shipped
        .split(';')
        .filter(|it| it.contains("satellite_backup@"));
    let escaped = password.replace('\\', "\\\\").replace('\'', "''");
    let script: String = ours
        .map(|it| {
            let it = it.replace(" satellite.", &format!(" {database}."));
            it.replace("'change-me'", &format!("'{escaped}'")) + ";"
        })
        .collect();
    ensure!(
        script.contains("GRANT SELECT, SHOW VIEW") && !script.contains("INSERT"),
        "{script}"
    );
    let grants = Arc::clone(&server);
    blocking(move || grants.sql(&script)).await?;
    let mut run = satellite.backup(&["run"]).stdout(Stdio::null()).spawn()?;
    let mut seen = 0;
    while run.try_wait()?.is_none() {
        let lines = command_lines();
        seen += lines
            .iter()
            .filter(|line| line.contains("mariadb-dump"))
            .count();
        ensure!(
            !lines.iter().any(|line| line.contains("p#a\"s")),
            "the password is in an argument"
        );
    }
    ensure!(
        run.wait().await?.success() && seen > 0,
        "the dump was seen {seen} times"
    );
    works(&satellite, &["verify"]).await.map(drop)
}
