//! The door on the open internet: guesses, floods, strangers, and what a lockdown stops. The daemon
//! runs in this process; commands are the real program.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::add_hikvision;
use fetch::Fetch;
use satellite::config::ClockTrust;
use satellite::{Config, Running, Satellite};
use serde_json::Value;

struct House {
    folder: tempfile::TempDir,
    running: Running,
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("satellite.toml")
}

/// A satellite for one tenant, with further lines of its configuration.
async fn house(limits: &str, tenant: &str, admin: &str) -> House {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "state_dir = {:?}\n[listen]\ndevices = \"127.0.0.1:0\"\nadmin = \"{admin}\"\n\
         [limits]\ntrusted_proxies = [\"127.0.0.0/8\"]\n{limits}\n\
         [[tenant]]\nid = \"acme\"\ntime_zone = \"UTC\"\n{tenant}\n",
        folder.path()
    );
    std::fs::write(file(folder.path()), text).unwrap();
    let running = start(folder.path()).await;
    House { folder, running }
}

async fn start(folder: &Path) -> Running {
    let mut config = Config::load(Some(&file(folder))).unwrap();
    config.clock = ClockTrust::Trusted;
    Satellite::start(config).await.unwrap()
}

impl House {
    /// A command of the program: its status, and what it printed.
    fn command(&self, args: &[&str]) -> (i32, String) {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_satellite"))
            .args(args)
            .args(["--lang", "en", "--config"])
            .arg(file(self.folder.path()))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    fn fine(&self, args: &[&str]) -> String {
        let (status, said) = self.command(args);
        assert_eq!(status, 0, "{args:?}: {said}");
        said
    }

    /// A request that a proxy forwards for that address.
    async fn from(
        &self,
        address: &str,
        method: &str,
        path: &str,
        body: &'static str,
    ) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.running.devices)
            .await
            .unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nConnection: \
             close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.get(9..12).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn punch(&self, address: &str, serial: &str) -> (u16, String) {
        let path = format!("/iclock/cdata?SN={serial}&table=ATTLOG&Stamp=1");
        self.from(address, "POST", &path, "7\t2026-11-21 09:00:00\t0\t1\n")
            .await
    }

