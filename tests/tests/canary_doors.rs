//! Promise: a door of satellite that takes nothing while the others do is an incident that names
//! it, in the reader's language, and its return is told in the same thread.
//!
//! The real programs and a mail server; no terminal punches but the canaries. A door is broken as
//! people break it: a token that somebody made anew, a mapping that somebody changed. About three
//! minutes each, mostly waiting: a canary punches every 30 s.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::{
    Checker, Place, Post, Postbox, SatelliteProcess, SentinelProcess, Setup, exchange, free_port,
};
use serde_json::Value;

/// Two punches that fail, 30 s apart, and room.
const TOLD_WITHIN: Duration = Duration::from_secs(110);
/// Ten clean seconds as configured here, a punch, and room.
const BACK_WITHIN: Duration = Duration::from_secs(110);
/// How our own form stands in a mapping file.
const MAPPING: &str = "format = 'json'\n[fields]\ntime = 'time'\nperson = 'person'\nid = 'id'\n";

struct Scene {
    satellite: SatelliteProcess,
    sentinel: SentinelProcess,
    postbox: Postbox,
    /// Where sentinel's metrics are.
    admin: SocketAddr,
    place: Place,
}

/// Writes a secret as an administrator does.
fn secret(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text)?;
    Ok(fs::set_permissions(
        file,
        fs::Permissions::from_mode(0o640),
    )?)
}

/// Enrols the canary of the door for other makes, or makes its token anew; answers the address.
async fn enrol(satellite: &SatelliteProcess) -> Result<String> {
    let add = "devices add --tenant acme --vendor other --serial CANARY-API-ACME --listen --canary --json";
    let said: Value = serde_json::from_str(&satellite.command(add.split(' ')).await?)?;
    let url = said["listen"]["url"].as_str().context("no address")?;
    Ok(url.to_owned())
}

