//! The demo's picture: the last events and the totals, drawn over itself twice a second.
//!
//! Plain control sequences, no library; where standard output is no terminal, the first events
//! and one line a second. Only shows: the rows are those of `event_feed`, the times those that
//! the terminals measured.

use std::collections::{HashMap, VecDeque};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use daemon::logging::Escaped;
use event::Zone;
use store::AnyEngine;
use store::feed::{self, FeedFilter, FeedRow};
use terminals::{Fleet, Observation, Summary, UploadResult};
use tokio::sync::broadcast;

use super::super::words::{Lang, Speaks as _, Word};
use super::super::{out, time};

/// Rows on the screen.
const ROWS: usize = 12;
/// Rows read from the feed at once.
const PAGE: u32 = 1_000;
/// Times of acknowledgement remembered by punch; older ones are shown by terminal.
const REMEMBERED: usize = 20_000;
/// Times of acknowledgement that percentiles are taken of: the newest.
const SAMPLES: usize = 10_000;

/// Sums over all fleets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Records that terminals were told are safe.
    pub(crate) acked: u64,
    /// Records that terminals still hold.
    pub(crate) held: u64,
}

impl Figures {
    /// The figures as they stand.
    pub(crate) fn of(fleets: &[Fleet]) -> Self {
        Self::sum(&fleets.iter().map(Fleet::summary).collect::<Vec<_>>())
    }

    /// The figures of these summaries together.
    pub(crate) fn sum(summaries: &[Summary]) -> Self {
        Self {
            acked: summaries.iter().map(|summary| summary.acked).sum(),
            held: summaries.iter().map(|summary| summary.pending).sum(),
        }
    }
}

type Punch = (String, String, String);

/// Everything that is shown.
pub(crate) struct View {
    observers: Vec<broadcast::Receiver<Observation>>,
    began: Instant,
    after_seq: i64,
    /// Rows that appeared since the last drawing, for those who see lines only.
    fresh: Vec<FeedRow>,
    last: VecDeque<FeedRow>,
    by_punch: HashMap<Punch, Duration>,
    by_serial: HashMap<String, Duration>,
    samples: VecDeque<Duration>,
    zones: HashMap<String, Zone>,
    terminals: u32,
    committed: u64,
    /// Doubles that were folded.
    pub(crate) duplicates: u64,
}

impl View {
    /// Nothing seen yet.
    pub(crate) fn new(fleets: &[Fleet], terminals: u32) -> Self {
        Self {
            observers: fleets.iter().map(Fleet::observe).collect(),
            began: Instant::now(),
            after_seq: 0,
            fresh: Vec::new(),
            last: VecDeque::new(),
            by_punch: HashMap::new(),
            by_serial: HashMap::new(),
            samples: VecDeque::new(),
            zones: HashMap::new(),
            terminals,
            committed: 0,
            duplicates: 0,
        }
    }

    /// Takes what the terminals measured and what is new in the feed.
    pub(crate) async fn update(&mut self, reader: &mut AnyEngine) -> anyhow::Result<()> {
        let mut observers = std::mem::take(&mut self.observers);
        for observer in &mut observers {
            loop {
                match observer.try_recv() {
                    Ok(seen) => self.observed(&seen),
                    // Some were missed; the next ones are there.
                    Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                    Err(_) => break,
                }
            }
        }
        self.observers = observers;
        loop {
            let filter = FeedFilter {
                after_seq: self.after_seq,
                limit: PAGE,
                ..FeedFilter::default()
            };
            let page = feed::read(reader, &filter).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            self.after_seq = last.seq;
            self.committed += page.len() as u64;
            for row in page {
                self.take(row);
            }
        }
    }

    fn observed(&mut self, seen: &Observation) {
        let UploadResult::Acked { latency } = seen.result else {
            return;
        };
        if self.by_punch.len() >= REMEMBERED {
            self.by_punch.clear();
        }
        let serial = seen.serial.to_string();
        let punch = (serial.clone(), seen.pin.to_string(), seen.time.to_string());
        self.by_punch.insert(punch, latency);
        self.by_serial.insert(serial, latency);
        if self.samples.len() >= SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(latency);
    }

    fn take(&mut self, row: FeedRow) {
        if self.fresh.len() < ROWS {
            self.fresh.push(row.clone());
        }
        if self.last.len() >= ROWS {
            self.last.pop_front();
        }
        self.last.push_back(row);
    }

