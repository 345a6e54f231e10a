//! What satellite writes about a silent sentinel: what, since when, why, and what to type.

use jiff::Timestamp;
use notify::{Body, Error, Language, Letter, Recipient};

use super::silence::Tell;
use crate::config::SentinelGuard;

/// The letter for one recipient.
///
/// # Errors
/// The address is none, which the configuration's check rules out.
pub(super) fn write(
    guard: &SentinelGuard,
    tell: &Tell,
    to: &str,
    why: Option<&str>,
) -> Result<Letter, Error> {
    let (since, step) = match tell {
        Tell::Silent { since, step } => (*since, format!("silent-{step}")),
        Tell::Back { since, .. } => (*since, "back".to_owned()),
    };
    let (subject, body) = match tell {
        Tell::Silent { .. } => silent(guard, since, why),
        Tell::Back { at, .. } => back(guard, since, *at),
    };
    Ok(Letter {
        incident: format!("guard-{}", since.as_millisecond()),
        step,
        kind: "sentinel_silent".to_owned(),
        critical: matches!(tell, Tell::Silent { step: 1, .. }),
        to: Recipient::mail(to)?,
        language: guard.language,
        subject,
        body,
    })
}

fn pick(language: Language, es: &str, en: &str) -> String {
    match language {
        Language::Spanish => es.to_owned(),
        Language::English => en.to_owned(),
    }
}

fn clock(at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::system();
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

fn silent(guard: &SentinelGuard, since: Timestamp, why: Option<&str>) -> (String, Body) {
    let say = |es: &str, en: &str| pick(guard.language, es, en);
    let subject = say(
        "Sentinela no responde: nadie vigila",
        "Sentinel does not answer: nobody is watching",
    );
    let body = Body::new()
        .line(&say(
            "El Programa Satélite no recibe respuesta de Sentinela. Mientras siga así, nadie avisará de otras fallas.",
            "satellite gets no answer from sentinel. While this lasts, nobody reports other faults.",
        ))
        .pair(&say("Desde", "Since"), &clock(since))
        .pair(&say("Dirección", "Address"), &guard.health_url.to_string())
        .pair(&say("Último intento", "Last try"), why.unwrap_or("-"))
        .line(&say(
            "El Programa Satélite sigue trabajando: este correo lo envía él mismo.",
            "satellite itself goes on working: it is what sends this mail.",
        ))
        .heading(&say("Qué hacer, en el servidor de Sentinela", "What to do, on sentinel's machine"))
        .command("systemctl status sentinel")
        .command("systemctl restart sentinel")
        .command("journalctl -u sentinel -n 50");
    (subject, body)
}

fn back(guard: &SentinelGuard, since: Timestamp, at: Timestamp) -> (String, Body) {
    let say = |es: &str, en: &str| pick(guard.language, es, en);
    let subject = say("Sentinela responde de nuevo", "Sentinel answers again");
    let body = Body::new()
        .line(&say(
            "Sentinela vuelve a vigilar.",
            "Sentinel is watching again.",
        ))
        .pair(
            &say("Sin respuesta desde", "No answer since"),
            &clock(since),
        )
        .pair(&say("Responde desde", "Answers since"), &clock(at))
        .line(&say(
            "Lo que ocurrió entre tanto no se avisó en su momento; revise:",
            "What happened in between was not reported at the time; look at:",
        ))
        .command("sentinel incidents");
    (subject, body)
}
