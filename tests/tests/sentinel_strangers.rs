//! Promise: terminals that nobody enrolled, a blocked one that goes on trying, and one serial that
//! sends from two places are each told, in the reader's language, with what to type next.
//!
//! Real programs over SQLite; the terminals' requests are written by hand. About two minutes, mostly
//! waiting: what strangers do is confirmed for a minute and gathered for half of one.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use promises::{
    Place, Postbox, SatelliteProcess, SentinelProcess, Setup, attlog, handshake, read_reply,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

/// A minute until it is certain, half of one for others of its kind, and room.
const TOLD_WITHIN: Duration = Duration::from_secs(150);
const TWIN: &str = "TWIN-1";
const BLOCKED: &str = "BLOCKED-1";
const STRANGER: &str = "STRANGER-1";

/// A request from that address; answers the status.
async fn asks(satellite: &SatelliteProcess, from: Ipv4Addr, request: Vec<u8>) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(satellite.devices()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    read_reply(&mut stream).await.unwrap().status
}

/// What is told of each, in both languages: the end of the subject, and a part of the text.
const TOLD: [[&str; 4]; 3] = [
    [
        "Aviso: Envían dispositivos que nadie dio de alta",
        "satellite devices list --state pending",
        "Warning: Terminals that nobody enrolled send",
        "Enrol them if they are ours",
    ],
    [
        "Aviso: Insisten dispositivos bloqueados o sin prueba",
        "Ver desde dónde y avisar al sitio",
        "Warning: Blocked or unproven terminals insist",
        "See from where and tell the site",
    ],
    [
        "Aviso: Una misma serie envía desde dos lugares (Acme S.A.)",
        "satellite trace TWIN-1",
        "Warning: One serial sends from two places (Acme S.A.)",
        "127.0.0.2",
    ],
];

#[tokio::test(flavor = "multi_thread")]
async fn strangers_a_blocked_terminal_and_one_serial_in_two_places_are_each_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::sqlite(folder.path());
    let setup = Setup::new(place.clone()).enrol([TWIN, BLOCKED]);
    let satellite = SatelliteProcess::start(&setup).await.unwrap();
    satellite
        .command(["devices", "block", BLOCKED])
        .await
        .unwrap();
    let postbox = Postbox::open().await.unwrap();
    let mut sentinel = SentinelProcess::prepare(&format!(
        "language = \"es\"\n[host]\nwatch = false\n[listen]\nadmin = \"127.0.0.1:0\"\n\
         [watch]\nsatellite_admin = \"http://{}\"\n\
         [[watch.store]]\ntenant = \"acme\"\nname = \"Acme S.A.\"\nurl = \"{}\"\n\
         [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
         [[level]]\nto = [{{ address = \"uno@example.mx\" }}, \
         {{ address = \"one@example.mx\", language = \"en\" }}]\n",
        satellite.admin_door(),
        place.url(),
        postbox.url(),
    ))
    .unwrap();
    sentinel.run().await.unwrap();
    // Once blocked is known, and sentinel has counted what was before.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let begin = Instant::now();
    let (here, there) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let told = async {
        let mut left: Vec<[&str; 2]> = Vec::new();
        for [spanish, es, english, en] in TOLD {
            left.push([spanish, es]);
            left.push([english, en]);
        }
        for [title, part] in left {
            let fits = |post: &promises::Post| post.read().0.contains(title);
            let post = postbox.wait(TOLD_WITHIN, fits).await.unwrap();
            let text = post.read().1;
            assert!(text.contains(part), "{part:?} in\n{text}");
            println!("{title}: after {:?}", post.at.duration_since(begin));
        }
    };
    let knocking = async {
        loop {
            assert_eq!(asks(&satellite, here, handshake(TWIN)).await, 200);
            assert_eq!(asks(&satellite, there, handshake(TWIN)).await, 200);
            assert_eq!(asks(&satellite, here, handshake(BLOCKED)).await, 403);
            let punch = attlog(STRANGER, "1", b"7\t2026-11-27 09:00:00\t0\t1\n");
            assert_eq!(asks(&satellite, here, punch).await, 403);
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::select! {
        () = told => {}
        () = knocking => {}
    }
    let open = sentinel.json(["incidents", "--json"]).await.unwrap();
    let open = open.as_array().unwrap().iter();
    let mut kinds: Vec<&str> = open.filter_map(|it| it["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        ["duplicate_serial", "refused_terminals", "unknown_terminals"]
    );
}
