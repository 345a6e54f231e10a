//! Whether events reach the programs that satellite carries them on to.
//!
//! satellite's `/status` says how each of its outputs stands. It repeats what does not get
//! through and calls that standing after ten minutes; here that becomes a trouble, and so does an
//! output that somebody paused and forgot, and events that a receiver did not take. What a
//! lockdown or a database stops is told as that. Nothing that waits here is missing: the events
//! are stored.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::satellite::page::StatusPage;
use super::satellite::status::Output;
use super::store::moment;
use super::{said, wide};
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Subject, Trouble, Value};

/// From round to round.
const EVERY: Duration = Duration::from_secs(20);
/// An event that waits so long behind a pause is one that somebody forgot.
const FORGOTTEN: f64 = 4.0 * 3600.0;

/// The look at all outputs.
pub struct OutputsLook {
    page: Arc<StatusPage>,
}

impl OutputsLook {
    /// A look at what satellite says.
    pub fn new(page: Arc<StatusPage>) -> Self {
        Self { page }
    }
}

/// What is wrong with one. Its name and its words may be anybody's.
fn judged(output: &Output, now: Timestamp) -> Observation {
    let subject = Subject::output(&output.tenant, &output.name);
    if output.state == "starting" {
        return Observation::unknown(subject, now, Phrase::OutputUnread);
    }
    let troubles = [standing(output), dead_letters(output)];
    let troubles = troubles.into_iter().flatten().collect();
    Observation::wrong(subject, now, troubles).number("lag_seconds", output.lag_seconds)
}

fn standing(output: &Output) -> Option<Trouble> {
    let trouble = Trouble::new(Kind::OutputStanding);
    let trouble = match output.state.as_str() {
        "standing" => {
            let since = output.failing_since.as_deref().and_then(moment);
            let trouble = match since {
                Some(since) => trouble.fact(Fact::Since, since),
                None => trouble,
            };
            match &output.trouble {
                Some(en) => {
                    let said = Value::in_both(output.trouble_es.as_deref(), en);
                    trouble.fact(Fact::Detail, said)
                }
                None => trouble,
            }
        }
        "paused" if output.lag_seconds >= FORGOTTEN => {
            trouble.fact(Fact::Detail, Phrase::OutputPaused)
        }
        _ => return None,
    };
    Some(trouble.fact(Fact::Oldest, Value::Seconds(output.lag_seconds)))
}

fn dead_letters(output: &Output) -> Option<Trouble> {
    let count = i64::try_from(output.dead_letters).unwrap_or(i64::MAX);
    let trouble = Trouble::new(Kind::OutputDeadLetters);
    (count > 0).then(|| trouble.fact(Fact::Count, Value::Count(count)))
}

#[async_trait]
impl Look for OutputsLook {
    fn name(&self) -> &str {
        "outputs"
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        EVERY / 2
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![Subject::Satellite]
    }

    async fn look(&self, now: Timestamp) -> Round {
        match self.page.recent().await {
            Ok(status) => {
                let outputs = status.outputs.iter();
                let mut seen: Vec<_> = outputs.map(|it| judged(it, now)).collect();
                let all = Observation::fine(Subject::Satellite, now);
                seen.push(all.number("outputs", wide(status.outputs.len() as u64)));
                Round::whole(seen)
            }
            Err(failed) => Round::one(Observation::unknown(Subject::Satellite, now, said(&failed))),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use notify::Language;

    use super::*;
    use crate::Finding;
    use crate::words::of_value;

    fn fine() -> Output {
        Output {
            name: "payroll".to_owned(),
            tenant: "acme".to_owned(),
            state: "fine".to_owned(),
            lag_seconds: 0.0,
            failing_since: None,
            trouble: None,
            trouble_es: None,
            dead_letters: 0,
        }
    }

    fn kinds(change: impl Fn(&mut Output)) -> Vec<Kind> {
        let mut output = fine();
        change(&mut output);
        match judged(&output, Timestamp::now()).finding {
            Finding::Fine => Vec::new(),
            Finding::Wrong { troubles } => troubles.iter().map(|it| it.kind).collect(),
            Finding::Unknown { .. } => panic!("it is known"),
        }
    }

    #[test]
    fn an_output_that_stands_was_forgotten_or_has_dead_letters_is_told_and_no_other() {
        let state = |state: &str, lag: f64| {
            kinds(|it| (it.state, it.lag_seconds) = (state.to_owned(), lag))
        };
        let hour = 3600.0;
        assert_eq!(state("standing", 700.0), [Kind::OutputStanding]);
        assert_eq!(state("paused", 4.0 * hour), [Kind::OutputStanding]);
        for (it, lag) in [
            ("fine", 0.0),
            ("failing", 300.0),
            ("paused", 3.9 * hour),
            // The lockdown, or the database, is told.
            ("locked", 9.0 * hour),
            ("store", 9.0 * hour),
            ("elsewhere", 0.0),
            ("a newer word", 9.0 * hour),
        ] {
            assert_eq!(state(it, lag), [], "{it}");
        }
        assert_eq!(
            kinds(|it| it.dead_letters = 3),
            [Kind::OutputDeadLetters],
            "they stay until they are sent once more"
        );
    }

    #[test]
    fn an_output_that_is_not_read_yet_is_unknown_and_never_fine() {
        let mut output = fine();
        output.state = "starting".to_owned();
        let seen = judged(&output, Timestamp::now());
        assert!(matches!(seen.finding, Finding::Unknown { .. }));
    }

    #[test]
    fn what_a_standing_output_says_of_itself_is_told() {
        let mut output = fine();
        output.state = "standing".to_owned();
        output.lag_seconds = 700.0;
        output.failing_since = Some("2026-11-21 09:00:00.000".to_owned());
        output.trouble = Some("the broker refuses the connection: NotAuthorized".to_owned());
        output.trouble_es = Some("el broker rechaza la conexión: sin autorización".to_owned());
        let seen = judged(&output, Timestamp::now());
        assert_eq!(seen.subject.to_string(), "output:acme/payroll");
        let Finding::Wrong { troubles } = seen.finding else {
            panic!();
        };
        let facts = &troubles[0].facts;
        let since: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        assert_eq!(facts[&Fact::Since], Value::At(since));
        assert_eq!(facts[&Fact::Oldest], Value::Seconds(700.0));
        let told = |language| of_value(language, &TimeZone::UTC, &facts[&Fact::Detail]);
        assert_eq!(
            told(Language::Spanish),
            "el broker rechaza la conexión: sin autorización"
        );
        assert_eq!(
            told(Language::English),
            "the broker refuses the connection: NotAuthorized"
        );

        // Of an older satellite, or where there is nothing to say otherwise.
        (output.trouble, output.trouble_es) = (Some("HTTP 503".to_owned()), None);
        let Finding::Wrong { troubles } = judged(&output, Timestamp::now()).finding else {
            panic!();
        };
        assert_eq!(troubles[0].facts[&Fact::Detail], Value::heard("HTTP 503"));
    }
}
