//! What the program shows: a line of progress each second, a table at the end.
//!
//! Numbers only, all from the summary. On a terminal the line is written over itself; into a
//! file each second is a line of its own. Nothing here changes what happens.

use std::fmt::Write;

use console::Lang;
use terminals::Summary;

/// The line of progress on standard error.
pub(crate) struct Progress {
    terminal: bool,
    lang: Lang,
    acked: u64,
}

impl Progress {
    pub(crate) fn new(terminal: bool, lang: Lang) -> Self {
        Self {
            terminal,
            lang,
            acked: 0,
        }
    }

    /// Shows the numbers as they stand; called once a second.
    pub(crate) fn show(&mut self, summary: &Summary) {
        let [made, acked, held, refused, failed] = self.lang.pick(
            [
                "hechos",
                "confirmados",
                "por entregar",
                "rechazos",
                "fallas",
            ],
            ["made", "acked", "held", "refused", "failed"],
        );
        let line = format!(
            "{:>6.0} s  {made} {}  {acked} {} (+{}/s)  {held} {}  {refused} {}  {failed} {}  p99 {:.1} ms",
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
pub(crate) fn table(summary: &Summary, lang: Lang) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &dyn std::fmt::Display| {
        let name = lang.pick(spanish(name), name);
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
        row(
            &format!("  {} {status}", lang.pick("con estado", "with status")),
            times,
        );
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

/// A row's name in Spanish; one that is not known, with a status in it, is Spanish already.
fn spanish(name: &str) -> &str {
    let known = NAMES.iter().find(|(english, _)| *english == name);
    known.map_or(name, |(_, spanish)| *spanish)
}

/// English and Spanish of every row.
const NAMES: &[(&str, &str)] = &[
    ("seconds", "segundos"),
    ("records made", "registros hechos"),
    ("records acknowledged", "registros confirmados"),
    ("records left", "registros por entregar"),
    ("records per second", "registros por segundo"),
    ("ack p50 / p99 / max, ms", "confirmación p50/p99/máx, ms"),
    ("requests", "peticiones"),
    ("uploads", "envíos"),
    ("uploads refused", "envíos rechazados"),
    ("exchanges failed", "intercambios fallidos"),
    ("  no connection", "  sin conexión"),
    ("  broken off", "  cortados"),
    ("  timed out", "  sin respuesta a tiempo"),
    ("  reply unreadable", "  respuesta ilegible"),
    ("records thrown away unread", "registros tirados sin leer"),
    ("handshakes refused", "saludos rechazados"),
    ("polls refused", "consultas rechazadas"),
    ("commands taken", "órdenes recibidas"),
    ("replies without Date:", "respuestas sin Date:"),
    ("replies without text/plain", "respuestas sin text/plain"),
    ("wrong time zones told", "zonas horarias equivocadas"),
    ("stamps forgotten", "sellos olvidados"),
    ("faults: twins", "fallas: registros gemelos"),
    ("faults: same second", "fallas: mismo segundo"),
    ("faults: replays", "fallas: repeticiones"),
    ("faults: acks lost", "fallas: respuestas perdidas"),
    ("faults: half bodies", "fallas: envíos a medias"),
    ("faults: slow bodies", "fallas: envíos lentos"),
    ("faults: clock resets", "fallas: reloj a cero"),
    ("faults: shared serials", "fallas: series repetidas"),
    ("ledger failed", "la bitácora falló"),
];
