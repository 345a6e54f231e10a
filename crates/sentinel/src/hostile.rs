//! What strangers call themselves, through everything that people read: mails, webhooks, the
//! acknowledge page, tables, logs. Whatever it is, exactly one well-formed message comes out.
//!
//! Serial, site, the words of a terminal and of whoever acknowledges are made of pieces that
//! break headers, bodies, pages, spreadsheets and terminals elsewhere. The judge of mails is a
//! reader that shares nothing with what writes them.

#[path = "../../notify/tests/laws/mod.rs"]
mod laws;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daemon::config::Source;
use daemon::logging::Escaped;
use jiff::{SignedDuration, Timestamp};
use notify::{Brink, CapRule, Failed, Outbox, Pump, Recipient, Relay, Sender, Ways, Webhook, Wire};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use self::laws::{has_only_our_tags, is_harmless, is_one_message};
use crate::decide::{Ask, Core, Incident, Setting};
use crate::observation::{Fact, Observation, Round, Subject, Trouble, Value};
use crate::words::Phrase;
use crate::{Config, Kind};

const FILE: &str = "public_url = 'https://s.example.mx'\n\
    [[watch.store]]\ntenant = 'acme'\nurl = 'sqlite:///a.db'\n\
    [mail]\nfrom = 's@x.mx'\nrelays = ['smtp://r']\n\
    [[level]]\nto = [{ address = 'uno@x.mx' }, { address = 'one@x.mx', language = 'en' }]\n";

/// Pieces that mean something to somebody.
const PIECES: [&str; 34] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{2028}",
    "\u{85}",
    "\u{feff}",
    "\t",
    "Bcc: x@evil.mx",
    "Subject: free",
    "--",
    "=?utf-8?Q?a?=",
    "Content-Type: text/html",
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "\"><b>",
    "'",
    "\"",
    "&amp;",
    "=cmd|'/c calc'!A1",
    "+1",
    "-1",
    "@x",
    "{}",
    "{serial}",
    "%s",
    "ñ",
    "漢",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(PIECES.as_slice()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => "[ -~]{1,12}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Takes every message.
#[derive(Default)]
struct Taker(Mutex<Vec<Wire>>);

#[async_trait]
impl Relay for Taker {
    fn name(&self) -> &str {
        "taker"
    }

    async fn deliver(&self, message: &Wire, brink: &Brink) -> Result<String, Failed> {
        brink.reach().await?;
        self.0.lock().unwrap().push(message.clone());
        Ok(String::new())
    }

    async fn would_take(&self, _: &notify::Address) -> Result<(), Failed> {
        Ok(())
    }
}

/// The incident of that terminal, and every letter about it from first to last.
fn story(
    config: &Config,
    [serial, site, words, who]: &[String; 4],
) -> (Incident, Vec<notify::Letter>) {
    let setting = Setting {
        config,
        links: None,
    };
    let mut now: Timestamp = "2026-11-26T15:00:00Z".parse().unwrap();
    let mut core = Core::default();
    let (mut letters, mut last) = (Vec::new(), None);
    for second in 0..2100 {
        if second % 60 == 0 {
            let subject = Subject::terminal("acme", Some(site), serial);
            let trouble = (second < 900).then(|| {
                let said = Phrase::ByWay.with([Value::heard(site), Value::heard(words)]);
                Trouble::new(Kind::TerminalOffline)
                    .fact(Fact::Detail, said)
                    .fact(Fact::Place, Value::heard(words))
            });
            let seen = Observation::wrong(subject, now, trouble.into_iter().collect());
            core.observe("terminals", &Round::whole(vec![seen]), now);
        }
        core.tick(setting, now);
        let open = core.open_incidents().next().map(|it| it.id);
        if second == 300
            && let Some(incident) = open
        {
            core.ask(&Ask::Acknowledge { incident }, who, setting, now)
                .unwrap();
        }
        let changes = core.take_changes();
        letters.extend(changes.letters);
        last = changes.incidents.into_values().next().or(last);
        now += SignedDuration::from_secs(1);
    }
    (last.unwrap(), letters)
}

async fn sent(letters: &[notify::Letter]) -> Vec<Wire> {
    let taker = Arc::new(Taker::default());
    let relay: Arc<dyn Relay> = Arc::clone(&taker) as Arc<dyn Relay>;
    pumped(letters, vec![relay], Vec::new()).await;
    std::mem::take(&mut taker.0.lock().unwrap())
}

/// Delivers the letters by these ways.
async fn pumped(
    letters: &[notify::Letter],
    relays: Vec<Arc<dyn Relay>>,
    webhooks: Vec<Arc<Webhook>>,
) {
    let ways = Ways {
        from: Sender::new("s@x.mx", "Sentinela").unwrap(),
        relays,
        webhooks,
    };
    let now: Timestamp = "2026-11-26T16:00:00Z".parse().unwrap();
    let outbox = Outbox::in_memory().await.unwrap();
    let clock = Arc::new(move || now);
    let pump = Pump::with(outbox, ways, CapRule::none(), clock, 1)
        .await
        .unwrap();
    pump.outbox().queue_all(letters, now).await.unwrap();
    pump.tick().await.unwrap();
}

/// What the letters are as requests to a webhook, head and body.
async fn posted(letters: &[notify::Letter]) -> Vec<(String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut bytes, mut some) = (Vec::new(), [0; 4096]);
            let request = loop {
                let read = stream.read(&mut some).await.unwrap();
                bytes.extend_from_slice(&some[..read]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
                let length = head
                    .lines()
                    .find_map(|it| it.strip_prefix("content-length: "));
                if length.is_some_and(|it| it.parse() == Ok(body.len())) || read == 0 {
                    break (head.to_owned(), body.to_owned());
                }
            };
            kept.lock().unwrap().push(request);
            let done = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(done).await.unwrap();
        }
    });
    let key = daemon::config::Secret::new("Jefe".to_owned());
    let hook = Arc::new(Webhook::new("chat", &url, key).unwrap());
    let mut letters = letters.to_vec();
    letters.dedup_by_key(|letter| letter.step.clone());
    for letter in &mut letters {
        letter.to = Recipient::webhook("chat").unwrap();
    }
    pumped(&letters, Vec::new(), vec![hook]).await;
    server.abort();
    std::mem::take(&mut taken.lock().unwrap())
}

