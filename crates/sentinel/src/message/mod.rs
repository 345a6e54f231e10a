//! What people are told: one incident, one screen of a telephone, in the reader's language.
//!
//! What, since when, expected against seen, whose side, which clients and people, how much of
//! the promised recovery time is used, what to type, whom to call. Text of strangers goes only
//! into parts of a body, which make it harmless; subjects are made of our own words, names from
//! the configuration and numbers.

mod daily;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use notify::{Body, Language, Letter, text};

use crate::config::{Config, Contact};
use crate::decide::{Core, Incident, Member, Scope, Setting, State, Window};
use crate::history::PEOPLE;
use crate::kind::Severity;
use crate::observation::{Fact, Subject};
use crate::words::{self, pick, seconds_text};

pub use daily::daily;
use recovery::recovery;

/// Members whose names one mail lists at most.
const NAMES: usize = 30;

/// At which step of an incident a letter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A level of attention is told, counted from 0.
    Level(usize),
    /// Nobody acknowledged it; counted from 1.
    Reminder(u32),
    /// More hangs on it; how much now.
    Grown(usize),
    /// It was a warning and is critical.
    Worse,
    /// The recovery clock passed a step: 1 is three quarters of the shorter time, 2 the
    /// shorter, 3 the longer.
    Clock(u8),
    /// It is over.
    Closed,
}

impl Step {
    /// Its name in a letter's identity, the same for ever.
    fn key(self) -> String {
        match self {
            Self::Level(number) => format!("level-{}", number + 1),
            Self::Reminder(number) => format!("reminder-{number}"),
            Self::Grown(number) => format!("grown-{number}"),
            Self::Worse => "worse".to_owned(),
            Self::Clock(step) => format!("clock-{step}"),
            Self::Closed => "closed".to_owned(),
        }
    }
}

/// What a letter is written from.
pub struct Context<'a> {
    setting: Setting<'a>,
    incident: &'a Incident,
    /// People who punched lately at the tenants concerned, as far as is known. Never 0, which would
    /// read as if nobody were affected.
    people: Option<i64>,
    now: Timestamp,
}

impl<'a> Context<'a> {
    /// For that incident, with what the core knows of those concerned.
    pub fn new(setting: Setting<'a>, incident: &'a Incident, core: &Core, now: Timestamp) -> Self {
        let tenants = concerned(setting.config, incident);
        let people = tenants
            .iter()
            .filter_map(|tenant| core.numbers(&Subject::store(tenant))?.get(PEOPLE).copied());
        let sum = people.sum::<f64>();
        Self {
            setting,
            incident,
            people: Some(whole(sum)).filter(|people| *people > 0),
            now,
        }
    }
}

/// A number for people; what is not finite is nothing.
fn whole(value: f64) -> i64 {
    format!("{value:.0}").parse().unwrap_or_default()
}

/// The tenants whom an incident concerns: those of its members; all when it is about what they
/// share and punches no longer come in.
fn concerned(config: &Config, incident: &Incident) -> BTreeSet<String> {
    let own: BTreeSet<String> = incident.tenants().into_iter().map(str::to_owned).collect();
    if own.is_empty() && incident.severity == Severity::Critical {
        return config.tenants().map(str::to_owned).collect();
    }
    own
}

/// Writes one step to one contact.
pub fn write(context: &Context<'_>, step: Step, contact: &Contact) -> Letter {
    let (incident, language) = (context.incident, contact.language);
    Letter {
        incident: incident.id.to_string(),
        step: step.key(),
        kind: incident.kind.as_str().to_owned(),
        critical: incident.severity == Severity::Critical && step != Step::Closed,
        to: contact.to.clone(),
        language,
        subject: subject(context, step, language),
        body: match step {
            Step::Closed => recovery(context, language),
            _ => alarm(context, step, contact),
        },
    }
}

