//! The lists for people and programs: text for a terminal, a page to print and sign, JSON.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::Language;
use notify::text::{html, short};

use super::{Checklist, Line, List, Outcome};
use crate::report::CSS;
use crate::words::{self, pick};

/// The word of a result.
fn word(outcome: Outcome, language: Language) -> &'static str {
    match outcome {
        Outcome::Pass => pick(language, "CUMPLE (PASS)", "PASS"),
        Outcome::Fail => pick(language, "FALLA (FAIL)", "FAIL"),
        Outcome::NotApplicable => pick(language, "NO APLICA", "NOT APPLICABLE"),
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "ok",
        Outcome::Fail => "down",
        Outcome::NotApplicable => "unknown",
    }
}

/// The labels of the lines for a signature.
fn signatures(language: Language) -> [&'static str; 2] {
    [
        pick(
            language,
            "Revisó: nombre y firma, fecha y hora",
            "Checked by: name, signature, date and time",
        ),
        pick(
            language,
            "Autorizó: nombre y firma, fecha y hora",
            "Authorised by: name, signature, date and time",
        ),
    ]
}

fn counts(list: &List, language: Language) -> String {
    let count = |outcome| {
        list.lines
            .iter()
            .filter(|line| line.result == outcome)
            .count()
    };
    let all = [Outcome::Pass, Outcome::Fail, Outcome::NotApplicable];
    let counts = all.map(|outcome| format!("{} {}", count(outcome), word(outcome, language)));
    counts.join(", ")
}

/// As JSON: the fields of [`Checklist`] in their order.
///
/// # Errors
/// None that can happen.
pub fn to_json(list: &Checklist) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(list)?;
    text.push('\n');
    Ok(text)
}

/// For a terminal.
pub fn to_text(checklist: &Checklist, language: Language, zone: &TimeZone) -> String {
    let mut text = String::new();
    let made = words::moment(language, zone, checklist.made_at);
    let head = format!(
        "{}\n{} ({})\n{made}\n",
        short(&checklist.installation, 80),
        short(&checklist.name, 80),
        short(&checklist.tenant, 60),
    );
    text.push_str(&head);
    for list in &checklist.lists {
        add(&mut text, format_args!("\n{}\n", list.title));
        for line in &list.lines {
            let word = word(line.result, language);
            add(&mut text, format_args!("  {word:<15} {}\n", line.title));
            let at = seen(line, language, zone);
            add(
                &mut text,
                format_args!("  {:<15} {}{at}\n", "", line.evidence),
            );
        }
        add(&mut text, format_args!("  = {}\n", counts(list, language)));
    }
    add(
        &mut text,
        format_args!("\n{}\n", pick(language, "A mano", "By hand")),
    );
    for step in &checklist.by_hand {
        add(&mut text, format_args!("  [ ] {step}\n"));
    }
    for label in signatures(language) {
        add(
            &mut text,
            format_args!("\n\n  {}\n  {label}\n", "_".repeat(60)),
        );
    }
    text
}

fn seen(line: &Line, language: Language, zone: &TimeZone) -> String {
    line.seen_at.map_or_else(String::new, |at| {
        format!(" ({})", clock(language, zone, at))
    })
}

/// `09:15:02`, or with its day when it is not today's business any more.
fn clock(_: Language, zone: &TimeZone, at: Timestamp) -> String {
    at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string()
}

/// A page to look at, to print and to sign.
pub fn to_html(checklist: &Checklist, language: Language, zone: &TimeZone) -> String {
    let code = language.code();
    let name = html(&short(&checklist.name, 80));
    let title = pick(language, "Check list", "Check list");
    let made = words::moment(language, zone, checklist.made_at);
    let result = word(checklist.result, language);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}, {name}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n\
         <header><p class=\"soft\">{}</p><h1>{title}, {name}</h1><p>{made}</p>\
         <p><b class=\"{}\">{result}</b></p></header>\n",
        html(&short(&checklist.installation, 80)),
        class(checklist.result),
    );
    for list in &checklist.lists {
        page.push_str(&section(list, language, zone));
    }
    page.push_str(&by_hand(checklist, language));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn section(list: &List, language: Language, zone: &TimeZone) -> String {
    let heads = [
        pick(language, "Qué se revisa", "What is checked"),
        pick(language, "Resultado", "Result"),
        pick(language, "Evidencia", "Evidence"),
        pick(language, "Visto", "Seen"),
    ];
    let row = |line: &Line| {
        let word = word(line.result, language);
        let at = line
            .seen_at
            .map_or_else(|| "—".to_owned(), |at| clock(language, zone, at));
        let cells = [
            html(&line.title),
            format!("<b class=\"{}\">{word}</b>", class(line.result)),
            html(&line.evidence),
            at,
        ];
        let cells = cells.iter().zip(heads);
        let cells: String = cells
            .map(|(cell, head)| format!("<td data-l=\"{head}\"><span>{cell}</span></td>"))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = list.lines.iter().map(row).collect();
    let head: String = heads
        .iter()
        .map(|head| format!("<th>{head}</th>"))
        .collect();
    format!(
        "<section><h2>{}</h2><p class=\"soft\">{}</p><div class=\"wide\"><table><thead><tr>{head}\
         </tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n",
        html(&list.title),
        counts(list, language),
    )
}

fn by_hand(checklist: &Checklist, language: Language) -> String {
    let title = pick(language, "A mano", "By hand");
    let steps = checklist.by_hand.iter();
    let steps: String = steps
        .map(|step| format!("<p>☐ {}</p>", html(step)))
        .collect();
    let [checked, authorised] = signatures(language);
    format!(
        "<section><h2>{title}</h2>{steps}<div class=\"sign-line\"><div>{checked}</div>\
         <div>{authorised}</div></div></section>\n"
    )
}

/// Writing into a text cannot fail.
fn add(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok());
}
