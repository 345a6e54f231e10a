//! The daily mail: that everything is watched, and yesterday's numbers, so that silence is
//! something that people see.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use notify::{Body, Language, Letter, text};

use super::{NAMES, name_of, summary, whole};
use crate::config::Contact;
use crate::database::DayCounts;
use crate::decide::{Core, Incident, Setting};
use crate::history::{PUNCHES_YESTERDAY, YESTERDAY, day_number};
use crate::looks::backup::{DRILL_AT, DRILL_PASSED, DRILL_RPO, DRILL_RTO};
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
        body = notices(body, core, language);
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

/// What is worth knowing and calls nobody.
fn notices(body: Body, core: &Core, language: Language) -> Body {
    let all: Vec<_> = core.notices().collect();
    if all.is_empty() {
        return body;
    }
    let label = pick(language, "Notas", "Notices");
    let body = body.pair(label, &all.len().to_string());
    all.iter().take(NAMES).fold(body, |body, (subject, kind)| {
        let title = words::of_kind(*kind).title(language);
        body.item(&format!("{title}: {}", name_of(subject, language)))
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
        let copy = copies(core, &state.tenant, &setting.config.zone, language);
        let size = size(core, &state.tenant, language).unwrap_or_default();
        body.item(&format!(
            "{name}: {standing}, {label}: {punches}{size}; {copy}"
        ))
    })
}

/// How large the event database is, and how fast it grows.
fn size(core: &Core, tenant: &str, language: Language) -> Option<String> {
    let numbers = core.numbers(&Subject::store(tenant))?;
    let bytes = |it: f64| words::bytes_text(u64::try_from(whole(it)).unwrap_or_default());
    let size = bytes(*numbers.get("size_bytes")?);
    let label = pick(language, "base de datos", "database");
    let growth = numbers.get("growth_bytes_per_day").filter(|it| **it >= 1.0);
    let growth = growth.map(|growth| {
        let growth = bytes(*growth);
        pick(
            language,
            format!(" (+{growth} al día)"),
            format!(" (+{growth} a day)"),
        )
    });
    Some(format!(", {label}: {size}{}", growth.unwrap_or_default()))
}

/// How old the newest copy is, and the newest that was proven. Nothing known is said as that.
fn copies(core: &Core, tenant: &str, zone: &TimeZone, language: Language) -> String {
    let tenant = tenant.to_owned();
    let numbers = core.numbers(&Subject::Backup { tenant });
    let age = |name: &str| numbers.and_then(|it| it.get(name)).copied();
    let label = pick(language, "respaldo", "backup");
    let Some(made) = age("age_seconds") else {
        let unknown = pick(language, "sin datos", "unknown");
        return format!("{label}: {unknown}");
    };
    let made = words::seconds_text(made);
    let made = match language {
        Language::Spanish => format!("de hace {made}"),
        Language::English => format!("{made} old"),
    };
    let proven = match age("verified_age_seconds").map(words::seconds_text) {
        Some(proven) => match language {
            Language::Spanish => format!("el último comprobado, de hace {proven}"),
            Language::English => format!("the last verified one {proven} old"),
        },
        None => pick(language, "ninguno comprobado", "none verified").to_owned(),
    };
    let drill = drill(&age, zone, language).unwrap_or_default();
    format!("{label}: {made}, {proven}{drill}")
}

/// The last drill, with what it measured.
fn drill(
    age: &impl Fn(&str) -> Option<f64>,
    zone: &TimeZone,
    language: Language,
) -> Option<String> {
    let at = Timestamp::from_second(whole(age(DRILL_AT)?)).ok()?;
    let day = at.to_zoned(zone.clone()).date();
    let passed = age(DRILL_PASSED)? > 0.5;
    let result = match passed {
        true => pick(language, "aprobado", "passed"),
        false => pick(language, "REPROBADO", "FAILED"),
    };
    let label = pick(language, "simulacro", "drill");
    let length = |name| age(name).map_or_else(|| "-".to_owned(), words::seconds_text);
    let (rpo, rto) = (length(DRILL_RPO), length(DRILL_RTO));
    Some(format!("; {label} {day}: {result}, RPO {rpo}, RTO {rto}"))
}

#[cfg(test)]
mod tests {
    use daemon::config::Source;
    use jiff::SignedDuration;

