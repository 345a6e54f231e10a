//! Promise: a door of satellite that takes nothing while the others do is an incident that names
//! it, in the reader's language, and its return is told in the same thread.
//!
//! The real programs and a mail server; no terminal punches but the canaries. A door is broken as
//! people break it: a token that somebody made anew, a mapping that somebody changed, a broker (the
//! distribution's Mosquitto) that is killed or shows another's certificate, a sender that somebody
//! blocked. About three minutes each, mostly waiting: a canary punches every 30 s.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use promises::{
    Checker, Mosquitto, Place, Post, Postbox, SatelliteProcess, SentinelProcess, Setup, exchange,
    free_port,
};
use serde_json::Value;

/// A change is noticed, two punches fail, 30 s apart and each after as long, and room.
const TOLD_WITHIN: Duration = Duration::from_secs(150);
/// satellite's own word on an input comes two minutes after it broke, and is asked for every 20 s.
const INPUTS_SAY: Duration = Duration::from_secs(150);
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
    canary: Canary,
}

/// The canary whose door is broken.
struct Canary {
    /// Tables for all of satellite, and the keys of canaries.
    watch: String,
    keys: String,
    /// The door, as letters name it, and the serial there.
    door: String,
    serial: &'static str,
    /// The incident, and its titles in Spanish and English.
    kind: &'static str,
    titles: [&'static str; 2],
}

const DOOR: (&str, [&str; 2]) = (
    "door_failing",
    [
        "CRÍTICO: Una puerta para dispositivos no recibe (Acme S.A.)",
        "CRITICAL: One door for terminals takes nothing (Acme S.A.)",
    ],
);
const BROKER: (&str, [&str; 2]) = (
    "broker_failing",
    [
        "CRÍTICO: Una checada de prueba no pasa por un broker (Acme S.A., CANARY-MQTT-ACME)",
        "CRITICAL: A test punch does not get through a broker (Acme S.A., CANARY-MQTT-ACME)",
    ],
);

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
    let canary = Canary {
        watch: String::new(),
        keys: format!(
            "canary = \"CANARY-1\"\ningest_canary_file = \"{}\"\n",
            token.display()
        ),
        door: format!("ingest http://{}", satellite.devices()),
        serial: "CANARY-API-ACME",
        kind: DOOR.0,
        titles: DOOR.1,
    };
    Scene::begin(satellite, place, canary).await
}

/// satellite that listens to a broker with a canary. With `all` there is one at its door for ZKTeco
/// terminals too, and sentinel looks at satellite's own pages; without, it knows nothing else. With a
/// certificate, both speak TLS and trust that one alone.
async fn listening(
    folder: &Path,
    broker: &Mosquitto,
    all: bool,
    certificate: Option<&Path>,
) -> Result<Scene> {
    let place = Place::sqlite(folder);
    let (address, password) = (broker.address(), folder.join("password"));
    secret(&password, PASSWORD)?;
    let (scheme, trust) = match certificate {
        Some(file) => ("mqtts", format!("ca_file = \"{}\"\n", file.display())),
        None => ("mqtt", String::new()),
    };
    let link = format!(
        "url = \"{scheme}://{address}\"\nallow_internal = true\nuser = \"plant\"\npassword_file = \"{}\"\n{trust}",
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
    let keys = format!(
        "[watch.store.mqtt_canary]\ntopic = \"plant/CANARY-MQTT-ACME/punch\"\n\
         serial = \"CANARY-MQTT-ACME\"\n{link}"
    );
    let pages = format!(
        "[watch]\nsatellite_admin = \"http://{}\"\n",
        satellite.admin_door()
    );
    let (watch, zkteco) = match all {
        true => (pages, "canary = \"CANARY-1\"\n"),
        false => (String::new(), ""),
    };
    let canary = Canary {
        watch,
        keys: format!("{zkteco}{keys}"),
        door: format!("mqtt {address}"),
        serial: "CANARY-MQTT-ACME",
        kind: BROKER.0,
        titles: BROKER.1,
    };
    Scene::begin(satellite, place, canary).await
}

/// A broker that lets one user in; `tls` are lines that make it speak TLS.
async fn broker(folder: &Path, tls: &str) -> Result<Mosquitto> {
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
        "allow_anonymous false\npassword_file {}\n{tls}",
        passwords.display()
    );
    Mosquitto::start(folder, &more).await
}

/// Writes a pair for 127.0.0.1 that vouches for itself, and what of it a broker is told.
fn pair(folder: &Path) -> Result<(PathBuf, String)> {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (certificate, key) = (folder.join("broker.pem"), folder.join("broker.key"));
    fs::write(&certificate, pair.cert.pem())?;
    fs::write(&key, pair.signing_key.serialize_pem())?;
    let (shown, of_key) = (certificate.display(), key.display());
    let lines = format!("certfile {shown}\nkeyfile {of_key}");
    Ok((certificate, lines))
}

