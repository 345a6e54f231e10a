//! What was refused: counted always, remembered for a while, written to the log with restraint.
//!
//! A terminal that is refused comes again every few seconds, and there may be thousands, so
//! that the log gets a few lines of each reason and then a number. Whatever a peer supplied is
//! escaped here and nowhere later.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use daemon::logging::Escaped;
use event::{Millis, Serial};
use serde::Serialize;

use crate::evidence::Kept;
use crate::metrics::Metrics;
use crate::tries::{Attack, Tries, Try};

/// Refusals kept for the status page.
const RECENT: usize = 50;
/// Log lines of one reason within [`WINDOW`].
const LINES: u32 = 5;
/// Milliseconds.
const WINDOW: i64 = 10_000;

/// One refusal, as the status page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When, UTC.
    pub at: String,
    /// The reason's word, as in the metric.
    pub reason: &'static str,
    /// The terminal, when it was known.
    pub serial: Option<String>,
    /// Where it came from.
    pub address: String,
    /// More words, escaped.
    pub detail: String,
}

/// The book of refusals.
pub(crate) struct Refusals {
    metrics: Arc<Metrics>,
    tries: Tries,
    kept: Kept,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    recent: VecDeque<Refused>,
    windows: HashMap<&'static str, Window>,
}

#[derive(Default)]
struct Window {
    began: i64,
    written: u32,
    kept_back: u32,
}

impl Window {
    /// Whether a line may be written now; with how many were kept back before it.
    fn allow(&mut self, now: Millis) -> Option<u32> {
        if now.0.saturating_sub(self.began) >= WINDOW || now.0 < self.began {
            (self.began, self.written) = (now.0, 0);
        }
        if self.written == LINES {
            self.kept_back = self.kept_back.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.kept_back))
    }
}

impl Refusals {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            tries: Tries::new(),
            kept: Kept::default(),
            book: Mutex::default(),
        }
    }

    /// Counts a refusal, and logs it when its reason has not filled the log already.
    pub(crate) fn note(
        &self,
        reason: &'static str,
        serial: Option<&Serial>,
        address: IpAddr,
        detail: &str,
        now: Millis,
    ) {
        self.metrics.refused.with_label_values(&[reason]).inc();
        self.kept.note(reason, serial, address, now);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept_back) = book.windows.entry(reason).or_default().allow(now) else {
            return;
        };
        if book.recent.len() == RECENT {
            book.recent.pop_front();
        }
        book.recent.push_back(Refused {
            at: now.text(),
            reason,
            serial: serial.map(ToString::to_string),
            address: address.to_string(),
            detail: Escaped(detail).to_string(),
        });
        drop(book);
        let serial = serial.map_or("", Serial::as_str);
        tracing::warn!(
            reason,
            serial,
            %address,
            detail = %Escaped(detail),
            not_logged_before = kept_back,
            "refused"
        );
    }

    /// Somebody tried what he may not: told once when it becomes an attack.
    pub(crate) fn tried(&self, what: Try, mark: impl Hash, address: IpAddr, now: Millis) {
        if self.tries.note(what, mark, address, now) {
            let kind = what.as_str();
            self.metrics.attacks.with_label_values(&[kind]).inc();
            tracing::error!(kind, %address, "it looks like an attack: satellite lockdown status");
        }
    }

    /// What is kept of refusals for later.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Attacks that go on.
    pub(crate) fn attacks(&self, now: Millis) -> Vec<Attack> {
        self.tries.attacks(now)
    }

    /// The last refusals that were logged, newest last.
    pub(crate) fn recent(&self) -> Vec<Refused> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.recent.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn every_refusal_counts_but_only_a_few_of_a_reason_are_written() {
        let config = Config::in_folder(std::path::Path::new("x"));
        let refusals = Refusals::new(Arc::new(Metrics::new(&config)));
        let address = IpAddr::from([192, 0, 2, 1]);
        for n in 0..20 {
            refusals.note("pending", None, address, "line\nbreak", Millis(n));
        }
        assert_eq!(refusals.recent().len(), 5);
        assert_eq!(refusals.recent()[0].detail, "line\\nbreak");
        refusals.note("blocked", None, address, "", Millis(21));
        refusals.note("pending", None, address, "", Millis(WINDOW));
        assert_eq!(refusals.recent().len(), 7);
        let text = refusals.metrics.text().unwrap();
        assert!(text.contains("satellite_refused_total{reason=\"pending\"} 21"));
    }

    #[test]
    fn the_lines_that_were_kept_back_are_told_with_the_next_one() {
        let mut window = Window::default();
        let told: Vec<_> = (0..7).map(|_| window.allow(Millis(5))).collect();
        assert_eq!(
            told,
            [Some(0), Some(0), Some(0), Some(0), Some(0), None, None]
        );
        assert_eq!(window.allow(Millis(5 + WINDOW)), Some(2));
    }
}
