//! Promise: a door of satellite that takes nothing while the others do is an incident that names
//! it, in the reader's language, and its return is told in the same thread.
//!
//! The real programs and a mail server; no terminal punches but the canaries. A door is broken as
//! people break it: a token that somebody made anew, a mapping that somebody changed, a broker (the
//! distribution's Mosquitto) that is killed, a sender that somebody blocked. About three
//! minutes each, mostly waiting: a canary punches every 30 s.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::{
    Checker, Mosquitto, Place, Post, Postbox, SatelliteProcess, SentinelProcess, Setup, exchange,
    free_port,
};
use serde_json::Value;

/// A change is noticed, two punches fail, 30 s apart and each after as long, a warning waits as long
/// for others, and room.
const TOLD_WITHIN: Duration = Duration::from_secs(150);
/// Ten clean seconds as configured here, a punch, and room.
const BACK_WITHIN: Duration = Duration::from_secs(110);
/// Enrols the canary of the door that nobody breaks.
const ZKTECO: &str = "devices add --tenant acme --vendor zkteco --serial CANARY-1 --canary";
/// How our own form stands in a mapping file.
const MAPPING: &str = "format = 'json'\n[fields]\ntime = 'time'\nperson = 'person'\nid = 'id'\n";

/// Of the user whom the broker lets in.
const PASSWORD: &str = "a-long-password";

struct Scene {
    satellite: SatelliteProcess,
    sentinel: SentinelProcess,
    postbox: Postbox,
    /// Where sentinel's metrics are.
    admin: SocketAddr,
    place: Place,
    /// The door that is broken, as letters name it, and its canary.
    door: String,
    serial: &'static str,
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

/// satellite with canaries at its door for ZKTeco terminals and at the one for other makes.
async fn ingest(folder: &Path) -> Result<Scene> {
    let place = Place::sqlite(folder);
    let mapping = folder.join("mapping.toml");
    fs::write(&mapping, MAPPING)?;
    let mut setup = Setup::new(place.clone());
    setup.more = format!(
        "[[mapping]]\nfile = \"{}\"\nserials = [\"CANARY-API-ACME\"]\n",
        mapping.display()
    );
    let mut satellite = SatelliteProcess::prepare(&setup).await?;
    satellite.command(ZKTECO.split(' ')).await?;
    let token = folder.join("ingest");
    secret(&token, &enrol(&satellite).await?)?;
    satellite.run().await?;
    let door = format!("ingest http://{}", satellite.devices());
    let key = format!("ingest_canary_file = \"{}\"\n", token.display());
    Scene::begin(satellite, place, &key, (door, "CANARY-API-ACME")).await
}

/// satellite that listens to a broker, with a canary there and one at its door for ZKTeco terminals.
async fn listening(folder: &Path, broker: &Mosquitto) -> Result<Scene> {
    let place = Place::sqlite(folder);
    let (address, password) = (broker.address(), folder.join("password"));
    secret(&password, PASSWORD)?;
    let link = format!(
        "url = \"mqtt://{address}\"\nallow_internal = true\nuser = \"plant\"\npassword_file = \"{}\"\n",
        password.display()
    );
    let mut setup = Setup::new(place.clone());
    setup.more = format!(
        "[[input]]\nname = \"plant\"\ntenant = \"acme\"\nkind = \"mqtt\"\nsender = \"PLANT\"\n\
         topics = [\"plant/{{serial}}/punch\"]\n{link}"
    );
    let mut satellite = SatelliteProcess::prepare(&setup).await?;
    satellite.command(ZKTECO.split(' ')).await?;
    for device in ["PLANT", "CANARY-MQTT-ACME --canary"] {
        let add = format!("devices add --tenant acme --vendor other --serial {device}");
        satellite.command(add.split(' ')).await?;
    }
    satellite.run().await?;
    let key = format!(
        "[watch.store.mqtt_canary]\ntopic = \"plant/CANARY-MQTT-ACME/punch\"\n\
         serial = \"CANARY-MQTT-ACME\"\n{link}"
    );
    let door = format!("mqtt {address}");
    Scene::begin(satellite, place, &key, (door, "CANARY-MQTT-ACME")).await
}

/// A broker that lets one user in.
async fn broker(folder: &Path) -> Result<Mosquitto> {
    ensure!(Mosquitto::is_installed(), "mosquitto is not installed");
    let passwords = folder.join("passwords");
    let made = tokio::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["plant", PASSWORD])
        .status()
        .await?;
    ensure!(made.success(), "{made}");
    let more = format!(
        "allow_anonymous false\npassword_file {}",
        passwords.display()
    );
    Mosquitto::start(folder, &more).await
}

