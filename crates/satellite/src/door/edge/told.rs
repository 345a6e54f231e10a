//! What an edge says of a terminal, taken over: when it was heard, how it does, what can be claimed.
//!
//! It comes after everything it speaks of is committed here, and changes nothing about what is stored
//! but the chain of a Hikvision device's serials, which has to be the edge's when that device also
//! posts to us: else its posts would show gaps that the edge has filled, or count as of another
//! epoch. Times of the future become now; texts are cut.

use std::net::IpAddr;
use std::sync::Arc;

use event::{Millis, Serial, Text, Vendor};
use hikvision_isapi::Chain;
use store::assurance::Assured;

use super::super::Transport;
use crate::conditions::{self, Condition};
use crate::detail::Detail;
use crate::devices::{Facts, Known};
use crate::edge::claim::{Carried, claim};
use crate::edge::wire::{Said, Statement};
use crate::hikvision::Intake;
use crate::hub::Hub;
use crate::stores::Store;

/// Longest model, firmware or sentence, in characters.
const TEXT: usize = 190;
/// Longest text of a chain, in bytes.
const CHAIN: usize = 1_000;

/// Who says it.
pub(super) struct Teller<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) edge: &'a Serial,
    pub(super) store: &'a Store,
    pub(super) address: IpAddr,
    pub(super) at: Millis,
}

impl Teller<'_> {
    /// Takes over what it says of that terminal.
    pub(super) async fn says(&self, known: &Arc<Known>, statement: Statement) {
        self.facts(&mut known.facts(), &statement);
        let conditions = self.conditions(known, &statement);
        let chain = statement
            .claim
            .as_ref()
            .and_then(|said| said.chain.as_deref());
        let is_ours = known.enrolment.vendor == Vendor::Hikvision && !known.is_dialled();
        let has_chain = is_ours && self.chain(known, chain).await;
        known.edge().says(Carried {
            by: self.edge.clone(),
            at: self.at,
            claim: statement.claim.as_ref().and_then(claim),
            has_chain,
            conditions,
        });
    }

    fn facts(&self, facts: &mut Facts, statement: &Statement) {
        let past = |at: Option<i64>| at.map(|at| Millis(at.clamp(0, self.at.0)));
        let contact = past(statement.last_contact_at);
        if contact > facts.last_contact
            && let Some(contact) = contact
        {
            facts.heard(self.address, Transport::Edge, contact);
        }
        facts.last_event = facts.last_event.max(past(statement.last_event_at));
        if let Some(ahead) = statement.clock_skew_seconds {
            facts.skew.read(ahead, self.at);
        }
        let count = |told: Option<i64>| told.filter(|n| (0..1_000_000_000).contains(n));
        facts.log_used = count(statement.log_used).or(facts.log_used);
        facts.log_capacity = count(statement.log_capacity).or(facts.log_capacity);
        facts.users_used = count(statement.users_used).or(facts.users_used);
        facts.users_capacity = count(statement.users_capacity).or(facts.users_capacity);
        let text = |told: &Option<String>| told.as_deref().map(|told| Text::from(cut(told)));
        facts.model = text(&statement.model).or_else(|| facts.model.take());
        facts.firmware = text(&statement.firmware).or_else(|| facts.firmware.take());
        let assured = statement.claim.as_ref().and_then(|said| self.assured(said));
        let later = |assured: &Assured| {
            let known = facts.assured.as_ref().and_then(|known| known.complete_to);
            assured.complete_to > known
        };
        if let Some(assured) = assured.filter(later) {
            facts.assured = Some(assured);
        }
    }

    fn assured(&self, said: &Said) -> Option<Assured> {
        let complete_to = Millis(said.complete_to?.clamp(0, self.at.0));
        let means = said.means.as_deref().unwrap_or("read");
        let means = ["serials", "counter", "read"]
            .into_iter()
            .find(|known| *known == means);
        Some(Assured {
            complete_to: Some(complete_to),
            checked_at: self.at,
            means: Text::const_new(means.unwrap_or("read")),
            device_count: said.device_count,
            stored_count: said.stored_count,
        })
    }

    /// Raises what holds at the edge and clears what held there; what holds here of its own stays.
    fn conditions(&self, known: &Known, statement: &Statement) -> Vec<Condition> {
        let before = known.edge().carried().map(|carried| carried.conditions);
        let before = before.unwrap_or_default();
        let told = statement.conditions.iter().filter_map(|(name, detail)| {
            let condition = Condition::from_word(name)?;
            let is_own =
                !before.contains(&condition) && known.conditions().since(condition).is_some();
            (!is_own).then(|| (condition, Detail::carried(&cut(detail))))
        });
        let told: Vec<_> = told.collect();
        for condition in &before {
            if told.iter().all(|(still, _)| still != condition) {
                conditions::clear(known, *condition);
            }
        }
        let mut raised = Vec::with_capacity(told.len());
        for (condition, detail) in told {
            let news = conditions::detail_of(known, condition).as_ref() != Some(&detail);
            if news {
                conditions::raise(self.hub, known, condition, detail);
            }
            raised.push(condition);
        }
        raised
    }

    /// Takes over the chain of a device's serials; whether it stands here now.
    async fn chain(&self, known: &Arc<Known>, text: Option<&str>) -> bool {
        let chain = text
            .filter(|text| text.len() <= CHAIN)
            .and_then(Chain::parse);
        let Some(chain) = chain else { return false };
        let intake = Intake {
            hub: Arc::clone(self.hub),
            known: Arc::clone(known),
            store: self.store.clone(),
            fence: None,
        };
        let done = intake.carried(&chain).await;
        if let Err(refused) = &done {
            let serial = &known.enrolment.serial;
            tracing::debug!(%serial, %refused, "an edge's chain of serials is taken over with its next word");
        }
        done.is_ok()
    }
}

fn cut(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(TEXT)
        .collect()
}
