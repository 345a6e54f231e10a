//! The letter that says that it is over: how long it lasted, what of it came back and when, how
//! much of the promised time was used, and who attended to it.
//!
//! What a person's word closed and what still is wrong is never called recovered here.

use notify::{Body, Language};

use super::{Context, NAMES, affected, name_of, promised};
use crate::decide::{Incident, Member};
use crate::observation::Subject;
use crate::words::{self, pick, seconds_text};

/// The body of a recovery.
pub(super) fn recovery(context: &Context<'_>, language: Language) -> Body {
    let (incident, config) = (context.incident, context.setting.config);
    let words = words::of_kind(incident.kind);
    let say = |es: &'static str, en: &'static str| pick(language, es, en);
    let ended = incident.closed_at.unwrap_or(context.now);
    let lasted = seconds_text(ended.duration_since(incident.since).as_secs_f64());
    let mut body = Body::new()
        .heading(&format!(
            "{}: {}",
            say("Recuperado", "Recovered"),
            words.title(language)
        ))
        .pair(
            say("Desde", "From"),
            &words::moment(language, &config.zone, incident.since),
        )
        .pair(
            say("Hasta", "Until"),
            &words::moment(language, &config.zone, ended),
        )
        .pair(say("Duró", "Lasted"), &lasted);
    body = affected(context, body, language);
    body = promised(context, body, language);
    let all = incident.roots().count();
    let back = incident
        .roots()
        .filter(|member| member.over_at.is_some())
        .count();
    body = body.pair(say("Recuperados", "Recovered"), &format!("{back}/{all}"));
    body = recovered(incident, body, language);
    if let Some((_, who)) = &incident.acknowledged {
        body = body.pair(say("Lo atendió", "Attended by"), who);
    }
    if let Some(cause) = &incident.cause {
        return body.pair(say("Causa", "Cause"), cause);
    }
    // Who was on it may have mended it.
    if incident.acknowledged.is_none() {
        body = body.line(say("Se recuperó por sí solo.", "It recovered by itself."));
    }
    body.line(say(
        "Anote la causa cuando la conozca:",
        "Note the cause when you know it:",
    ))
    .command(&format!("sentinel incidents cause {} \"…\"", incident.id))
}

/// What was recovered, by name: each terminal, database or machine with how long it was away.
/// What is closed by a person's word and still wrong is named too.
fn recovered(incident: &Incident, body: Body, language: Language) -> Body {
    let shown = |member: &Member| {
        let name = name_of(&member.subject, language);
        match member.over_at {
            Some(at) => {
                let away = seconds_text(at.duration_since(member.since).as_secs_f64());
                format!("{name}: {away}")
            }
            None => {
                let still = pick(language, "sin recuperar", "not recovered");
                format!("{name}: {still}")
            }
        }
    };
    let has_terminals = incident
        .roots()
        .any(|it| matches!(it.subject, Subject::Terminal { .. }));
    if incident.roots().count() < 2 && !has_terminals {
        // The letter's title says it all.
        return body;
    }
    let body = incident
        .roots()
        .take(NAMES)
        .fold(body, |body, member| body.item(&shown(member)));
    match incident.roots().count().saturating_sub(NAMES) {
        0 => body,
        more => body.item(&format!("+{more}")),
    }
}