/// `[INC-2026-000123] CRÍTICO: La base de datos no responde (Acme)`.
fn subject(context: &Context<'_>, step: Step, language: Language) -> String {
    let (incident, config) = (context.incident, context.setting.config);
    let mark = match step {
        Step::Closed => pick(language, "Recuperado", "Recovered").to_owned(),
        Step::Reminder(_) => pick(language, "Recordatorio", "Reminder").to_owned(),
        Step::Grown(_) => pick(language, "Crece", "Grows").to_owned(),
        Step::Worse => words::of_severity(language, incident.severity).to_owned(),
        Step::Clock(3) => pick(language, "RTO EXCEDIDO", "RTO EXCEEDED").to_owned(),
        Step::Clock(_) => pick(language, "RTO por agotarse", "RTO running out").to_owned(),
        Step::Level(0) => words::of_severity(language, incident.severity).to_owned(),
        Step::Level(number) => {
            let severity = words::of_severity(language, incident.severity);
            let level = config
                .levels
                .get(number)
                .map_or("", |level| level.name.as_str());
            format!("{severity}, {level}")
        }
    };
    let summary = summary(config, incident, language);
    format!("[{}] {mark}: {summary}", incident.id)
}

/// An incident in one line: what is wrong, and where.
pub fn summary(config: &Config, incident: &Incident, language: Language) -> String {
    let title = words::of_kind(incident.kind).title(language);
    format!("{title}{}", place(config, incident, language))
}

/// Where, in brackets, made of names that are ours or harmless.
fn place(config: &Config, incident: &Incident, language: Language) -> String {
    let tenant = |id: &str| text::short(config.tenant_name(id), 40);
    let own = |id: &str, name: &str| format!("{}, {}", tenant(id), text::short(name, 30));
    let count = incident.roots().count();
    let words = match &incident.scope {
        Scope::One { subject } => match subject {
            Subject::Satellite | Subject::Sentinel | Subject::Mail { relay: None } => {
                return String::new();
            }
            Subject::Store { tenant: id } | Subject::Backup { tenant: id } => tenant(id),
            Subject::Check { tenant: id, name }
            | Subject::Output { tenant: id, name }
            | Subject::Input { tenant: id, name } => own(id, name),
            other => name_of(other, language),
        },
        Scope::Site { tenant: id, site } => match (site, count) {
            (Some(site), 1) => format!("{}, {}", tenant(id), text::short(site, 40)),
            (Some(site), n) => format!("{}, {}: {n}", tenant(id), text::short(site, 40)),
            (None, 1) => tenant(id),
            (None, n) => format!("{}: {n}", tenant(id)),
        },
        Scope::Tenant { tenant: id } => format!("{}: {count}", tenant(id)),
        Scope::Server { at } => match incident.roots().next().map(|it| &it.subject) {
            Some(Subject::Input { tenant: id, name }) if count == 1 => own(id, name),
            _ => text::short(at, 60),
        },
        Scope::Everything => count.to_string(),
    };
    format!(" ({words})")
}

/// A subject for people, harmless.
pub fn name_of(subject: &Subject, language: Language) -> String {
    let short = |name: &str| text::short(name, 60);
    match subject {
        Subject::Satellite => pick(language, "Programa Satélite", "satellite").to_owned(),
        Subject::Sentinel => pick(language, "Sentinela", "sentinel").to_owned(),
        Subject::Store { tenant } => {
            format!(
                "{} {}",
                pick(language, "base de datos", "database"),
                short(tenant)
            )
        }
        Subject::Host { name } => {
            format!("{} {}", pick(language, "servidor", "server"), short(name))
        }
        Subject::Terminal { site, serial, .. } => match site {
            Some(site) => format!("{} ({})", short(serial), short(site)),
            None => short(serial),
        },
        Subject::Mail { relay } => match relay {
            Some(relay) => short(relay),
            None => pick(language, "correo", "mail").to_owned(),
        },
        Subject::Certificate { at } => short(at),
        Subject::Backup { tenant } => {
            format!("{} {}", pick(language, "respaldo", "backup"), short(tenant))
        }
        Subject::Output { tenant, name } => {
            let word = pick(language, "salida", "output");
            format!("{word} {} {}", short(tenant), short(name))
        }
        Subject::Input { tenant, name } => {
            let word = pick(language, "entrada", "input");
            format!("{word} {} {}", short(tenant), short(name))
        }
        Subject::Check { tenant, name } => format!("{} {}", short(tenant), short(name)),
        Subject::Peer { name } => format!("Sentinela {}", short(name)),
    }
}

