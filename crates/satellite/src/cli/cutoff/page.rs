//! A cut-off as text, HTML, CSV and JSON.
//!
//! All four come from the same facts and carry the same SHA-256 over their JSON, written without
//! blanks. Names and serials come from people and terminals: they are escaped for each form,
//! and no cell of the CSV can become a formula.

use std::fmt::Display;

use daemon::logging::Escaped;
use event::{Millis, Zone};
use satellite::hex;
use sha2::{Digest, Sha256};

use super::super::events::guarded;
use super::super::words::{Speaks as _, Word};
use super::super::{Context, table, time};
use super::verdict::{Cutoff, Terminal, Verdict, Why, Window};

/// The facts as they are hashed.
fn canonical(facts: &Cutoff) -> anyhow::Result<String> {
    Ok(serde_json::to_string(facts)?)
}

/// The hash that stands in every form.
fn digest(facts: &Cutoff) -> anyhow::Result<String> {
    Ok(hex(&Sha256::digest(canonical(facts)?)))
}

/// For programs: the facts, and the hash over them.
pub(super) fn json(facts: &Cutoff) -> anyhow::Result<String> {
    let (facts, digest) = (canonical(facts)?, digest(facts)?);
    Ok(format!("{{\"facts\":{facts},\"sha256\":\"{digest}\"}}\n"))
}

/// `12,431`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The wall time of a moment, without its offset; the page names the zone once.
fn wall(at: Millis, zone: &Zone) -> String {
    let text = time::show(at, zone);
    text.get(..16).unwrap_or(&text).to_owned()
}

/// How a page speaks.
struct Page<'a> {
    facts: &'a Cutoff,
    context: &'a Context,
    zone: Zone,
}

impl<'a> Page<'a> {
    fn of(facts: &'a Cutoff, context: &'a Context) -> Self {
        let zone = Zone::named(&facts.time_zone).unwrap_or_else(|_| Zone::utc());
        Self {
            facts,
            context,
            zone,
        }
    }

    fn say(&self, word: Word, values: &[&dyn Display]) -> String {
        self.context.say(word, values)
    }

    /// The last minute of the period.
    fn last(&self) -> Millis {
        Millis(self.facts.period.to.0 - 1)
    }

    fn title(&self) -> String {
        let facts = self.facts;
        let name = if facts.tenant_name.is_empty() {
            &facts.tenant
        } else {
            &facts.tenant_name
        };
        let from = wall(facts.period.from, &self.zone);
        let to = wall(self.last(), &self.zone);
        self.say(
            Word::CutoffTitle,
            &[&Escaped(name), &from, &to, &facts.time_zone],
        )
    }

    fn verdict(&self) -> String {
        let word = if self.facts.is_complete {
            Word::CutoffComplete
        } else {
            Word::CutoffPartial
        };
        self.say(word, &[])
    }

    /// The one sentence that payroll asks for.
    fn sentence(&self) -> String {
        let facts = self.facts;
        let last = wall(self.last(), &self.zone);
        let clock = last.get(11..).unwrap_or_default();
        let mut text = self.say(
            Word::CutoffSentence,
            &[
                &grouped(facts.punches),
                &grouped(facts.terminals_complete),
                &grouped(facts.terminals.len() as u64),
                &clock,
                &grouped(facts.gaps),
                &grouped(facts.late),
                &grouped(facts.in_review),
            ],
        );
        if facts.undated > 0 {
            text.push_str(&self.say(Word::CutoffUndated, &[&grouped(facts.undated)]));
        }
        text
    }

    fn word(&self, verdict: Verdict) -> String {
        self.say(
            match verdict {
                Verdict::Complete => Word::VerdictComplete,
                Verdict::Unproven => Word::VerdictUnproven,
                Verdict::Missing => Word::VerdictMissing,
                Verdict::Lost => Word::VerdictLost,
                Verdict::Withdrawn => Word::VerdictWithdrawn,
            },
            &[],
        )
    }