impl Scene {
    /// A mail server and sentinel over that satellite; every canary has come back.
    async fn begin(satellite: SatelliteProcess, place: Place, canary: Canary) -> Result<Self> {
        let (postbox, admin) = (Postbox::open().await?, free_port()?);
        let mut sentinel = SentinelProcess::prepare(&format!(
            "language = \"es\"\nrecovered_after = \"10s\"\n[listen]\nadmin = \"{admin}\"\n\
             [host]\nwatch = false\n{}\
             [[watch.terminal_url]]\nurl = \"http://{}\"\n\
             [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n\
             {}\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
             [[level]]\nto = [{{ address = \"uno@example.mx\" }}, \
             {{ address = \"one@example.mx\", language = \"en\" }}]\n",
            canary.watch,
            satellite.devices(),
            place.url(),
            canary.keys,
            postbox.url(),
        ))?;
        sentinel.run().await?;
        let scene = Self {
            satellite,
            sentinel,
            postbox,
            admin,
            place,
            canary,
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
        let [spanish, english] = self.canary.titles;
        for (to, title, words) in [
            ("uno@example.mx", spanish, es),
            ("one@example.mx", english, en),
        ] {
            let fits = |post: &Post| {
                let (subject, text) = post.read();
                post.to == to && subject.ends_with(title) && text.contains(words)
            };
            let post = self.postbox.wait(TOLD_WITHIN, fits).await?;
            let (_, text) = post.read();
            let door = &self.canary.door;
            ensure!(text.contains(door), "{door} in\n{text}");
            ensure!(!text.contains("zkteco"), "{text}");
            ensure!(text.contains("Acme S.A."), "{text}");
            first.get_or_insert(post);
        }
        println!("told after {:?}", begun.elapsed());
        self.is_one_incident().await?;
        first.context("nobody was told")
    }

    /// One cause, one incident, and each reader has one letter of it.
    async fn is_one_incident(&self) -> Result<()> {
        let open = self.sentinel.json(["incidents", "--json"]).await?;
        let kinds = open.as_array().into_iter().flatten();
        let kinds: Vec<_> = kinds.filter_map(|it| it["kind"].as_str()).collect();
        ensure!(kinds == [self.canary.kind], "{open:#}");
        let posts = self.postbox.posts();
        let told: Vec<_> = posts.iter().map(|post| (&post.to, post.read().0)).collect();
        ensure!(told.len() == 2, "{told:?}");
        Ok(())
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
    let of_door = rows.iter().filter(|serial| *serial == scene.canary.serial);
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
async fn a_dead_broker_is_one_incident_whoever_sees_it_and_its_return_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = broker(folder.path(), "").await.unwrap();
    let address = broker.address();
    let scene = listening(folder.path(), &broker, true, None).await.unwrap();
    broker.kill9().await.unwrap();
    let (es, en) = ("sin conexión: ", "no connection: ");
    let told = scene.told(es, en).await.unwrap();
    // satellite says it too, of its input, and that hangs on the same incident.
    let begun = Instant::now();
    let listed = loop {
        let id = scene.sentinel.json(["incidents", "--json"]).await.unwrap()[0]["id"].clone();
        let one = ["incidents", "show", id.as_str().unwrap(), "--json"];
        let one = scene.sentinel.json(one).await.unwrap().to_string();
        if one.contains("input_standing") {
            break one;
        }
        assert!(begun.elapsed() < INPUTS_SAY, "{one}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert!(listed.contains(&address.to_string()), "{listed}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    scene.is_one_incident().await.unwrap();
    broker.up().await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, PASSWORD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_punch_that_a_broker_took_and_satellite_did_not_get_is_told_as_that_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), "").await.unwrap();
    let scene = listening(folder.path(), &broker, false, None)
        .await
        .unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_behind_tls_that_shows_anothers_certificate_is_told_as_that_and_its_return_too() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, lines) = pair(folder.path()).unwrap();
    let mut broker = broker(folder.path(), &lines).await.unwrap();
    // What both trust stays where it is when the broker's own is another.
    let trusted = folder.path().join("trusted.pem");
    fs::copy(&certificate, &trusted).unwrap();
    let key = fs::read(folder.path().join("broker.key")).unwrap();
    let scene = listening(folder.path(), &broker, false, Some(&trusted))
        .await
        .unwrap();
    // It takes its leave: to a broker that writes it down, nobody has vanished.
    let log = broker.log();
    let of_canary = |line: &&str| line.contains("sentinel-CANARY-MQTT-ACME-");
    let lines: Vec<&str> = log.lines().filter(of_canary).collect();
    assert!(lines.len() >= 2, "{log}");
    let left = |line: &&&str| line.contains("disconnected") && !line.contains("not ");
    assert_eq!(lines.iter().filter(left).count() * 2, lines.len(), "{log}");

    broker.down().await.unwrap();
    pair(folder.path()).unwrap();
    broker.up().await.unwrap();
    let told = scene.told("ertifica", "ertificate").await.unwrap();
    broker.down().await.unwrap();
    fs::copy(&trusted, &certificate).unwrap();
    fs::write(folder.path().join("broker.key"), key).unwrap();
    broker.up().await.unwrap();
    scene.recovered(&told).await.unwrap();
    nothing_leaks(&scene, PASSWORD).await;
}