/// One request with our headers, and one flat object with our keys in it, whose subject is one
/// harmless line.
fn is_one_post((head, body): &(String, String)) {
    let names: Vec<&str> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), head.lines().count() - 1, "{head}");
    let once: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(once.len(), names.len(), "{names:?}");
    let read: serde_json::Value = serde_json::from_str(body).unwrap();
    let keys: Vec<&String> = read.as_object().unwrap().keys().collect();
    let ours = [
        "critical",
        "id",
        "incident",
        "kind",
        "queued_at",
        "step",
        "subject",
        "text",
    ];
    assert_eq!(keys, ours);
    let (subject, text) = (&read["subject"], &read["text"]);
    let subject = subject.as_str().unwrap();
    assert!(
        is_harmless(subject) && !subject.contains('\n'),
        "{subject:?}"
    );
    assert!(is_harmless(text.as_str().unwrap()), "{text:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_terminal_is_called_each_letter_is_exactly_one_well_formed_message(
        names in [hostile(), hostile(), hostile(), hostile()],
    ) {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let (incident, letters) = story(&config, &names);
        // Both readers: the alarm, and the recovery.
        prop_assert!(letters.len() >= 4, "{} letters", letters.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wires = runtime.block_on(sent(&letters));
        prop_assert_eq!(wires.len(), letters.len());
        for wire in &wires {
            let subject = is_one_message(wire);
            prop_assert!(subject.starts_with("[INC-2026-000001] "), "{}", subject);
        }
        let posts = runtime.block_on(posted(&letters));
        prop_assert!(posts.len() >= 2, "{} posts", posts.len());
        posts.iter().for_each(is_one_post);
        let now = Timestamp::UNIX_EPOCH;
        for language in [notify::Language::Spanish, notify::Language::English] {
            for page in [
                crate::admin::page::ask(&config, &incident, language, now),
                crate::admin::page::done(&config, &incident, language),
            ] {
                prop_assert!(has_only_our_tags(&page) && is_harmless(&page), "{}", page);
            }
        }
    }

    #[test]
    fn whatever_a_terminal_is_called_a_line_of_the_log_and_a_cell_stay_what_they_are(text in hostile()) {
        let line = Escaped(&text).to_string();
        prop_assert!(is_harmless(&line) && !line.contains('\n'), "{:?}", line);
        let shown = notify::text::line(&text);
        let cell = crate::report::cell(&shown);
        prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{:?}", cell);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["1", &cell, "2"]).unwrap();
        let bytes = writer.into_inner().unwrap();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(rows.len(), 1);
        prop_assert_eq!(rows[0].iter().collect::<Vec<_>>(), vec!["1", &*cell, "2"]);
    }
}