    /// Which window, and what is being done about it.
    fn window(&self, window: &Window, serial: &str) -> String {
        let from = wall(window.period.from, &self.zone);
        let to = wall(window.period.to, &self.zone);
        let program = super::super::program();
        let doing = match window.why {
            Why::NoContact => self.say(Word::WhyNoContact, &[]),
            Why::Unreachable => self.say(Word::WhyUnreachable, &[]),
            Why::NeverHeard => self.say(Word::WhyNeverHeard, &[]),
            Why::NotAsked => self.say(Word::WhyNotAsked, &[]),
            Why::Fetching => self.say(Word::WhyFetching, &[]),
            Why::Stuck => self.say(Word::WhyStuck, &[&program, &serial, &from, &to]),
            Why::Lost => self.say(Word::WhyLost, &[]),
            Why::CannotAsk => self.say(Word::WhyCannotAsk, &[]),
        };
        let counts = match (window.device_count, window.stored_count) {
            (Some(device), Some(stored)) => self.say(Word::WindowCounts, &[&device, &stored]),
            (Some(device), None) => self.say(Word::WindowCount, &[&device]),
            (None, _) => String::new(),
        };
        format!("{from} – {to}{counts}: {doing}")
    }

    fn remark(&self, it: &Terminal) -> Vec<String> {
        let mut lines: Vec<String> = it
            .missing
            .iter()
            .map(|window| self.window(window, &it.serial))
            .collect();
        match it.verdict {
            Verdict::Unproven => lines.push(self.say(Word::UnprovenMeans, &[])),
            Verdict::Withdrawn => lines.push(self.say(Word::WithdrawnMeans, &[])),
            Verdict::Complete | Verdict::Missing | Verdict::Lost => {}
        }
        if it.in_review > 0 {
            let program = super::super::program();
            lines.push(self.say(Word::ReviewMeans, &[&it.in_review, &program, &it.serial]));
        }
        if it.undated > 0 {
            lines.push(self.say(Word::UndatedMeans, &[&it.undated]));
        }
        lines
    }

    fn headings(&self) -> [&'static str; 7] {
        self.context.lang.headings(&[
            Word::Serial,
            Word::Name,
            Word::Site,
            Word::State,
            Word::Punches,
            Word::CameLate,
            Word::InReview,
        ])
    }

    fn cells(&self, it: &Terminal) -> Vec<String> {
        vec![
            it.serial.clone(),
            it.name.clone().unwrap_or_default(),
            it.site.clone().unwrap_or_default(),
            self.word(it.verdict),
            it.punches.to_string(),
            it.late.to_string(),
            it.in_review.to_string(),
        ]
    }
}

/// For people: the sentence first, then what is not complete, then every terminal.
pub(super) fn text(facts: &Cutoff, context: &Context) -> anyhow::Result<String> {
    let page = Page::of(facts, context);
    let mut text = format!(
        "{}\n{}: {}\n",
        page.title(),
        page.verdict(),
        page.sentence()
    );
    for it in &facts.terminals {
        let remarks = page.remark(it);
        if !remarks.is_empty() {
            let name = it.name.as_deref().map(|name| format!(" {}", Escaped(name)));
            let name = name.unwrap_or_default();
            text.push_str(&format!(
                "! {}{name}: {}\n",
                it.serial,
                page.word(it.verdict)
            ));
            for remark in remarks {
                text.push_str(&format!("  {remark}\n"));
            }
        }
    }
    let rows: Vec<Vec<String>> = facts.terminals.iter().map(|it| page.cells(it)).collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table::table(&page.headings(), &rows));
    }
    text.push_str(&format!("sha256 {}\n", digest(facts)?));
    Ok(text)
}

/// For spreadsheets: a line for each terminal, then one for all.
pub(super) fn csv(facts: &Cutoff, context: &Context) -> anyhow::Result<String> {
    let page = Page::of(facts, context);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let more = context.lang.headings(&[Word::Detail]);
    writer.write_record(page.headings().iter().chain(&more))?;
    for it in &facts.terminals {
        let remark = page.remark(it).join(" | ");
        let cells = page.cells(it);
        writer.write_record(
            cells
                .iter()
                .chain([&remark])
                .map(|cell| guarded(cell).into_owned()),
        )?;
    }
    let total = [
        page.say(Word::CutoffTotal, &[]),
        facts.tenant.clone(),
        String::new(),
        page.verdict(),
        facts.punches.to_string(),
        facts.late.to_string(),
        facts.in_review.to_string(),
        format!(
            "{} | {} | sha256 {}",
            page.title(),
            page.sentence(),
            digest(facts)?
        ),
    ];
    writer.write_record(total.iter().map(|cell| guarded(cell).into_owned()))?;
    let bytes = writer
        .into_inner()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    // Spreadsheets take a file without this mark for another character set.
    Ok(format!("\u{feff}{}", String::from_utf8(bytes)?))
}

