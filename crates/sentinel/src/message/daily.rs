//! The daily mail: that everything is watched, and yesterday's numbers, so that silence is
//! something that people see.

use jiff::civil::Date;
use notify::{Body, Language, Letter, text};

use super::{NAMES, summary, whole};
use crate::config::Contact;
use crate::database::DayCounts;
use crate::decide::{Core, Incident, Setting};
use crate::observation::Subject;
use crate::words::{self, Phrase, pick};

/// To each contact of the first level. `failing` is what the self-test complains of.
pub fn daily(
    setting: Setting<'_>,
    core: &Core,
    day: Date,
    counts: Option<DayCounts>,
    failing: &[Phrase],
) -> Vec<Letter> {
    let config = setting.config;
    let well = core.open_incidents().next().is_none() && failing.is_empty();
    let write = |contact: &Contact| {
        let language = contact.language;
        let title = match well {
            true => pick(language, "Todo en orden", "All is well"),
            false => pick(language, "Resumen del día", "Daily summary"),
        };
        let subject = format!("{}: {title} ({day})", text::short(&config.name, 40));
        let mut body = Body::new().heading(&subject);
        let trouble = pick(
            language,
            "Sentinela tiene un problema",
            "Sentinel has a problem",
        );
        for problem in failing {
            body = body.line(&format!("{trouble}: {}", problem.text(language)));
        }
        body = yesterday(body, counts, language);
        body = not_closed(body, setting, core, language);
        Letter {
            incident: format!("daily-{day}"),
            step: "daily".to_owned(),
            kind: "daily".to_owned(),
            critical: false,
            to: contact.to.clone(),
            language,
            subject,
            body: clients(body, setting, core, language),
        }
    };
    let first = config.levels.first();
    let letters = first.map(|level| level.to.iter().map(write).collect());
    letters.unwrap_or_default()
}

fn yesterday(body: Body, counts: Option<DayCounts>, language: Language) -> Body {
    let Some(counts) = counts else {
        return body;
    };
    let say = |es: &'static str, en: &'static str| pick(language, es, en);
    let pairs = [
        (
            say("Incidentes abiertos ayer", "Incidents opened yesterday"),
            counts.opened,
        ),
        (
            say("Incidentes cerrados ayer", "Incidents closed yesterday"),
            counts.closed,
        ),
        (
            say("Correos entregados ayer", "Mails delivered yesterday"),
            counts.mails,
        ),
    ];
    pairs.iter().fold(body, |body, (label, count)| {
        body.pair(label, &words::thousands(*count))
    })
}

fn not_closed(body: Body, setting: Setting<'_>, core: &Core, language: Language) -> Body {
    let open: Vec<&Incident> = core.open_incidents().collect();
    let label = pick(language, "Incidentes sin cerrar", "Incidents not closed");
    let body = body.pair(label, &open.len().to_string());
    open.iter().take(NAMES).fold(body, |body, incident| {
        let summary = summary(setting.config, incident, language);
        body.item(&format!("{} {summary}", incident.id))
    })
}

fn clients(body: Body, setting: Setting<'_>, core: &Core, language: Language) -> Body {
    let body = body.heading(pick(language, "Clientes", "Clients"));
    core.tenant_states().fold(body, |body, state| {
        let name = setting.config.tenant_name(&state.tenant);
        let standing = words::of_standing(language, state.standing);
        let numbers = core.numbers(&Subject::store(&state.tenant));
        let punches = numbers.and_then(|it| it.get("punches_yesterday"));
        let punches = punches.map_or_else(String::new, |count| {
            let label = pick(language, "checadas ayer", "punches yesterday");
            format!(", {} {label}", words::thousands(whole(*count)))
        });
        body.item(&format!("{name}: {standing}{punches}"))
    })
}