/// The body of everything but a recovery.
fn alarm(context: &Context<'_>, step: Step, contact: &Contact) -> Body {
    let (incident, language) = (context.incident, contact.language);
    let config = context.setting.config;
    let words = words::of_kind(incident.kind);
    let say = |es: &'static str, en: &'static str| pick(language, es, en);
    let mut body = Body::new()
        .heading(&format!(
            "{}: {}",
            words::of_severity(language, incident.severity),
            words.title(language)
        ))
        .pair(say("Desde", "Since"), &since(context, language));
    for (label, value) in facts(context, language) {
        body = body.pair(&label, &value);
    }
    body = body.pair(say("De lado de", "Whose side"), words.side.words(language));
    body = affected(context, body, language);
    body = body.pair(
        say("Clase", "Class"),
        words::of_class(language, incident.class),
    );
    body = promised(context, body, language);
    if let Some((at, who)) = &incident.acknowledged {
        let at = words::moment(language, &config.zone, *at);
        body = body.pair(say("Enterado", "Acknowledged"), &format!("{who}, {at}"));
    }
    body = names(context, body, language);
    body = body
        .heading(say("Qué hacer", "What to do"))
        .line(words.advice(language));
    for command in words.commands {
        body = body.command(&fill(command, incident));
    }
    body = acknowledge(context, body, contact);
    if let Step::Level(number) = step
        && number > 0
    {
        let told = config.levels.get(..number).unwrap_or_default();
        let told: Vec<&str> = told.iter().map(|level| level.name.as_str()).collect();
        body = body.line(&format!(
            "{} {}.",
            say("Sin respuesta todavía de:", "No answer yet from:"),
            told.join(", ")
        ));
    }
    telephones(config, body, language)
}

fn since(context: &Context<'_>, language: Language) -> String {
    let (incident, zone) = (context.incident, &context.setting.config.zone);
    let passed = context.now.duration_since(incident.since).as_secs_f64();
    let moment = words::moment(language, zone, incident.since);
    format!("{moment} ({})", seconds_text(passed))
}

/// The facts of the first root, which stand for all.
fn facts(context: &Context<'_>, language: Language) -> Vec<(String, String)> {
    let zone = &context.setting.config.zone;
    let first = context
        .incident
        .roots()
        .find(|member| member.kind == context.incident.kind);
    let facts = first
        .map(|member| member.facts.iter())
        .into_iter()
        .flatten();
    let shown = facts.filter(|(fact, _)| **fact != Fact::Since);
    shown
        .map(|(fact, value)| {
            let label = words::of_fact(language, *fact).to_owned();
            (label, words::of_value(language, zone, value))
        })
        .collect()
}

fn affected(context: &Context<'_>, body: Body, language: Language) -> Body {
    let config = context.setting.config;
    let tenants = concerned(config, context.incident);
    if tenants.is_empty() {
        return body;
    }
    let shown: Vec<String> = tenants
        .iter()
        .take(8)
        .map(|id| config.tenant_name(id).to_owned())
        .collect();
    let more = match tenants.len().saturating_sub(8) {
        0 => String::new(),
        more => format!(" (+{more})"),
    };
    let label = pick(language, "Clientes afectados", "Clients affected");
    let body = body.pair(label, &format!("{}{more}", shown.join(", ")));
    match context.people {
        Some(people) => {
            let label = pick(
                language,
                "Personas que checan ahí",
                "People who punch there",
            );
            body.pair(label, &words::thousands(people))
        }
        None => body,
    }
}

