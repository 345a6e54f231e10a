//! What people read, in Spanish and in English, in one place.
//!
//! Spanish comes first, with the words of the customer's own documents: incidente, cliente,
//! dispositivo, checada, Nivel de atención. Every kind and every fact has its words in both
//! languages, because both are functions of the whole vocabulary.

mod around;
mod commands;
mod kinds;
mod phrases;
mod system;
mod table;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;

use crate::decide::{BadWindow, Denied, Happened, Standing, State};
use crate::kind::{Class, Kind, Severity};
use crate::observation::{Admin, Canary, Door, Fact, Finding, Rows, Signal, Trouble, Unit, Value};

pub use kinds::{KindWords, Side, of_kind};
pub use phrases::Phrase;

/// One of two texts.
pub(crate) fn pick<T>(language: Language, spanish: T, english: T) -> T {
    match language {
        Language::Spanish => spanish,
        Language::English => english,
    }
}

/// What a fact is about.
pub fn of_fact(language: Language, fact: Fact) -> &'static str {
    let (es, en) = match fact {
        Fact::Expected => ("Se esperaba", "Expected"),
        Fact::Seen => ("Se vio", "Seen"),
        Fact::Since => ("Desde", "Since"),
        Fact::LastContact => ("Último contacto", "Last contact"),
        Fact::LastEvent => ("Última checada", "Last punch"),
        Fact::Place => ("Dónde", "Where"),
        Fact::Used => ("Ocupado", "Used"),
        Fact::Free => ("Libre", "Free"),
        Fact::Until => ("Hasta", "Until"),
        Fact::Waiting => ("En espera", "Waiting"),
        Fact::Oldest => ("El más antiguo", "Oldest"),
        Fact::Count => ("Cantidad", "Count"),
        Fact::Took => ("Tardó", "Took"),
        Fact::Off => ("Desfase", "Off by"),
        Fact::Setting => ("Ajuste", "Setting"),
        Fact::Condition => ("Condición", "Condition"),
        Fact::Detail => ("Detalle", "Detail"),
    };
    pick(language, es, en)
}

/// A fact's value as people read it.
pub fn of_value(language: Language, zone: &TimeZone, value: &Value) -> String {
    match value {
        Value::Text(text) => match language {
            Language::Spanish => system::spanish(text).into_owned(),
            Language::English => text.clone(),
        },
        Value::InBoth(es, en) => pick(language, es, en).to_owned(),
        Value::Count(count) => thousands(*count),
        Value::Ratio(ratio) => format!("{:.0} %", ratio * 100.0),
        Value::Seconds(seconds) => seconds_text(*seconds),
        Value::Bytes(bytes) => bytes_text(*bytes),
        Value::At(at) => moment(language, zone, *at),
        Value::Said(phrase, places) => {
            let mut text = String::new();
            let mut places = places.iter();
            for (index, part) in phrase.text(language).split("{}").enumerate() {
                if index > 0
                    && let Some(place) = places.next()
                {
                    text.push_str(&of_value(language, zone, place));
                }
                text.push_str(part);
            }
            text
        }
        Value::Signals(signals) => {
            let words: Vec<_> = signals.iter().map(|it| of_signal(language, *it)).collect();
            words.join(", ")
        }
    }
}

/// A trouble in one line: what it is, and each fact with its label.
pub fn of_trouble(language: Language, zone: &TimeZone, trouble: &Trouble) -> String {
    let title = of_kind(trouble.kind).title(language);
    let facts = trouble.facts.iter().map(|(fact, value)| {
        let value = of_value(language, zone, value);
        format!("; {}: {value}", of_fact(language, *fact))
    });
    format!("{title}{}", facts.collect::<String>())
}

/// What a look found, in one line; empty when all is well.
pub fn of_finding(language: Language, zone: &TimeZone, finding: &Finding) -> String {
    match finding {
        Finding::Fine => String::new(),
        Finding::Unknown { why } => of_value(language, zone, why),
        Finding::Wrong { troubles } => {
            let each = troubles.iter().map(|it| of_trouble(language, zone, it));
            each.collect::<Vec<_>>().join(" | ")
        }
    }
}

