//! Whether records come in from the brokers on which satellite should listen.
//!
//! satellite's `/status` says how each of its inputs does. It tries a broker again by itself, so a
//! trouble here is told only after a while (`timing.rs`); so is an input whose sender nobody enrolled,
//! which is somebody's doing, stands for itself and may wait for the morning.
//! What a database stops is told as that. Nothing that waits here is missing: the broker keeps it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::said;
use super::satellite::page::StatusPage;
use super::satellite::status::Input;
use super::store::moment;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Severity, Subject, Trouble, Value};

/// From round to round.
const EVERY: Duration = Duration::from_secs(20);

/// The look at all inputs.
pub struct InputsLook {
    page: Arc<StatusPage>,
}

impl InputsLook {
    /// A look at what satellite says.
    pub fn new(page: Arc<StatusPage>) -> Self {
        Self { page }
    }
}

/// What is wrong with one. `None` while it starts, or while another satellite on the same database
/// listens in its place, which looks the same: that neither opens nor ends anything.
fn judged(input: &Input, now: Timestamp) -> Option<Observation> {
    let subject = Subject::input(&input.tenant, &input.name);
    if input.state == "starting" {
        return None;
    }
    let troubles = standing(input).into_iter().collect();
    Some(Observation::wrong(subject, now, troubles))
}

fn standing(input: &Input) -> Option<Trouble> {
    let mut trouble = Trouble::new(Kind::InputStanding);
    match input.state.as_str() {
        "failing" | "standing" => {
            trouble = trouble.fact(Fact::Place, Value::heard(&input.place));
            if let Some(since) = input.failing_since.as_deref().and_then(moment) {
                trouble = trouble.fact(Fact::Since, since);
            }
            if let Some(en) = &input.trouble {
                let said = Value::in_both(input.trouble_es.as_deref(), en);
                trouble = trouble.fact(Fact::Detail, said);
            }
            Some(trouble)
        }
        "unenrolled" => {
            let sender = Phrase::SenderNotEnrolled.with([Value::heard(&input.sender)]);
            let trouble = trouble.severity(Severity::Warning);
            Some(trouble.fact(Fact::Detail, sender))
        }
        _ => None,
    }
}

#[async_trait]
impl Look for InputsLook {
    fn name(&self) -> &str {
        "inputs"
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
                let mut seen: Vec<_> = status
                    .inputs
                    .iter()
                    .filter_map(|it| judged(it, now))
                    .collect();
                let all_said = seen.len() == status.inputs.len();
                seen.push(Observation::fine(Subject::Satellite, now));
                if all_said {
                    Round::whole(seen)
                } else {
                    Round::part(seen)
                }
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

    fn input(state: &str) -> Input {
        Input {
            name: "gateway".to_owned(),
            tenant: "acme".to_owned(),
            place: "broker:8883".to_owned(),
            sender: "GATEWAY-1".to_owned(),
            state: state.to_owned(),
            failing_since: Some("2026-11-21 09:00:00.000".to_owned()),
            trouble: Some("NotAuthorized".to_owned()),
            trouble_es: Some("sin autorización".to_owned()),
        }
    }

    fn facts(state: &str) -> Option<crate::observation::Facts> {
        match judged(&input(state), Timestamp::now())?.finding {
            Finding::Wrong { troubles } => {
                assert_eq!(troubles[0].kind, Kind::InputStanding);
                Some(troubles[0].facts.clone())
            }
            _ => None,
        }
    }

    #[test]
    fn an_input_without_its_broker_or_whose_sender_nobody_enrolled_is_told_and_no_other() {
        assert_eq!(facts("failing"), facts("standing"));
        let standing = facts("standing").unwrap();
        let since: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        assert_eq!(standing[&Fact::Since], Value::At(since));
        assert_eq!(standing[&Fact::Place], Value::heard("broker:8883"));
        let said = Value::in_both(Some("sin autorización"), "NotAuthorized");
        assert_eq!(standing[&Fact::Detail], said);
        let detail = &facts("unenrolled").unwrap()[&Fact::Detail];
        assert_eq!(
            of_value(Language::Spanish, &TimeZone::UTC, detail),
            "el emisor GATEWAY-1 no está dado de alta para este cliente, o está bloqueado"
        );
        for state in ["fine", "store", "a newer word"] {
            assert_eq!(facts(state), None, "{state}");
        }
    }

    #[test]
    fn an_input_on_which_another_satellite_may_listen_opens_and_ends_nothing() {
        assert_eq!(judged(&input("starting"), Timestamp::now()), None);
    }
}
