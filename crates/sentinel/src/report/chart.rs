//! Pictures of a month as SVG, drawn by hand: the standing of each day, and its punches.
//!
//! The width is that of a telephone, so that figures stay readable there; a larger screen
//! scales it up. Each mark carries its numbers as a title for those who point or listen.

use std::fmt::Write as _;

use notify::Language;

use super::compute::DayLine;
use crate::words::{pick, seconds_text, thousands};

/// Width of a picture, in its own units.
const WIDTH: u32 = 360;
/// Room at the left for figures.
const LEFT: u32 = 34;
/// Height of the bars of punches.
const BARS: u64 = 90;

const OK: &str = "#2e7d32";
const PARTIAL: &str = "#b26a00";
const DOWN: &str = "#b71c1c";
const UNKNOWN: &str = "#8a93a0";

/// The worst of a day, in its order of weight, with its colour and its sign.
fn worst(day: &DayLine) -> (&'static str, &'static str) {
    if day.down > 0 {
        (DOWN, "×")
    } else if day.partial > 0 {
        (PARTIAL, "!")
    } else if day.unknown > 0 {
        (UNKNOWN, "?")
    } else {
        (OK, "✓")
    }
}

/// One cell for each day, in the colour of the worst that was.
pub(super) fn standings(days: &[DayLine], language: Language) -> String {
    let step = step(days.len());
    let label = pick(language, "Operación de cada día", "Standing of each day");
    let mut svg = open(label, 34);
    for (index, day) in (0..).zip(days) {
        let (colour, sign) = worst(day);
        let x = LEFT * 10 + index * step;
        let middle = x + step / 2;
        let title = title(day, language);
        add(
            &mut svg,
            format_args!(
                "<g><title>{title}</title><rect x=\"{}\" y=\"2\" width=\"{}\" height=\"18\" rx=\"1.5\" \
             fill=\"{colour}\"/><text class=\"sign\" x=\"{}\" y=\"14\">{sign}</text></g>",
                tenths(x + 5),
                tenths(step - 10),
                tenths(middle),
            ),
        );
    }
    axis(&mut svg, days, step, 31);
    svg.push_str("</svg>");
    svg
}

/// One bar for each day.
pub(super) fn punches(days: &[DayLine], language: Language) -> String {
    let step = step(days.len());
    let most = days.iter().map(|day| day.punches).max().unwrap_or_default();
    let top = nice(most);
    let label = pick(language, "Checadas de cada día", "Punches of each day");
    let mut svg = open(label, 116);
    for (value, y) in [(top, 8), (top / 2, 8 + BARS / 2), (0, 8 + BARS)] {
        add(
            &mut svg,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#d9dee5\" \
             stroke-width=\".6\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                LEFT - 3,
                y + 3,
                thousands(i64::try_from(value).unwrap_or(i64::MAX)),
            ),
        );
    }
    for (index, day) in (0..).zip(days) {
        let height = (day.punches * BARS * 10)
            .checked_div(top)
            .unwrap_or_default();
        let height = u32::try_from(height).unwrap_or_default();
        let x = LEFT * 10 + index * step;
        let count = thousands(i64::try_from(day.punches).unwrap_or(i64::MAX));
        add(
            &mut svg,
            format_args!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"#30608f\">\
             <title>{}: {count}</title></rect>",
                tenths(x + 10),
                tenths(980 - height),
                tenths(step - 20),
                tenths(height),
                day.day,
            ),
        );
    }
    axis(&mut svg, days, step, 111);
    svg.push_str("</svg>");
    svg
}

/// What somebody hears or reads who points at a day.
fn title(day: &DayLine, language: Language) -> String {
    let mut title = day.day.to_string();
    let parts = [
        (day.down, pick(language, "falta completa", "down")),
        (day.partial, pick(language, "falta parcial", "partial")),
        (day.unknown, pick(language, "sin datos", "unknown")),
    ];
    for (seconds, words) in parts {
        if seconds > 0 {
            let time = seconds_text(seconds.into());
            add(&mut title, format_args!(", {words} {time}"));
        }
    }
    title
}

fn open(label: &str, height: u32) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">")
}

/// The first day and each fifth.
fn axis(svg: &mut String, days: &[DayLine], step: u32, y: u32) {
    for (index, day) in (0..).zip(days) {
        let number = day.day.day();
        if number != 1 && number % 5 != 0 {
            continue;
        }
        let middle = LEFT * 10 + index * step + step / 2;
        let x = tenths(middle);
        add(
            svg,
            format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{number}</text>"),
        );
    }
}

/// Tenths of a unit from one day to the next.
fn step(days: usize) -> u32 {
    let days = u32::try_from(days.max(28)).unwrap_or(31);
    (WIDTH - LEFT) * 10 / days
}

fn tenths(value: u32) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// The next number of 1, 2 or 5 and zeros that is even, so that its half is one too.
fn nice(most: u64) -> u64 {
    let mut unit = 10;
    loop {
        for factor in [1, 2, 4, 6, 8] {
            if unit * factor >= most {
                return unit * factor;
            }
        }
        match unit.checked_mul(10) {
            Some(next) if next < u64::MAX / 100 => unit = next,
            _ => return most,
        }
    }
}

/// Writing into a text cannot fail.
fn add(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_above_its_bars() {
        for (most, top) in [
            (0, 10),
            (10, 10),
            (11, 20),
            (41, 60),
            (850, 1000),
            (8_001, 10_000),
        ] {
            assert_eq!(nice(most), top);
        }
    }
}