/// The indicator that set a tenant's state (`database_down@store:acme`): what is wrong, and of
/// what where that needs a name. Not harmless.
pub fn of_indicator(language: Language, indicator: &str) -> String {
    let (kind, subject) = indicator.split_once('@').unwrap_or((indicator, ""));
    let title = match Kind::from_word(kind) {
        Some(kind) => of_kind(kind).title(language),
        None => kind,
    };
    match subject.split_once(':') {
        Some((_, name)) => format!("{title} ({name})"),
        None => title.to_owned(),
    }
}

/// What was seen from one point.
pub fn of_signal(language: Language, signal: Signal) -> &'static str {
    let (es, en) = match signal {
        Signal::Unit(Unit::Active) => ("systemd lo da por activo", "systemd calls it active"),
        Signal::Unit(Unit::Inactive) => ("systemd lo da por detenido", "systemd calls it stopped"),
        Signal::Admin(Admin::Moving) => (
            "su puerta de administración contesta",
            "its admin door answers",
        ),
        Signal::Admin(Admin::Stuck) => (
            "hay checadas en espera y ninguna se guarda",
            "punches wait and none is stored",
        ),
        Signal::Admin(Admin::Refused) => (
            "su puerta de administración rechaza la conexión",
            "its admin door refuses the connection",
        ),
        Signal::Admin(Admin::Silent) => (
            "su puerta de administración no contesta",
            "its admin door does not answer",
        ),
        Signal::Door(Door::Answers) => (
            "la puerta de los dispositivos contesta",
            "the door for terminals answers",
        ),
        Signal::Door(Door::Refused) => (
            "la puerta de los dispositivos rechaza la conexión",
            "the door for terminals refuses the connection",
        ),
        Signal::Door(Door::Silent) => (
            "la puerta de los dispositivos no contesta",
            "the door for terminals does not answer",
        ),
        Signal::Canary(Canary::Visible) => (
            "la checada de prueba llega a la base de datos",
            "the canary punch reaches the database",
        ),
        Signal::Canary(Canary::Absent) => (
            "la checada de prueba se confirmó y no está en la base de datos",
            "the canary punch was acknowledged and is not in the database",
        ),
        Signal::Canary(Canary::Failed) => (
            "la checada de prueba no se confirma",
            "the canary punch is not acknowledged",
        ),
        Signal::Rows(Rows::Fresh) => (
            "llegan checadas de los dispositivos",
            "punches of terminals arrive",
        ),
        Signal::Rows(Rows::Old) => (
            "no llegan checadas de los dispositivos",
            "no punches of terminals arrive",
        ),
    };
    pick(language, es, en)
}

/// A whole number with its thousands apart.
pub fn thousands(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let sign = if count < 0 { "-" } else { "" };
    format!("{sign}{text}")
}

/// A moment in a zone, with the zone's own abbreviation.
pub fn moment(language: Language, zone: &TimeZone, at: Timestamp) -> String {
    let local = at.to_zoned(zone.clone());
    let pattern = pick(language, "%d/%m/%Y %H:%M:%S %Z", "%Y-%m-%d %H:%M:%S %Z");
    local.strftime(pattern).to_string()
}

/// A length of time in one or two units: `45 s`, `12 min`, `2 h 05 min`, `3 d 4 h`.
pub fn seconds_text(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let size = seconds.abs();
    if size < 10.0 && size.fract() > 0.0 {
        return format!("{sign}{size:.1} s");
    }
    // A length of time that does not fit is shown as the largest that does.
    let whole = std::time::Duration::try_from_secs_f64(size.round());
    let whole = whole.map_or(i64::MAX as u64, |it| it.as_secs());
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    if days > 0 {
        format!("{sign}{days} d {hours} h")
    } else if hours > 0 {
        format!("{sign}{hours} h {minutes:02} min")
    } else if whole >= 120 {
        format!("{sign}{minutes} min")
    } else {
        format!("{sign}{whole} s")
    }
}

