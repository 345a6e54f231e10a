//! What the program shows: a line of progress each second, a table at the end.
//!
//! Numbers only, all from the summary. On a terminal the line is written over itself; into a
//! file each second is a line of its own. Nothing here changes what happens.

use std::fmt::Write;

use terminals::Summary;

/// The line of progress on standard error.
pub(crate) struct Progress {
    terminal: bool,
    acked: u64,
}

impl Progress {
    pub(crate) fn new(terminal: bool) -> Self {
        Self { terminal, acked: 0 }
    }

    /// Shows the numbers as they stand; called once a second.
    pub(crate) fn show(&mut self, summary: &Summary) {
        let line = format!(
            "{:>6.0} s  made {}  acked {} (+{}/s)  held {}  refused {}  failed {}  p99 {:.1} ms",
            summary.seconds,
            summary.generated,
            summary.acked,
            summary.acked - self.acked,
            summary.pending,
            summary.refused,
            summary.failures.total(),
            summary.ack_p99_ms,
        );
        self.acked = summary.acked;
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }

    /// Says something once, on a line of its own.
    pub(crate) fn note(&self, text: &str) {
        self.close();
        eprintln!("{text}");
    }

    /// Leaves the line.
    pub(crate) fn close(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}

/// The summary as a table of name and value. Rows that would only say "none" are left out.
pub(crate) fn table(summary: &Summary) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &dyn std::fmt::Display| {
        let written = writeln!(out, "{name:<28} {value}");
        debug_assert!(written.is_ok(), "writing into memory cannot fail");
    };
    row("seconds", &format_args!("{:.1}", summary.seconds));
    row("records made", &summary.generated);
    row("records acknowledged", &summary.acked);
    row("records left", &summary.pending);
    row(
        "records per second",
        &format_args!("{:.0}", summary.records_per_second()),
    );
    let (half, most) = (summary.ack_p50_ms, summary.ack_p99_ms);
    let longest = summary.ack_max_ms;
    row(
        "ack p50 / p99 / max, ms",
        &format_args!("{half:.1} / {most:.1} / {longest:.1}"),
    );
    row("requests", &summary.requests);
    row("uploads", &summary.uploads);
    row("uploads refused", &summary.refused);
    for (status, times) in &summary.refused_by_status {
        row(&format!("  with status {status}"), times);
    }
    row("exchanges failed", &summary.failures.total());
    let done = &summary.faults;
    for (name, times) in [
        ("  no connection", summary.failures.connect),
        ("  broken off", summary.failures.broken),
        ("  timed out", summary.failures.timeout),
        ("  reply unreadable", summary.failures.unreadable),
        ("records thrown away unread", summary.forgotten),
        ("handshakes refused", summary.handshakes_refused),
        ("polls refused", summary.polls_refused),
        ("commands taken", summary.commands),
        ("replies without Date:", summary.replies_without_date),
        (
            "replies without text/plain",
            summary.replies_without_text_plain,
        ),
        ("wrong time zones told", summary.wrong_time_zones),
        ("stamps forgotten", summary.forgotten_stamps),
        ("faults: twins", done.twins),
        ("faults: same second", done.same_second),
        ("faults: replays", done.replays),
        ("faults: acks lost", done.acks_lost),
        ("faults: half bodies", done.half_bodies),
        ("faults: slow bodies", done.slow_bodies),
        ("faults: clock resets", done.clock_resets),
        ("faults: shared serials", done.duplicate_serials),
    ] {
        if times > 0 {
            row(name, &times);
        }
    }
    if let Some(why) = &summary.ledger_error {
        row("ledger failed", why);
    }
    out
}
