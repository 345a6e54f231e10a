//! Promise: a full disk, a silent clock, a cut site and a broken mail relay are each told to the
//! right person in their language, as one incident with a timeline, and told again when over.
//!
//! Real programs over SQLite, simulated terminals, mail servers of our own. These tests wait far
//! more than they compute, so they run beside each other. Times are printed as measured.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use promises::{
    Copies, Place, Post, Postbox, SatelliteProcess, SentinelProcess, Setup, SmallDisk, attlog,
    handshake,
};
use sqlx::ConnectOptions as _;
use terminals::pull::{PullOptions, Terminal};

const SOON: Duration = Duration::from_secs(10);

/// Sentinel's configuration: two readers of level 1 in two languages, and then these tables.
fn configuration(relays: &[String], more: &str) -> String {
    format!(
        "language = \"es\"\nrecovered_after = \"10s\"\nmexican_holidays = false\n{more}\n\
         [listen]\nadmin = \"127.0.0.1:0\"\n\
         [mail]\nfrom = \"sentinela@example.mx\"\nrelays = {relays:?}\n\
         [[level]]\nafter = \"0m\"\nto = [{{ address = \"uno@example.mx\", phone = \"+52 442 1\" }}, \
         {{ address = \"one@example.mx\", language = \"en\" }}]\n",
    )
}

fn watching(satellite: &SatelliteProcess, place: &Place) -> String {
    format!(
        "[host]\nwatch = false\n[watch]\nsatellite_admin = \"http://{}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n",
        satellite.admin_door(),
        place.url(),
    )
}

async fn sentinel(configuration: &str) -> SentinelProcess {
    let mut sentinel = SentinelProcess::prepare(configuration).unwrap();
    sentinel.run().await.unwrap();
    sentinel
}

async fn letter(postbox: &Postbox, to: &str, words: &str, within: Duration) -> (Post, String) {
    let fits = |post: &Post| post.to == to && post.read().0.contains(words);
    let post = postbox.wait(within, fits).await.unwrap();
    let text = post.read().1;
    (post, text)
}