impl Scene {
    /// satellite, its canaries at two doors, a mail server, and sentinel over them; a number has
    /// been seen.
    async fn begin(folder: &Path) -> Result<Self> {
        let place = Place::sqlite(folder);
        let mapping = folder.join("mapping.toml");
        fs::write(&mapping, MAPPING)?;
        let mut setup = Setup::new(place.clone());
        setup.more = format!(
            "[[mapping]]\nfile = \"{}\"\nserials = [\"CANARY-API-ACME\"]\n",
            mapping.display()
        );
        let mut satellite = SatelliteProcess::prepare(&setup).await?;
        let zkteco = "devices add --tenant acme --vendor zkteco --serial CANARY-1 --canary";
        satellite.command(zkteco.split(' ')).await?;
        let token = folder.join("ingest");
        secret(&token, &enrol(&satellite).await?)?;
        satellite.run().await?;
        let (postbox, admin) = (Postbox::open().await?, free_port()?);
        let mut sentinel = SentinelProcess::prepare(&format!(
            "language = \"es\"\nrecovered_after = \"10s\"\n[listen]\nadmin = \"{admin}\"\n\
             [host]\nwatch = false\n[watch]\nsatellite_admin = \"http://{}\"\n\
             [[watch.terminal_url]]\nurl = \"http://{}\"\n\
             [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n\
             canary = \"CANARY-1\"\ningest_canary_file = \"{}\"\n\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
             [[level]]\nto = [{{ address = \"uno@example.mx\" }}, \
             {{ address = \"one@example.mx\", language = \"en\" }}]\n",
            satellite.admin_door(),
            satellite.devices(),
            place.url(),
            token.display(),
            postbox.url(),
        ))?;
        sentinel.run().await?;
        let scene = Self {
            satellite,
            sentinel,
            postbox,
            admin,
            place,
        };
        scene.until_healthy().await?;
        Ok(scene)
    }

    /// Waits for the health number, which is there only while every door is fine.
    async fn until_healthy(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let page = exchange(
                self.admin,
                b"GET /metrics HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n",
            )
            .await?;
            let number = page.body.lines().find_map(|line| {
                line.strip_prefix("sentinel_canary_seconds{check=\"canary:acme\"} ")
            });
            if let Some(number) = number {
                println!("the canary took {number} s");
                ensure!(number.parse::<f64>()? < 5.0, "{number}");
                return Ok(());
            }
            ensure!(begun.elapsed() < TOLD_WITHIN, "no number:\n{}", page.body);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What is told to both readers of a door that fails: the letters name the door and say this.
    async fn told(&self, es: &str, en: &str) -> Result<Post> {
        let begun = Instant::now();
        let mut first = None;
        for (to, title, words) in [
            (
                "uno@example.mx",
                "Una puerta para dispositivos no recibe",
                es,
            ),
            ("one@example.mx", "One door for terminals takes nothing", en),
        ] {
            let fits = |post: &Post| {
                let (subject, text) = read(post);
                post.to == to && subject.contains(title) && text.contains(words)
            };
            let post = self.postbox.wait(TOLD_WITHIN, fits).await?;
            let (_, text) = read(&post);
            let door = format!("ingest http://{}", self.satellite.devices());
            ensure!(text.contains(&door), "{door} in\n{text}");
            ensure!(!text.contains("zkteco"), "{text}");
            ensure!(text.contains("Acme S.A."), "{text}");
            first.get_or_insert(post);
        }
        println!("told after {:?}", begun.elapsed());
        let open = self.sentinel.json(["incidents", "--json"]).await?;
        let kinds = open.as_array().into_iter().flatten();
        let kinds: Vec<_> = kinds.filter_map(|it| it["kind"].as_str()).collect();
        ensure!(kinds == ["door_failing"], "{open:#}");
        first.context("nobody was told")
    }

    /// The recovery comes in the thread of that letter.
    async fn recovered(&self, first: &Post) -> Result<()> {
        let thread = first.header("message-id");
        let fits = |post: &Post| {
            post.to == first.to
                && post.header("references") == thread
                && read(post).0.contains("Recuperado")
        };
        self.postbox.wait(BACK_WITHIN, fits).await.map(drop)
    }

    async fn reload_sentinel(&self) -> Result<()> {
        let process = self
            .sentinel
            .process_id()
            .context("sentinel does not run")?;
        let kill = tokio::process::Command::new("kill")
            .args(["-HUP", &process.to_string()])
            .status()
            .await?;
        ensure!(kill.success(), "{kill}");
        Ok(())
    }
}

/// The letter as an independent reader sees it: subject and text.
fn read(post: &Post) -> (String, String) {
    let mail = mail_parser::MessageParser::default()
        .parse(post.wire.as_bytes())
        .unwrap();
    let text = mail.body_text(0).unwrap().into_owned();
    (mail.subject().unwrap_or_default().to_owned(), text)
}

/// Every row of the canaries is in their own view, and no token is in sentinel's log.
async fn nothing_leaks(scene: &Scene, token_file: &Path) {
    let mut checker = Checker::open(&scene.place).await.unwrap();
    let rows = "SELECT COUNT(*) FROM canary_feed WHERE serial = 'CANARY-API-ACME'";
    assert!(checker.number(rows).await.unwrap() >= 2);
    let real = "SELECT COUNT(*) FROM event_feed";
    assert_eq!(checker.number(real).await.unwrap(), 0);
    let address = fs::read_to_string(token_file).unwrap();
    let token = address.rsplit('/').next().unwrap();
    assert!(token.len() > 16, "{token}");
    assert!(
        !scene.sentinel.log_end().contains(token),
        "a token is shown"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_whose_token_is_no_longer_known_is_told_by_its_name_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::begin(folder.path()).await.unwrap();
    // Somebody makes the token anew, and sentinel still has the old one.
    let address = enrol(&scene.satellite).await.unwrap();
    let (es, en) = ("contesta HTTP 404", "it answers HTTP 404");
    let told = scene.told(es, en).await.unwrap();
    let file = folder.path().join("ingest");
    secret(&file, &address).unwrap();
    scene.reload_sentinel().await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, &file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_whose_mapping_reads_nothing_is_told_by_its_name_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::begin(folder.path()).await.unwrap();
    let mapping = folder.path().join("mapping.toml");
    fs::write(&mapping, MAPPING.replace("'time'", "'datetime'")).unwrap();
    scene.satellite.send_signal("HUP").await.unwrap();
    let es = "fue recibida y apartada en revisión: no se pudo interpretar";
    let en = "it was taken and set aside in quarantine: it could not be read";
    let told = scene.told(es, en).await.unwrap();
    fs::write(&mapping, MAPPING).unwrap();
    scene.satellite.send_signal("HUP").await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, &folder.path().join("ingest")).await;
}