/// Recovery time used against promised, and the recovery point where one was promised.
fn promised(context: &Context<'_>, body: Body, language: Language) -> Body {
    let incident = context.incident;
    let promise = context.setting.config.promises.of(incident.class);
    let until = match (&incident.mitigated, incident.closed_at) {
        (Some((at, _)), _) => *at,
        (None, Some(at)) => at,
        (None, None) => context.now,
    };
    let used = seconds_text(until.duration_since(incident.since).as_secs_f64());
    let of = |time: std::time::Duration| seconds_text(time.as_secs_f64());
    let (from, to) = (of(promise.rto_min), of(promise.rto_max));
    let label = pick(
        language,
        "Tiempo de recuperación (RTO)",
        "Recovery time (RTO)",
    );
    let text = pick(
        language,
        format!("{used} usados de {from} a {to} comprometidos"),
        format!("{used} used of {from} to {to} promised"),
    );
    let body = body.pair(label, &text);
    let label = pick(language, "Tiempo de respaldo (RPO)", "Recovery point (RPO)");
    match promise.rpo {
        Some(rpo) => body.pair(label, &of(rpo)),
        None => body.pair(
            label,
            pick(language, "sin RPO comprometido", "none promised"),
        ),
    }
}

/// The members by name, where there are several.
fn names(context: &Context<'_>, body: Body, language: Language) -> Body {
    let active: Vec<&Member> = context
        .incident
        .members
        .values()
        .filter(|it| it.over_at.is_none())
        .collect();
    if active.len() < 2 {
        return match active.first().map(|it| &it.subject) {
            Some(subject @ Subject::Terminal { .. }) => body.pair(
                pick(language, "Dispositivo", "Device"),
                &name_of(subject, language),
            ),
            _ => body,
        };
    }
    let title = pick(language, "Incluye", "Includes");
    let mut body = body.heading(&format!("{title} ({})", active.len()));
    for member in active.iter().take(NAMES) {
        let name = name_of(&member.subject, language);
        body = if member.kind == context.incident.kind {
            body.item(&name)
        } else {
            body.item(&format!(
                "{name}: {}",
                words::of_kind(member.kind).title(language)
            ))
        };
    }
    match active.len().saturating_sub(NAMES) {
        0 => body,
        more => body.item(&format!("+{more}")),
    }
}

/// Names of the incident in a command; what is not a plain word is not put into a command that
/// somebody will paste.
fn fill(command: &str, incident: &Incident) -> String {
    let plain = |text: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !text.is_empty() && text.bytes().all(fine)
    };
    let serial = incident.roots().find_map(|member| match &member.subject {
        Subject::Terminal { serial, .. } if plain(serial) => Some(serial.as_str()),
        _ => None,
    });
    let output = incident.roots().find_map(|member| match &member.subject {
        Subject::Output { name, .. } if plain(name) => Some(name.as_str()),
        _ => None,
    });
    let tenant = incident.tenants().into_iter().find(|tenant| plain(tenant));
    command
        .replace("{serial}", serial.unwrap_or("SERIE"))
        .replace("{output}", output.unwrap_or("SALIDA"))
        .replace("{tenant}", tenant.unwrap_or("CLIENTE"))
}

fn acknowledge(context: &Context<'_>, body: Body, contact: &Contact) -> Body {
    let (setting, incident) = (context.setting, context.incident);
    if incident.state != State::Open {
        return body;
    }
    let words = enterado(contact.language);
    match link_for(setting, incident, contact) {
        Some(link) => body.link(words, &link),
        None => body.pair(words, &format!("sentinel ack {}", incident.id)),
    }
}

fn enterado(language: Language) -> &'static str {
    pick(language, "Enterado, lo atiendo", "I am on it")
}

/// The acknowledge link of that contact; none without a public address, and none for a webhook.
fn link_for(setting: Setting<'_>, incident: &Incident, contact: &Contact) -> Option<String> {
    let url = setting.config.public_url.as_ref()?;
    let is_mail = contact.to.channel() == notify::Channel::Mail;
    let links = setting.links.filter(|_| is_mail)?;
    Some(links.link(url, &incident.id.to_string(), contact.to.address()))
}

fn telephones(config: &Config, body: Body, language: Language) -> Body {
    let mut lines = Vec::new();
    for level in &config.levels {
        for contact in &level.to {
            if let Some(phone) = &contact.phone {
                let name = contact
                    .name
                    .as_deref()
                    .unwrap_or_else(|| contact.to.address());
                lines.push(format!("{}: {name}, {phone}", level.name));
            }
        }
    }
    if lines.is_empty() {
        return body;
    }
    let body = body.heading(pick(language, "Teléfonos", "Telephones"));
    lines
        .iter()
        .take(20)
        .fold(body, |body, line| body.item(line))
}

