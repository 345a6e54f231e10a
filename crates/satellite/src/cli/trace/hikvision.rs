//! What to do when the events of a dialled or posting device do not come, by the way in which
//! they should.
//!
//! A condition that the running satellite names knows more than the step that is not green, so
//! it speaks first. Trouble of the store and a blocked enrolment are the same for every vendor
//! and are left to the caller.

use event::Vendor;
use store::registry::Enrolment;

use super::super::devices::hikvision::{Condition, reached};
use super::super::words::Word;
use super::super::{Context, conditions, program};

/// Conditions that keep every event from coming, the most telling first.
const BLOCKING: [&str; 9] = [
    "secret_missing",
    "login_refused",
    "comm_key_refused",
    "secure_pull",
    "access_panel",
    "wrong_device",
    "no_session",
    "unreachable",
    "log_unreadable",
];

/// The same for another make that posts.
fn of_other(
    step: &str,
    failed: bool,
    enrolment: &Enrolment,
    held: &[Condition],
    context: &Context,
) -> Option<String> {
    let (serial, program) = (&enrolment.serial, program());
    let unfit = held.iter().find(|held| held.name == "mapping_unfit");
    match step {
        "parsed" if unfit.is_some() => {
            let told = conditions::told(context.lang, "mapping_unfit", enrolment, &program);
            told.map(|(means, advice)| format!("{means}\n{advice}"))
        }
        "reached" | "identified" | "approved" => {
            Some(context.say(Word::AdviseIngest, &[&program, serial, &program]))
        }
        "parsed" if !failed => Some(context.say(Word::AdviseIngest, &[&program, serial, &program])),
        _ => None,
    }
}

/// Advice for the first step that is not green; `None` where no vendor's words are needed.
pub(super) fn advice(
    step: &str,
    failed: bool,
    enrolment: &Enrolment,
    held: &[Condition],
    context: &Context,
) -> Option<String> {
    let is_dialled = enrolment.access.address.is_some();
    if enrolment.vendor == Vendor::Other {
        return of_other(step, failed, enrolment, held, context);
    }
    if (enrolment.vendor != Vendor::Hikvision && !is_dialled) || (step == "stored" && failed) {
        return None;
    }
    let (serial, program) = (&enrolment.serial, program());
    let blocking = BLOCKING
        .iter()
        .find(|name| held.iter().any(|condition| condition.name == **name));
    if let Some(name) = blocking {
        let told = conditions::told(context.lang, name, enrolment, &program);
        return told.map(|(means, advice)| format!("{means}\n{advice}"));
    }
    let tenant = &enrolment.tenant;
    let address = enrolment.access.address.as_deref().unwrap_or_default();
    let address = daemon::logging::Escaped(address);
    if enrolment.vendor == Vendor::Zkteco {
        return match step {
            "reached" | "identified" | "approved" => {
                Some(context.say(Word::AdvisePull, &[&address, &program, serial]))
            }
            "parsed" if !failed => Some(context.say(Word::AdviseNoPunches, &[&program, serial])),
            _ => None,
        };
    }
    match (step, reached(enrolment)) {
        ("reached" | "identified" | "approved", None) => {
            Some(context.say(Word::AdviseNoWay, &[&program, tenant, serial]))
        }
        ("reached" | "approved", Some("dialled")) => {
            Some(context.say(Word::AdviseDial, &[&address, &program, serial]))
        }
        ("reached", _) => Some(context.say(Word::AdvisePost, &[&program, tenant, serial])),
        ("identified", _) => Some(context.say(Word::AdviseOther, &[])),
        ("parsed", _) if !failed => Some(context.say(Word::AdviseNoEvents, &[&program, serial])),
        _ => None,
    }
}
