//! What an edge hands over at `/edge/events`, and what it hears.
//!
//! The token in its header says which edge it is, and so whose terminals it may speak for: those of
//! its own tenant and no others. It is refused as every sender with a token is. Nothing is refused
//! for what a record says; a success is said only after the COMMIT of everything in the batch, with
//! nothing in the journal: an edge keeps what was not acknowledged.

mod settle;
mod told;

use std::sync::Arc;
use std::time::Instant;

use event::{Millis, Vendor};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode};
use store::registry::TokenHash;
use tracing::Instrument;

use super::body::{self, Fault, Kept};
use super::connection::{Answer, Visitor};
use super::hikvision::{No, admit};
use super::pace::Phase;
use super::sender::Sender;
use crate::clock;
use crate::detail::Says;
use crate::devices::Known;
use crate::edge::token_of;
use crate::hub::Hub;
use crate::origins;
use crate::trace::Step;
use crate::tries::Try;
use settle::{Done, Settle};

/// Most bytes read of a body that is not wanted, so that its sender can hear why.
const UNWANTED: u64 = 64 * 1024;

/// Longest batch that is read, in bytes, where `limits.body` allows as much. An edge's are far shorter,
/// and what JSON holds takes several times its length in memory.
const BATCH: usize = 4 << 20;

/// Answers a batch of an edge.
pub(super) async fn answer(visitor: Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&visitor, &parts.headers);
    let hub = Arc::clone(&visitor.hub);
    let mut case = Case {
        method: parts.method,
        headers: parts.headers,
        body,
        sender,
        visitor,
        at: clock::now(),
        began: Instant::now(),
    };
    let done = match case.sender.is_too_many() {
        Some(_) => Err((None, No::Overloaded)),
        None => case.known(&hub).await,
    };
    let whole = body::discard(&mut case.body, UNWANTED, &case.visitor.pace).await;
    match done {
        Ok(Done::Holds(answer)) => Answer::json(StatusCode::OK, &answer, !whole),
        Ok(Done::Lacks(answer)) => Answer::json(StatusCode::CONFLICT, &answer, !whole),
        Err((known, no)) => {
            let serial = known.as_ref().map(|known| &known.enrolment.serial);
            let address = case.sender.address;
            hub.refusals.note(no.as_str(), serial, address, "", case.at);
            Answer::plain(no.status(), !whole)
        }
    }
}

/// A batch being answered.
struct Case {
    visitor: Arc<Visitor>,
    method: Method,
    headers: HeaderMap,
    body: Incoming,
    sender: Sender,
    at: Millis,
    began: Instant,
}

impl Case {
    /// Which edge hands over, and may it?
    async fn known(&mut self, hub: &Arc<Hub>) -> Result<Done, (Option<Arc<Known>>, No)> {
        let (address, at) = (self.sender.address, self.at);
        let value = self.headers.get(AUTHORIZATION);
        let token = token_of(value.and_then(|value| value.to_str().ok())).to_owned();
        match hub.devices.by_token(&TokenHash::of(&token)) {
            Some(known) if known.enrolment.vendor == Vendor::Satellite && known.may_post() => {
                hub.trace.reached(&known.enrolment.serial, address, at);
                let done = self.enrolled(hub, &known).await;
                done.map_err(|no| (Some(known), no))
            }
            _ if !hub.devices.is_loaded() => Err((None, No::StoreUnavailable)),
            _ => {
                hub.refusals.tried(Try::Token, &token, address, at);
                Err((None, No::UnknownToken))
            }
        }
    }

    async fn enrolled(&mut self, hub: &Arc<Hub>, known: &Arc<Known>) -> Result<Done, No> {
        if self.method != Method::POST {
            return Err(No::Method);
        }
        admit(hub, known, self.sender.address, self.at)?;
        let (serial, at) = (&known.enrolment.serial, self.at);
        let step = |step, ok, says: Says| hub.trace.step(serial, step, ok, at, says);
        step(Step::Identified, true, Says::NamedByToken);
        step(Step::Approved, true, Says::Enrolled);
        let kept = self.read(hub).await.inspect_err(|no| {
            step(Step::Parsed, false, no.says());
        })?;
        let phase = tokio::time::Instant::now();
        self.visitor.pace.enter(Phase::Answer, phase);
        origins::note(hub, known, self.sender.address);
        let (address, transport) = (self.sender.address, self.sender.transport);
        known.facts().heard(address, transport, at);
        let Some(store) = hub.stores.load().of(&known.enrolment.tenant).cloned() else {
            return Err(No::StoreUnavailable);
        };
        let settle = Settle {
            hub: Arc::clone(hub),
            edge: Arc::clone(known),
            store,
            body: kept.bytes,
            room: Some(kept.room),
            address,
            at,
            began: self.began,
        };
        let settled = hub.drain.spawn(settle.run().in_current_span()).await;
        settled.unwrap_or_else(|_| {
            hub.metrics.panics.inc();
            Err(No::Internal)
        })
    }

    /// Reads the body to its end; one whose length is in doubt is refused, because its sender would
    /// forget what we did not read.
    async fn read(&mut self, hub: &Hub) -> Result<Kept, No> {
        let has = |name| self.headers.contains_key(name);
        let announced = has(CONTENT_LENGTH) || has(TRANSFER_ENCODING);
        if !announced || self.visitor.framing.is_announced_twice() {
            return Err(No::Broken);
        }
        let limit = hub.config.load().limits.body.min(BATCH);
        let read = body::read(&mut self.body, limit, &hub.crowd, &self.visitor.pace).await;
        read.map_err(|fault| match fault {
            Fault::Broken => No::Broken,
            Fault::Overloaded => No::Overloaded,
            Fault::TooLarge => No::TooLarge,
        })
    }
}