impl Scene {
    /// A mail server and sentinel over that satellite, whose second canary these keys name; every
    /// canary has come back. satellite's own pages are not looked at: what else tells the same fault
    /// writes letters of its own, and nobody gets more than three in ten minutes.
    async fn begin(
        satellite: SatelliteProcess,
        place: Place,
        canary: &str,
        (door, serial): (String, &'static str),
    ) -> Result<Self> {
        let (postbox, admin) = (Postbox::open().await?, free_port()?);
        let mut sentinel = SentinelProcess::prepare(&format!(
            "language = \"es\"\nrecovered_after = \"10s\"\n[listen]\nadmin = \"{admin}\"\n\
             [host]\nwatch = false\n\
             [[watch.terminal_url]]\nurl = \"http://{}\"\n\
             [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n\
             canary = \"CANARY-1\"\n{canary}\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
             [[level]]\nto = [{{ address = \"uno@example.mx\" }}, \
             {{ address = \"one@example.mx\", language = \"en\" }}]\n",
            satellite.devices(),
            place.url(),
            postbox.url(),
        ))?;
        sentinel.run().await?;
        let scene = Self {
            satellite,
            sentinel,
            postbox,
            admin,
            place,
            door,
            serial,
        };
        scene.until_healthy().await?;
        Ok(scene)
    }

    /// Waits until every door is fine, and reads the health number.
    async fn until_healthy(&self) -> Result<()> {
        let begun = Instant::now();
        let question = b"GET /metrics HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n";
        loop {
            let page = exchange(self.admin, question).await?.body;
            let read = |name: &str| {
                let name = format!("{name}{{check=\"canary:acme\"}} ");
                page.lines().find_map(|line| line.strip_prefix(&name))
            };
            if let (Some("1"), Some(number)) =
                (read("sentinel_check_up"), read("sentinel_canary_seconds"))
            {
                println!("the slowest canary took {number} s");
                ensure!(number.parse::<f64>()? < 5.0, "{number}");
                return Ok(());
            }
            ensure!(begun.elapsed() < TOLD_WITHIN, "never fine:\n{page}");
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
                let (subject, text) = post.read();
                post.to == to && subject.contains(title) && text.contains(words)
            };
            let post = self.postbox.wait(TOLD_WITHIN, fits).await?;
            let (_, text) = post.read();
            ensure!(text.contains(&self.door), "{} in\n{text}", self.door);
            ensure!(!text.contains("zkteco"), "{text}");
            ensure!(text.contains("Acme S.A."), "{text}");
            first.get_or_insert(post);
        }
        println!("told after {:?}", begun.elapsed());
        let open = self.sentinel.json(["incidents", "--json"]).await?;
        let kinds = open.as_array().into_iter().flatten();
        let kinds: Vec<_> = kinds.filter_map(|it| it["kind"].as_str()).collect();
        ensure!(kinds.contains(&"door_failing"), "{open:#}");
        ensure!(!kinds.contains(&"acknowledged_not_found"), "{open:#}");
        first.context("nobody was told")
    }

    /// The recovery comes in the thread of that letter.
    async fn recovered(&self, first: &Post) -> Result<()> {
        let thread = first.header("message-id");
        let fits = |post: &Post| {
            post.to == first.to
                && post.header("references") == thread
                && post.read().0.contains("Recuperado")
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

/// Every row of the canaries is in their own view, and the secret is not in sentinel's log.
async fn nothing_leaks(scene: &Scene, secret: &str) {
    let mut checker = Checker::open(&scene.place).await.unwrap();
    let rows = "SELECT serial FROM canary_feed";
    let rows = checker.texts(rows, rows).await.unwrap();
    let of_door = rows.iter().filter(|serial| *serial == scene.serial);
    assert!(of_door.count() >= 2, "{rows:?}");
    let real = "SELECT COUNT(*) FROM event_feed";
    assert_eq!(checker.number(real).await.unwrap(), 0);
    assert!(secret.len() > 12, "{secret}");
    assert!(!scene.sentinel.log_end().contains(secret), "it is shown");
}

/// The token of an address.
fn token(address: &str) -> &str {
    address.rsplit('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_whose_token_is_no_longer_known_is_told_by_its_name_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let scene = ingest(folder.path()).await.unwrap();
    // Somebody makes the token anew, and sentinel still has the old one.
    let address = enrol(&scene.satellite).await.unwrap();
    let (es, en) = ("contesta HTTP 404", "it answers HTTP 404");
    let told = scene.told(es, en).await.unwrap();
    secret(&folder.path().join("ingest"), &address).unwrap();
    scene.reload_sentinel().await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, token(&address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_whose_mapping_reads_nothing_is_told_by_its_name_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let scene = ingest(folder.path()).await.unwrap();
    let mapping = folder.path().join("mapping.toml");
    fs::write(&mapping, MAPPING.replace("'time'", "'datetime'")).unwrap();
    scene.satellite.send_signal("HUP").await.unwrap();
    let es = "fue recibida y apartada en revisión: no se pudo interpretar";
    let en = "it was taken and set aside in quarantine: it could not be read";
    let told = scene.told(es, en).await.unwrap();
    fs::write(&mapping, MAPPING).unwrap();
    scene.satellite.send_signal("HUP").await.unwrap();
    scene.recovered(&told).await.unwrap();
    let address = fs::read_to_string(folder.path().join("ingest")).unwrap();
    nothing_leaks(&scene, token(&address)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_punch_is_told_as_the_link_that_broke_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = broker(folder.path()).await.unwrap();
    let scene = listening(folder.path(), &broker).await.unwrap();
    broker.kill9().await.unwrap();
    let (es, en) = ("sin conexión: ", "no connection: ");
    let told = scene.told(es, en).await.unwrap();
    broker.up().await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_punch_that_a_broker_took_and_satellite_did_not_get_is_told_as_that_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path()).await.unwrap();
    let scene = listening(folder.path(), &broker).await.unwrap();
    scene
        .satellite
        .command(["devices", "block", "PLANT"])
        .await
        .unwrap();
    let es = "y no hay registro: el Programa Satélite no la recibe";
    let en = "and no row: satellite does not get it";
    let told = scene.told(es, en).await.unwrap();
    let approve = ["devices", "approve", "PLANT", "--tenant", "acme"];
    scene.satellite.command(approve).await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, PASSWORD).await;
}