    use super::*;
    use crate::config::Config;
    use crate::kind::{Kind, Severity};
    use crate::observation::{Observation, Round, Trouble};

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
    fn the_daily_mail_says_how_old_the_backup_is_and_the_last_one_that_was_verified() {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let setting = Setting {
            config: &config,
            links: None,
        };
        let now: Timestamp = "2026-06-02T14:30:00Z".parse().unwrap();
        let read = |verified: Option<f64>| {
            let mut core = Core::default();
            let tenant = "acme".to_owned();
            let mut seen = Observation::fine(Subject::Backup { tenant }, now);
            seen = seen.number("age_seconds", 5_400.0);
            seen = seen.number(DRILL_AT, 1_780_300_000.0);
            seen = seen.number(DRILL_PASSED, 1.0).number(DRILL_RPO, 7_200.0);
            seen = seen.number(DRILL_RTO, 240.0);
            if let Some(age) = verified {
                seen = seen.number("verified_age_seconds", age);
            }
            core.observe("backup", &Round::one(seen), now);
            core.tick(setting, now);
            let letters = daily(setting, &core, "2026-06-02".parse().unwrap(), None, &[]);
            letters
                .iter()
                .map(|it| it.body.text())
                .collect::<Vec<String>>()
        };
        let told = read(Some(36_000.0));
        assert!(
            told[0].contains(
                "respaldo: de hace 1 h 30 min, el último comprobado, de hace 10 h 00 min"
            ),
            "{}",
            told[0]
        );
        assert!(
            told[1].contains("backup: 1 h 30 min old, the last verified one 10 h 00 min old"),
            "{}",
            told[1]
        );
        let drill = "simulacro 2026-06-01: aprobado, RPO 2 h 00 min, RTO 4 min";
        assert!(told[0].contains(drill), "{}", told[0]);
        assert!(read(None)[0].contains("ninguno comprobado"));
        let [unknown, _] = self::told(None, &[]);
        assert!(unknown.contains("respaldo: sin datos"), "{unknown}");
    }

    #[test]
    fn the_daily_mail_says_how_large_a_database_is_and_how_fast_it_grows_once_that_is_known() {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let setting = Setting {
            config: &config,
            links: None,
        };
        let now: Timestamp = "2026-06-02T14:30:00Z".parse().unwrap();
        let read = |numbers: &[(&str, f64)]| {
            let mut core = Core::default();
            let seen = Observation::fine(Subject::store("acme"), now);
            let add = |seen: Observation, it: &(&str, f64)| seen.number(it.0, it.1);
            let seen = numbers.iter().fold(seen, add);
            core.observe("database:acme", &Round::one(seen), now);
            core.tick(setting, now);
            let letters = daily(setting, &core, "2026-06-02".parse().unwrap(), None, &[]);
            letters.iter().map(|it| it.body.text()).collect::<String>()
        };
        let size = ("size_bytes", 3_221_225_472.0);
        let grows = read(&[size, ("growth_bytes_per_day", 2_097_152.0)]);
        assert!(
            grows.contains("base de datos: 3.0 GiB (+2.0 MiB al día)"),
            "{grows}"
        );
        assert!(
            grows.contains("database: 3.0 GiB (+2.0 MiB a day)"),
            "{grows}"
        );
        assert!(read(&[size]).contains("base de datos: 3.0 GiB; respaldo"));
        assert!(!read(&[]).contains("base de datos"));
    }

    #[test]
    fn what_calls_nobody_stands_in_the_daily_mail() {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let setting = Setting {
            config: &config,
            links: None,
        };
        let begin: Timestamp = "2026-06-02T14:00:00Z".parse().unwrap();
        let mut core = Core::default();
        for second in 0..120 {
            let now = begin + SignedDuration::from_secs(second);
            let pending = Trouble::new(Kind::UnknownTerminals).severity(Severity::Notice);
            let seen = Observation::wrong(Subject::Satellite, now, vec![pending]);
            core.observe("satellite", &Round::one(seen), now);
            core.tick(setting, now);
        }
        assert_eq!(core.open_incidents().count(), 0);
        let letters = daily(setting, &core, "2026-06-02".parse().unwrap(), None, &[]);
        let texts: Vec<String> = letters.iter().map(|it| it.body.text()).collect();
        let es = "- Envían dispositivos que nadie dio de alta: Programa Satélite";
        assert!(texts[0].contains(es), "{}", texts[0]);
        let en = "- Terminals that nobody enrolled send: satellite";
        assert!(texts[1].contains(en), "{}", texts[1]);
    }

    #[test]
    fn what_the_self_test_complains_of_is_told_in_the_readers_language() {
        let [es, en] = told(None, &[Phrase::FileUnwritten]);
        assert!(es.contains("no puede escribir en su archivo"), "{es}");
        assert!(en.contains("its file cannot be written"), "{en}");
    }
}