pub(crate) fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut shown = bytes as f64;
    let mut unit = 0;
    while shown >= 1024.0 && unit + 1 < UNITS.len() {
        shown /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{shown:.1} {name}"),
    }
}

/// Why what a person asked for cannot be.
pub fn of_denied(language: Language, denied: &Denied) -> String {
    let spanish = match denied {
        Denied::NotOpen(id) => format!("{id} no está abierto"),
        Denied::NoWindow(id) => format!("no hay un mantenimiento con el número {id}"),
        Denied::Window(BadWindow::Ended) => {
            "el mantenimiento debe terminar después de empezar, y en el futuro".to_owned()
        }
        Denied::Window(BadWindow::TooLong) => {
            "el mantenimiento dura 12 horas como máximo".to_owned()
        }
    };
    pick(language, spanish, denied.to_string())
}

/// A severity.
pub fn of_severity(language: Language, severity: Severity) -> &'static str {
    let (es, en) = match severity {
        Severity::Critical => ("CRÍTICO", "CRITICAL"),
        Severity::Warning => ("Aviso", "Warning"),
        Severity::Notice => ("Nota", "Notice"),
    };
    pick(language, es, en)
}

/// A contingency class, in the words of the contingency plan.
pub fn of_class(language: Language, class: Class) -> &'static str {
    let (es, en) = match class {
        Class::App => ("Falla a nivel aplicativo", "Application"),
        Class::Component => (
            "Falla de componente (Programa Satélite, dispositivos)",
            "Component",
        ),
        Class::Database => ("Falla de base de datos", "Database"),
        Class::Host => ("Falla del servidor en la nube", "Server"),
        Class::Security => ("Ataque cibernético", "Security"),
        Class::Mail => ("Falla de la cuenta de correo", "Mail"),
    };
    pick(language, es, en)
}

/// How far an incident is.
pub fn of_state(language: Language, state: State) -> &'static str {
    let (es, en) = match state {
        State::Open => ("abierto", "open"),
        State::Acknowledged => ("en atención", "acknowledged"),
        State::Mitigated => ("con solución alternativa", "mitigated"),
        State::Closed => ("cerrado", "closed"),
    };
    pick(language, es, en)
}

/// How a tenant stands.
pub fn of_standing(language: Language, standing: Standing) -> &'static str {
    let (es, en) = match standing {
        Standing::Ok => ("Operación normal", "OK"),
        Standing::Unknown => ("Sin datos", "Unknown"),
        Standing::Partial => ("Falta parcial", "Partial"),
        Standing::Down => ("Falta completa", "Down"),
    };
    pick(language, es, en)
}