    /// How long the upload with this event took; of another upload of that terminal when the
    /// event was not the last one of its own.
    fn latency(&self, row: &FeedRow) -> Option<Duration> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let punch = (row.serial.clone(), text(&row.person), text(&row.local_time));
        let exact = self.by_punch.get(&punch);
        exact.or_else(|| self.by_serial.get(&row.serial)).copied()
    }

    fn line(&mut self, row: &FeedRow) -> String {
        let zone = self
            .zones
            .entry(row.time_zone.clone())
            .or_insert_with_key(|name| Zone::named(name).unwrap_or_else(|_| Zone::utc()));
        let offset = row
            .occurred_at
            .map(|at| time::offset_text(zone.offset_seconds_at(at)));
        let local = row.local_time.as_deref().unwrap_or_default();
        let at = format!("{} {}", Escaped(local), offset.unwrap_or_default());
        let device = row.device_name.as_deref().unwrap_or(&row.serial);
        let device: String = Escaped(device).to_string().chars().take(19).collect();
        let person: String = Escaped(row.person.as_deref().unwrap_or("-"))
            .to_string()
            .chars()
            .take(8)
            .collect();
        let ack = self
            .latency(row)
            .map_or_else(|| "-".to_owned(), milliseconds);
        columns([&device, &person, &at, &row.route, &ack])
    }

    fn totals(&self, figures: &Figures, lang: Lang) -> String {
        let seconds = self.began.elapsed().as_millis().max(1);
        let rate = u128::from(self.committed) * 1000 / seconds;
        let mut sorted: Vec<Duration> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        let part =
            |per_mille| percentile(&sorted, per_mille).map_or_else(|| "-".to_owned(), milliseconds);
        lang.say(
            Word::DemoTotals,
            &[
                &self.committed,
                &rate,
                &self.terminals,
                &figures.acked,
                &figures.held,
                &self.duplicates,
                &part(500),
                &part(990),
            ],
        )
    }
}

fn columns([device, person, at, route, ack]: [&str; 5]) -> String {
    format!("  {device:<20}{person:<10}{at:<28}{route:<7}{ack:>9}")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The value that so many thousandths of the sorted ones do not exceed.
fn percentile(sorted: &[Duration], per_mille: usize) -> Option<Duration> {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// Where it is drawn.
pub(crate) struct Screen {
    lang: Lang,
    terminal: bool,
    drawn: usize,
    events_left: usize,
    looks: u64,
}

impl Screen {
    /// Standard output.
    pub(crate) fn new(lang: Lang) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal() && !dumb;
        Self {
            lang,
            terminal,
            drawn: 0,
            events_left: ROWS,
            looks: 0,
        }
    }

    /// Draws, or writes lines where nothing can be drawn.
    pub(crate) fn draw(&mut self, view: &mut View, figures: &Figures) -> anyhow::Result<()> {
        let totals = view.totals(figures, self.lang);
        if !self.terminal {
            let lines = self.lines(view, &totals);
            return Ok(out::print(&joined(&lines))?);
        }
        let lines = self.picture(view, &totals);
        let up = match self.drawn {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}A\r\x1b[J"),
        };
        self.drawn = lines.len();
        // Without wrapping, a line is one row of any terminal, so that the way up is right.
        Ok(out::print(&format!(
            "\x1b[?7l{up}{}\x1b[?7h",
            joined(&lines)
        ))?)
    }

    fn headings(&self) -> String {
        let words = [
            Word::Device,
            Word::Person,
            Word::LocalTime,
            Word::Route,
            Word::Ack,
        ];
        let words = words.map(|word| self.lang.say(word, &[]));
        columns([&words[0], &words[1], &words[2], &words[3], &words[4]])
    }

    fn picture(&self, view: &mut View, totals: &str) -> Vec<String> {
        view.fresh.clear();
        let mut lines = vec![String::new(), self.headings()];
        let rows: Vec<FeedRow> = view.last.iter().cloned().collect();
        lines.extend(rows.iter().map(|row| view.line(row)));
        lines.resize(ROWS + 2, String::new());
        lines.push(String::new());
        lines.extend(totals.lines().map(str::to_owned));
        lines
    }

    /// The first events, one line each; then the totals once a second.
    fn lines(&mut self, view: &mut View, totals: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if self.looks == 0 {
            lines.push(self.headings());
        }
        let fresh = std::mem::take(&mut view.fresh);
        for row in fresh.iter().take(self.events_left) {
            lines.push(view.line(row));
        }
        self.events_left = self.events_left.saturating_sub(fresh.len());
        if self.looks % 2 == 1 {
            lines.push(totals.replace('\n', "  "));
        }
        self.looks += 1;
        lines
    }
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 500), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&sorted, 990), Some(Duration::from_millis(99)));
        assert_eq!(
            percentile(&sorted[..1], 990),
            Some(Duration::from_millis(1))
        );
        assert_eq!(percentile(&[], 500), None);
    }

    #[test]
    fn a_row_fits_on_a_narrow_terminal() {
        let line = columns([
            "Planta Centro 1000",
            "12345678",
            "2026-11-21 08:59:58 -06:00",
            "push",
            "9999.9 ms",
        ]);
        assert!(line.chars().count() <= 78, "{line}");
    }
}
