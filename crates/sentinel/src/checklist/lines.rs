//! From what was seen to lines: one function for each way of judging.

use std::time::Duration;

use jiff::Timestamp;
use notify::Language;
use notify::text::short;

use super::rows::{BLINDING, By, Measure, ROWS, Row};
use super::{Line, List, Looked, Matter, OpenIncident, Outcome};
use crate::decide::Standing;
use crate::kind::{Kind, Severity};
use crate::message::name_of;
use crate::observation::{Finding, Signal, Trouble};
use crate::words::{self, bytes_text, pick, seconds_text, thousands};

/// Names that the evidence of one line lists at most.
const NAMES: usize = 5;
/// Longest evidence, in characters.
const EVIDENCE: usize = 300;

/// Both lists.
pub(super) fn lists(matter: &Matter, after_restore: bool, language: Language) -> Vec<List> {
    let judge = Judge { matter, language };
    let tests = pick(
        language,
        "Check list de pruebas y verificación",
        "Check list of tests and verification",
    );
    let restored = pick(language, "después de restaurar", "after a restore");
    let tests = match after_restore {
        true => format!("{tests}, {restored}"),
        false => tests.to_owned(),
    };
    let indicators = pick(
        language,
        "Check list de indicadores de operación",
        "Check list of indicators of operation",
    );
    let of = |on: fn(&Row) -> bool| {
        let rows = ROWS.iter().filter(|row| on(row));
        rows.map(|row| judge.line(row)).collect()
    };
    vec![
        List {
            title: tests,
            lines: of(|row| row.on.0),
        },
        List {
            title: indicators.to_owned(),
            lines: of(|row| row.on.1),
        },
    ]
}

/// What came out of a row.
struct Judged {
    /// `None`: nothing was seen.
    well: Option<bool>,
    evidence: String,
    seen_at: Option<Timestamp>,
}

impl Judged {
    fn new(well: bool, evidence: String) -> Self {
        Self {
            well: Some(well),
            evidence,
            seen_at: None,
        }
    }

    fn unseen(evidence: String) -> Self {
        Self {
            well: None,
            evidence,
            seen_at: None,
        }
    }
}

struct Judge<'a> {
    matter: &'a Matter,
    language: Language,
}

