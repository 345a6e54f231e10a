//! Promises about edges: what terminals behind NAT hold is in the cloud's feed once, whatever becomes of
//! the line, of the edge or of the cloud; a record that comes both ways is one row; what is proven at
//! the edge is proven in the cloud; and nobody's token brings records of another tenant.
//!
//! Two programs, simulated terminals, and a line between them that can be cut. Judged by the terminals'
//! ledgers against the cloud's feed over another connection. The night without a line is simulated
//! by as many punches as 2,000 people make in 8 h (four each), not by 8 h. About 20 s for each database,
//! mostly waiting.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mariadb::Flavor;
use promises::hikvision::{enrol_dialled, enrol_posting, fed_rows, posted, until_equal};
use promises::{
    Checker, Line, Link, Place, SatelliteProcess, Setup, Tenant, attlog, exchange, shared_mariadb,
};
use serde_json::{Value, json};
use terminals::Ledger;
use terminals::hikvision::{Device, DeviceOptions};
use terminals::pull::{PullOptions, Terminal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const LIMIT: Duration = Duration::from_secs(60);
/// Punches of 8 h at a site with 2,000 people who come, go, and go to eat.
const NIGHT: usize = 8_000;
/// A terminal of the site's network that pushes to the edge.
const PUSHER: &str = "EDGEPUSH001";

/// Enrols an edge in the cloud; its token.
async fn enrol_edge(cloud: &SatelliteProcess, tenant: &str, serial: &str) -> Result<String> {
    let words = [
        "devices",
        "add",
        "--vendor",
        "satellite",
        "--listen",
        "--json",
    ];
    let which = ["--tenant", tenant, "--serial", serial];
    let said = cloud.command(words.into_iter().chain(which)).await?;
    let said: Value = serde_json::from_str(&said)?;
    Ok(said["listen"]["token"]
        .as_str()
        .context("no token")?
        .to_owned())
}

/// A file that a secret may be in.
fn secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// An edge's configuration.
fn at_site(folder: &Path, to: &str, token: &str) -> Setup {
    let file = secret(folder, "token", token);
    let mut setup = Setup::new(Place::sqlite(folder)).enrol([PUSHER]);
    setup.more = format!(
        "[edge]\nto = \"{to}\"\ntoken_file = \"{}\"\nallow_internal = true\n\n",
        file.display()
    );
    setup
}

async fn until<F: Future<Output = Result<bool>>>(what: &str, is_so: impl Fn() -> F) -> Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        ensure!(begun.elapsed() < LIMIT, "{what}: not after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    Ok(())
}

/// What `/devices` of the cloud says of a terminal.
async fn seen(cloud: &SatelliteProcess, serial: &str) -> Result<Value> {
    let all: Value = serde_json::from_str(&cloud.admin("/devices").await?.body)?;
    let all = all["devices"].as_array().context("no devices")?;
    Ok(all
        .iter()
        .find(|one| one["serial"] == serial)
        .cloned()
        .unwrap_or_default())
}

/// What `/status` of an edge says of its deliveries.
async fn output(edge: &SatelliteProcess) -> Result<Value> {
    let status: Value = serde_json::from_str(&edge.admin("/status").await?.body)?;
    Ok(status["outputs"][0].clone())
}

/// The lines of so many punches, each of another person in another second.
fn punches(from: usize, count: usize) -> String {
    let line = |n: usize| {
        let (hour, minute, second) = (n / 3_600 % 24, n / 60 % 60, n % 60);
        format!("{n:05}\t2026-11-26 {hour:02}:{minute:02}:{second:02}\t0\t1\t0\t0\n")
    };
    (from..from + count).map(line).collect()
}

/// Pushes punches to a satellite, which are stored there when this is over.
async fn push(to: &SatelliteProcess, from: usize, count: usize) -> Result<()> {
    for at in (from..from + count).step_by(5_000) {
        let some = (from + count - at).min(5_000);
        let lines = punches(at, some);
        let reply = to.send(&attlog(PUSHER, "1", lines.as_bytes())).await?;
        ensure!(reply.accepts(some), "{reply:?}");
    }
    Ok(())
}

/// How many rows the cloud has of the terminal that pushes, and of how many persons.
async fn pushed(place: &Place) -> Result<(usize, usize)> {
    let mut checker = Checker::open(place).await?;
    let query = "SELECT person FROM event_feed WHERE serial = 'EDGEPUSH001'";
    let mut persons = checker.texts(query, query).await?;
    let rows = persons.len();
    persons.sort();
    persons.dedup();
    Ok((rows, persons.len()))
}

/// Two satellites, and what stands at the site of the one.
struct House {
    cloud: SatelliteProcess,
    place: Place,
    edge: SatelliteProcess,
    link: Link,
    clock: Terminal,
    door: Device,
    clocks: PathBuf,
    doors: PathBuf,
    _folder: tempfile::TempDir,
}

impl House {
    /// Everything runs, and nothing of the site is approved in the cloud.
    async fn open(place: Place) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let cloud = SatelliteProcess::start(&Setup::new(place.clone())).await?;
        let token = enrol_edge(&cloud, "acme", "SITE1").await?;
        let link = Link::to(cloud.devices()).await?;
        let to = format!("http://{}", link.address());
        let mut edge = SatelliteProcess::prepare(&at_site(folder.path(), &to, &token)).await?;
        let clocks = folder.path().join("clocks.jsonl");
        let clock = PullOptions {
            serial: "EDGEPULL001".to_owned(),
            history: 300,
            ..PullOptions::default()
        };
        let clock = Terminal::start(clock, Some(Ledger::create(&clocks)?))?;
        clock.own_up().await?;
        let address = clock.address().to_string();
        let words = ["devices", "add", "--tenant", "acme", "--vendor", "zkteco"];
        let which = ["--serial", "EDGEPULL001", "--address", &address];
        edge.command(words.into_iter().chain(which)).await?;
        let doors = folder.path().join("doors.jsonl");
        let mut door = DeviceOptions {
            serial: "EDGEISAPI01".to_owned(),
            seed: 5,
            ..DeviceOptions::default()
        };
        door.log.history = 90;
        door.log.history_owed = true;
        door.stream.heartbeat_ms = 1_000;
        let door = Device::start(door, Some(Ledger::create(&doors)?))?;
        door.own_up().await?;
        enrol_dialled(&edge, &door, &[]).await?;
        edge.run().await?;
        Ok(Self {
            cloud,
            place,
            edge,
            link,
            clock,
            door,
            clocks,
            doors,
            _folder: folder,
        })
    }

    /// So many people come at both terminals.
    async fn people(&self, count: usize) -> Result<()> {
        self.clock.crowd(count).await?;
        self.door.crowd(count as u64).await?;
        Ok(())
    }

    async fn approve(&self, serials: &[&str]) -> Result<()> {
        for serial in serials {
            let words = ["devices", "approve", serial, "--tenant", "acme"];
            self.cloud.command(words).await?;
        }
        Ok(())
    }

    /// What the terminals hold is in the cloud's feed once.
    async fn equal(&self) -> Result<()> {
        let mut checker = Checker::open(&self.place).await?;
        let owed = (self.doors.as_path(), &[][..]);
        until_equal(&self.edge, &mut checker, owed, LIMIT).await?;
        let begun = Instant::now();
        loop {
            let ours = |serial: &str| serial == "EDGEPULL001";
            let compared = checker.compare_of(&[&self.clocks], ours).await;
            match compared.and_then(|it| it.exact()) {
                Ok(()) => return Ok(()),
                Err(error) if begun.elapsed() > LIMIT => {
                    return Err(error.context(self.edge.log_end()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// The cloud says of both terminals that their record is proven, and that the edge brings them.
    async fn proven(&self) -> Result<()> {
        for serial in ["EDGEPULL001", "EDGEISAPI01"] {
            until("proven in the cloud", async || {
                let one = seen(&self.cloud, serial).await?;
                Ok(one["completeness"] == "proven" && one["edge"]["by"] == "SITE1")
            })
            .await?;
            let one = seen(&self.cloud, serial).await?;
            ensure!(
                one["transport"] == "edge" && one["state"] == "online",
                "{one}"
            );
        }
        let shown = ["devices", "show", "EDGEISAPI01", "--json"];
        let shown: Value = serde_json::from_str(&self.cloud.command(shown).await?)?;
        ensure!(shown["edge"]["by"] == "SITE1", "{shown:#}");
        Ok(())
    }
}

async fn everything_crosses(place: Place) {
    let mut house = House::open(place).await.unwrap();
    kept_back(&house).await.unwrap();
    house.approve(&["EDGEPULL001", PUSHER]).await.unwrap();
    // This one posts to the cloud, too.
    let path = enrol_posting(&house.cloud, "EDGEISAPI01", &[])
        .await
        .unwrap();
    house.equal().await.unwrap();
    house.proven().await.unwrap();
    a_night(&mut house).await.unwrap();
    both_ways(&house, &path).await.unwrap();
}

/// Nobody approved anything in the cloud: it knows of the terminals, and the edge keeps all.
async fn kept_back(house: &House) -> Result<()> {
    until("pending", async || {
        let words = ["devices", "list", "--state", "pending"];
        let listed = house.cloud.command(words).await?;
        Ok(listed.contains("EDGEPULL001") && listed.contains("EDGEISAPI01"))
    })
    .await?;
    until("letters", async || {
        Ok(output(&house.edge).await?["dead_letters"].as_u64() > Some(0))
    })
    .await?;
    let rows = Checker::open(&house.place).await?.feed().await?;
    ensure!(rows.iter().all(|row| row.vendor == "satellite"), "{rows:?}");
    Ok(())
}

/// The line is cut for a night, answers are lost, both satellites are killed; people come all the time.
async fn a_night(house: &mut House) -> Result<()> {
    house.link.is(Line::Cut);
    push(&house.edge, 0, NIGHT / 2).await?;
    house.people(4).await?;
    house.edge.kill9().await?;
    house.people(4).await?;
    ensure!(
        pushed(&house.place).await? == (0, 0),
        "the line was not cut"
    );
    house.link.is(Line::LosesAnswers);
    let lost = house.link.lost();
    house.edge.run().await?;
    push(&house.edge, NIGHT / 2, NIGHT / 2).await?;
    house.people(3).await?;
    until("answers lost", async || Ok(house.link.lost() > lost + 1)).await?;
    house.cloud.kill9().await?;
    house.people(3).await?;
    house.link.is(Line::Whole);
    house.cloud.run().await?;
    let begun = Instant::now();
    until("a night's punches", async || {
        Ok(pushed(&house.place).await?.1 == NIGHT)
    })
    .await?;
    let took = begun.elapsed();
    house.people(2).await?;
    house.equal().await?;
    ensure!(
        pushed(&house.place).await? == (NIGHT, NIGHT),
        "a punch has two rows"
    );
    house.proven().await?;
    let rows = fed_rows(&mut Checker::open(&house.place).await?).await?;
    ensure!(
        rows.iter().all(|row| row.route == "edge"),
        "a row came another way"
    );
    until("everything is delivered", async || {
        let now = output(&house.edge).await?;
        Ok(now["state"] == "fine" && now["dead_letters"] == 0 && now["lag_seconds"] == 0.0)
    })
    .await?;
    println!("{NIGHT} punches of a night were there {took:?} after the line");
    Ok(())
}

/// The same records come to the cloud directly, too: by push from the one, by posts from the other.
async fn both_ways(house: &House, path: &str) -> Result<()> {
    let newest = house.clock.pushed(20).join("\n");
    let reply = house
        .cloud
        .send(&attlog("EDGEPULL001", "1", newest.as_bytes()))
        .await?;
    ensure!(reply.accepts(20), "{reply:?}");
    post_newest(house, path, 20).await?;
    house.equal().await?;
    // First directly, and by the edge afterwards.
    house.link.is(Line::Cut);
    house.people(5).await?;
    let newest = house.clock.pushed(5).join("\n");
    let reply = house
        .cloud
        .send(&attlog("EDGEPULL001", "2", newest.as_bytes()))
        .await?;
    ensure!(reply.accepts(5), "{reply:?}");
    post_newest(house, path, 5).await?;
    push(&house.cloud, NIGHT - 50, 100).await?;
    push(&house.edge, NIGHT, 50).await?;
    house.link.is(Line::Whole);
    house.equal().await?;
    until("the last ones", async || {
        Ok(pushed(&house.place).await?.1 == NIGHT + 50)
    })
    .await?;
    let edge = &house.edge;
    until("delivered", async || {
        Ok(output(edge).await?["lag_seconds"] == 0.0)
    })
    .await?;
    ensure!(
        pushed(&house.place).await? == (NIGHT + 50, NIGHT + 50),
        "a punch has two rows"
    );
    Ok(())
}

/// The newest records of the device, as it would post them itself.
async fn post_newest(house: &House, path: &str, count: usize) -> Result<()> {
    let records = Ledger::read_hikvision(&house.doors)?;
    for record in records.iter().rev().take(count) {
        let mut body = json!({
            "dateTime": format!("{}-06:00", record.time.replace(' ', "T")),
            "eventType": "AccessControllerEvent",
            "eventState": "active",
            "AccessControllerEvent": {
                "majorEventType": record.major,
                "subEventType": record.minor,
                "serialNo": record.serial_no,
            },
        });
        if !record.pin.is_empty() {
            body["AccessControllerEvent"]["employeeNoString"] = json!(record.pin);
        }
        let part = format!("--b\r\nContent-Type: application/json\r\n\r\n{body}\r\n--b--\r\n");
        posted(&house.cloud, path, part.as_bytes()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_terminals_behind_an_edge_hold_is_in_the_cloud_once_and_proven_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    everything_crosses(Place::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_terminals_behind_an_edge_hold_is_in_the_cloud_once_and_proven_on_mariadb() {
    let server = shared_mariadb(Flavor::Durable).await.unwrap();
    everything_crosses(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_was_put_back_from_a_copy_gets_again_what_came_after_it() {
    let (folder, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol([PUSHER]);
    let mut cloud = SatelliteProcess::start(&setup).await.unwrap();
    let token = enrol_edge(&cloud, "acme", "SITE1").await.unwrap();
    let to = format!("http://{}", cloud.devices());
    let edge = SatelliteProcess::start(&at_site(site.path(), &to, &token))
        .await
        .unwrap();
    push(&edge, 0, 700).await.unwrap();
    until("the first", async || Ok(pushed(&place).await?.1 == 700))
        .await
        .unwrap();
    cloud.terminate().await.unwrap();
    let Place::Sqlite(file) = &place else {
        panic!("no file")
    };
    let copy = folder.path().join("copy.db");
    std::fs::copy(file, &copy).unwrap();
    cloud.run().await.unwrap();
    push(&edge, 700, 900).await.unwrap();
    until("the second", async || Ok(pushed(&place).await?.1 == 1_600))
        .await
        .unwrap();
    cloud.terminate().await.unwrap();
    for end in ["-wal", "-shm"] {
        std::fs::remove_file(format!("{}{end}", file.display())).ok();
    }
    std::fs::copy(&copy, file).unwrap();
    assert_eq!(pushed(&place).await.unwrap(), (700, 700));
    cloud.run().await.unwrap();
    until("all again", async || Ok(pushed(&place).await?.1 == 1_600))
        .await
        .unwrap();
    assert_eq!(pushed(&place).await.unwrap(), (1_600, 1_600));
}

/// Writes an edge's configuration anew, with another line in place of one that begins so.
fn rewrite(edge: &SatelliteProcess, begins: &str, line: &str) {
    let file = edge.config();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text
        .lines()
        .map(|it| if it.starts_with(begins) { line } else { it });
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

const INTERNAL: &str = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
const ELSEWHERE: &str =
    "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
/// What a network says that wants a login first.
const LOGIN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html>?</html>";

/// Something that answers in the cloud's place, always the same, or nothing at all.
struct Stranger {
    address: SocketAddr,
    answer: watch::Sender<Option<&'static str>>,
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Stranger {
    async fn start() -> Result<Self> {
        let address = promises::free_port()?;
        let listener = TcpListener::bind(address).await?;
        let (answer, now) = watch::channel(None);
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let said: Option<&str> = *now.borrow();
                open.spawn(async move {
                    let mut room = vec![0; 1 << 20];
                    if let Some(said) = said {
                        // Whatever was asked; the rest of it is read away.
                        let _read = stream.read(&mut room).await;
                        stream.write_all(said.as_bytes()).await.ok();
                    }
                    while matches!(stream.read(&mut room).await, Ok(1..)) {}
                });
            }
        });
        Ok(Self {
            address,
            answer,
            asked,
            task,
        })
    }

    fn says(&self, answer: Option<&'static str>) {
        self.answer.send_replace(answer);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn until_trouble(edge: &SatelliteProcess, wanted: &str) -> Result<()> {
    until(wanted, async || {
        let now = output(edge).await?;
        ensure!(now["dead_letters"] == 0, "{now}");
        Ok(now["trouble"]
            .as_str()
            .is_some_and(|why| why.contains(wanted)))
    })
    .await
}

/// A cloud with a door behind TLS: where that is, and the certificate that it shows.
async fn behind_tls(folder: &Path) -> (SatelliteProcess, SocketAddr, PathBuf) {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = secret(folder, "cert.pem", &pair.cert.pem());
    let key = secret(folder, "key.pem", &pair.signing_key.serialize_pem());
    let secured = promises::free_port().unwrap();
    let mut setup = Setup::new(Place::sqlite(folder)).enrol([PUSHER]);
    setup.more = format!(
        "[listen.devices_tls]\naddress = \"{secured}\"\ncertificate = \"{}\"\nkey = \"{}\"\n\n",
        certificate.display(),
        key.display()
    );
    let cloud = SatelliteProcess::start(&setup).await.unwrap();
    (cloud, secured, certificate)
}

/// What the doctor at an edge says of the cloud: grade, what was seen, and what mends it.
async fn diagnosed(edge: &SatelliteProcess) -> Vec<[String; 3]> {
    let text = edge.said(&["doctor", "--json"]).await.unwrap();
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_edge = list.iter().filter(|finding| finding["about"] == "edge");
    of_edge
        .map(|finding| {
            ["grade", "seen", "mend"].map(|key| finding[key].as_str().unwrap_or("-").to_owned())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_of_an_edge_names_what_keeps_the_cloud_from_taking_its_records_and_what_mends_it()
 {
    let (folder, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut cloud, secured, certificate) = behind_tls(folder.path()).await;
    let token = enrol_edge(&cloud, "acme", "SITE1").await.unwrap();
    let to = format!("https://{secured}");
    let edge = SatelliteProcess::prepare(&at_site(site.path(), &to, &token))
        .await
        .unwrap();
    let bad = async |seen: &str, mend: &str| {
        let found = diagnosed(&edge).await;
        let [[grade, says, mends]] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(grade, "bad", "{found:?}");
        assert!(says.contains(seen) && mends.contains(mend), "{found:?}");
    };

    bad("TLS", "openssl s_client -connect 127.0.0.1").await;
    let trusting = format!("to = \"{to}\"\nca_file = \"{}\"", certificate.display());
    rewrite(&edge, "to = ", &trusting);
    until("the cloud knows the token", async || {
        let found = diagnosed(&edge).await;
        Ok(found.iter().all(|one| one[0] == "good"))
    })
    .await
    .unwrap();
    let found = diagnosed(&edge).await;
    for words in ["knows the token", "the certificate of 127.0.0.1"] {
        assert!(found.iter().any(|one| one[1].contains(words)), "{found:?}");
    }

    let rotate = ["devices", "rotate-token", "SITE1"];
    cloud.command(rotate).await.unwrap();
    until("the old token is unknown", async || {
        Ok(diagnosed(&edge).await[0][0] == "bad")
    })
    .await
    .unwrap();
    bad("token", "rotate-token").await;
    cloud.kill9().await.unwrap();
    bad("no connection", "curl -v https://127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_answers_in_the_clouds_place_takes_nothing_from_the_edge() {
    let (folder, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let place = Place::sqlite(folder.path());
    let (cloud, secured, certificate) = behind_tls(folder.path()).await;
    let token = enrol_edge(&cloud, "acme", "SITE1").await.unwrap();

    let stranger = Stranger::start().await.unwrap();
    stranger.says(Some(INTERNAL));
    let setup = at_site(site.path(), &format!("http://{}", stranger.address), &token);
    let mut edge = SatelliteProcess::start(&setup).await.unwrap();
    push(&edge, 0, 500).await.unwrap();
    until_trouble(&edge, "HTTP 500").await.unwrap();
    stranger.says(Some(ELSEWHERE));
    until_trouble(&edge, "redirects are not followed")
        .await
        .unwrap();
    stranger.says(Some(LOGIN));
    until_trouble(&edge, "no satellite").await.unwrap();
    stranger.says(None);
    let asked = stranger.asked.load(Ordering::SeqCst);
    until("asked again", async || {
        Ok(stranger.asked.load(Ordering::SeqCst) > asked)
    })
    .await
    .unwrap();
    edge.terminate().await.unwrap();

    let https = format!("to = \"https://{secured}\"");
    rewrite(&edge, "to = ", &https);
    edge.run().await.unwrap();
    until_trouble(&edge, "TLS").await.unwrap();
    assert_eq!(pushed(&place).await.unwrap(), (0, 0));
    edge.terminate().await.unwrap();
    rewrite(
        &edge,
        "to = ",
        &format!("{https}\nca_file = \"{}\"", certificate.display()),
    );
    let looked = edge.command(["check", "--connect"]).await.unwrap();
    assert!(looked.contains("knows the token"), "{looked}");
    edge.run().await.unwrap();
    until("through TLS", async || {
        Ok(pushed(&place).await? == (500, 500))
    })
    .await
    .unwrap();
    until("nothing waits", async || {
        let one = seen(&cloud, "SITE1").await?;
        let edge = &one["edge"];
        ensure!(
            one["vendor"] == "satellite" && edge["by"].is_null(),
            "{one}"
        );
        Ok(one["transport"] == "tls" && edge["lag_seconds"] == 0)
    })
    .await
    .unwrap();
}

/// A batch as an edge posts it.
fn request(token: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /edge/events HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn batch(from: i64, to: i64, events: &[Value]) -> String {
    let feed = "5a".repeat(16);
    json!({"schema": "satellite.edge/1", "feed": feed, "from": from, "to": to, "events": events})
        .to_string()
}

/// A punch at that terminal, with the identity that it makes.
fn event(serial: &str, person: &str) -> Value {
    let time = "2026-11-26 09:00:00";
    let mut form = vec![1];
    for field in ["att", person, time] {
        form.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        form.extend(field.as_bytes());
    }
    let hash = blake3::hash(&form).to_hex();
    json!({
        "vendor": "zkteco", "serial": serial, "ident": &hash.as_str()[..32], "kind": "punch",
        "person": person, "local_time": time, "received_at": 0, "status_code": "0",
        "verify_code": "1", "route": "pull", "raw": format!("{person}\t{time}\t0\t1"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_an_edge_sends_brings_records_of_others_or_stops_anything() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let mut setup = Setup::new(place.clone()).enrol(["OURS000001"]);
    let id = "other".to_owned();
    setup.tenants.push(Tenant { id, own: None });
    setup
        .terminals
        .push(("THEIRS0001".to_owned(), "other".to_owned()));
    setup.more = "[limits]\nbody = \"1MiB\"\n\n".to_owned();
    let cloud = SatelliteProcess::start(&setup).await.unwrap();
    let token = enrol_edge(&cloud, "acme", "SITE1").await.unwrap();
    let send = async |token: &str, body: &str| {
        exchange(cloud.devices(), &request(token, body))
            .await
            .unwrap()
    };
    until("the edge is known", async || {
        Ok(send(&token, &batch(0, 0, &[])).await.status == 200)
    })
    .await
    .unwrap();
    let good = event("OURS000001", "0042");
    for wrong in ["", "0123456789abcdef0123456789abcdef", "ñ"] {
        assert_eq!(
            send(wrong, &batch(0, 1, std::slice::from_ref(&good)))
                .await
                .status,
            404
        );
    }
    for broken in [
        "",
        "{",
        "[]",
        "{\"schema\":\"satellite.edge/9\"}",
        &batch(5, 1, &[]),
        &batch(-1, 1, &[]),
    ] {
        assert_eq!(send(&token, broken).await.status, 400, "{broken}");
    }
    assert_eq!(send(&token, &"x".repeat(2 << 20)).await.status, 413);

    // Another tenant's, one that nobody knows, no terminal at all, one whose identity is another's,
    // and rubbish: the one good record among them is stored.
    let mut forged = event("OURS000001", "0043");
    forged["ident"] = event("OURS000001", "0044")["ident"].clone();
    let odd = json!({"vendor": "zkteco", "serial": "OURS000001", "ident": 7});
    let satellite = json!({"vendor": "satellite", "serial": "SITE1", "ident": "", "kind": "device", "route": "edge", "received_at": 0});
    let mixed = [
        good.clone(),
        event("THEIRS0001", "0001"),
        event("STRANGER01", "0001"),
        forged,
        odd,
        satellite,
        json!(null),
    ];
    for (turn, stored) in [(1, 1), (2, 0)] {
        let reply = send(&token, &batch(0, 10, &mixed)).await;
        let told: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(
            (reply.status, &told["stored"], &told["have"]),
            (200, &json!(stored), &json!(10)),
            "{turn}: {told}"
        );
        let held = told["held_back"].to_string();
        assert!(
            held.contains("THEIRS0001") && held.contains("STRANGER01") && !held.contains("OURS"),
            "{held}"
        );
    }
    let lacks = send(&token, &batch(11, 12, std::slice::from_ref(&good))).await;
    assert_eq!(lacks.status, 409, "{lacks:?}");
    let mut checker = Checker::open(&place).await.unwrap();
    let rows = checker.feed().await.unwrap();
    let persons: Vec<_> = rows
        .iter()
        .filter_map(|row| row.person.as_deref())
        .collect();
    assert_eq!(persons, ["0042"]);
    // What could not be believed is kept: the forged one with its terminal, the rest with the edge.
    let query = "SELECT d.serial FROM quarantine q JOIN device d ON d.device_id = q.device_id ORDER BY d.serial";
    let aside = checker.texts(query, query).await.unwrap();
    assert_eq!(aside, ["OURS000001", "SITE1", "SITE1"]);

    cloud.command(["devices", "block", "SITE1"]).await.unwrap();
    until("blocked", async || {
        Ok(send(&token, &batch(0, 0, &[])).await.status == 404)
    })
    .await
    .unwrap();
}
