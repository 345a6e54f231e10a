//! The acknowledge page: one incident, one button, nothing else. Whatever a stranger named is
//! escaped; nothing is loaded, no script runs.

use jiff::Timestamp;
use notify::{BadLink, Language, text};

use crate::config::Config;
use crate::decide::Incident;
use crate::message;
use crate::words::{self, pick, seconds_text};

/// The incident, with the button.
pub(crate) fn ask(
    config: &Config,
    incident: &Incident,
    language: Language,
    now: Timestamp,
) -> String {
    let lasted = seconds_text(now.duration_since(incident.since).as_secs_f64());
    let since = words::moment(language, &config.zone, incident.since);
    let state = match &incident.acknowledged {
        None => format!(
            "<form method=\"post\"><button>{}</button></form>",
            button(language)
        ),
        Some((_, who)) => {
            let words = pick(language, "Ya lo atiende", "Already attended by");
            format!("<p>{words}: {}</p>", text::html(&text::short(who, 80)))
        }
    };
    let (label, summary) = (
        pick(language, "Desde", "Since"),
        message::summary(config, incident, language),
    );
    page(
        language,
        &format!(
            "<h1>{}</h1><p><b>{}</b></p><p>{label}: {} ({lasted})</p>{state}",
            incident.id,
            text::html(&text::line(&summary)),
            text::html(&since),
        ),
    )
}

/// After the button.
pub(crate) fn done(config: &Config, incident: &Incident, language: Language) -> String {
    let thanks = pick(
        language,
        "Anotado: usted lo atiende. No se llamará a los demás niveles.",
        "Noted: you are on it. The other levels will not be called.",
    );
    let summary = text::html(&text::line(&message::summary(config, incident, language)));
    page(
        language,
        &format!(
            "<h1>{}</h1><p><b>{summary}</b></p><p>{thanks}</p>",
            incident.id
        ),
    )
}

/// A link that is not good.
pub(crate) fn refused(language: Language, bad: BadLink) -> String {
    let words = match bad {
        BadLink::Forged => pick(
            language,
            "Este enlace no es válido.",
            "This link is not valid.",
        ),
        BadLink::Closed => pick(
            language,
            "Este incidente ya está cerrado.",
            "This incident is closed.",
        ),
    };
    page(language, &format!("<p>{words}</p>"))
}

fn button(language: Language) -> &'static str {
    pick(language, "Enterado, lo atiendo", "I am on it")
}

fn page(language: Language, inner: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Sentinela</title></head>\
         <body style=\"font-family:sans-serif;max-width:36em;margin:1em auto;padding:0 1em;\
         overflow-wrap:anywhere\">{inner}</body></html>\n",
        language.code()
    )
}
