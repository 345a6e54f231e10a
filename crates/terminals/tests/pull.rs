//! Terminals on port 4370 as a client meets them: one place, a key, a log that is owed before it
//! can be read, and a fleet that has delivered when its logs were read.
//!
//! The client here is a few lines written for the purpose.

use std::time::Duration;

use terminals::pull::{PullGroup, PullOptions, SecondClient, Terminal};
use terminals::{Fleet, Ledger, Scenario};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A client that knows the frame and nothing else.
struct Client {
    stream: TcpStream,
    session: u16,
}

impl Client {
    async fn connect(terminal: &Terminal) -> Option<(Self, u16)> {
        let stream = TcpStream::connect(terminal.address()).await.ok()?;
        let mut client = Self { stream, session: 0 };
        let (code, session, _) = client.ask(1000, &[]).await?;
        client.session = session;
        Some((client, code))
    }

    /// Asks and answers code, session field and data of the first packet; `None` when nothing
    /// comes.
    async fn ask(&mut self, command: u16, data: &[u8]) -> Option<(u16, u16, Vec<u8>)> {
        let mut packet = Vec::new();
        for field in [command, 0, self.session, 1] {
            packet.extend(field.to_le_bytes());
        }
        packet.extend(data);
        let length = u32::try_from(packet.len()).ok()?;
        let frame = [b"PP\x82\x7d", &length.to_le_bytes()[..], &packet].concat();
        self.stream.write_all(&frame).await.ok()?;
        self.read().await
    }

    async fn read(&mut self) -> Option<(u16, u16, Vec<u8>)> {
        let reading = async {
            let mut prefix = [0; 8];
            self.stream.read_exact(&mut prefix).await.ok()?;
            let length = u32::from_le_bytes(*prefix.last_chunk()?);
            let mut packet = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut packet).await.ok()?;
            let word = |at: usize| u16::from_le_bytes([packet[at], packet[at + 1]]);
            Some((word(0), word(4), packet[8..].to_vec()))
        };
        let limit = Duration::from_millis(500);
        tokio::time::timeout(limit, reading).await.ok().flatten()
    }
}

#[tokio::test]
async fn there_is_one_place_and_the_second_client_meets_silence_or_a_closed_door() {
    for second in [SecondClient::Silence, SecondClient::Closed] {
        let options = PullOptions {
            second,
            ..PullOptions::default()
        };
        let terminal = Terminal::start(options, None).unwrap();
        let (mut first, code) = Client::connect(&terminal).await.unwrap();
        assert_eq!(code, 2000);
        let stream = TcpStream::connect(terminal.address()).await.unwrap();
        let mut other = Client { stream, session: 0 };
        assert_eq!(other.ask(1000, &[]).await, None);
        assert_eq!(first.ask(1001, &[]).await.unwrap().0, 2000);
        let (_, code) = Client::connect(&terminal).await.unwrap();
        assert_eq!(code, 2000);
        assert_eq!(terminal.counters().turned_away, 1);
    }
}

#[tokio::test]
async fn without_the_right_key_nothing_is_told() {
    let options = PullOptions {
        comm_key: 123_456,
        ..PullOptions::default()
    };
    let terminal = Terminal::start(options, None).unwrap();
    let (mut client, code) = Client::connect(&terminal).await.unwrap();
    assert_eq!(code, 2005);
    let asked = client.ask(11, b"~SerialNumber\0").await.unwrap();
    assert_eq!((asked.0, asked.2.len()), (2005, 0));
    assert_eq!(client.ask(1102, &[1, 2, 50, 3]).await.unwrap().0, 2005);
    assert_eq!(terminal.counters().wrong_keys, 1);
}

#[tokio::test]
async fn a_record_is_owed_before_it_can_be_read_and_events_follow_the_registration() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("ledger");
    let ledger = Ledger::create(&path).unwrap();
    let options = PullOptions {
        history: 5,
        ..PullOptions::default()
    };
    let terminal = Terminal::start(options, Some(ledger)).unwrap();
    terminal.own_up().await.unwrap();
    let (mut client, _) = Client::connect(&terminal).await.unwrap();
    assert_eq!(client.ask(500, &1_u32.to_le_bytes()).await.unwrap().0, 2000);
    terminal.crowd(2).await.unwrap();
    assert_eq!(Ledger::read(&path).unwrap().len(), 7);
    let (code, flag, data) = client.read().await.unwrap();
    assert_eq!((code, flag, data.len()), (500, 1, 32));
    assert_eq!((terminal.held(), terminal.unserved()), (7, 7));
}

#[tokio::test]
async fn a_fleet_has_delivered_when_a_client_has_read_its_logs() {
    let group = PullGroup {
        count: 1,
        terminal: PullOptions {
            history: 3,
            ..PullOptions::default()
        },
        ..PullGroup::default()
    };
    let scenario = Scenario {
        count: 0,
        pull: vec![group],
        duration_s: Some(1),
        ..Scenario::default()
    };
    let fleet = Fleet::start(scenario, None).unwrap();
    fleet.end_generation();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fleet.summary().pending, 3);
    let (mut client, _) = Client::connect(fleet.pulled().next().unwrap())
        .await
        .unwrap();
    let inline = client.ask(1503, &[1, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await;
    assert_eq!(inline.unwrap().2.len(), 4 + 3 * 40);
    tokio::time::timeout(Duration::from_secs(5), fleet.drained())
        .await
        .unwrap();
    assert_eq!(fleet.summary().pending, 0);
}
