//! How a push terminal is greeted: in the dialect that it speaks.
//!
//! The dialect is remembered by what each request shows, and every later request may correct it,
//! because it is changed in a menu. A terminal that hears the wrong greeting only greets again: so
//! one that goes on doing so is greeted in the other dialect. Nothing is written to a database
//! here, and nothing of what a terminal says decides whether it may bring records.

use event::{Millis, Serial};
use zkteco_push::{AccessBlock, Ask, Dialect, Hello, OptionBlock, Reply};

use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::devices::{Facts, Greetings, Known};
use crate::hub::Hub;
use crate::trace::Step;

/// So many handshakes in a row that lead to nothing are answered in the other dialect.
const PATIENCE: u32 = 2;
/// So many registrations in a row mean that the terminal does not take its code.
const LOOPS: u32 = 3;

/// Notes the dialect that a request shows, and what kind of contact it is.
pub(super) fn note(hub: &Hub, known: &Known, ask: &Ask, at: Millis) {
    let mut facts = known.facts();
    match ask {
        Ask::Handshake(_) => facts.greetings.handshakes += 1,
        Ask::Registry => {
            facts.greetings.handshakes = 0;
            facts.greetings.registrations += 1;
        }
        // A terminal in its loop may ping.
        Ask::Ping => {}
        _ => facts.greetings = Greetings::default(),
    }
    let shown = Dialect::shown_by(ask);
    let was = facts.dialect;
    let changed = shown.is_some_and(|dialect| facts.keep_dialect(dialect));
    let loops = facts.greetings.registrations >= LOOPS;
    drop(facts);
    if let (true, Some(before), Some(now)) = (changed, was, shown) {
        let serial = &known.enrolment.serial;
        tracing::info!(%serial, %before, %now, "a terminal changed its dialect");
    }
    settle_conditions(known, ask);
    if loops {
        let detail = Says::RegistersAgain;
        hub.trace
            .step(&known.enrolment.serial, Step::Parsed, false, at, detail);
        conditions::raise(hub, known, Condition::RegistryLoop, detail);
    }
}

/// Ends the conditions that a request shows to be over.
fn settle_conditions(known: &Known, ask: &Ask) {
    match ask {
        // It has started again, perhaps with other settings.
        Ask::Handshake(_) => conditions::clear(known, Condition::RemoteVerification),
        Ask::Configuration | Ask::Poll(_) => conditions::clear(known, Condition::RegistryLoop),
        Ask::Upload(_) => {
            conditions::clear(known, Condition::RegistryLoop);
            conditions::clear(known, Condition::EncryptionWanted);
        }
        _ => {}
    }
}

/// The answer to the handshake of an enrolled terminal. `offset` is the zone that it may be told,
/// in seconds east of UTC.
pub(super) fn handshake(known: &Known, hello: &Hello, offset: Option<i32>) -> Reply {
    let serial = &known.enrolment.serial;
    let (as_access, registered, stamps) = {
        let mut facts = known.facts();
        if let Some(language) = hello.language {
            facts.keep_language(language);
        }
        let shown = Dialect::shown_by(&Ask::Handshake(hello.clone()));
        let registered = facts.dialect_stored == Some(Dialect::Access);
        (
            is_greeted_as_access(shown, &facts),
            registered,
            facts.stamps.clone(),
        )
    };
    if as_access {
        return Reply::greeting(&AccessBlock::new(serial), registered);
    }
    let mut block = OptionBlock::new(serial, hello.push_version.as_deref());
    block.stamps = &stamps;
    block.time_zone = offset;
    Reply::options(&block)
}

fn is_greeted_as_access(shown: Option<Dialect>, facts: &Facts) -> bool {
    match shown {
        Some(dialect) => dialect == Dialect::Access,
        None => {
            let in_vain = facts.greetings.handshakes > PATIENCE;
            facts.dialect == Some(Dialect::Access) && !in_vain
        }
    }
}

/// The answer to the handshake of one that waits for approval: neither our time nor a zone.
pub(super) fn handshake_of_pending(serial: &Serial, ask: &Ask, hello: &Hello) -> Reply {
    if Dialect::shown_by(ask) == Some(Dialect::Access) {
        return Reply::greeting(&AccessBlock::new(serial), false);
    }
    Reply::options(&OptionBlock::new(serial, hello.push_version.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(dialect: Option<Dialect>, handshakes: u32) -> Facts {
        let mut facts = Facts::default();
        facts.dialect = dialect;
        facts.greetings.handshakes = handshakes;
        facts
    }

    #[test]
    fn a_terminal_is_greeted_in_the_dialect_that_it_shows_else_in_the_one_remembered() {
        let access = Some(Dialect::Access);
        let attendance = Some(Dialect::Attendance);
        assert!(is_greeted_as_access(access, &facts(attendance, 1)));
        assert!(!is_greeted_as_access(attendance, &facts(access, 1)));
        assert!(is_greeted_as_access(None, &facts(access, 1)));
        assert!(!is_greeted_as_access(None, &facts(attendance, 1)));
        assert!(!is_greeted_as_access(None, &facts(None, 9)));
    }

    #[test]
    fn one_that_was_switched_over_and_does_not_say_so_is_greeted_in_the_other_dialect() {
        let access = Some(Dialect::Access);
        assert!(is_greeted_as_access(None, &facts(access, PATIENCE)));
        assert!(!is_greeted_as_access(None, &facts(access, PATIENCE + 1)));
        assert!(is_greeted_as_access(access, &facts(access, 99)));
    }
}
