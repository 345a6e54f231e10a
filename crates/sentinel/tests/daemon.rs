//! The running daemon with looks of our own: what it keeps, what it sends, what its door says.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use daemon::config::Source;
use jiff::Timestamp;
use sentinel::database::{Database, Which};
use sentinel::{Config, Kind, Look, Observation, Round, Running, Sentinel, Subject, Trouble};

/// A look that sees what the test tells it: 0 fine, 1 wrong.
struct Told(Arc<AtomicU8>);

#[async_trait]
impl Look for Told {
    fn name(&self) -> &str {
        "database:acme"
    }
    fn every(&self) -> Duration {
        Duration::from_millis(200)
    }
    fn deadline(&self) -> Duration {
        Duration::from_millis(150)
    }
    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::store("acme")]
    }
    async fn look(&self, now: Timestamp) -> Round {
        let wrong = self.0.load(Ordering::SeqCst) == 1;
        let trouble = wrong.then(|| Trouble::new(Kind::DurabilityWeak));
        let subject = Subject::store("acme");
        Round::one(Observation::wrong(
            subject,
            now,
            trouble.into_iter().collect(),
        ))
    }
}

/// A receiver of webhooks: everything that was posted to it.
type Box_ = Arc<Mutex<Vec<serde_json::Value>>>;

/// How often the outside switch was called.
type Calls = Arc<AtomicU8>;

async fn receiver() -> (String, Box_, Calls) {
    let (got, calls) = (Box_::default(), Calls::default());
    let count = async |State(calls): State<Calls>| {
        calls.fetch_add(1, Ordering::SeqCst);
        "heard"
    };
    let switch = Router::new()
        .route("/alive", get(count))
        .with_state(Arc::clone(&calls));
    let keep = async |State(got): State<Box_>, body: String| {
        got.lock()
            .unwrap()
            .push(serde_json::from_str(&body).unwrap());
        "kept"
    };
    let router = Router::new()
        .route("/hook", post(keep))
        .with_state(Arc::clone(&got))
        .merge(switch);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, got, calls)
}

