//! Promise: `satellite doctor` names what is wrong with what satellite stands on, and what mends it;
//! nothing that is right is called wrong.
//!
//! Each thing is really broken: a real server with a weak setting, a real user without rights, a
//! process that was killed, a server that was stopped.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use mariadb::{Flavor, Server};
use promises::{Copies, Place, SatelliteProcess, Setup, blocking};
use serde_json::Value;

/// What the doctor says with this grade, each as "about: seen | mend".
async fn told(satellite: &SatelliteProcess, grade: &str) -> Vec<String> {
    let text = satellite.said(&["doctor", "--json"]).await.unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_grade = list.iter().filter(|finding| finding["grade"] == grade);
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("-").to_owned();
    of_grade
        .map(|finding| {
            let [about, seen, mend] = ["about", "seen", "mend"].map(|key| word(finding, key));
            format!("{about}: {seen} | {mend}")
        })
        .collect()
}

/// The lines about these things; the disk and the clock of whoever runs the tests are their own.
fn about<'a>(lines: &'a [String], things: &[&str]) -> Vec<&'a String> {
    let fits = |line: &&String| things.iter().any(|thing| line.starts_with(thing));
    lines.iter().filter(fits).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_wrong_and_what_mends_it_and_calls_nothing_else_bad() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let mut satellite = SatelliteProcess::start(&Setup::new(place)).await.unwrap();
    let sql = async |text: &'static str| {
        let server = Arc::clone(&server);
        blocking(move || server.sql(text)).await.unwrap();
    };

    let bad = told(&satellite, "bad").await;
    assert!(
        about(&bad, &["service", "doors", "configuration", "store"]).is_empty(),
        "{bad:#?}"
    );
    let good = told(&satellite, "good").await;
    let door = format!(
        "doors: somebody opens to terminals at {}",
        satellite.devices()
    );
    for words in ["MariaDB", "(10.4 or later is needed)", &door] {
        assert!(good.iter().any(|line| line.contains(words)), "{good:#?}");
    }
    assert!(
        good.iter()
            .any(|line| line.starts_with("service: satellite ")),
        "{good:#?}"
    );

    sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2, GLOBAL read_only = 1").await;
    let bad = told(&satellite, "bad").await;
    let bad = about(&bad, &["store"]);
    let named = |words: &str| bad.iter().any(|line| line.contains(words));
    assert!(named("innodb_flush_log_at_trx_commit = 2: "), "{bad:#?}");
    assert!(
        named("SET GLOBAL innodb_flush_log_at_trx_commit = 1"),
        "{bad:#?}"
    );
    assert!(named("SET GLOBAL read_only = 0"), "{bad:#?}");
    sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL read_only = 0").await;

    satellite.kill9().await.unwrap();
    let bad = told(&satellite, "bad").await;
    let silent = about(&bad, &["service"]);
    assert!(
        silent.len() == 1 && silent[0].contains("does not answer"),
        "{bad:#?}"
    );

    let stopped = Arc::clone(&server);
    blocking(move || stopped.stop()).await.unwrap();
    let bad = told(&satellite, "bad").await;
    let gone = about(&bad, &["store"]);
    assert!(
        gone.len() == 1 && gone[0].contains("unreachable"),
        "{bad:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_only_read_is_told_with_the_statement_that_helps() {
    let server = Arc::new(blocking(|| Server::start(Flavor::Durable)).await.unwrap());
    let place = Place::mariadb(server.address()).await.unwrap();
    let made = SatelliteProcess::start(&Setup::new(place.clone()))
        .await
        .unwrap();
    let Place::Mariadb { database, .. } = &place else {
        unreachable!("it is MariaDB");
    };
    let script = format!(
        "CREATE USER reader@'127.0.0.1'; GRANT SELECT, SHOW VIEW ON `{database}`.* TO reader@'127.0.0.1';"
    );
    let asked = Arc::clone(&server);
    blocking(move || asked.sql(&script)).await.unwrap();

    let file = made.folder().join("reader.toml");
    let text = std::fs::read_to_string(made.folder().join("satellite.toml")).unwrap();
    let (writer, reader) = ("mysql://satellite@", "mysql://reader@");
    assert!(text.contains(writer), "{text}");
    std::fs::write(&file, text.replace(writer, reader)).unwrap();
    let said = made.said_with(&file, &["doctor", "--json"]).await.unwrap();
    assert!(
        said.contains("event, feed_head, device, quarantine, lease, job"),
        "{said}"
    );
    let grant = format!("GRANT SELECT, INSERT, UPDATE ON {database}.* TO 'reader'@'127.0.0.1';");
    assert!(said.contains(&grant), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_how_copies_stand_and_what_makes_them_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(Place::sqlite(folder.path()));
    let without = SatelliteProcess::prepare(&setup).await.unwrap();
    let care = told(&without, "care").await;
    let care = about(&care, &["copies"]);
    assert!(
        care.len() == 1 && care[0].contains("no copy of the databases is made"),
        "{care:#?}"
    );

    let copies = Copies::new().unwrap();
    setup.more = copies.table("").unwrap();
    let satellite = SatelliteProcess::prepare(&setup).await.unwrap();
    let bad = told(&satellite, "bad").await;
    let never = about(&bad, &["copies"]);
    let words = "copies: store: no copy was ever made | satellite backup run";
    assert_eq!(never, [words], "{bad:#?}");

    let made = satellite.backup(&["run"]).output().await.unwrap();
    assert!(made.status.success(), "{made:?}");
    let (bad, good) = (
        told(&satellite, "bad").await,
        told(&satellite, "good").await,
    );
    assert!(about(&bad, &["copies"]).is_empty(), "{bad:#?}");
    let second = format!(
        "copies: {} can be read; databases with a copy: 1 | -",
        copies.second().display()
    );
    for line in ["copies: store: the newest copy is 0 min old | -", &second] {
        assert!(good.iter().any(|it| it == line), "{good:#?}");
    }

    // The newest copy ages, and the second disk is gone.
    let state = satellite.folder().join("state/backup.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let mut board: Value = serde_json::from_str(&text).unwrap();
    board["stores"][0]["started_at"] = "2026-01-01T00:00:00Z".into();
    std::fs::write(&state, board.to_string()).unwrap();
    std::fs::remove_dir_all(copies.second()).unwrap();
    std::fs::write(copies.second(), "no folder").unwrap();
    let bad = told(&satellite, "bad").await;
    let bad = about(&bad, &["copies"]);
    for words in [
        "promised every 3 h 0 min | systemctl enable --now satellite-backup.timer",
        "Not a directory",
    ] {
        assert!(bad.iter().any(|line| line.contains(words)), "{bad:#?}");
    }
}