impl Judge<'_> {
    fn say(&self, es: &'static str, en: &'static str) -> &'static str {
        pick(self.language, es, en)
    }

    fn line(&self, row: &Row) -> Line {
        let judged = match row.by {
            By::Signal(read) => self.signal(row, read),
            By::Troubles(looks, kinds) => self.troubles(row, looks, kinds),
            By::NoneOpen(looks, kinds) => self.none_open(looks, kinds),
            By::State => self.state(),
            By::Critical => self.critical(),
            By::Recovery => self.recovery(),
            By::Levels => self.levels(),
        };
        let nothing_there = judged.well.is_none() && judged.evidence.is_empty();
        let (result, known) = match judged.well {
            Some(true) => (Outcome::Pass, true),
            Some(false) => (Outcome::Fail, true),
            None if nothing_there && !(row.needed)(self.matter.configured) => {
                (Outcome::NotApplicable, true)
            }
            None => (Outcome::Fail, false),
        };
        let evidence = match (result, judged.evidence.is_empty()) {
            (Outcome::NotApplicable, _) => self.say("no está configurado", "not configured"),
            (_, true) => self.say("sin datos", "nothing is known"),
            (_, false) => &judged.evidence,
        };
        Line {
            key: row.key,
            title: self.say(row.es, row.en).to_owned(),
            result,
            known,
            evidence: short(evidence, EVIDENCE),
            seen_at: judged.seen_at,
        }
    }

    /// What these looks saw. A name that ends in `:` or names a family stands for all that
    /// begin with it.
    fn seen_by<'b>(&'b self, looks: &'b [&'b str]) -> impl Iterator<Item = &'b Looked> {
        let own = |looked: &&Looked| {
            looks.iter().any(|look| {
                looked.look == *look || looked.look.starts_with(look.trim_end_matches(':'))
            })
        };
        self.matter.looked.iter().filter(own)
    }

    fn signal(&self, row: &Row, read: fn(Signal) -> Option<bool>) -> Judged {
        let signals = self.matter.looked.iter().filter_map(|looked| {
            let signal = looked.observation.signal?;
            Some((looked, read(signal)?, signal))
        });
        let Some((looked, well, signal)) = signals.min_by_key(|(_, well, _)| *well) else {
            return Judged::unseen(String::new());
        };
        let measured = self.measured(row, looked);
        let evidence = match well {
            true if measured.is_empty() => self.say("sí", "yes").to_owned(),
            true => measured,
            false => words::of_signal(self.language, signal).to_owned(),
        };
        Judged {
            seen_at: Some(looked.observation.at),
            ..Judged::new(well, evidence)
        }
    }

    fn troubles(&self, row: &Row, looks: &[&str], kinds: &[Kind]) -> Judged {
        let (mut wrong, mut unknown, mut well) = (Vec::new(), Vec::new(), Vec::new());
        for looked in self.seen_by(looks) {
            match &looked.observation.finding {
                Finding::Fine => well.push(looked),
                Finding::Unknown { why } => unknown.push((
                    looked,
                    words::of_value(self.language, &self.matter.zone, why),
                )),
                Finding::Wrong { troubles } => {
                    let own = troubles.iter().find(|it| kinds.contains(&it.kind));
                    let blinding = troubles.iter().find(|it| BLINDING.contains(&it.kind));
                    match (own, blinding) {
                        (Some(trouble), _) => wrong.push((looked, trouble)),
                        (None, Some(trouble)) => unknown.push((looked, self.trouble(trouble))),
                        (None, None) => well.push(looked),
                    }
                }
            }
        }
        let all = wrong.len() + unknown.len() + well.len();
        if let Some((looked, _)) = wrong.first() {
            return Judged {
                seen_at: Some(looked.observation.at),
                ..Judged::new(false, self.what_is_wrong(&wrong, all))
            };
        }
        if let Some((looked, why)) = unknown.first() {
            let words = self.say("no se pudo comprobar", "it could not be checked");
            return Judged {
                seen_at: Some(looked.observation.at),
                ..Judged::unseen(format!("{words}: {why}"))
            };
        }
        let Some(oldest) = well.iter().min_by_key(|looked| looked.observation.at) else {
            return Judged::unseen(String::new());
        };
        let evidence = match (self.measured(row, oldest), all) {
            (measured, 1) if measured.is_empty() => self.say("sin falla", "no trouble").to_owned(),
            (measured, 1) => measured,
            (_, all) => format!("{all}/{all}"),
        };
        Judged {
            seen_at: Some(oldest.observation.at),
            ..Judged::new(true, evidence)
        }
    }

    /// `2/30: ABC1 (Toluca), ABC2: Un dispositivo está fuera de línea; Último contacto …`.
    fn what_is_wrong(&self, wrong: &[(&Looked, &Trouble)], all: usize) -> String {
        let names = wrong.iter().take(NAMES);
        let names = names.map(|(looked, _)| name_of(&looked.observation.subject, self.language));
        let names: Vec<String> = names.collect();
        let more = match wrong.len().saturating_sub(NAMES) {
            0 => String::new(),
            more => format!(" (+{more})"),
        };
        let facts = wrong.first().map(|(_, trouble)| self.trouble(trouble));
        let count = match all {
            1 => String::new(),
            all => format!("{}/{all}: ", wrong.len()),
        };
        let names = names.join(", ");
        format!("{count}{names}{more}: {}", facts.unwrap_or_default())
    }

    fn trouble(&self, trouble: &Trouble) -> String {
        let title = words::of_kind(trouble.kind).title(self.language);
        let facts = trouble.facts.iter().take(3).map(|(fact, value)| {
            let value = words::of_value(self.language, &self.matter.zone, value);
            format!("; {}: {value}", words::of_fact(self.language, *fact))
        });
        format!("{title}{}", facts.collect::<String>())
    }

    fn measured(&self, row: &Row, looked: &Looked) -> String {
        let observation = &looked.observation;
        let number = |name: &str| observation.numbers.get(name).copied();
        let shown = row.shows.iter().filter_map(|(name, measure)| {
            Some(match measure {
                Measure::Seconds => seconds_text(number(name)?),
                Measure::Count => thousands(format!("{:.0}", number(name)?).parse().ok()?),
                Measure::Bytes => bytes_text(format!("{:.0}", number(name)?).parse().ok()?),
                Measure::Version => {
                    let version = observation.version.as_deref()?;
                    format!("{} {version}", self.say("versión", "version"))
                }
            })
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    fn none_open(&self, looks: &[&str], kinds: &[Kind]) -> Judged {
        let open = self.matter.open.iter().find(|it| kinds.contains(&it.kind));
        if let Some(open) = open {
            return Judged::new(false, self.incident(open));
        }
        let known =
            |looked: &&Looked| !matches!(looked.observation.finding, Finding::Unknown { .. });
        match self.seen_by(looks).find(known) {
            Some(looked) => Judged {
                seen_at: Some(looked.observation.at),
                ..Judged::new(true, self.say("ninguna", "none").to_owned())
            },
            None => Judged::unseen(String::new()),
        }
    }

    fn incident(&self, open: &OpenIncident) -> String {
        let title = words::of_kind(open.kind).title(self.language);
        format!("{}: {title}", open.id)
    }

    fn state(&self) -> Judged {
        let Some(state) = &self.matter.state else {
            return Judged::unseen(String::new());
        };
        let words = words::of_standing(self.language, state.standing);
        let evidence = match state.indicator.as_str() {
            "" => words.to_owned(),
            indicator => {
                let indicator = words::of_indicator(self.language, indicator);
                format!("{words}: {indicator}")
            }
        };
        let judged = match state.standing {
            Standing::Unknown => Judged::unseen(evidence),
            standing => Judged::new(standing == Standing::Ok, evidence),
        };
        Judged {
            seen_at: Some(self.matter.now),
            ..judged
        }
    }

    fn critical(&self) -> Judged {
        let open = self.matter.open.iter();
        let critical: Vec<String> = open
            .filter(|it| it.severity == Severity::Critical)
            .take(NAMES)
            .map(|it| self.incident(it))
            .collect();
        match critical.is_empty() {
            true => Judged::new(true, self.say("ninguno", "none").to_owned()),
            false => Judged::new(false, critical.join(", ")),
        }
    }

    fn recovery(&self) -> Judged {
        let used = |it: &OpenIncident| {
            let until = it.mitigated_at.unwrap_or(self.matter.now);
            let used = Duration::try_from(until.duration_since(it.since)).unwrap_or_default();
            (used, self.matter.promises.of(it.class).rto_max)
        };
        let over = self.matter.open.iter().filter(|it| {
            let (used, promised) = used(it);
            it.severity > Severity::Notice && used > promised
        });
        let over: Vec<String> = over
            .take(NAMES)
            .map(|it| {
                let (used, promised) = used(it);
                let of = |time: Duration| seconds_text(time.as_secs_f64());
                format!("{}: {} / {}", it.id, of(used), of(promised))
            })
            .collect();
        match over.is_empty() {
            true => Judged::new(
                true,
                self.say("ninguno lo excede", "none exceeds it").to_owned(),
            ),
            false => Judged::new(false, over.join(", ")),
        }
    }

    fn levels(&self) -> Judged {
        let it = self.matter.configured;
        let words = pick(
            self.language,
            format!("{} niveles, {} con teléfono", it.levels, it.telephones),
            format!("{} levels, {} with a telephone", it.levels, it.telephones),
        );
        Judged::new(it.levels > 0 && it.telephones == it.levels, words)
    }
}
