//! What people read, in Spanish and in English, in one place.
//!
//! Spanish comes first, with the words of the customer's own documents: incidente, cliente,
//! dispositivo, checada, Nivel de atención. Every kind and every fact has its words in both
//! languages, because both are functions of the whole vocabulary.

mod kinds;
mod table;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;

use crate::decide::{Happened, Standing, State};
use crate::kind::{Class, Severity};
use crate::observation::{Fact, Value};

pub use kinds::{KindWords, Side, of_kind};

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
        Fact::Detail => ("Detalle", "Detail"),
    };
    pick(language, es, en)
}

/// A fact's value as people read it.
pub fn of_value(language: Language, zone: &TimeZone, value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Count(count) => thousands(*count),
        Value::Ratio(ratio) => format!("{:.0} %", ratio * 100.0),
        Value::Seconds(seconds) => seconds_text(*seconds),
        Value::Bytes(bytes) => bytes_text(*bytes),
        Value::At(at) => moment(language, zone, *at),
    }
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

fn bytes_text(bytes: u64) -> String {
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
        Happened::Restarted => ("se reinició el Programa Satélite", "satellite restarted"),
        Happened::Note => ("nota", "note"),
    };
    pick(language, es, en)
}

#[cfg(test)]
mod tests {
    use super::*;

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
