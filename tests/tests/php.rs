//! Promise: the PHP of the manual follows the feed without missing or repeating a punch while two
//! satellites write and it is killed again and again, and its page shows today's punches as text.
//!
//! The programs are those in `deploy/php`, as they stand there, run by the distribution's PHP against
//! the test MariaDB. Judged by the terminals' ledger. About 15 s, mostly waiting.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use mariadb::{Address, Flavor};
use promises::{
    Place, Punch, Random, Running, SatelliteProcess, Setup, attlog, blocking, exchange, free_port,
    get, seed, shared_mariadb, unkind,
};
use terminals::Ledger;
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(60);

fn page(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.join("../deploy/php").join(name)
}

/// Fails where there is no PHP: it comes with what `cargo xtask test` sets up.
fn php(server: &Address, feed: &str, app: &str) -> Command {
    let dsn = |database| {
        format!(
            "mysql:host=127.0.0.1;port={};dbname={database};charset=utf8mb4",
            server.port()
        )
    };
    let mut php = Command::new("php");
    php.env("FEED_DSN", dsn(feed))
        .env("FEED_USER", "satellite")
        .env("APP_DSN", dsn(app))
        .env("APP_USER", "satellite")
        .env("TENANT", "acme")
        .kill_on_drop(true);
    php
}

fn begun(mut command: Command) -> Result<Child> {
    let begun = command.spawn();
    begun.context("php-cli and php-mysql have to be installed: cargo xtask test does it")
}

/// The servers and databases: that of the feed and one of the application.
async fn databases() -> Result<(Place, Address, String, String)> {
    let place = shared_mariadb(Flavor::Durable).await?;
    let Place::Mariadb { server, database } = place.clone() else {
        anyhow::bail!("no server");
    };
    let address = server.clone();
    let app = blocking(move || address.fresh_database("portal")).await?;
    Ok((place, server, database, app))
}

async fn asked(server: &Address, query: String) -> Result<String> {
    let server = server.clone();
    blocking(move || server.sql(&query)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_php_of_the_manual_follows_two_writers_and_misses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (place, server, feed, app) = databases().await.unwrap();
    let seed = seed();
    let mut random = Random::new(seed);
    let (here, there) = (unkind(seed, "PHPA", 6), unkind(seed + 1, "PHPB", 6));
    let serials = [here.serials(), there.serials()].concat();
    let setup = Setup::new(place.clone()).enrol(serials);
    let one = SatelliteProcess::start(&setup).await.unwrap();
    let other = SatelliteProcess::start(&Setup::new(place)).await.unwrap();
    let fleets = [
        Running::start(here, one.devices(), folder.path(), "here").unwrap(),
        Running::start(there, other.devices(), folder.path(), "there").unwrap(),
    ];

    let follow = || {
        let mut command = php(&server, &feed, &app);
        command.arg(page("follow.php")).arg("--stay");
        begun(command).unwrap()
    };
    for _ in 0..8 {
        // Two at once: one waits for the other.
        let (mut first, mut second) = (follow(), follow());
        tokio::time::sleep(random.millis(300, 900)).await;
        first.kill().await.unwrap();
        tokio::time::sleep(random.millis(0, 200)).await;
        second.kill().await.unwrap();
    }
    let mut acknowledged = BTreeSet::new();
    for fleet in fleets {
        fleet.acked_more(100, LIMIT).await.unwrap();
        let (_, ledger) = fleet.finish(LIMIT).await.unwrap();
        acknowledged.extend(Ledger::read(&ledger).unwrap().into_iter().map(|it| Punch {
            serial: it.serial,
            person: it.pin,
            time: it.time,
        }));
    }
    let mut last = php(&server, &feed, &app);
    let status = last.arg(page("follow.php")).status();
    assert!(status.await.unwrap().success());

    let kept = format!("SELECT serial, person, local_time FROM `{app}`.punch");
    let kept = asked(&server, kept).await.unwrap();
    let rows: Vec<Punch> = kept
        .lines()
        .map(|line| {
            let mut words = line.split('\t').map(str::to_owned);
            let mut next = || words.next().unwrap();
            Punch {
                serial: next(),
                person: next(),
                time: next(),
            }
        })
        .collect();
    let each: BTreeSet<_> = rows.iter().cloned().collect();
    println!("{} punches, {} rows", acknowledged.len(), rows.len());
    assert_eq!(each.len(), rows.len(), "doubles");
    assert!(acknowledged.len() > 400);
    assert_eq!(each, acknowledged);
}

/// The page, once its server listens.
async fn shown(address: SocketAddr) -> Result<String> {
    let begun = Instant::now();
    loop {
        if let Ok(reply) = exchange(address, &get("/today.php")).await {
            ensure!(reply.status == 200, "{reply:?}");
            return Ok(reply.body);
        }
        ensure!(begun.elapsed() < LIMIT, "the page's server does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_manual_shows_todays_punches_and_hostile_names_as_text() {
    let (place, server, feed, app) = databases().await.unwrap();
    let setup = Setup::new(place).enrol(["PAGE1"]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    let zone = jiff::tz::TimeZone::get("America/Mexico_City").unwrap();
    let now = jiff::Timestamp::now().to_zoned(zone);
    let today = now.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let days_ago = (now - jiff::Span::new().days(2))
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string();
    let hostile = "<script>1</script>";
    let lines = format!("{hostile}\t{today}\t0\t1\n4711\t{today}\t0\t1\n4712\t{days_ago}\t0\t1\n");
    let reply = satellite
        .send(&attlog("PAGE1", "1", lines.as_bytes()))
        .await
        .unwrap();
    assert!(reply.accepts(3), "{reply:?}");
    let named = format!("UPDATE `{feed}`.device SET name = 'Puerta <b onclick=\"x\">\\'1'");
    asked(&server, named).await.unwrap();

    let address = free_port().unwrap();
    let mut command = php(&server, &feed, &app);
    command
        .args(["-S", &address.to_string(), "-t"])
        .arg(page("."));
    let _served = begun(command).unwrap();
    let page = shown(address).await.unwrap();
    assert!(
        page.contains("<td>4711</td>") && !page.contains("4712"),
        "{page}"
    );
    assert!(page.contains("&lt;script&gt;1&lt;/script&gt;"), "{page}");
    assert!(
        page.contains("Puerta &lt;b onclick=&quot;x&quot;&gt;&#039;1"),
        "{page}"
    );
    assert!(!page.contains("<script") && !page.contains("<b "), "{page}");
}
