//! Promise: whatever a terminal has, and however its records are grouped, ordered and sent again,
//! the database holds what a model of thirty lines says.
//!
//! Histories are drawn from a printed seed and posted to the real program over sockets, one serial for
//! each: several people, among them some whose PINs differ by a zero or by a capital only; records
//! of one person at one second that differ (twins); a clock that falls back to the first second
//! of 2000, also twice; lines that nobody can read. They are shuffled, cut into uploads anywhere,
//! and earlier uploads and records in new groups come again in between.
//!
//! The model knows nothing of identities, batches or transactions. It is told each line in the order in
//! which the terminal sent it: the first record of a person at a second is kept; one that says the
//! same of status and verify mode is the same; everything else is set aside, once for each text, with
//! the number of times that it came. The database is read over a connection of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use mariadb::Flavor;
use promises::{
    Checker, Place, Random, SatelliteProcess, Setup, attlog, full, read_reply, seed, shared_mariadb,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Histories of one satellite and one database.
const ROUND: usize = 500;
/// Terminals that post at a time.
const AT_A_TIME: usize = 24;

/// PINs that a collation, or a reader who takes them for numbers, would fold.
const PEOPLE: [&str; 6] = ["7", "07", "ana", "Ana", "1001", "José"];
/// Where a terminal's clock may stand: at work, and after a reset.
const CLOCKS: [&str; 3] = [
    "2026-11-20 07:59:",
    "2000-01-01 00:00:",
    "2000-01-01 00:00:",
];
/// Lines that are no record.
const UNREADABLE: [&str; 4] = [
    "7\t2026-02-30 08:00:00\t0\t1",
    "7\t\t0\t1",
    "\t2026-11-20 08:00:00\t0\t1",
    "nothing that has columns",
];

/// A line that a terminal sends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// Who, when, what is said of it, and what is said beside.
    Punch(&'static str, String, String, u64),
    /// No record.
    Unreadable(&'static str),
}

impl Line {
    fn text(&self) -> String {
        match self {
            Self::Punch(pin, time, said, work) => format!("{pin}\t{time}\t{said}\t{work}\t0\t0"),
            Self::Unreadable(text) => (*text).to_owned(),
        }
    }
}

/// What the database should hold of one terminal.
#[derive(Default)]
struct Model {
    /// Person and second; what was said of it, and the line.
    kept: BTreeMap<(&'static str, String), (String, String)>,
    /// The line, and how often it came.
    aside: BTreeMap<String, u64>,
}

impl Model {
    fn take(&mut self, line: &Line) {
        if let Line::Punch(pin, time, said, _) = line {
            let first = (said.clone(), line.text());
            let kept = self.kept.entry((pin, time.clone())).or_insert(first);
            if kept.0 == *said {
                return;
            }
        }
        *self.aside.entry(line.text()).or_default() += 1;
    }

    /// As the questions to the database put it.
    fn rows(&self, serial: &str) -> Vec<String> {
        let kept = self.kept.iter().map(|((pin, time), (_, text))| {
            let raw = hex(text);
            format!("kept|{serial}|{}|{time}|{raw}", hex(pin))
        });
        let aside = self.aside.iter();
        let aside = aside.map(|(text, times)| format!("aside|{serial}|{times}|{}", hex(text)));
        kept.chain(aside).collect()
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// How often what makes a history hard was drawn.
#[derive(Debug, Default)]
struct Drawn {
    uploads: u64,
    again: u64,
    twins: u64,
    resets: u64,
    unreadable: u64,
}

/// Draws histories and the ways in which they are sent.
struct Author {
    random: Random,
    drawn: Drawn,
}

impl Author {
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.random.next_number() % bound).unwrap_or(0)
    }

    /// What a terminal has.
    fn history(&mut self) -> Vec<Line> {
        let people = 2 + self.below(3);
        let from = self.below(PEOPLE.len());
        let clocks = 1 + self.below(CLOCKS.len());
        self.drawn.resets += u64::from(clocks > 1);
        let mut history = Vec::new();
        for clock in CLOCKS.iter().take(clocks) {
            for _ in 0..4 + self.below(12) {
                if self.below(12) == 0 {
                    self.drawn.unreadable += 1;
                    history.push(Line::Unreadable(UNREADABLE[self.below(UNREADABLE.len())]));
                    continue;
                }
                let pin = PEOPLE[(from + self.below(people)) % PEOPLE.len()];
                let time = format!("{clock}{:02}", self.below(8));
                let said = format!("{}\t{}", self.below(2), [1, 15][self.below(2)]);
                let work = self.random.next_number() % 2;
                history.push(Line::Punch(pin, time, said, work));
            }
        }
        history
    }

    /// How it comes: every line in some upload, and many of them again.
    fn sent(&mut self, mut history: Vec<Line>) -> Vec<Vec<Line>> {
        if self.below(4) > 0 {
            for at in (1..history.len()).rev() {
                let other = self.below(at + 1);
                history.swap(at, other);
            }
        }
        let (mut uploads, mut rest) = (Vec::new(), history.as_slice());
        while !rest.is_empty() {
            let (part, later) = rest.split_at((1 + self.below(9)).min(rest.len()));
            uploads.push(part.to_vec());
            rest = later;
            if self.below(3) == 0 {
                self.drawn.again += 1;
                uploads.push(uploads[self.below(uploads.len())].clone());
            }
            if self.below(4) == 0 {
                self.drawn.again += 1;
                let come = history.len() - rest.len();
                let some = (0..1 + self.below(12)).map(|_| self.below(come));
                uploads.push(some.map(|at| history[at].clone()).collect());
            }
        }
        self.drawn.uploads += u64::try_from(uploads.len()).unwrap_or(0);
        uploads
    }

    /// Uploads of one terminal and what they should come to.
    fn terminal(&mut self) -> (Vec<Vec<Line>>, Model) {
        let history = self.history();
        let uploads = self.sent(history);
        let mut model = Model::default();
        uploads.iter().flatten().for_each(|line| model.take(line));
        let is_punch = |text: &&String| !UNREADABLE.contains(&text.as_str());
        let twins = model.aside.keys().filter(is_punch).count();
        self.drawn.twins += u64::try_from(twins).unwrap_or(0);
        (uploads, model)
    }
}

/// Posts the uploads of one terminal, each after the answer to the one before.
async fn post(door: SocketAddr, serial: String, uploads: Vec<Vec<Line>>) -> Result<()> {
    let mut line = TcpStream::connect(door).await?;
    for upload in uploads {
        let lines: Vec<String> = upload.iter().map(Line::text).collect();
        let body = lines.join("\n") + "\n";
        let request = attlog(&serial, "9999", body.as_bytes());
        line.write_all(&request).await?;
        let reply = read_reply(&mut line).await.context("no reply")?;
        ensure!(reply.accepts(lines.len()), "{serial}: {reply:?}\n{body}");
    }
    Ok(())
}

/// What the database holds, sorted, in the words of [`Model::rows`].
async fn stored(place: &Place) -> Result<Vec<String>> {
    let mut checker = Checker::open(place).await?;
    let mut rows = checker
        .texts(
            "SELECT CAST(CONCAT_WS('|', 'kept', serial, HEX(person), \
             SUBSTR(CAST(local_time AS CHAR), 1, 19), HEX(raw)) AS CHAR) FROM event_feed",
            "SELECT 'kept|' || serial || '|' || HEX(person) || '|' || SUBSTR(local_time, 1, 19) \
             || '|' || HEX(raw) FROM event_feed",
        )
        .await?;
    rows.extend(
        checker
            .texts(
                "SELECT CAST(CONCAT_WS('|', 'aside', serial, seen, HEX(raw)) AS CHAR) \
                 FROM quarantine JOIN device USING (device_id)",
                "SELECT 'aside|' || serial || '|' || seen || '|' || HEX(raw) \
                 FROM quarantine JOIN device USING (device_id)",
            )
            .await?,
    );
    rows.sort();
    Ok(rows)
}

/// One satellite, one empty database, so many histories.
async fn round(author: &mut Author, place: Place, count: usize) -> Result<()> {
    let serials: Vec<String> = (0..count).map(|n| format!("MODEL{n:05}")).collect();
    let setup = Setup::new(place.clone()).enrol(serials.clone());
    let mut satellite = SatelliteProcess::start(&setup).await?;
    let mut expected = Vec::new();
    let mut posts = JoinSet::new();
    for serial in serials {
        let (uploads, model) = author.terminal();
        expected.extend(model.rows(&serial));
        if posts.len() == AT_A_TIME {
            posts.join_next().await.context("nobody posts")???;
        }
        posts.spawn(post(satellite.devices(), serial, uploads));
    }
    while let Some(posted) = posts.join_next().await {
        posted??;
    }
    expected.sort();
    let stored = stored(&place).await?;
    if stored != expected {
        let lacks = |one: &[String], other: &[String]| -> Vec<String> {
            let gone = one.iter().filter(|row| !other.contains(row));
            gone.take(3).cloned().collect()
        };
        bail!(
            "{} rows instead of {}; missing {:#?}, not in the model {:#?}",
            stored.len(),
            expected.len(),
            lacks(&expected, &stored),
            lacks(&stored, &expected)
        );
    }
    satellite.terminate().await.map(drop)
}

/// How many rounds: one, forty in the long form, or as many as make up `HISTORIES`.
fn rounds() -> Result<usize> {
    match std::env::var("HISTORIES") {
        Ok(text) => Ok(text.parse::<usize>()?.div_ceil(ROUND)),
        Err(_) if full() => Ok(40),
        Err(_) => Ok(1),
    }
}

fn all_was_drawn(drawn: &Drawn, rounds: usize) -> Result<()> {
    println!("{} histories: {drawn:?}", rounds * ROUND);
    let least = u64::try_from(rounds * ROUND / 10)?;
    for (what, times) in [
        ("uploads came again", drawn.again),
        ("twins", drawn.twins),
        ("resets of the clock", drawn.resets),
        ("lines that cannot be read", drawn.unreadable),
    ] {
        ensure!(times >= least, "only {times} {what}");
    }
    Ok(())
}

async fn any_history(is_mariadb: bool) -> Result<()> {
    let drawn = Drawn::default();
    let random = Random::new(seed());
    let mut author = Author { random, drawn };
    let rounds = rounds()?;
    for _ in 0..rounds {
        let folder = tempfile::tempdir()?;
        let place = if is_mariadb {
            shared_mariadb(Flavor::Durable).await?
        } else {
            Place::sqlite(folder.path())
        };
        round(&mut author, place, ROUND).await?;
    }
    all_was_drawn(&author.drawn, rounds)
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_however_it_is_sent_is_what_a_simple_model_says_on_sqlite() {
    any_history(false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_however_it_is_sent_is_what_a_simple_model_says_on_mariadb() {
    any_history(true).await.unwrap();
}
