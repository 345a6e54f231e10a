//! Promise: a broker behind TLS is spoken to only when its certificate is one that `ca_file` or the
//! public authorities vouch for, in both directions; a wrong one is named as what it is.
//!
//! The broker is the distribution's Mosquitto, with a certificate that is made here. About 6 s.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use promises::{Checker, Mosquitto, Place, SatelliteProcess, Setup};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// Two with one name would each be taken for signed by itself.
fn named(name: &str) -> DistinguishedName {
    let mut own = DistinguishedName::new();
    own.push(DnType::CommonName, name);
    own
}

/// An authority, and a pair for 127.0.0.1 that it vouches for.
fn authority(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.distinguished_name = named("Authority");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = root.self_signed(&key).unwrap();
    let issuer = Issuer::new(root, key);
    let leaf_key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    leaf.distinguished_name = named("Broker");
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    (
        write(folder, "ca.pem", &ca.pem()),
        write(folder, "broker.pem", &leaf.pem()),
        write(folder, "broker.key", &leaf_key.serialize_pem()),
    )
}

fn tables(broker: &Mosquitto, ca: &Path) -> String {
    let link = format!(
        "tenant = \"acme\"\nkind = \"mqtt\"\nurl = \"mqtts://{}\"\nca_file = \"{}\"\nallow_internal = true\n",
        broker.address(),
        ca.display()
    );
    format!(
        "[[output]]\nname = \"board\"\n{link}topic = \"board/{{serial}}\"\n\n\
         [[input]]\nname = \"plant\"\nsender = \"PLANT\"\ntopics = [\"plant/+\"]\n{link}\n"
    )
}

async fn until(satellite: &SatelliteProcess, what: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let page = satellite.admin("/status").await.unwrap().body;
        let page: Value = serde_json::from_str(&page).unwrap();
        if what(&page) {
            return page;
        }
        assert!(begun.elapsed() < LIMIT, "{page:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn started(place: &Place, broker: &Mosquitto, ca: &Path) -> SatelliteProcess {
    let mut setup = Setup::new(place.clone());
    setup.more = tables(broker, ca);
    SatelliteProcess::start(&setup).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_behind_tls_is_spoken_to_both_ways_and_never_with_a_certificate_that_is_not_its_own()
 {
    assert!(Mosquitto::is_installed(), "mosquitto is not installed");
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = authority(folder.path());
    let more = format!(
        "allow_anonymous true\ncertfile {}\nkeyfile {}",
        certificate.display(),
        key.display()
    );
    let mut broker = Mosquitto::start(folder.path(), &more).await.unwrap();
    let shown = ca.display().to_string();
    broker.subscribe(&["--cafile", &shown]).await.unwrap();

    let place = Place::sqlite(folder.path());
    let mut satellite = started(&place, &broker, &ca).await;
    let add = "devices add --tenant acme --vendor other --serial PLANT";
    satellite.command(add.split(' ')).await.unwrap();
    until(&satellite, |page| page["inputs"][0]["state"] == "fine").await;
    satellite.command(["check", "--connect"]).await.unwrap();
    let port = broker.address().port().to_string();
    let record = "{\"event\":\"punch\",\"time\":\"2026-11-27T09:00:00Z\",\"person\":\"0042\"}";
    let sent = std::process::Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "--cafile",
            &shown,
            "-q",
            "1",
        ])
        .args(["-t", "plant/1", "-m", record])
        .status();
    assert!(sent.unwrap().success());
    let begun = Instant::now();
    while !broker
        .heard()
        .unwrap()
        .iter()
        .any(|one| one.topic == "board/PLANT")
    {
        assert!(begun.elapsed() < LIMIT, "the punch did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut checker = Checker::open(&place).await.unwrap();
    let rows = "SELECT COUNT(*) FROM event_feed WHERE person = '0042' AND route = 'mqtt'";
    assert_eq!(checker.number(rows).await.unwrap(), 1);
    satellite.terminate().await.unwrap();

    // Another authority, to which this certificate is a stranger's.
    let other = tempfile::tempdir().unwrap();
    let (stranger, ..) = authority(other.path());
    let satellite = started(&place, &broker, &stranger).await;
    let page = until(&satellite, |page| page["inputs"][0]["state"] == "failing").await;
    let trouble = page["inputs"][0]["trouble"].as_str().unwrap();
    assert!(trouble.contains("certificate"), "{trouble}");
    let checked = satellite
        .order(&["check", "--connect"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    let told = |name: &str| {
        said.lines()
            .any(|line| line.contains(name) && line.contains("ertifica"))
    };
    assert!(told("board") && told("plant"), "{said}");
}
