//! What an edge says of its terminals: as they were last seen, and what can be claimed.
//!
//! Made from memory, where claims stand only after the COMMIT of the rows they speak of. A terminal
//! of which something waits in the journal makes no claim: its chain has heard of rows that are
//! not in the feed.

use std::collections::BTreeSet;

use event::{Millis, Text, Vendor};
use store::feed::FeedRow;

use crate::clock;
use crate::config::Output;
use crate::devices::{Facts, Known};
use crate::edge::wire::{Said, Statement, Terminal};
use crate::hikvision::CHAIN;
use crate::hub::Hub;

/// Of every approved terminal of that output's tenant, canaries left out.
pub(super) fn all(hub: &Hub, output: &Output) -> Vec<Statement> {
    let wanted = |known: &Known| {
        let enrolment = &known.enrolment;
        let is_terminal = !enrolment.canary && enrolment.vendor != Vendor::Satellite;
        is_terminal && known.may_post() && enrolment.tenant == output.tenant
    };
    let now = clock::now();
    let known = hub.devices.all(wanted);
    known
        .iter()
        .map(|known| statement(hub, known, now))
        .collect()
}

/// Takes back the claims about those terminals, and names the ones that were not named.
pub(super) fn without_claims(all: &mut Vec<Statement>, dead: &BTreeSet<Terminal>) {
    for one in all.iter_mut().filter(|one| dead.contains(&one.terminal)) {
        one.claim = None;
    }
    let named: BTreeSet<_> = all.iter().map(|one| one.terminal.clone()).collect();
    let unnamed = dead.iter().filter(|terminal| !named.contains(terminal));
    all.extend(unnamed.cloned().map(bare));
}

/// The language in which a push terminal's record has to be read, where it may matter.
pub(super) fn language(hub: &Hub, row: &FeedRow) -> Option<u16> {
    if row.vendor != Vendor::Zkteco.as_str() || row.kind == "punch" {
        return None;
    }
    let of = Terminal::of(&row.vendor, &row.serial)?;
    let known = hub.devices.find(of.vendor, &of.serial)?;
    known.facts().language
}

fn bare(terminal: Terminal) -> Statement {
    Statement {
        terminal,
        last_contact_at: None,
        last_event_at: None,
        clock_skew_seconds: None,
        log_used: None,
        log_capacity: None,
        users_used: None,
        users_capacity: None,
        model: None,
        firmware: None,
        conditions: Vec::new(),
        claim: None,
    }
}

fn statement(hub: &Hub, known: &Known, now: Millis) -> Statement {
    // The claim first: what is seen of the terminal later can only make it weaker.
    let waits = hub.journal.holds(known.enrolment.id);
    let claim = (!waits).then(|| claim(known));
    let facts = known.facts().clone();
    let text = |text: &Option<Text>| text.as_ref().map(ToString::to_string);
    let conditions = known.conditions().now().into_iter();
    let conditions =
        conditions.map(|(one, noted)| (one.as_str().to_owned(), noted.detail.as_str().to_owned()));
    Statement {
        last_contact_at: facts.last_contact.map(|at| at.0),
        last_event_at: facts.last_event.map(|at| at.0),
        clock_skew_seconds: facts.skew.seconds(now).map(|(ahead, _)| ahead),
        log_used: facts.log_used,
        log_capacity: facts.log_capacity,
        users_used: facts.users_used,
        users_capacity: facts.users_capacity,
        model: text(&facts.model),
        firmware: text(&facts.firmware),
        conditions: conditions.collect(),
        claim,
        ..bare(Terminal {
            vendor: known.enrolment.vendor,
            serial: known.enrolment.serial.clone(),
        })
    }
}

fn claim(known: &Known) -> Said {
    let (word, missing) = known.claim();
    let facts: Facts = known.facts().clone();
    let assured = facts.assured.as_ref();
    let complete_to = assured.and_then(|it| it.complete_to);
    Said {
        completeness: word.as_str().to_owned(),
        gap_events: missing,
        complete_to: complete_to
            .or_else(|| known.audit().complete_to())
            .map(|at| at.0),
        means: assured.map(|it| it.means.to_string()),
        device_count: assured.and_then(|it| it.device_count),
        stored_count: assured.and_then(|it| it.stored_count),
        chain: facts.kept(CHAIN).map(ToString::to_string),
    }
}
