//! Promises about a tenant that has gone for good: no row, no file and, where files are ours, no byte
//! of it is left, whatever interrupts the deletion; others keep every row and go on sending; a proof of
//! it stays; and an older copy does not bring it back.
//!
//! The real program; judged by every row of every table over a connection of the test's own, and by
//! the bytes of the files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Copies, Place, SatelliteProcess, Setup, Tenant, attlog, fails, said, shared_mariadb,
    until, works,
};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);
/// What nobody else has: a person of the tenant that goes, and the name of its terminal.
const PERSON: &str = "908342771";
const NAME: &str = "PORTONZAFIRO";
const DELETE: [&str; 4] = ["tenant", "delete", "--tenant", "acme"];
const SURE: [&str; 6] = ["tenant", "delete", "--tenant", "acme", "--yes", "acme"];

/// Punches of one person, each in another second.
fn punches(person: &str, from: usize, to: usize) -> Vec<u8> {
    let line = |n: usize| {
        let (hour, minute, second) = (n / 3_600 % 24, n / 60 % 60, n % 60);
        format!("{person}\t2026-11-25 {hour:02}:{minute:02}:{second:02}\t0\t1\t0\t0\n")
    };
    (from..to).map(line).collect::<String>().into_bytes()
}

/// Two tenants on one registry; `own` is the database of the one that goes, if it has one.
async fn two_tenants(store: Place, own: Option<Place>, more: &str) -> Result<SatelliteProcess> {
    let mut setup = Setup::new(store).enrol(["ACM0000001", "ACM0000002"]);
    setup.more = more.to_owned();
    if let Some(acme) = setup.tenants.first_mut() {
        acme.own = own;
    }
    setup.tenants.push(Tenant {
        id: "beta".to_owned(),
        own: None,
    });
    setup
        .terminals
        .push(("BET0000001".to_owned(), "beta".to_owned()));
    let satellite = SatelliteProcess::start(&setup).await?;
    let name = [
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial",
    ];
    let named = [&name[..], &["ACM0000003", "--name", NAME]].concat();
    works(&satellite, &named).await?;
    until(LONG, "the terminal is known", async || {
        let request = attlog("ACM0000003", "1", &punches(PERSON, 0, 50));
        Ok(satellite.send(&request).await?.accepts(50))
    })
    .await?;
    for serial in ["ACM0000001", "ACM0000002"] {
        let request = attlog(serial, "1", &punches(PERSON, 0, 2_000));
        ensure!(satellite.send(&request).await?.accepts(2_000));
        satellite
            .send(&attlog(
                serial,
                "2",
                format!("{PERSON} rubbish\n").as_bytes(),
            ))
            .await?;
    }
    let beta = attlog("BET0000001", "1", &punches("5", 0, 1_000));
    ensure!(satellite.send(&beta).await?.accepts(1_000));
    satellite
        .send(&attlog("BET0000001", "2", b"rubbish\n"))
        .await?;
    Ok(satellite)
}

async fn block(satellite: &SatelliteProcess) -> Result<()> {
    for serial in ["ACM0000001", "ACM0000002", "ACM0000003"] {
        works(satellite, &["devices", "block", serial]).await?;
    }
    Ok(())
}

/// What marks rows of the tenant: its enrolments, and its name, as [`Checker::everything`] shows them.
async fn marks(registry: &Place) -> Result<Vec<String>> {
    let sql = "SELECT HEX(device_id) FROM enrolment WHERE tenant = 'acme'";
    let mut marks = Checker::open(registry).await?.texts(sql, sql).await?;
    ensure!(marks.len() == 3, "{marks:?}");
    marks.push("61636D65".to_owned());
    Ok(marks)
}

/// Every row, but for the audit, and but for those with one of the marks.
async fn of_others(place: &Place, marks: &[String]) -> Result<Vec<String>> {
    let mut rows = Checker::open(place).await?.everything().await?;
    rows.retain(|row| !row.starts_with("audit|") && !marks.iter().any(|mark| row.contains(mark)));
    Ok(rows)
}

/// Rows of the tenant in any table, the audit's lines apart.
async fn of_its(place: &Place, marks: &[String]) -> Result<usize> {
    let rows = Checker::open(place).await?.everything().await?;
    let its = rows
        .iter()
        .filter(|row| !row.starts_with("audit|") && marks.iter().any(|mark| row.contains(mark)));
    Ok(its.count())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// The files below these folders in whose bytes one of the words stands.
fn holding(folders: &[&Path], words: &[&str]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    folders
        .iter()
        .try_for_each(|folder| files(folder, &mut all))?;
    all.retain(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        let holds = |word: &&str| {
            bytes
                .windows(word.len())
                .any(|some| some == word.as_bytes())
        };
        words.iter().any(holds)
    });
    Ok(all)
}