/// A line of a timeline.
pub fn of_happened(language: Language, what: Happened) -> &'static str {
    let (es, en) = match what {
        Happened::Opened => ("se abrió", "opened"),
        Happened::Joined => ("se agregó", "joined"),
        Happened::Worse => ("empeoró", "worse"),
        Happened::PartOver => ("se recuperó una parte", "part recovered"),
        Happened::Told => ("se avisó a", "told"),
        Happened::Held => ("fuera de horario, en espera de", "held outside hours:"),
        Happened::Hidden => (
            "sin avisos por mantenimiento hasta",
            "hidden by maintenance until",
        ),
        Happened::Reminded => ("recordatorio", "reminder"),
        Happened::Clock => ("tiempo de recuperación, paso", "recovery clock, step"),
        Happened::Acknowledged => ("Enterado, lo atiende", "acknowledged by"),
        Happened::Mitigated => ("solución alternativa", "workaround"),
        Happened::Closed => ("se cerró", "closed"),
        Happened::ClockSet => ("se ajustó el reloj del servidor", "the clock was set"),
        Happened::Restarted => ("se reinició el Programa Satélite", "satellite restarted"),
        Happened::Note => ("nota", "note"),
    };
    pick(language, es, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_and_every_signal_is_told_in_both_languages_and_no_two_alike() {
        use std::collections::BTreeSet;
        let facts = [
            Fact::Expected,
            Fact::Seen,
            Fact::Since,
            Fact::LastContact,
            Fact::LastEvent,
            Fact::Place,
            Fact::Used,
            Fact::Free,
            Fact::Until,
            Fact::Waiting,
            Fact::Oldest,
            Fact::Count,
            Fact::Took,
            Fact::Off,
            Fact::Setting,
            Fact::Condition,
            Fact::Detail,
        ];
        let signals = [
            Signal::Unit(Unit::Active),
            Signal::Unit(Unit::Inactive),
            Signal::Admin(Admin::Moving),
            Signal::Admin(Admin::Stuck),
            Signal::Admin(Admin::Refused),
            Signal::Admin(Admin::Silent),
            Signal::Door(Door::Answers),
            Signal::Door(Door::Refused),
            Signal::Door(Door::Silent),
            Signal::Canary(Canary::Visible),
            Signal::Canary(Canary::Absent),
            Signal::Canary(Canary::Failed),
            Signal::Rows(Rows::Fresh),
            Signal::Rows(Rows::Old),
        ];
        let told = |language| {
            let facts = facts.iter().map(|it| of_fact(language, *it));
            let signals = signals.iter().map(|it| of_signal(language, *it));
            facts.chain(signals).collect::<BTreeSet<_>>()
        };
        let (es, en) = (told(Language::Spanish), told(Language::English));
        assert_eq!((es.len(), en.len()), (31, 31));
        assert_eq!(es.intersection(&en).count(), 0);
    }

    #[test]
    fn a_trouble_reads_as_a_sentence_in_either_language_and_an_indicator_too() {
        let trouble = Trouble::new(Kind::DiskFilling)
            .fact(Fact::Place, Value::heard("/"))
            .fact(Fact::Used, Value::Ratio(0.92))
            .fact(Fact::Detail, Phrase::LateAnswer.with([Value::Seconds(5.0)]));
        assert_eq!(
            of_trouble(Language::Spanish, &TimeZone::UTC, &trouble),
            "El disco se va a llenar; Dónde: /; Ocupado: 92 %; Detalle: sin respuesta en 5 s"
        );
        let why = Phrase::ByWay.with([
            Value::heard("http://a"),
            Phrase::HttpSays.with([Value::heard("503"), Value::heard("{}")]),
        ]);
        let unknown = Finding::Unknown { why };
        assert_eq!(
            of_finding(Language::English, &TimeZone::UTC, &unknown),
            "http://a: it answers HTTP 503: {}"
        );
        assert_eq!(
            of_indicator(Language::Spanish, "database_down@store:acme"),
            "La base de datos no responde (acme)"
        );
        assert_eq!(
            of_indicator(Language::English, "satellite_down@satellite"),
            "Satellite is down"
        );
        assert_eq!(of_indicator(Language::English, ""), "");
    }

    #[test]
    fn lengths_of_time_and_numbers_are_read_at_a_glance() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (1.25, "1.2 s"),
            (45.0, "45 s"),
            (119.0, "119 s"),
            (720.0, "12 min"),
            (7500.0, "2 h 05 min"),
            (273_600.0, "3 d 4 h"),
            (-90.0, "-90 s"),
        ] {
            assert_eq!(seconds_text(seconds), text);
        }
        assert_eq!(thousands(-1_234_567), "-1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(bytes_text(1536), "1.5 KiB");
        let zone = TimeZone::get("America/Mexico_City").unwrap();
        let at = "2026-11-26T15:15:00Z".parse().unwrap();
        assert_eq!(
            moment(Language::Spanish, &zone, at),
            "26/11/2026 09:15:00 CST"
        );
    }
}