const STYLE: &str = "body{font:15px/1.4 sans-serif;margin:2em;color:#111}\
h1{font-size:1.3em}table{border-collapse:collapse;width:100%}\
th,td{border:1px solid #999;padding:.3em .5em;text-align:left;vertical-align:top}\
.no{background:#fde8e8}.sign{margin-top:4em}code{word-break:break-all}\
@media print{body{margin:0}}";

/// To print and sign. Holds no script and asks nobody for anything.
pub(super) fn html(facts: &Cutoff, context: &Context) -> anyhow::Result<String> {
    let page = Page::of(facts, context);
    let title = markup(&page.title());
    let mut rows = String::new();
    for it in &facts.terminals {
        let class = match it.verdict {
            Verdict::Complete => "",
            _ => " class=\"no\"",
        };
        let cells: String = page
            .cells(it)
            .iter()
            .map(|cell| format!("<td>{}</td>", markup(cell)))
            .collect();
        let remarks: Vec<String> = page.remark(it).iter().map(|line| markup(line)).collect();
        let remarks = remarks.join("<br>");
        rows.push_str(&format!("<tr{class}>{cells}<td>{remarks}</td></tr>\n"));
    }
    let more = context.lang.headings(&[Word::Detail]);
    let head: String = page
        .headings()
        .iter()
        .chain(&more)
        .map(|heading| format!("<th>{}</th>", markup(heading)))
        .collect();
    let lang = page.say(Word::LanguageCode, &[]);
    let (verdict, sentence) = (markup(&page.verdict()), markup(&page.sentence()));
    let sign = markup(&page.say(Word::SignHere, &[]));
    let digest = digest(facts)?;
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p><strong>{verdict}</strong>: {sentence}</p>\n\
         <table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>\n\
         <p>SHA-256 <code>{digest}</code></p>\n<p class=\"sign\">{sign}</p>\n</body></html>\n"
    ))
}

/// A text inside HTML. Control characters are shown, not obeyed.
fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Period;
    use super::*;

    fn facts() -> Cutoff {
        let period = Period {
            from: Millis::parse("2026-11-16 06:00:00").unwrap(),
            to: Millis::parse("2026-12-01 06:00:00").unwrap(),
        };
        let terminal = Terminal {
            serial: "ABC1".to_owned(),
            name: Some("=cmd()<script>".to_owned()),
            site: None,
            verdict: Verdict::Complete,
            punches: 12_431,
            late: 3,
            undated: 0,
            in_review: 0,
            missing: Vec::new(),
        };
        let zone = "America/Mexico_City";
        Cutoff::of("acme", "Acme S.A.", zone, period, vec![terminal])
    }

    #[test]
    fn the_sentence_is_the_one_that_payroll_asks_for() {
        let mut context = Context::for_tests();
        context.lang = super::super::super::words::Lang::Es;
        let text = text(&facts(), &context).unwrap();
        assert!(
            text.contains(
                "12,431 checadas, 1 de 1 relojes completos hasta las 23:59, 0 huecos, 3 llegaron tarde, 0 en revisión"
            ),
            "{text}"
        );
    }

    #[test]
    fn every_form_carries_the_hash_of_the_facts_and_gives_the_same_bytes_again() {
        let context = Context::for_tests();
        let facts = facts();
        let json = json(&facts).unwrap();
        let hashed = json.strip_prefix("{\"facts\":").unwrap();
        let hashed = hashed.split_once(",\"sha256\"").unwrap().0;
        let want = hex(&Sha256::digest(hashed));
        for form in [
            json.clone(),
            text(&facts, &context).unwrap(),
            csv(&facts, &context).unwrap(),
            html(&facts, &context).unwrap(),
        ] {
            assert!(form.contains(&want), "{form}");
        }
        assert_eq!(json, super::json(&self::facts()).unwrap());
        let mut other = facts.clone();
        other.punches += 1;
        assert_ne!(digest(&other).unwrap(), want);
    }

    #[test]
    fn a_name_becomes_neither_markup_nor_a_formula() {
        let context = Context::for_tests();
        let html = html(&facts(), &context).unwrap();
        assert!(!html.contains("<script>"), "{html}");
        let csv = csv(&facts(), &context).unwrap();
        assert!(csv.contains("'=cmd()<script>"), "{csv}");
    }

    #[test]
    fn numbers_are_grouped_as_people_read_them() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_431, "12,431")] {
            assert_eq!(grouped(n), text);
        }
    }
}