/// Both readers are told in their language, with these facts; answers with the first letter.
async fn told(
    postbox: &Postbox,
    [spanish, english]: [&str; 2],
    facts: &[[&str; 2]],
    within: Duration,
) -> Post {
    let (first, text) = letter(postbox, "uno@example.mx", spanish, within).await;
    let (_, other) = letter(postbox, "one@example.mx", english, SOON).await;
    for [es, en] in facts {
        assert!(text.contains(es), "{es:?} in\n{text}");
        assert!(other.contains(en), "{en:?} in\n{other}");
    }
    for part in [
        "+52 442 1",
        "Enterado, lo atiendo",
        "Tiempo de recuperación (RTO)",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    first
}

/// The recovery answers the first letter, and the incident has its timeline.
async fn recovered(
    postbox: &Postbox,
    sentinel: &SentinelProcess,
    first: &Post,
    kind: &str,
    title: &str,
    within: Duration,
) -> serde_json::Value {
    let words = format!("Recuperado: {title}");
    let (back, _) = letter(postbox, "uno@example.mx", &words, within).await;
    assert_eq!(back.header("references"), first.header("message-id"));
    let all = ["incidents", "--days", "1", "--json"];
    let all = sentinel.json(all).await.unwrap();
    let mut own = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["kind"] == kind);
    let incident = own
        .next()
        .unwrap_or_else(|| panic!("{kind} in {all:#}"))
        .clone();
    assert_eq!(own.count(), 0, "one incident: {all:#}");
    let id = incident["id"].as_str().unwrap();
    let shown = sentinel
        .json(["incidents", "show", id, "--json"])
        .await
        .unwrap();
    let timeline = shown["timeline"].as_array().unwrap().iter();
    let words: Vec<&str> = timeline.filter_map(|line| line["what"].as_str()).collect();
    for word in ["opened", "told", "closed"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    shown["incident"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_with_its_place_and_its_end_too() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOT PROVEN HERE: a file system cannot be mounted (root is needed)");
        return;
    };
    let postbox = Postbox::open().await.unwrap();
    let place = disk.path().display().to_string();
    let host = format!("[host]\nname = \"vm1\"\ndisks = [\"{place}\"]\n[watch]\n");
    let sentinel = sentinel(&configuration(&[postbox.url()], &host)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    std::fs::write(disk.path().join("data"), vec![0_u8; 4_100_000]).unwrap();
    let begin = Instant::now();
    let within = Duration::from_secs(120);
    let seen = format!("Dónde: {place}");
    let seen_en = format!("Where: {place}");
    let facts = [
        [seen.as_str(), seen_en.as_str()],
        ["Ocupado: 98 %", "Used: 98 %"],
        ["De lado de: el servidor", "Whose side: the server"],
    ];
    let titles = [
        "CRÍTICO: Disco lleno (servidor vm1)",
        "CRITICAL: A disk is full (server vm1)",
    ];
    let first = told(&postbox, titles, &facts, within).await;
    println!("disk full: told after {:?}", first.at.duration_since(begin));
    std::fs::remove_file(disk.path().join("data")).unwrap();
    let closed = recovered(
        &postbox,
        &sentinel,
        &first,
        "disk_full",
        "Disco lleno",
        within,
    )
    .await;
    assert_eq!(closed["class"], "host");
}

/// The terminal of which people make use while something is wrong.
const PUNCHING: &str = "PUNCH0001";

/// Sends a punch each second, for so long; answers whether the last one was accepted.
async fn punches(satellite: &SatelliteProcess, zone: &TimeZone, seconds: u32) -> bool {
    let mut accepted = false;
    for person in 0..seconds {
        let punch = line(zone, Timestamp::now(), person.into());
        let reply = satellite
            .send(&attlog(PUNCHING, "9", punch.as_bytes()))
            .await;
        accepted = reply.is_ok_and(|reply| reply.accepts(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    accepted
}

/// satellite, with a terminal whose first punch is stored.
async fn punching(setup: &Setup) -> (SatelliteProcess, TimeZone) {
    let satellite = SatelliteProcess::start(setup).await.unwrap();
    let zone = TimeZone::get("America/Mexico_City").unwrap();
    satellite.send(&handshake(PUNCHING)).await.unwrap();
    assert!(punches(&satellite, &zone, 1).await);
    (satellite, zone)
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_another_session_holds_up_are_told_as_a_standstill() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol([PUNCHING]);
    let (satellite, zone) = punching(&setup).await;
    let postbox = Postbox::open().await.unwrap();
    let tables = configuration(&[postbox.url()], &watching(&satellite, &place));
    let sentinel = sentinel(&tables).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("events.db"));
    let mut holder = file.connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut holder)
        .await
        .unwrap();
    let begin = Instant::now();
    assert!(!punches(&satellite, &zone, 1).await);
    let titles = [
        "CRÍTICO: Sin avance: hay checadas en espera y no se guardan",
        "CRITICAL: Stalled: punches wait and are not stored",
    ];
    let facts = [[
        "Ver si otra sesión bloquea",
        "See whether another session holds",
    ]];
    let first = told(&postbox, titles, &facts, Duration::from_secs(90)).await;
    println!(
        "a standstill: told after {:?}",
        first.at.duration_since(begin)
    );
    drop(holder);
    assert!(punches(&satellite, &zone, 8).await);
    let title = "Sin avance: hay checadas en espera y no se guardan";
    let kind = "ingest_stalled";
    let within = Duration::from_secs(60);
    let closed = recovered(&postbox, &sentinel, &first, kind, title, within).await;
    assert_eq!(closed["class"], "component");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_a_full_disk_is_told_and_not_called_recovered_before_a_punch_is_stored() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED, NOT PROVEN HERE: a file system cannot be mounted (root is needed)");
        return;
    };
    let place = Place::sqlite(disk.path());
    let setup = Setup::new(place.clone()).enrol([PUNCHING]);
    let (satellite, zone) = punching(&setup).await;
    let postbox = Postbox::open().await.unwrap();
    let tables = configuration(&[postbox.url()], &watching(&satellite, &place));
    let sentinel = sentinel(&tables).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    // The last byte cannot be had; what is left by then is none.
    std::fs::write(disk.path().join("data"), vec![0_u8; 4_200_000]).unwrap_err();
    let begin = Instant::now();
    assert!(!punches(&satellite, &zone, 10).await);
    let titles = [
        "CRÍTICO: El disco de la base de datos está lleno",
        "CRITICAL: The database's disk is full",
    ];
    let facts = [
        ["Detalle: ", "Detail: "],
        ["De lado de: la base de datos", "Whose side: the database"],
    ];
    let first = told(&postbox, titles, &facts, Duration::from_secs(60)).await;
    println!(
        "a full database: told after {:?}",
        first.at.duration_since(begin)
    );
    // satellite tries again and again, and what it tries may fit where a punch does not.
    assert!(!punches(&satellite, &zone, 25).await);
    let subjects: Vec<String> = postbox.posts().iter().map(|post| post.read().0).collect();
    assert!(
        !subjects.iter().any(|it| it.contains("Recuperado")),
        "{subjects:?}"
    );
    std::fs::remove_file(disk.path().join("data")).unwrap();
    assert!(punches(&satellite, &zone, 5).await);
    let title = "El disco de la base de datos está lleno";
    let kind = "database_full";
    let closed = recovered(
        &postbox,
        &sentinel,
        &first,
        kind,
        title,
        Duration::from_secs(60),
    )
    .await;
    assert_eq!(closed["class"], "database");
}

/// Eight weeks of punches around this hour of the day, until yesterday.
fn eight_weeks(zone: &TimeZone, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for day in (1..=56).rev() {
        for punch in 0..120 {
            // From two hours before to forty minutes after.
            let at = now - SignedDuration::from_hours(24 * day) - SignedDuration::from_mins(120)
                + SignedDuration::from_secs(80 * punch);
            if at < now - SignedDuration::from_hours(24) - SignedDuration::from_mins(1) {
                lines.push(line(zone, at, punch));
            }
        }
    }
    lines
}

fn line(zone: &TimeZone, at: Timestamp, person: i64) -> String {
    let wall = at.to_zoned(zone.clone());
    format!(
        "{}\t{}\t0\t1\t0\t0\n",
        100 + person % 40,
        wall.strftime("%Y-%m-%d %H:%M:%S")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn one_silent_clock_is_told_with_the_numbers_that_were_expected_and_its_first_punch_too() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut satellite = SatelliteProcess::prepare(&Setup::new(place.clone()))
        .await
        .unwrap();
    let add = [
        "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--site", "Toluca",
    ];
    satellite
        .command(add.iter().chain(&["--serial", "QUIET0001"]))
        .await
        .unwrap();
    satellite.run().await.unwrap();
    satellite.send(&handshake("QUIET0001")).await.unwrap();
    let (zone, now) = (
        TimeZone::get("America/Mexico_City").unwrap(),
        Timestamp::now(),
    );
    let lines = eight_weeks(&zone, now);
    for piece in lines.chunks(500) {
        let reply = satellite
            .send(&attlog("QUIET0001", "1", piece.concat().as_bytes()))
            .await;
        assert!(reply.unwrap().accepts(piece.len()));
    }
    let postbox = Postbox::open().await.unwrap();
    let begin = Instant::now();
    let sentinel = sentinel(&configuration(
        &[postbox.url()],
        &watching(&satellite, &place),
    ))
    .await;
    let facts = [
        ["Se esperaba: ", "Expected: "],
        ["Se vio: 0", "Seen: 0"],
        ["De lado de: el dispositivo", "Whose side: the device"],
        [
            "Dispositivo: QUIET0001 (Toluca)",
            "Device: QUIET0001 (Toluca)",
        ],
    ];
    let spanish = "Aviso: Un dispositivo está conectado y no llegan sus checadas";
    let english = "Warning: A terminal is connected and its punches are missing";
    let within = Duration::from_secs(120);
    let first = told(&postbox, [spanish, english], &facts, within).await;
    println!(
        "a silent clock: told after {:?}",
        first.at.duration_since(begin)
    );
    let (_, text) = (&first, first.read().1);
    let expected = text
        .lines()
        .find_map(|it| it.trim().strip_prefix("Se esperaba: "));
    let expected: u32 = expected.unwrap().trim().replace(',', "").parse().unwrap();
    assert!((14..300).contains(&expected), "{expected}");

    let punch = line(&zone, Timestamp::now(), 7);
    let reply = satellite
        .send(&attlog("QUIET0001", "2", punch.as_bytes()))
        .await;
    assert!(reply.unwrap().accepts(1));
    let title = "Un dispositivo está conectado y no llegan sus checadas";
    let within = Duration::from_secs(180);
    let closed = recovered(
        &postbox,
        &sentinel,
        &first,
        "terminal_silent",
        title,
        within,
    )
    .await;
    assert_eq!(closed["class"], "component");
}

/// Terminals that are dialled, enrolled at that site.
async fn at_site(satellite: &SatelliteProcess, site: &str, serials: &[&str]) -> Vec<Terminal> {
    let mut terminals = Vec::new();
    for serial in serials {
        let options = PullOptions {
            serial: (*serial).to_owned(),
            history: 3,
            ..PullOptions::default()
        };
        let terminal = Terminal::start(options, None).unwrap();
        let address = terminal.address().to_string();
        let words = [
            "devices",
            "add",
            "--tenant",
            "acme",
            "--vendor",
            "zkteco",
            "--site",
            site,
            "--serial",
            serial,
            "--address",
            &address,
        ];
        satellite.command(words).await.unwrap();
        terminals.push(terminal);
    }
    terminals
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_site_is_one_mail_with_every_name_and_one_recovery() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut satellite = SatelliteProcess::prepare(&Setup::new(place.clone()))
        .await
        .unwrap();
    let names = ["CUT00001", "CUT00002", "CUT00003", "CUT00004", "CUT00005"];
    let toluca = at_site(&satellite, "Toluca", &names).await;
    let lerma = at_site(&satellite, "Lerma", &["STAYS001"]).await;
    satellite.run().await.unwrap();
    let postbox = Postbox::open().await.unwrap();
    let sentinel = sentinel(&configuration(
        &[postbox.url()],
        &watching(&satellite, &place),
    ))
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let begin = Instant::now();
    for terminal in &toluca {
        terminal.set_down(true);
        terminal.cut();
    }
    let within = Duration::from_secs(150);
    let titles = [
        "CRÍTICO: Sin conexión con dispositivos",
        "CRITICAL: Terminals are offline",
    ];
    let facts = [
        [
            "Condición: no se puede conectar con él",
            "Condition: it cannot be connected to",
        ],
        [
            "De lado de: el sitio del cliente",
            "Whose side: the client's site",
        ],
        ["Incluye (5)", "Includes (5)"],
    ];
    let first = told(&postbox, titles, &facts, within).await;
    println!(
        "a cut site: told after {:?}",
        first.at.duration_since(begin)
    );
    let (subject, text) = first.read();
    assert!(subject.contains("Acme S.A., Toluca: 5"), "{subject}");
    for name in names {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    assert!(!text.contains("STAYS001"), "{text}");
    for terminal in &toluca {
        terminal.set_down(false);
    }
    let title = "Sin conexión con dispositivos";
    let closed = recovered(
        &postbox,
        &sentinel,
        &first,
        "terminal_offline",
        title,
        within,
    )
    .await;
    assert_eq!(closed["members"].as_object().unwrap().len(), 5);
    let to_uno = |post: &&Post| post.to == "uno@example.mx";
    assert_eq!(
        postbox.posts().iter().filter(to_uno).count(),
        2,
        "one mail, one recovery"
    );
    drop(lerma);
}

/// satellite over a file, without terminals.
async fn bare_satellite(folder: &Path) -> (SatelliteProcess, Place) {
    let place = Place::sqlite(folder);
    let satellite = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    (satellite, place)
}

const DOWN: [&str; 2] = [
    "CRÍTICO: El Programa Satélite está detenido",
    "CRITICAL: Satellite is down",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_is_passed_by_and_told_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (mut satellite, place) = bare_satellite(folder.path()).await;
    let (broken, postbox) = (
        Postbox::open().await.unwrap(),
        Postbox::open().await.unwrap(),
    );
    broken.refuse(true);
    let relays = [broken.url(), postbox.url()];
    let sentinel = sentinel(&configuration(&relays, &watching(&satellite, &place))).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let begin = Instant::now();
    satellite.kill9().await.unwrap();
    let down = told(&postbox, DOWN, &[], Duration::from_secs(90)).await;
    println!(
        "first relay refuses: told after {:?}",
        down.at.duration_since(begin)
    );
    let titles = [
        "Aviso: Falla un servidor de correo; el otro funciona",
        "Warning: One mail relay fails; another works",
    ];
    let first = broken.url().trim_start_matches("smtp://").to_owned();
    let facts = [
        [first.as_str(), first.as_str()],
        ["come again", "come again"],
    ];
    told(&postbox, titles, &facts, Duration::from_secs(150)).await;
    assert!(broken.posts().is_empty());
    // The recovery takes the same way. That the relay is well again shows when the next letter
    // leaves after its rest, which is longer than this test.
    satellite.run().await.unwrap();
    let title = "El Programa Satélite está detenido";
    recovered(
        &postbox,
        &sentinel,
        &down,
        "satellite_down",
        title,
        Duration::from_secs(120),
    )
    .await;
}

/// Two relays that no letter uses, and who uses them.
struct Quiet {
    first: Postbox,
    second: Postbox,
    sentinel: SentinelProcess,
    _satellite: SatelliteProcess,
    _folder: tempfile::TempDir,
}

/// The first of two relays breaks while no letter uses it; answers with what is told by the second.
async fn first_breaks(how: &str, breaks: fn(&Postbox)) -> (Post, Quiet) {
    let folder = tempfile::tempdir().unwrap();
    let (satellite, place) = bare_satellite(folder.path()).await;
    let (first, second) = (
        Postbox::open().await.unwrap(),
        Postbox::open().await.unwrap(),
    );
    let relays = [first.url(), second.url()];
    let sentinel = sentinel(&configuration(&relays, &watching(&satellite, &place))).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(first.posts().is_empty() && second.posts().is_empty());
    let begin = Instant::now();
    breaks(&first);
    let titles = [
        "Aviso: Falla un servidor de correo; el otro funciona",
        "Warning: One mail relay fails; another works",
    ];
    let name = first.url();
    let facts = [[name.as_str(), name.as_str()]];
    let told = told(&second, titles, &facts, Duration::from_secs(90)).await;
    println!(
        "first relay {how}, no letter: told after {:?}",
        told.at.duration_since(begin)
    );
    let quiet = Quiet {
        first,
        second,
        sentinel,
        _satellite: satellite,
        _folder: folder,
    };
    (told, quiet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_dies_while_no_letter_uses_it_is_told_by_the_other_within_90_seconds() {
    let (_, quiet) = first_breaks("dies", Postbox::die).await;
    // The letter met the dead relay too: both who saw it speak of one incident.
    tokio::time::sleep(Duration::from_secs(75)).await;
    let all = quiet.sentinel.json(["incidents", "--json"]).await.unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1, "{all:#}");
    assert_eq!(quiet.second.posts().len(), 2, "one letter to each reader");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_greets_and_takes_no_sender_is_told_by_the_other_and_its_return_too() {
    let refuses = |relay: &Postbox| relay.refuse(true);
    let (told, quiet) = first_breaks("refuses", refuses).await;
    let (first, second) = (&quiet.first, &quiet.second);
    assert!(first.posts().is_empty());
    first.refuse(false);
    let title = "Falla un servidor de correo; el otro funciona";
    let words = format!("Recuperado: {title}");
    let end = Instant::now() + Duration::from_secs(120);
    // By whichever of the two goes first now.
    let back = loop {
        let posts = [first.posts(), second.posts()].concat();
        let is_back = |post: &Post| post.to == "uno@example.mx" && post.read().0.contains(&words);
        if let Some(post) = posts.into_iter().find(is_back) {
            break post;
        }
        assert!(Instant::now() < end, "nobody was told that it is well");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(back.header("references"), told.header("message-id"));
    let all = ["incidents", "--days", "1", "--json"];
    let all = quiet.sentinel.json(all).await.unwrap();
    assert_eq!(all[0]["state"], "closed", "{all:#}");
    assert_eq!(all.as_array().unwrap().len(), 1, "{all:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hangs_holds_no_alert_back_for_longer_than_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let (mut satellite, place) = bare_satellite(folder.path()).await;
    // Takes connections into its queue, and nobody ever greets.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", hanging.local_addr().unwrap());
    let postbox = Postbox::open().await.unwrap();
    let relays = [url, postbox.url()];
    let sentinel = sentinel(&configuration(&relays, &watching(&satellite, &place))).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let begin = Instant::now();
    satellite.kill9().await.unwrap();
    let down = told(&postbox, DOWN, &[], Duration::from_secs(120)).await;
    println!(
        "first relay hangs: told after {:?}",
        down.at.duration_since(begin)
    );
    satellite.run().await.unwrap();
    let title = "El Programa Satélite está detenido";
    let within = Duration::from_secs(120);
    recovered(&postbox, &sentinel, &down, "satellite_down", title, within).await;
}

/// A satellite with `[backup]` in its configuration, and sentinel over it; something is done
/// before they start.
async fn copying(
    folder: &Path,
    copies: &Copies,
    postbox: &Postbox,
    before: impl AsyncFnOnce(&SatelliteProcess),
) -> (SatelliteProcess, SentinelProcess) {
    let place = Place::sqlite(folder);
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("").unwrap();
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    before(&satellite).await;
    satellite.run().await.unwrap();
    let tables = configuration(&[postbox.url()], &watching(&satellite, &place));
    (satellite, sentinel(&tables).await)
}

async fn backup(satellite: &SatelliteProcess, word: &str) -> bool {
    let output = satellite.backup(&[word]).output().await.unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_never_made_is_told_and_its_end_too() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), Copies::new().unwrap());
    let postbox = Postbox::open().await.unwrap();
    let begin = Instant::now();
    let (satellite, sentinel) = copying(folder.path(), &copies, &postbox, async |_| ()).await;
    let titles = [
        "CRÍTICO: El respaldo excede lo prometido (Acme S.A.)",
        "CRITICAL: The backup is older than promised (Acme S.A.)",
    ];
    let facts = [
        ["nunca hubo un respaldo bueno", "there never was a good one"],
        ["satellite backup run", "satellite backup run"],
    ];
    let first = told(&postbox, titles, &facts, Duration::from_secs(60)).await;
    println!("no backup: told after {:?}", first.at.duration_since(begin));
    assert!(backup(&satellite, "run").await && backup(&satellite, "verify").await);
    let closed = recovered(
        &postbox,
        &sentinel,
        &first,
        "backup_overdue",
        "El respaldo excede lo prometido",
        Duration::from_secs(120),
    )
    .await;
    assert_eq!(closed["class"], "database");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_is_told_with_what_to_do_in_both_languages() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), Copies::new().unwrap());
    let postbox = Postbox::open().await.unwrap();
    // As when the disk of the second location is not mounted.
    std::fs::remove_dir_all(copies.second()).unwrap();
    let fails = async |satellite: &SatelliteProcess| assert!(!backup(satellite, "run").await);
    let begin = Instant::now();
    let _both = copying(folder.path(), &copies, &postbox, fails).await;
    let titles = [
        "Aviso: El último respaldo falló (Acme S.A.)",
        "Warning: The last backup failed (Acme S.A.)",
    ];
    let facts = [
        [
            "no se puede usar; libere espacio, móntelo",
            "cannot be used; make room, mount it",
        ],
        [
            "la última copia buena sigue intacta",
            "the last good copy is untouched",
        ],
    ];
    let first = told(&postbox, titles, &facts, Duration::from_secs(90)).await;
    println!("failed: told after {:?}", first.at.duration_since(begin));
}

/// As if the copies had been made so many minutes ago.
fn made_ago(satellite: &SatelliteProcess, minutes: i64) {
    let path = satellite.folder().join("state/backup.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let at = Timestamp::now() - SignedDuration::from_mins(minutes);
    for all in ["stores", "tenants"] {
        for one in board[all].as_array_mut().unwrap() {
            for key in ["started_at", "finished_at", "verified_at"] {
                one[key] = at.to_string().into();
            }
        }
    }
    std::fs::write(&path, board.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_ages_is_told_before_three_hours_and_again_when_they_are_over() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), Copies::new().unwrap());
    let postbox = Postbox::open().await.unwrap();
    let ages = async |satellite: &SatelliteProcess| {
        assert!(backup(satellite, "run").await);
        made_ago(satellite, 170);
    };
    let (satellite, _sentinel) = copying(folder.path(), &copies, &postbox, ages).await;
    let titles = [
        "Aviso: El respaldo está por exceder lo prometido (Acme S.A.)",
        "Warning: The backup is nearly older than promised (Acme S.A.)",
    ];
    let facts = [["Se esperaba: 3 h 00 min", "Expected: 3 h 00 min"]];
    let within = Duration::from_secs(90);
    told(&postbox, titles, &facts, within).await;
    made_ago(&satellite, 181);
    // One incident, which becomes critical and is called what it is then.
    let words = "CRÍTICO: El respaldo excede lo prometido (Acme S.A.)";
    let (_, text) = letter(&postbox, "uno@example.mx", words, within).await;
    assert!(text.contains("satellite backup run"), "{text}");
}