    async fn page(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.running.admin)
            .parse()
            .unwrap();
        String::from_utf8(Fetch::get(url).send().await.unwrap().body).unwrap()
    }

    async fn status(&self) -> Value {
        serde_json::from_str(&self.page("/status").await).unwrap()
    }

    /// Waits until the running satellite has heard of a change in the registry.
    async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        for _ in 0..100 {
            if so(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        panic!("{what}: {:#}", self.status().await);
    }

    async fn enrolled(&self, serial: &str) {
        self.fine(&[
            "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", serial,
        ]);
        self.until("enrolled", async |house| {
            house.punch("203.0.113.1", serial).await.0 == 200
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_tokens_and_forged_serials_are_counted_named_and_shown_and_store_nothing() {
    let house = house("", "", "127.0.0.1:0").await;
    for n in 0..12 {
        let path = format!("/hikvision/guess{n:027}");
        let (status, _) = house.from("203.0.113.7", "POST", &path, "{}").await;
        assert_eq!(status, 404);
    }
    for n in 0..60 {
        house.punch("198.51.100.9", &format!("FORGED{n}")).await;
    }
    let status = house.status().await;
    let attacks: Vec<_> = status["attacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["address"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        attacks,
        [
            ("brute_force", "203.0.113.7"),
            ("serial_flood", "198.51.100.9")
        ]
    );
    let metrics = house.page("/metrics").await;
    for line in [
        "satellite_attacks{kind=\"brute_force\"} 1",
        "satellite_attacks_total{kind=\"serial_flood\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert_eq!(status["totals"]["committed"], 0);
    house.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_fast_is_refused_in_the_protocols_words_and_nobody_else_is() {
    let limits = "requests_per_serial = 3\nrequests_per_address = 5";
    let house = house(limits, "", "127.0.0.1:0").await;
    house.enrolled("FAST1").await;
    house.enrolled("CALM1").await;
    let ping = |address: &'static str, serial: &'static str| {
        let house = &house;
        async move {
            let path = format!("/iclock/getrequest?SN={serial}");
            house.from(address, "GET", &path, "").await
        }
    };
    let mut refused = 0;
    for _ in 0..60 {
        let (status, words) = ping("203.0.113.50", "FAST1").await;
        if status != 200 {
            assert_eq!(status, 503, "{words}");
            assert!(!words.to_uppercase().contains("OK"), "{words}");
            refused += 1;
        }
    }
    assert!(refused > 0, "sixty at once are more than thirty");
    assert_eq!(ping("203.0.113.51", "CALM1").await.0, 200);
    let metrics = house.page("/metrics").await;
    assert!(!metrics.contains("satellite_refused_total{reason=\"requests_per_address\"} 0\n"));
    house.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_from_a_new_network_is_served_and_told_and_one_from_elsewhere_is_refused() {
    let tenant = "networks = [\"203.0.113.0/24\", \"189.203.0.0/16\"]";
    let house = house("", tenant, "127.0.0.1:0").await;
    house.enrolled("HERE1").await;
    let (status, _) = house.punch("198.51.100.1", "HERE1").await;
    assert_eq!(status, 403, "its tenant expects no terminals there");
    assert!(house.page("/devices").await.contains("\"conditions\":[]"));
    assert_eq!(house.punch("203.0.113.200", "HERE1").await.0, 200);
    assert!(
        house.page("/devices").await.contains("\"conditions\":[]"),
        "the same network"
    );
    assert_eq!(house.punch("189.203.4.4", "HERE1").await.0, 200);
    let devices = house.page("/devices").await;
    assert!(devices.contains("\"name\":\"new_network\""), "{devices}");
    assert!(
        devices.contains("from 189.203.4.4; until now from 203.0.0.0/16"),
        "{devices}"
    );
    let trace = house.page("/trace/HERE1").await;
    assert!(trace.contains("189.203.4.4"), "{trace}");
    let metrics = house.page("/metrics").await;
    assert!(metrics.contains("satellite_refused_total{reason=\"wrong_network\"} 1"));
    let kept = house.folder;
    house.running.stop().await;
    // Over a restart too, the network is known.
    let running = start(kept.path()).await;
    let house = House {
        folder: kept,
        running,
    };
    assert_eq!(house.punch("189.203.9.9", "HERE1").await.0, 200);
    assert!(house.page("/devices").await.contains("\"conditions\":[]"));
    house.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockdown_stops_commands_and_enrolments_goes_on_storing_and_survives_a_restart() {
    let house = house("", "", "127.0.0.1:0").await;
    house.enrolled("KNOWN1").await;
    let begun = house.fine(&["lockdown", "on", "--reason", "a drill"]);
    assert!(begun.contains("Lockdown in force: everything"), "{begun}");
    house
        .until("locked", async |house| {
            house.status().await["lockdown"][0]["scope"] == "*"
        })
        .await;
    assert!(
        house
            .page("/metrics")
            .await
            .contains("satellite_lockdown{tenant=\"acme\"} 1")
    );
    // What an approved terminal brings is stored as before.
    let second = "8\t2026-11-21 09:00:01\t0\t1\n";
    let path = "/iclock/cdata?SN=KNOWN1&table=ATTLOG&Stamp=2";
    let (status, said) = house.from("203.0.113.1", "POST", path, second).await;
    assert_eq!((status, said.trim()), (200, "OK: 1"));
    // Nobody new is let in, waits for it, or is commanded.
    let (status, _) = house.punch("203.0.113.1", "NEW1").await;
    assert_eq!(status, 403);
    assert_eq!(house.status().await["pending"], 0);
    for args in [
        &["devices", "approve", "NEW1"][..],
        &[
            "devices", "add", "--tenant", "acme", "--vendor", "zkteco", "--serial", "NEW1",
        ],
        &["devices", "command", "KNOWN1", "info", "--no-wait"],
    ] {
        let (status, said) = house.command(args);
        assert_eq!(status, 1, "{args:?}: {said}");
        assert!(said.contains("lockdown off"), "{said}");
    }
    house.fine(&["devices", "block", "KNOWN1"]);
    let folder = house.folder;
    house.running.stop().await;

    let running = start(folder.path()).await;
    let house = House { folder, running };
    assert_eq!(house.status().await["lockdown"][0]["scope"], "*");
    let (status, said) = house.command(&["devices", "approve", "KNOWN1"]);
    assert_eq!(status, 1, "{said}");
    let held = house.fine(&["lockdown", "status", "--json"]);
    let held: Value = serde_json::from_str(&held).unwrap();
    assert_eq!(held[0]["tenant"], Value::Null);
    house.fine(&["lockdown", "off"]);
    house
        .until("free", async |house| {
            house.status().await["lockdown"] == serde_json::json!([])
        })
        .await;
    house.fine(&["devices", "approve", "KNOWN1"]);
    house
        .until("let in", async |house| {
            house.punch("203.0.113.1", "KNOWN1").await.0 == 200
        })
        .await;
    house.running.stop().await;
}

/// Posts to a sender's path; answers the status and what it hears.
async fn ingest(house: &House, path: &str, body: &'static str) -> (u16, Value) {
    let (status, said) = house.from("203.0.113.1", "POST", path, body).await;
    (status, serde_json::from_str(&said).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_tenants_lockdown_its_senders_are_stored_and_strangers_that_they_name_are_not_listed()
 {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("mapping.toml");
    let fields = "[fields]\ntime = 'at'\nserial = 'device'\nperson = 'user'\n";
    std::fs::write(&mapping, format!("make = 'x'\nformat = 'json'\n{fields}")).unwrap();
    let more = format!(
        "[[tenant]]\nid = \"beta\"\ntime_zone = \"UTC\"\n[[mapping]]\nfile = {mapping:?}\n"
    );
    let house = house("", &more, "127.0.0.1:0").await;
    let path = |said: &str| format!("/ingest/{}", token_in(said));
    let add = |tenant: &'static str, serial: &'static str| {
        let words = ["devices", "add", "--vendor", "other", "--listen", "--json"];
        [&words[..], &["--tenant", tenant, "--serial", serial]].concat()
    };
    let old = path(&house.fine(&add("acme", "BIO-1")));
    let served = async |house: &House, path: &str| ingest(house, path, "[]").await.0 == 200;
    house
        .until("served", async |house| served(house, &old).await)
        .await;
    house.fine(&["lockdown", "on", "--tenant", "acme"]);
    let locked = async |house: &House| house.status().await["lockdown"][0]["scope"] == "acme";
    house.until("locked", locked).await;

    let both = r#"[{"at":"2026-11-21T09:00:00Z","user":"7","device":"BIO-1"},
                   {"at":"2026-11-21T09:00:00Z","user":"8","device":"NEW-1"}]"#;
    let (status, said) = ingest(&house, &old, both).await;
    assert_eq!(
        (status, &said["stored"], &said["quarantined"]),
        (200, &1.into(), &1.into())
    );
    assert_eq!(house.status().await["pending"], 0, "a stranger was listed");
    let (status, said) = house.command(&add("acme", "BIO-2"));
    assert!(status == 1 && said.contains("lockdown off"), "{said}");
    // The other tenant goes on, and a token that may have been seen can be taken away.
    house.fine(&add("beta", "BIO-3"));
    let new = path(&house.fine(&["devices", "rotate-token", "BIO-1", "--json"]));
    house
        .until("rotated", async |house| served(house, &new).await)
        .await;
    assert!(!served(&house, &old).await, "the old token still serves");

    house.fine(&["lockdown", "off", "--tenant", "acme"]);
    let listed = async |house: &House| {
        ingest(house, &new, both).await;
        house.status().await["pending"] == 1
    };
    house.until("free", listed).await;
    let known = ingest(&house, &new, both).await.1;
    assert_eq!((&known["stored"], &known["known"]), (&0.into(), &1.into()));
    house.running.stop().await;
}

/// The token in what a command printed as JSON.
fn token_in(said: &str) -> String {
    let said: Value = serde_json::from_str(said).unwrap();
    let url = said["listen"]["url"].as_str().unwrap();
    url.rsplit_once('/').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_serves_at_once_and_the_old_one_no_more() {
    let house = house("", "", "127.0.0.1:0").await;
    let token = |args: &[&str]| token_in(&house.fine(args));
    let old = token(&add_hikvision("K12345678", &["--listen", "--json"]));
    let post = async |house: &House, token: &str| {
        let path = format!("/hikvision/{token}");
        house.from("203.0.113.1", "POST", &path, "{}").await.0
    };
    house
        .until("the first", async |house| post(house, &old).await == 200)
        .await;
    let new = token(&["devices", "rotate-token", "K12345678", "--json"]);
    house
        .until("the second", async |house| post(house, &new).await == 200)
        .await;
    assert_eq!(post(&house, &old).await, 404);
    let (status, said) = house.command(&["devices", "rotate-token", "NOBODY123"]);
    assert_eq!(status, 1, "{said}");
    house.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_one_file_that_standard_tools_verify_and_holds_no_secret() {
    let house = house("", "", "127.0.0.1:0").await;
    let said = house.fine(&add_hikvision("K12345678", &["--listen", "--json"]));
    let token = token_in(&said);
    for n in 0..30 {
        let path = format!("/hikvision/guess{n:027}");
        house.from("203.0.113.7", "POST", &path, "{}").await;
    }
    // The end writes what was counted since the last minute.
    let House { folder, running } = house;
    running.stop().await;
    let running = start(folder.path()).await;
    let house = House { folder, running };
    let file = house.folder.path().join("evidence.tar");
    let out = file.to_str().unwrap();
    let said = house.fine(&["evidence", "--since", "1h", "--out", out]);
    assert!(said.contains("refusals.jsonl, lines: 1"), "{said}");
    let sh = |command: &str| {
        let output = std::process::Command::new("sh")
            .args(["-ec", command])
            .current_dir(house.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), said)
    };
    let (fine, said) = sh(
        "sha256sum -c evidence.tar.sha256 && mkdir x && tar xf evidence.tar -C x && cd x && sha256sum -c SHA256SUMS",
    );
    assert!(fine, "{said}");
    for part in [
        "audit.jsonl: OK",
        "refusals.jsonl: OK",
        "configuration.jsonl: OK",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let read =
        |name: &str| std::fs::read_to_string(house.folder.path().join("x").join(name)).unwrap();
    let refusals: Value = serde_json::from_str(read("refusals.jsonl").trim()).unwrap();
    assert_eq!(
        (
            &refusals["address"],
            &refusals["reason"],
            &refusals["times"]
        ),
        (&"203.0.113.7".into(), &"unknown_token".into(), &30.into())
    );
    let audit = read("audit.jsonl");
    assert!(
        audit.contains("\"action\":\"add\"") && audit.contains("K12345678"),
        "{audit}"
    );
    assert!(read("configuration.jsonl").contains("trusted_proxies"));
    assert!(read("terminals.jsonl").contains("K12345678"));
    let whole = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    assert!(!whole.contains(&token), "no token may be in it");
    // One changed byte is found, and nothing is overwritten.
    let (status, said) = house.command(&["evidence", "--since", "1h", "--out", out]);
    assert!(status == 1 && said.contains("name another file"), "{said}");
    // The configuration that was in force is there, however long ago it was written; and no time at
    // all is no evidence.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = house.folder.path().join("later.tar");
    let later = later.to_str().unwrap();
    let said = house.fine(&["evidence", "--since", "1s", "--out", later]);
    assert!(said.contains("configuration.jsonl, lines: 1"), "{said}");
    let never = [
        "evidence",
        "--since",
        "1h",
        "--until",
        "2h",
        "--out",
        "never.tar",
    ];
    let (status, said) = house.command(&never);
    assert!(status == 1 && said.contains("later than --since"), "{said}");
    let (fine, said) = sh(
        "sed -i s/unknown_token/known_token12/ x/refusals.jsonl && cd x && sha256sum -c SHA256SUMS",
    );
    assert!(!fine && said.contains("refusals.jsonl: FAILED"), "{said}");
    house.running.stop().await;
}
