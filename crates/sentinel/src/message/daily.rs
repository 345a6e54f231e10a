//! The daily mail: that everything is watched, and yesterday's numbers, so that silence is
//! something that people see.

use jiff::civil::Date;
use notify::{Body, Language, Letter, text};

use super::{NAMES, summary, whole};
use crate::config::Contact;
use crate::database::DayCounts;
use crate::decide::{Core, Incident, Setting};
use crate::history::{PUNCHES_YESTERDAY, YESTERDAY, day_number};
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
            body: clients(body, setting, core, day, language),
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

fn clients(body: Body, setting: Setting<'_>, core: &Core, day: Date, language: Language) -> Body {
    let yesterday = day.yesterday().map(day_number).ok();
    let body = body.heading(pick(language, "Clientes", "Clients"));
    core.tenant_states().fold(body, |body, state| {
        let name = setting.config.tenant_name(&state.tenant);
        let standing = words::of_standing(language, state.standing);
        let numbers = core.numbers(&Subject::store(&state.tenant));
        // A count of another day, from before the database went away, is none.
        let numbers = numbers.filter(|it| it.get(YESTERDAY).copied() == yesterday);
        let punches = match numbers.and_then(|it| it.get(PUNCHES_YESTERDAY)) {
            Some(count) => words::thousands(whole(*count)),
            None => pick(language, "sin datos", "unknown").to_owned(),
        };
        let label = pick(language, "checadas ayer", "punches yesterday");
        body.item(&format!("{name}: {standing}, {label}: {punches}"))
    })
}

#[cfg(test)]
mod tests {
    use daemon::config::Source;
    use jiff::Timestamp;

    use super::*;
    use crate::config::Config;
    use crate::observation::{Observation, Round};

    const FILE: &str = "[[watch.store]]\ntenant = 'acme'\nname = 'Acme'\nurl = 'sqlite:///a.db'\n\
        [mail]\nfrom = 's@x.mx'\nrelays = ['smtp://r']\n\
        [[level]]\nto = [{ address = 'uno@x.mx' }, { address = 'one@x.mx', language = 'en' }]\n";

    /// What both contacts read on 2 June, after the feed said this of a day.
    fn told(counted: Option<(&str, f64)>, failing: &[Phrase]) -> [String; 2] {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let setting = Setting {
            config: &config,
            links: None,
        };
        let now: Timestamp = "2026-06-02T14:30:00Z".parse().unwrap();
        let mut core = Core::default();
        let mut seen = Observation::fine(Subject::store("acme"), now);
        if let Some((day, count)) = counted {
            let day = day_number(day.parse().unwrap());
            seen = seen.number(YESTERDAY, day).number(PUNCHES_YESTERDAY, count);
        }
        core.observe("silence:acme", &Round::one(seen), now);
        core.tick(setting, now);
        let day = "2026-06-02".parse().unwrap();
        let letters = daily(setting, &core, day, None, failing);
        let texts: Vec<String> = letters.iter().map(|it| it.body.text()).collect();
        texts.try_into().unwrap()
    }

    #[test]
    fn the_daily_mail_says_yesterdays_punches_and_never_a_nought_for_what_is_not_known() {
        let [es, en] = told(Some(("2026-06-01", 8123.0)), &[]);
        assert!(
            es.contains("Acme: Operación normal, checadas ayer: 8,123"),
            "{es}"
        );
        assert!(en.contains("punches yesterday: 8,123"), "{en}");
        // A day without punches is known; no count, and one of another day, are not.
        let [es, _] = told(Some(("2026-06-01", 0.0)), &[]);
        assert!(es.contains("checadas ayer: 0"), "{es}");
        for unknown in [None, Some(("2026-05-31", 8123.0))] {
            let [es, en] = told(unknown, &[]);
            assert!(es.contains("checadas ayer: sin datos"), "{es}");
            assert!(en.contains("punches yesterday: unknown"), "{en}");
        }
    }

    #[test]
    fn what_the_self_test_complains_of_is_told_in_the_readers_language() {
        let [es, en] = told(None, &[Phrase::FileUnwritten]);
        assert!(es.contains("no puede escribir en su archivo"), "{es}");
        assert!(en.contains("its file cannot be written"), "{en}");
    }
}
