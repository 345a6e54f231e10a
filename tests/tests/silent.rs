//! Promise: a broker from which nothing comes in, a binary log that is shipped no more, and a sentinel that
//! is dead, are told by who is left, in the reader's language, and told again when they are back.
//!
//! Real programs over SQLite, the distribution's Mosquitto, a mail server of our own. About four
//! minutes of waiting for the broker and two for sentinel, with `--full` six and the usual three minutes
//! of silence. Times are printed as measured.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use mariadb::{Flavor, Server};
use promises::{
    Copies, Mosquitto, Place, Post, Postbox, SatelliteProcess, SentinelProcess, Setup, blocking,
    free_port,
};

async fn letter(postbox: &Postbox, to: &str, words: &str, within: Duration) -> Post {
    let fits = |post: &Post| post.to == to && post.read().0.contains(words);
    postbox.wait(within, fits).await.unwrap()
}

fn subjects(postbox: &Postbox) -> Vec<String> {
    postbox.posts().iter().map(|post| post.read().0).collect()
}

/// Sentinel over that satellite, listening at that address; two readers of level 1 in two languages.
fn configuration(
    satellite: &SatelliteProcess,
    place: &Place,
    postbox: &Postbox,
    admin: &str,
) -> String {
    format!(
        "language = \"es\"\nrecovered_after = \"10s\"\n[listen]\nadmin = \"{admin}\"\n\
         [host]\nwatch = false\n[watch]\nsatellite_admin = \"http://{}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n\
         [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
         [[level]]\nafter = \"0m\"\nto = [{{ address = \"uno@example.mx\", phone = \"+52 442 1\" }}, \
         {{ address = \"one@example.mx\", language = \"en\" }}]\n",
        satellite.admin_door(),
        place.url(),
        postbox.url(),
    )
}