/// All that was asked before anything may go.
async fn is_refused_until_it_may_go(satellite: &SatelliteProcess) -> Result<()> {
    let text = works(satellite, &DELETE).await?;
    ensure!(
        text.contains("3 terminals") && text.contains("Nothing was done"),
        "{text}"
    );
    ensure!(text.contains("devices block ACM0000001"), "{text}");
    fails(satellite, &SURE, "devices block").await?;
    block(satellite).await?;
    works(satellite, &["db", "hold", "on", "--tenant", "acme"]).await?;
    fails(satellite, &SURE, "hold off").await?;
    works(satellite, &["db", "hold", "off", "--tenant", "acme"]).await?;
    let other = ["tenant", "delete", "--tenant", "acme", "--yes", "beta"];
    fails(satellite, &other, "nothing was done").await
}

/// The tenant goes while another one's terminal goes on sending, and comes back by no way.
async fn goes(store: Place, own: Option<Place>) -> Result<()> {
    let satellite = two_tenants(store.clone(), own.clone(), "").await?;
    let mine = own.clone().unwrap_or_else(|| store.clone());
    let marks = marks(&store).await?;
    ensure!(of_its(&mine, &marks).await? > 4_050);
    is_refused_until_it_may_go(&satellite).await?;
    ensure!(
        of_its(&mine, &marks).await? > 4_050,
        "a refused deletion changed something"
    );
    let (head, others) = (head(&mine).await?, of_others(&store, &marks).await?);

    let sending = async {
        for n in 0..200 {
            let request = attlog("BET0000001", "3", &punches("6", n * 5, n * 5 + 5));
            ensure!(
                satellite.send(&request).await?.accepts(5),
                "beta was refused"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    let json = [&SURE[..], &["--json"]].concat();
    let (told, sent) = tokio::join!(works(&satellite, &json), sending);
    sent?;
    let proof: Value = serde_json::from_str(&told?)?;
    for place in [&store, &mine] {
        ensure!(of_its(place, &marks).await? == 0, "rows are left");
    }
    // Every row of the other is as it was; what it sent meanwhile is there once.
    let after = of_others(&store, &marks).await?;
    let stays = |row: &&String| !moves(row) && !row.starts_with("device_cursor|");
    let lost = others.iter().filter(stays);
    let lost = lost.filter(|row| after.binary_search(row).is_err());
    let lost: Vec<&String> = lost.collect();
    ensure!(lost.is_empty(), "{lost:?}");
    let mut checker = Checker::open(&store).await?;
    let beta = checker
        .number("SELECT COUNT(*) FROM event_feed WHERE tenant = 'beta'")
        .await?;
    ensure!(beta == 2_000, "{beta}");
    ensure!(self::head(&mine).await? >= head, "numbers were given back");
    is_proven(&satellite, &store, &proof).await?;

    // A terminal that goes on sending is a stranger's.
    let request = attlog("ACM0000001", "4", &punches(PERSON, 0, 1));
    ensure!(!satellite.send(&request).await?.accepts(1));
    ensure!(of_its(&mine, &marks).await? == 0);
    let text = works(&satellite, &DELETE).await?;
    ensure!(text.contains("nothing is stored"), "{text}");
    Ok(())
}

async fn head(place: &Place) -> Result<i64> {
    Checker::open(place)
        .await?
        .number("SELECT next_seq FROM feed_head")
        .await
}

async fn is_proven(satellite: &SatelliteProcess, store: &Place, proof: &Value) -> Result<()> {
    ensure!(
        proof["tenant"] == "acme" && proof["number"] == 1,
        "{proof:#}"
    );
    let stores = proof["stores"].as_array().context("no stores")?;
    let sum = |when: &str| -> u64 {
        let counts = stores.iter().filter_map(|store| store[when].as_object());
        counts
            .flat_map(|counts| counts.values())
            .filter_map(Value::as_u64)
            .sum()
    };
    ensure!(sum("before") > 4_050 && sum("after") == 0, "{proof:#}");
    let listed: Value =
        serde_json::from_str(&works(satellite, &["tenant", "deleted", "--json"]).await?)?;
    ensure!(listed["whole"] == true, "{listed:#}");
    ensure!(
        listed["proofs"][0]["sha256"] == proof["sha256"],
        "{listed:#}"
    );
    let sql = "SELECT detail FROM audit WHERE action = 'tenant_deleted' AND subject = 'acme'";
    let audit = Checker::open(store).await?.texts(sql, sql).await?;
    let hash = proof["sha256"].as_str().context("no hash")?;
    ensure!(audit.len() == 1 && audit[0].contains(hash), "{audit:?}");
    let emptied = "SELECT detail FROM audit WHERE action = 'add'";
    let emptied = Checker::open(store).await?.texts(emptied, emptied).await?;
    ensure!(
        emptied.iter().all(|detail| !detail.contains(NAME)),
        "{emptied:?}"
    );
    ensure!(
        emptied.iter().any(|detail| detail.contains("beta")),
        "{emptied:?}"
    );

    let path = satellite.folder().join("state/deletions.jsonl");
    let line = fs::read_to_string(&path)?;
    ensure!(
        !line.contains("ACM0000001") && !line.contains(NAME),
        "{line}"
    );
    fs::write(&path, line.replacen("\"event\":", "\"Event\":", 1))?;
    // Nothing stands behind the last line; the audit knows its hash.
    fails(satellite, &["tenant", "deleted"], "is not what was written").await?;
    Ok(fs::write(&path, line)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_no_row_in_a_shared_sqlite_file_and_others_go_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    goes(Place::sqlite(folder.path()), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_no_row_in_a_shared_mariadb_and_others_go_on() -> Result<()> {
    goes(shared_mariadb(Flavor::Durable).await?, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_no_row_in_databases_of_its_own() -> Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let own = Some(Place::sqlite(other.path()));
    goes(Place::sqlite(folder.path()), own).await?;
    let own = Some(shared_mariadb(Flavor::Durable).await?);
    goes(shared_mariadb(Flavor::Durable).await?, own).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_tenant_no_byte_is_left_in_a_file_of_satellite() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Place::sqlite(folder.path());
    let satellite = two_tenants(store.clone(), None, "").await?;
    // What retention has emptied is in an archive; its bytes are still in pages that nobody uses.
    let archive = folder.path().join("archive");
    fs::create_dir(&archive)?;
    let archive_name = archive.display().to_string();
    let retention = [
        "db",
        "retention",
        "--tenant",
        "acme",
        "--class",
        "punch",
        "--before",
        "2025-01-01",
    ];
    let retention = [&retention[..], &["--archive", &archive_name, "--apply"]].concat();
    let old = b"908342771\t2024-01-02 03:04:05\t0\t1\t0\t0\n";
    ensure!(
        satellite
            .send(&attlog("ACM0000001", "5", old))
            .await?
            .accepts(1)
    );
    works(&satellite, &retention).await?;
    ensure!(fs::read_dir(&archive)?.count() == 2, "no archive");
    let state = satellite.folder().join("state");
    let words = [PERSON, NAME, "ACM000000"];
    let places = [folder.path(), state.as_path()];
    ensure!(holding(&places, &words)?.len() > 1, "nothing to look for");
    block(&satellite).await?;
    works(&satellite, &SURE).await?;
    let left = holding(&places, &words)?;
    ensure!(left.is_empty(), "{left:?}");
    ensure!(fs::read_dir(&archive)?.count() == 0, "the archive is left");
    Ok(())
}

/// What a running satellite notes of a terminal by itself.
fn moves(row: &str) -> bool {
    ["feed_head|", "device_state|", "inventory|"]
        .iter()
        .any(|table| row.starts_with(table))
}

/// The rows of others are what they were.
fn same_rows(now: Vec<String>, before: Vec<String>) -> Result<()> {
    let steady =
        |rows: Vec<String>| -> Vec<String> { rows.into_iter().filter(|row| !moves(row)).collect() };
    let (now, before) = (steady(now), steady(before));
    let new = now.iter().find(|row| !before.contains(row));
    let gone = before.iter().find(|row| !now.contains(row));
    ensure!(now == before, "rows of others changed: {gone:?} is {new:?}");
    Ok(())
}

/// The deletion is killed again and again, each time further on, and ends all the same.
async fn through_kills(store: Place) -> Result<()> {
    let satellite = two_tenants(store.clone(), None, "").await?;
    for from in (2_000..40_000).step_by(5_000) {
        let request = attlog("ACM0000001", "9", &punches(PERSON, from, from + 5_000));
        ensure!(satellite.send(&request).await?.accepts(5_000));
    }
    block(&satellite).await?;
    let marks = marks(&store).await?;
    let (whole, others) = (
        of_its(&store, &marks).await?,
        of_others(&store, &marks).await?,
    );
    let (mut kills, mut left) = (0, whole);
    while kills < 4 {
        let mut order = satellite.order(&SURE);
        let mut delete = order.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let begun = left;
        loop {
            left = of_its(&store, &marks).await?;
            if left < begun || delete.try_wait()?.is_some() {
                break;
            }
        }
        delete.kill().await?;
        left = of_its(&store, &marks).await?;
        if left == 0 {
            break;
        }
        kills += 1;
        fails(&satellite, &["tenant", "deleted"], "did not end").await?;
    }
    ensure!(kills > 0, "it was done before it was killed");
    println!("{kills} kills, {left} of {whole} rows left after the last");
    let text = works(&satellite, &SURE).await?;
    ensure!(text.contains("rows before, 0 after"), "{text}");
    ensure!(of_its(&store, &marks).await? == 0);
    let after = of_others(&store, &marks).await?;
    same_rows(after, others)?;
    let listed = works(&satellite, &["tenant", "deleted", "--json"]).await?;
    let listed: Value = serde_json::from_str(&listed)?;
    let proofs = listed["proofs"].as_array().context("no proofs")?;
    ensure!(proofs.len() == 1 && listed["begun"].is_null(), "{listed:#}");
    let events = proofs[0]["stores"][0]["before"]["event"].as_u64();
    ensure!(events == Some(44_050), "{events:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_killed_in_the_middle_is_ended_by_the_same_command() -> Result<()> {
    let folder = tempfile::tempdir()?;
    through_kills(Place::sqlite(folder.path())).await?;
    through_kills(shared_mariadb(Flavor::Durable).await?).await
}

/// Who comes back with the file of the export has its old numbers, and a copy of that time keeps it.
/// The proofs come with the copy to a machine that has none.
async fn who_is_imported_again_stays(
    satellite: &mut SatelliteProcess,
    mine: &Place,
    marks: &[String],
    bundle: &str,
) -> Result<()> {
    works(satellite, &["tenant", "import", bundle]).await?;
    works(satellite, &["backup", "run"]).await?;
    satellite.terminate().await?;
    let proofs = satellite.folder().join("state/deletions.jsonl");
    let kept = fs::read(&proofs)?;
    fs::remove_file(&proofs)?;
    let text = works(satellite, &["restore", "--yes", "all"]).await?;
    ensure!(!text.contains("the copy held the tenant"), "{text}");
    ensure!(text.contains("proofs of deleted tenants"), "{text}");
    ensure!(fs::read(&proofs)? == kept, "other proofs");
    works(satellite, &["tenant", "deleted"]).await?;
    ensure!(
        of_its(mine, marks).await? > 4_050,
        "who came back was deleted"
    );
    Ok(())
}

/// The copies go, and then no copy known holds it.
async fn no_known_copy_holds_it(satellite: &SatelliteProcess, copies: &Copies) -> Result<()> {
    for folder in [copies.first(), copies.second().to_owned()] {
        fs::remove_dir_all(folder)?;
    }
    let text = works(satellite, &["tenant", "deleted", "--lang", "es"]).await?;
    ensure!(text.contains("cadena está completa"), "{text}");
    ensure!(!text.contains("(copia de seguridad)"), "{text}");
    Ok(())
}

async fn does_not_come_back(store: Place, own: Option<Place>) -> Result<()> {
    let copies = Copies::new()?;
    let mut satellite = two_tenants(store.clone(), own.clone(), &copies.table("")?).await?;
    let mine = own.unwrap_or_else(|| store.clone());
    let marks = marks(&store).await?;
    let bundle = satellite.folder().join("acme.tar.gz");
    let bundle = bundle.display().to_string();
    let export = ["tenant", "export", "--tenant", "acme", "--to", &bundle];
    works(&satellite, &export).await?;
    works(&satellite, &["backup", "run"]).await?;
    let others = of_others(&store, &marks).await?;
    block(&satellite).await?;
    let text = works(&satellite, &SURE).await?;
    ensure!(
        text.contains("holds it until") && text.contains("(copy)"),
        "{text}"
    );
    satellite.terminate().await?;

    // It is cut off when the copy is in its place and before the tenant is deleted again.
    let proofs = satellite.folder().join("state/deletions.jsonl");
    let aside = satellite.folder().join("aside");
    fs::rename(&proofs, &aside)?;
    fs::create_dir(&proofs)?;
    let restore = ["restore", "--yes", "all"];
    let (fine, _) = said(&satellite, &restore, "operator").await?;
    ensure!(
        !fine && of_its(&store, &marks).await? > 0,
        "the copy has it"
    );
    fails(&satellite, &["run"], "a restore began and did not end").await?;
    fs::remove_dir(&proofs)?;
    fs::rename(&aside, &proofs)?;

    let text = works(&satellite, &restore).await?;
    ensure!(text.contains("the copy held the tenant acme"), "{text}");
    ensure!(of_its(&store, &marks).await? == 0, "it came back");
    ensure!(of_its(&mine, &marks).await? == 0, "it came back");
    same_rows(of_others(&store, &marks).await?, others)?;
    if let Place::Sqlite(file) = &store {
        let folder = file.parent().context("no folder")?;
        ensure!(
            holding(&[folder], &[PERSON, NAME])?.is_empty(),
            "its bytes came back"
        );
    }
    let sql = "SELECT subject FROM audit WHERE action = 'tenant_deleted_again'";
    let audit = Checker::open(&store).await?.texts(sql, sql).await?;
    ensure!(audit.iter().all(|subject| subject == "acme"), "{audit:?}");
    ensure!(
        audit.len() == if mine == store { 1 } else { 2 },
        "{audit:?}"
    );
    satellite.run().await?;
    let request = attlog("ACM0000001", "4", &punches(PERSON, 0, 1));
    ensure!(!satellite.send(&request).await?.accepts(1));

    who_is_imported_again_stays(&mut satellite, &mine, &marks, &bundle).await?;
    no_known_copy_holds_it(&satellite, &copies).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_does_not_come_back_with_an_older_copy_not_even_through_a_cut()
-> Result<()> {
    let folder = tempfile::tempdir()?;
    does_not_come_back(Place::sqlite(folder.path()), None).await?;
    does_not_come_back(shared_mariadb(Flavor::Durable).await?, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_does_not_come_back_in_a_database_of_its_own() -> Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let own = Some(Place::sqlite(other.path()));
    does_not_come_back(Place::sqlite(folder.path()), own).await
}

/// What carries its events away, and a lockdown, stand against it; afterwards no cursor is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_an_output_or_under_lockdown_is_not_deleted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Place::sqlite(folder.path());
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    let output = format!(
        "[[output]]\nname = \"hook\"\ntenant = \"acme\"\nkind = \"webhook\"\n\
         url = \"http://127.0.0.1:9/x\"\nsecret_file = \"{}\"\nallow_internal = true\n\
         from = \"start\"\n\n",
        key.display()
    );
    let mut satellite = two_tenants(store.clone(), None, &output).await?;
    let marks = marks(&store).await?;
    let cursors = "SELECT COUNT(*) FROM output_cursor WHERE tenant = 'acme'";
    until(LONG, "the output has begun", async || {
        Ok(Checker::open(&store).await?.number(cursors).await? == 1)
    })
    .await?;
    block(&satellite).await?;
    works(&satellite, &["lockdown", "on"]).await?;
    fails(&satellite, &SURE, "lockdown off").await?;
    works(&satellite, &["lockdown", "off"]).await?;
    fails(&satellite, &SURE, "outputs (hook)").await?;
    let json = [&DELETE[..], &["--json"]].concat();
    let look: Value = serde_json::from_str(&works(&satellite, &json).await?)?;
    ensure!(
        look["terminals"] == 3 && look["stores"][0]["rows"]["event"] == 4_050,
        "{look:#}"
    );
    ensure!(
        look["against"].as_array().is_some_and(|all| all.len() == 1),
        "{look:#}"
    );

    let text = fs::read_to_string(satellite.config())?;
    fs::write(satellite.config(), text.replace(&output, ""))?;
    satellite.terminate().await?;
    satellite.run().await?;
    works(&satellite, &SURE).await?;
    ensure!(of_its(&store, &marks).await? == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_people_are_needed_nobody_deletes_a_tenant_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let copies = Copies::new()?;
    let store = Place::sqlite(folder.path());
    let table = copies.table("two_people = true")?;
    let satellite = two_tenants(store.clone(), None, &table).await?;
    let marks = marks(&store).await?;
    block(&satellite).await?;
    fails(&satellite, &SURE, "a second person is needed").await?;
    ensure!(of_its(&store, &marks).await? > 4_050);
    let (fine, text) = said(&satellite, &["restore", "--approve"], "second").await?;
    ensure!(fine && text.contains("tenant delete acme"), "{text}");
    let json = [&SURE[..], &["--json"]].concat();
    let proof: Value = serde_json::from_str(&works(&satellite, &json).await?)?;
    ensure!(
        proof["by"] == "operator" && proof["approved_by"] == "second",
        "{proof:#}"
    );
    ensure!(of_its(&store, &marks).await? == 0);
    Ok(())
}