/// Everything that waited for the hours of a level, as one letter for each of its contacts.
pub fn digest(
    setting: Setting<'_>,
    incidents: &[Incident],
    level: usize,
    now: Timestamp,
) -> Vec<Letter> {
    let config = setting.config;
    let Some(its) = config.levels.get(level) else {
        return Vec::new();
    };
    let critical = incidents.iter().any(|it| it.severity == Severity::Critical);
    let write = |contact: &Contact| {
        let language = contact.language;
        let count = incidents.len();
        let subject = pick(
            language,
            format!("{}: {count} incidentes en espera", its.name),
            format!("{}: {count} incidents that waited", its.name),
        );
        let mut body = Body::new().heading(&subject).line(pick(
            language,
            "Se abrieron fuera del horario de atención y siguen abiertos.",
            "They were opened outside the hours of attention and are still open.",
        ));
        for incident in incidents {
            let title = words::of_kind(incident.kind).title(language);
            let severity = words::of_severity(language, incident.severity);
            let place = place(config, incident, language);
            let since = words::moment(language, &config.zone, incident.since);
            body = body.item(&format!(
                "{} {severity}: {title}{place}, {since}",
                incident.id
            ));
        }
        body = body
            .heading(pick(language, "Qué hacer", "What to do"))
            .command("sentinel incidents");
        for incident in incidents {
            body = match link_for(setting, incident, contact) {
                Some(link) => body.link(&format!("{}: {}", enterado(language), incident.id), &link),
                None => body.command(&format!("sentinel ack {}", incident.id)),
            };
        }
        Letter {
            incident: format!("opening-{}-{}", level + 1, now.as_second()),
            step: "opening".to_owned(),
            kind: "opening".to_owned(),
            critical,
            to: contact.to.clone(),
            language,
            subject,
            body: telephones(config, body, language),
        }
    };
    its.to.iter().map(write).collect()
}

/// Beginning or end of a window of maintenance, to the first level.
pub fn maintenance(
    setting: Setting<'_>,
    window: &Window,
    ended: bool,
    now: Timestamp,
) -> Vec<Letter> {
    let config = setting.config;
    let write = |contact: &Contact| {
        let language = contact.language;
        let say = |es: &'static str, en: &'static str| pick(language, es, en);
        let whose = window.tenant.as_deref().map_or_else(
            || say("todo", "everything").to_owned(),
            |tenant| text::short(config.tenant_name(tenant), 40),
        );
        let what = match ended {
            true => say("Terminó el mantenimiento", "Maintenance has ended"),
            false => say("Mantenimiento: sin avisos", "Maintenance: no alerts"),
        };
        let subject = format!("{what} ({whose})");
        let end = if ended {
            window.until.min(now)
        } else {
            window.until
        };
        let body = Body::new()
            .heading(&subject)
            .pair(
                say("Desde", "From"),
                &words::moment(language, &config.zone, window.from),
            )
            .pair(
                say("Hasta", "Until"),
                &words::moment(language, &config.zone, end),
            )
            .pair(say("Quién", "Who"), &window.who)
            .pair(say("Por qué", "Why"), &window.why)
            .line(match ended {
                true => say(
                    "Lo que siga abierto se avisa desde ahora.",
                    "What is still open is told from now on.",
                ),
                false => say(
                    "Un dato confirmado que no se encuentre se avisa de todos modos.",
                    "An acknowledged punch that is not found is told all the same.",
                ),
            });
        Letter {
            incident: format!("maintenance-{}-{}", window.id, window.from.as_second()),
            step: if ended { "end" } else { "begin" }.to_owned(),
            kind: "maintenance".to_owned(),
            critical: false,
            to: contact.to.clone(),
            language,
            subject,
            body,
        }
    };
    let first = config.levels.first();
    first
        .map(|level| level.to.iter().map(write).collect())
        .unwrap_or_default()
}