/// satellite that listens to that broker, from which a punch has come already.
async fn listening(broker: &Mosquitto, place: &Place) -> SatelliteProcess {
    let mut setup = Setup::new(place.clone());
    setup.more = format!(
        "[[input]]\nname = \"plant\"\ntenant = \"acme\"\nkind = \"mqtt\"\nsender = \"PLANT\"\n\
         topics = [\"plant/punch\"]\nurl = \"mqtt://{}\"\nallow_internal = true\n\n",
        broker.address()
    );
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let add = "devices add --tenant acme --vendor other --serial PLANT";
    satellite.command(add.split(' ')).await.unwrap();
    satellite.run().await.unwrap();
    let punch = r#"{"event":"punch","time":"2026-11-27T09:00:00-06:00","person":"0042"}"#;
    let port = broker.address().port().to_string();
    let end = Instant::now() + Duration::from_secs(30);
    let mut out = String::new();
    while !out.contains("0042") {
        assert!(Instant::now() < end, "no punch came in: {out}");
        let words = ["-q", "1", "-h", "127.0.0.1", "-p", &port, "-t"];
        let sent = std::process::Command::new("mosquitto_pub")
            .args(words)
            .args(["plant/punch", "-m", punch])
            .status();
        assert!(sent.unwrap().success());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = ["events", "--since", "2026-11-27"];
        out = satellite.command(events).await.unwrap();
    }
    satellite
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_from_which_nothing_comes_in_is_told_by_the_inputs_name_and_its_return_too() {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(folder.path(), "allow_anonymous true")
        .await
        .unwrap();
    let place = Place::sqlite(folder.path());
    let satellite = listening(&broker, &place).await;
    let postbox = Postbox::open().await.unwrap();
    let tables = configuration(&satellite, &place, &postbox, "127.0.0.1:0");
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    sentinel.run().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    // One that is started again is no news.
    broker.kill9().await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    broker.up().await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(subjects(&postbox), [""; 0]);

    let begin = Instant::now();
    broker.kill9().await.unwrap();
    let within = Duration::from_secs(200);
    let spanish = "CRÍTICO: No entran los registros de un broker (Acme S.A., plant)";
    let english = "CRITICAL: Records of a broker do not come in (Acme S.A., plant)";
    let first = letter(&postbox, "uno@example.mx", spanish, within).await;
    println!("broker: told after {:?}", first.at.duration_since(begin));
    let soon = Duration::from_secs(10);
    let other = letter(&postbox, "one@example.mx", english, soon).await;
    let place = broker.address().to_string();
    let (es, en) = (first.read().1, other.read().1);
    for (text, parts) in [
        (&es, ["Dónde: ", "sin conexión: ", "El broker los conserva"]),
        (
            &en,
            ["Where: ", "Connection refused", "The broker keeps them"],
        ),
    ] {
        for part in parts.iter().chain(&[place.as_str(), "+52 442 1"]) {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }

    let begin = Instant::now();
    broker.up().await.unwrap();
    let back = format!("Recuperado: {}", spanish.trim_start_matches("CRÍTICO: "));
    let back = letter(&postbox, "uno@example.mx", &back, within).await;
    println!(
        "broker: back told after {:?}",
        back.at.duration_since(begin)
    );
    assert_eq!(back.header("references"), first.header("message-id"));
    let all = ["incidents", "--days", "1", "--json"];
    let all = sentinel.json(all).await.unwrap();
    assert_eq!(all.as_array().unwrap().len(), 1, "{all:#}");
    assert_eq!(all[0]["kind"], "input_standing", "{all:#}");
    assert_eq!(all[0]["state"], "closed", "{all:#}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(postbox.posts().len(), 4, "{:?}", subjects(&postbox));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sentinel_is_told_by_satellite_itself_and_its_return_in_the_same_thread() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let postbox = Postbox::open().await.unwrap();
    let admin = free_port().unwrap().to_string();
    // Asked six times in that long, and told at the third question after it at the latest.
    let silent_after = if promises::full() { 180 } else { 30 };
    let within = Duration::from_secs(silent_after + silent_after / 2);
    let mut setup = Setup::new(place.clone());
    setup.more = format!(
        "[sentinel_guard]\nhealth_url = \"http://{admin}/healthz\"\nsilent_after = \"{silent_after}s\"\n\
         from = \"satelite@example.mx\"\nto = [\"soporte@example.mx\"]\nrelays = [\"{}\"]\n\n",
        postbox.url()
    );
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let tables = configuration(&satellite, &place, &postbox, &admin);
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    sentinel.run().await.unwrap();
    // Longer than a silence: while it lives nobody is told of one.
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(subjects(&postbox), [""; 0]);

    let begin = Instant::now();
    sentinel.kill9().await.unwrap();
    let to = "soporte@example.mx";
    let silent = "Sentinela no responde: nadie vigila";
    let first = letter(&postbox, to, silent, within).await;
    let took = first.at.duration_since(begin);
    println!("sentinel: told after {took:?}");
    assert!(took > within / 2, "{took:?}");
    let text = first.read().1;
    for part in [
        "Connection refused",
        "systemctl restart sentinel",
        admin.as_str(),
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }

    let begin = Instant::now();
    sentinel.run().await.unwrap();
    let back = letter(&postbox, to, "Sentinela responde de nuevo", within).await;
    println!(
        "sentinel: back told after {:?}",
        back.at.duration_since(begin)
    );
    assert_eq!(back.header("references"), first.header("message-id"));
    assert!(back.read().1.contains("sentinel incidents"));
    assert_eq!(postbox.posts().len(), 2, "{:?}", subjects(&postbox));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_log_that_is_shipped_no_more_is_told_and_so_is_its_end() {
    let server = blocking(|| Server::start(Flavor::Durable)).await.unwrap();
    let place = Place::mariadb(server.address()).await.unwrap();
    let rights = "GRANT REPLICATION SLAVE ON *.* TO satellite@'127.0.0.1'";
    server.sql(rights).unwrap();
    let (copies, postbox) = (Copies::new().unwrap(), Postbox::open().await.unwrap());
    let mut setup = Setup::new(place.clone());
    setup.more = copies.table("binary_log = true").unwrap();
    let mut satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let works = async |satellite: &SatelliteProcess, words: &[&str]| {
        let done = satellite.backup(words).output().await.unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    works(&satellite, &["run"]).await;
    works(&satellite, &["verify"]).await;
    works(&satellite, &["ship", "--once"]).await;
    // As if the unit that ships had been stopped ten minutes ago.
    let path = satellite.folder().join("state/backup.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut board: serde_json::Value = serde_json::from_str(&text).unwrap();
    let at = Timestamp::now() - SignedDuration::from_mins(10);
    board["logs"][0]["shipped_until"] = at.to_string().into();
    std::fs::write(&path, board.to_string()).unwrap();
    satellite.run().await.unwrap();
    let admin = free_port().unwrap();
    let tables = configuration(&satellite, &place, &postbox, &admin.to_string());
    let mut sentinel = SentinelProcess::prepare(&tables).unwrap();
    sentinel.run().await.unwrap();
    let within = Duration::from_secs(240);
    let title = "Aviso: La bitácora del servidor no se está enviando (Acme S.A.)";
    let first = letter(&postbox, "uno@example.mx", title, within).await;
    let title = "Warning: The binary log is not being shipped (Acme S.A.)";
    let english = letter(&postbox, "one@example.mx", title, within).await;
    assert!(english.read().1.contains("satellite-ship"));
    works(&satellite, &["ship", "--once"]).await;
    let title = "Recuperado: La bitácora del servidor no se está enviando";
    let back = letter(&postbox, "uno@example.mx", title, within).await;
    assert_eq!(back.header("references"), first.header("message-id"));
}
