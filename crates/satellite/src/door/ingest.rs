//! What other makes post to `/ingest/TOKEN`, read by a mapping file, and what they hear.
//!
//! The token says who sends, as with posts of Hikvision devices, and is refused in the same way.
//! A sender may speak for terminals that its records name: those that are approved for its tenant
//! get their records, those of others wait in quarantine, because a refusal would hold up the
//! records of all. Nothing is refused for what it says; success is said only after the COMMIT, or,
//! while the database is down, after the journal is on disk.

use std::sync::Arc;
use std::time::Instant;

use event::Millis;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode};
use store::registry::TokenHash;
use tracing::Instrument;

use super::body::{self, Fault, Kept};
use super::connection::{Answer, Visitor};
use super::hikvision::{No, admit};
use super::pace::Phase;
use super::sender::Sender;
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::devices::Known;
use crate::hub::Hub;
use crate::makes::{Came, Done, Settle};
use crate::origins;
use crate::trace::Step;
use crate::tries::Try;
use event::Vendor;

/// Most bytes read of a body that is not wanted, so that its sender can hear why.
const UNWANTED: u64 = 64 * 1024;

/// Answers a post to `/ingest/<token>`.
pub(super) async fn answer(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
    token: &str,
) -> Answer {
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
        None => case.known(&hub, token).await,
    };
    let whole = body::discard(&mut case.body, UNWANTED, &case.visitor.pace).await;
    match done {
        Ok(done) => Answer::json(StatusCode::OK, &done.told(), !whole),
        Err((known, no)) => {
            let serial = known.as_ref().map(|known| &known.enrolment.serial);
            let address = case.sender.address;
            hub.refusals.note(no.as_str(), serial, address, "", case.at);
            Answer::plain(no.status(), !whole)
        }
    }
}

/// A post being answered.
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
    /// Who posts, and may it?
    async fn known(
        &mut self,
        hub: &Arc<Hub>,
        token: &str,
    ) -> Result<Done, (Option<Arc<Known>>, No)> {
        let (address, at) = (self.sender.address, self.at);
        match hub.devices.by_token(&TokenHash::of(token)) {
            Some(known) if known.enrolment.vendor == Vendor::Other && known.may_post() => {
                hub.trace.reached(&known.enrolment.serial, address, at);
                let done = self.enrolled(hub, &known).await;
                done.map_err(|no| (Some(known), no))
            }
            _ if !hub.devices.is_loaded() => Err((None, No::StoreUnavailable)),
            _ => {
                hub.refusals.tried(Try::Token, token, address, at);
                Err((None, No::UnknownToken))
            }
        }
    }

    async fn enrolled(&mut self, hub: &Arc<Hub>, known: &Arc<Known>) -> Result<Done, No> {
        if self.method != Method::POST && self.method != Method::PUT {
            return Err(No::Method);
        }
        let at = self.at;
        admit(hub, known, self.sender.address, at)?;
        let serial = &known.enrolment.serial;
        let step = |step, ok, says: Says| hub.trace.step(serial, step, ok, at, says);
        step(Step::Identified, true, Says::NamedByToken);
        step(Step::Approved, true, Says::Enrolled);
        let kept = self.read(hub, known).await.inspect_err(|no| {
            step(Step::Parsed, false, no.says());
        })?;
        let phase = tokio::time::Instant::now();
        self.visitor.pace.enter(Phase::Answer, phase);
        origins::note(hub, known, self.sender.address);
        let Some(store) = hub.stores.load().of(&known.enrolment.tenant).cloned() else {
            return Err(No::StoreUnavailable);
        };
        let settle = Settle {
            hub: Arc::clone(hub),
            known: Arc::clone(known),
            store,
            body: kept.bytes,
            came: Came::Post(self.sender.address, self.sender.transport),
            room: Some(kept.room),
            at,
            began: self.began,
        };
        let settled = hub.drain.spawn(settle.run().in_current_span()).await;
        settled.unwrap_or_else(|_| {
            hub.metrics.panics.inc();
            Err(No::Internal)
        })
    }

    /// Reads the body to its end; one whose length is in doubt is refused, because its sender
    /// would forget what we did not read.
    async fn read(&mut self, hub: &Hub, known: &Known) -> Result<Kept, No> {
        let has = |name| self.headers.contains_key(name);
        let announced = has(CONTENT_LENGTH) || has(TRANSFER_ENCODING);
        if !announced || self.visitor.framing.is_announced_twice() {
            return Err(No::Broken);
        }
        let limit = hub.config.load().limits.body;
        let read = body::read(&mut self.body, limit, &hub.crowd, &self.visitor.pace).await;
        conditions::expire(known);
        read.map_err(|fault| match fault {
            Fault::Broken => No::Broken,
            Fault::Overloaded => No::Overloaded,
            Fault::TooLarge => {
                let detail = Says::UploadTooLarge.with(&[&other_makes::SOURCE]);
                conditions::raise(hub, known, Condition::PostTooLarge, detail);
                No::TooLarge
            }
        })
    }
}