async fn config(folder: &Path, receiver: &str) -> Config {
    let key = folder.join("key");
    std::fs::write(&key, "secret").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "state_dir = '{}'\npublic_url = 'http://s.example.mx'\nlanguage = 'en'\n\
         heartbeat_url = '{receiver}/alive'\n\
         [listen]\nadmin = '127.0.0.1:0'\n\
         [[watch.store]]\ntenant = 'acme'\nurl = 'mysql://s@127.0.0.1:1/acme'\n\
         [[webhook]]\nname = 'hook'\nurl = '{receiver}/hook'\nkey_file = '{}'\n\
         [[level]]\nto = [{{ webhook = 'hook' }}]\n",
        folder.join("state").display(),
        key.display()
    );
    Config::read(&Source::new("t.toml", text)).unwrap()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(running: &Running, method: &str, path: &str) -> (u16, String) {
    let url: fetch::Url = format!("http://{}{path}", running.admin).parse().unwrap();
    let request = match method {
        "GET" => fetch::Fetch::get(url),
        _ => fetch::Fetch::post(url, "application/x-www-form-urlencoded", ""),
    };
    let answer = request.within(Duration::from_secs(5)).send().await.unwrap();
    (
        answer.status,
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

struct Scene {
    _folder: tempfile::TempDir,
    state: std::path::PathBuf,
    running: Running,
    wrong: Arc<AtomicU8>,
    got: Box_,
    /// Calls of the outside switch.
    alive: Calls,
}

/// A daemon whose state folder was prepared.
async fn scene(prepare: impl FnOnce(&Path)) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    prepare(&state);
    let (receiver, got, alive) = receiver().await;
    let config = config(folder.path(), &receiver).await;
    let wrong = Arc::new(AtomicU8::new(0));
    let look: Arc<dyn Look> = Arc::new(Told(Arc::clone(&wrong)));
    let running = Sentinel::start_with(config, vec![look]).await.unwrap();
    Scene {
        _folder: folder,
        state,
        running,
        wrong,
        got,
        alive,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_kept_told_shown_and_acknowledged_by_the_button_and_not_by_the_link() {
    let scene = scene(|_| {}).await;
    let (status, said) = ask(&scene.running, "GET", "/healthz").await;
    assert_eq!((status, said.as_str()), (200, "fine\n"));
    until("the outside switch was called", async || {
        scene.alive.load(Ordering::SeqCst) > 0
    })
    .await;
    scene.wrong.store(1, Ordering::SeqCst);
    until("told", async || !scene.got.lock().unwrap().is_empty()).await;
    let letter = scene.got.lock().unwrap()[0].clone();
    assert_eq!(
        (letter["kind"].as_str(), letter["critical"].as_bool()),
        (Some("durability_weak"), Some(true))
    );
    let id = letter["incident"].as_str().unwrap().to_owned();

    let (_, metrics) = ask(&scene.running, "GET", "/metrics").await;
    for line in [
        "sentinel_incidents_open{class=\"database\",severity=\"critical\"} 1",
        "sentinel_check_up{check=\"database:acme\"} 0",
        "sentinel_check_known{check=\"database:acme\"} 1",
        "sentinel_healthy 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let (_, whole) = ask(&scene.running, "GET", &format!("/api/incidents/{id}")).await;
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["timeline"][0]["what"], "opened");
    let (_, status) = ask(&scene.running, "GET", "/api/status").await;
    assert!(status.contains("\"standing\":\"partial\""), "{status}");

    let links = notify::AckLink::open(&scene.state).unwrap();
    let link = links.link("", &id, "soporte@example.mx");
    let (code, page) = ask(&scene.running, "GET", &link).await;
    assert_eq!(code, 200);
    assert!(
        page.contains(&id) && page.contains("<form method=\"post\">"),
        "{page}"
    );
    let mut database = Database::existing(&scene.state).await.unwrap();
    let state = database.incidents(Which::Open).await.unwrap()[0]
        .state
        .clone();
    assert_eq!(
        state, "open",
        "a scanner that follows links acknowledges nothing"
    );
    let (code, _) = ask(&scene.running, "POST", &format!("{link}0")).await;
    assert_eq!(code, 404);
    let (code, page) = ask(&scene.running, "POST", &link).await;
    assert_eq!(code, 200, "{page}");
    let row = database.incidents(Which::Open).await.unwrap().remove(0);
    assert_eq!(
        (row.state.as_str(), row.acknowledged_by.as_deref()),
        ("acknowledged", Some("soporte@example.mx"))
    );

    // Closed by a person's word, as a command asks for it; its link is dead then.
    scene.wrong.store(0, Ordering::SeqCst);
    let incident = sentinel::decide::IncidentId::parse(&id).unwrap();
    let close = sentinel::decide::Ask::Close {
        incident,
        cause: "changed by hand".into(),
    };
    let text = serde_json::to_string(&close).unwrap();
    let number = database
        .request(&text, "ana", Timestamp::now())
        .await
        .unwrap();
    until("answered", async || {
        database.answer_to(number).await.unwrap().is_some()
    })
    .await;
    until("shown as closed", async || {
        ask(&scene.running, "GET", &link).await.0 == 410
    })
    .await;
    assert!(database.incidents(Which::Open).await.unwrap().is_empty());
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_own_disk_unusable_it_goes_on_deciding_and_telling_and_says_so() {
    // A folder stands where the file should be.
    let scene = scene(|state| std::fs::create_dir(state.join("sentinel.db")).unwrap()).await;
    scene.wrong.store(1, Ordering::SeqCst);
    let kinds = || -> Vec<String> {
        let got = scene.got.lock().unwrap();
        got.iter()
            .map(|it| it["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    until("told from memory", async || {
        kinds().contains(&"durability_weak".to_owned())
    })
    .await;
    until("told about itself", async || {
        kinds().contains(&"sentinel_disk".to_owned())
    })
    .await;
    let (code, said) = ask(&scene.running, "GET", "/healthz").await;
    assert_eq!(code, 503);
    assert!(said.contains("its file cannot be written"), "{said}");
    let called = scene.alive.load(Ordering::SeqCst);
    assert_eq!(
        called, 0,
        "the outside switch hears of no work that is not done"
    );
    // The numbers that were used are not used again.
    let number = std::fs::read_to_string(scene.state.join("incident.number")).unwrap();
    assert!(number.trim().parse::<u32>().unwrap() >= 2, "{number}");

    std::fs::remove_dir(scene.state.join("sentinel.db")).unwrap();
    let mut database = None;
    until("caught up", async || {
        database = Database::existing(&scene.state).await.ok();
        match &mut database {
            Some(database) => database
                .incidents(Which::Open)
                .await
                .is_ok_and(|rows| rows.len() >= 2),
            None => false,
        }
    })
    .await;
    scene.running.stop().await;
}

#[test]
fn a_wrong_file_ends_each_command_with_78_and_its_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sentinel.toml");
    std::fs::write(&file, "language = 'en'\n[mail]\nform = 's@x.mx'\n").unwrap();
    for command in [&["run"][..], &["check"], &["status"], &["incidents"]] {
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_sentinel"))
            .args(command)
            .arg("--config")
            .arg(&file)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(78), "{command:?}");
        let told = String::from_utf8_lossy(&ended.stderr);
        let wanted = format!("{}:3: unknown key 'form'", file.display());
        assert!(told.contains(&wanted), "{wanted} in {told}");
        assert!(told.contains("'from'"), "{told}");
    }
}
