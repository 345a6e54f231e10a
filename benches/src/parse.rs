//! How fast ATTLOG becomes events, on one core.
//!
//! Bodies of an ordinary size are read one after the other, as the door does it: text to
//! events with identity, zone and flags, then dropped. The ceiling beside it only splits lines
//! and columns and looks whether the time has the digits of a date: no reader can be faster
//! and still look at every byte.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use event::{Millis, Route, Zone};
use zkteco_push::{Context, Table as Name, read_upload};

use crate::report::{Cell, Report, Table};
use crate::samples;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Seconds for each figure.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Lines in one body.
    #[arg(long, default_value_t = 100)]
    lines: u64,
}

const COLUMNS: &[&str] = &["ATTLOG", "lines/s", "MB/s", "ceiling lines/s", "of ceiling"];

/// Different bodies that take turns, so that no cache holds the answer.
const BODIES: u64 = 500;

/// What one way of reading reached.
struct Speed {
    lines: f64,
    megabytes: f64,
}

pub(crate) fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("Parse, one core", COLUMNS);
    let zone = samples::zone()?;
    let time = Duration::from_secs(options.seconds.max(1));
    for columns in [4, 7, 11] {
        let bodies: Vec<Bytes> = (0..BODIES)
            .map(|n| samples::body(n * options.lines, options.lines, columns))
            .collect();
        let ours = speed(&bodies, time, |body| read(body, &zone))?;
        let ceiling = speed(&bodies, time, |body| split(body))?;
        table.push(vec![
            Cell::text(format!("{columns} columns")),
            Cell::rate(ours.lines),
            Cell::Number(ours.megabytes, 1),
            Cell::rate(ceiling.lines),
            Cell::Share(ours.lines / ceiling.lines),
        ]);
    }
    let note = "ceiling: lines and columns split by memchr, the digits and ranges of the time \
                checked, nothing kept";
    Ok(Report::new(vec![table]).note(note))
}

/// Reads bodies in turn for that long; `read` answers how many lines it found good.
fn speed(bodies: &[Bytes], time: Duration, read: impl Fn(&Bytes) -> u64) -> Result<Speed> {
    for body in bodies {
        let good = read(body);
        let lines = u64::try_from(memchr::memchr_iter(b'\n', body).count())?;
        ensure!(good == lines, "{good} of {lines} sample lines were read");
    }
    let (mut lines, mut bytes) = (0u64, 0u64);
    let begin = Instant::now();
    while begin.elapsed() < time {
        for body in bodies {
            lines += black_box(read(black_box(body)));
            bytes += u64::try_from(body.len())?;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Speed {
        lines: number(lines) / seconds,
        megabytes: number(bytes) / seconds / 1e6,
    })
}

/// A count as a floating number; exact as far as any bench gets.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts stay far below 2 to the power of 53"
)]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

fn read(body: &Bytes, zone: &Zone) -> u64 {
    let context = Context {
        zone,
        route: Route::Push,
        received_at: Millis(1_795_000_000_000),
        language: None,
    };
    let reading = read_upload(&Name::AttLog, body, &context);
    u64::try_from(reading.events.len()).unwrap_or_default()
}

fn split(body: &[u8]) -> u64 {
    let mut good = 0;
    let mut from = 0;
    for end in memchr::memchr_iter(b'\n', body) {
        let line = body.get(from..end).unwrap_or_default();
        from = end + 1;
        let mut start = 0;
        let mut dated = false;
        for (column, tab) in memchr::memchr_iter(b'\t', line).enumerate() {
            let field = line.get(start..tab).unwrap_or_default();
            dated |= column == 1 && is_date(field);
            black_box(field);
            start = tab + 1;
        }
        black_box(line.get(start..));
        good += u64::from(dated);
    }
    good
}

/// Digits and separators of `YYYY-MM-DD hh:mm:ss` with each number in its range.
fn is_date(text: &[u8]) -> bool {
    let Ok(text) = <&[u8; 19]>::try_from(text) else {
        return false;
    };
    let pair = |at: usize| -> u8 {
        let digit = |at: usize| text.get(at).map_or(100, |b| b.wrapping_sub(b'0'));
        let (tens, ones) = (digit(at), digit(at + 1));
        if tens > 9 || ones > 9 {
            u8::MAX
        } else {
            tens * 10 + ones
        }
    };
    let marks = text[4] == b'-' && text[7] == b'-' && text[10] == b' ';
    let marks = marks && text[13] == b':' && text[16] == b':';
    let date = pair(0) < 100 && pair(2) < 100 && (1..=12).contains(&pair(5));
    marks && date && (1..=31).contains(&pair(8)) && pair(11) < 24 && pair(14) < 60 && pair(17) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_counts_good_lines_and_refuses_absurd_times() {
        assert_eq!(split(&samples::body(0, 50, 7)), 50);
        for bad in [
            "2026-13-01 00:00:00",
            "2026-01-01 24:00:00",
            "2026-01-01T00:00:00",
            "short",
        ] {
            assert!(!is_date(bad.as_bytes()), "{bad}");
        }
    }
}
