//! A post whose sender a token names, whatever is posted: who it is, whether it may, how its body is
//! read, and what it hears when it is refused.
//!
//! A wrong token, an unknown one and one of a blocked device get the same answer at the same time.
//! What must never happen here: to look for a token by comparing it, to let one vendor's token open
//! another's door, or to answer before it is settled what became of the post.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use event::{Millis, Vendor};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use hyper::{Method, Request, StatusCode};
use store::Refused;
use store::registry::TokenHash;
use tracing::Instrument;

use super::body::{self, Fault, Kept};
use super::connection::{Answer, Visitor};
use super::pace::Phase;
use super::sender::Sender;
use crate::clock;
use crate::detail::Says;
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;
use crate::trace::Step;
use crate::tries::Try;

/// Most bytes read of a body that is not wanted, so that its sender can hear why.
const UNWANTED: u64 = 64 * 1024;

/// Why a post is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// No device of this token may post.
    UnknownToken,
    /// The post names another device than the enrolled one.
    WrongDevice,
    /// From where its tenant expects none of its devices.
    WrongNetwork,
    /// Neither POST nor PUT.
    Method,
    /// The body ended early, or was no proper body.
    Broken,
    /// Longer than any post may be.
    TooLarge,
    /// Too much is in memory, or waits for the store.
    Overloaded,
    /// Neither the store nor the journal can take it now.
    StoreUnavailable,
    /// A fault of this program.
    Internal,
}

/// What [`No::as_str`] says beyond the reasons that other doors have too.
pub(crate) const REASONS: [&str; 3] = ["unknown_token", "wrong_device", "wrong_network"];

impl No {
    /// The reason in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown_token",
            Self::WrongDevice => "wrong_device",
            Self::WrongNetwork => "wrong_network",
            Self::Method => "method",
            Self::Broken => "bad_request",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::Internal => "internal",
        }
    }

    /// The same for people.
    pub(crate) fn says(self) -> Says {
        match self {
            Self::UnknownToken | Self::WrongDevice | Self::WrongNetwork => Says::OtherPosts,
            Self::Method => Says::PostMethod,
            Self::Broken => Says::PostBroken,
            Self::TooLarge => Says::PostOverLimit,
            Self::Overloaded => Says::TooBusy,
            Self::StoreUnavailable => Says::StoreAway,
            Self::Internal => Says::OurFault,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            // One answer for all of them, so that nothing can be learned by trying.
            Self::UnknownToken | Self::WrongDevice | Self::WrongNetwork | Self::Method => {
                StatusCode::NOT_FOUND
            }
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded | Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A post being answered.
pub(super) struct TokenPost {
    pub(super) visitor: Arc<Visitor>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    pub(super) sender: Sender,
    /// When it came.
    pub(super) at: Millis,
    /// The same, to measure how long it took.
    pub(super) began: Instant,
    /// Whose token it is, once that is known.
    holder: Option<Arc<Known>>,
}

impl TokenPost {
    /// A request that has just come.
    pub(super) fn of(visitor: Arc<Visitor>, request: Request<Incoming>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            sender: Sender::of(&visitor, &parts.headers),
            method: parts.method,
            headers: parts.headers,
            body,
            visitor,
            at: clock::now(),
            began: Instant::now(),
            holder: None,
        }
    }

    /// The daemon that was asked.
    pub(super) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.visitor.hub)
    }

    /// Who posts: the device of this vendor whose token it is, if it may post at all, from there
    /// and by one of these methods.
    pub(super) fn holder(
        &mut self,
        token: &str,
        vendor: Vendor,
        methods: &[Method],
    ) -> Result<Arc<Known>, No> {
        let hub = self.hub();
        let (address, at) = (self.sender.address, self.at);
        if self.sender.is_too_many().is_some() {
            return Err(No::Overloaded);
        }
        // The hash is looked up, never the token: how long that takes says nothing about it.
        let known = match hub.devices.by_token(&TokenHash::of(token)) {
            Some(known) if known.enrolment.vendor == vendor && known.may_post() => known,
            _ if !hub.devices.is_loaded() => return Err(No::StoreUnavailable),
            _ => {
                hub.refusals.tried(Try::Token, token, address, at);
                return Err(No::UnknownToken);
            }
        };
        hub.trace.reached(&known.enrolment.serial, address, at);
        self.holder = Some(Arc::clone(&known));
        if !methods.contains(&self.method) {
            return Err(No::Method);
        }
        admit(&hub, &known, address, at)?;
        Ok(known)
    }

    /// Writes down a step of the way of this post.
    pub(super) fn step(&self, known: &Known, step: Step, ok: bool, says: Says) {
        let serial = &known.enrolment.serial;
        self.visitor.hub.trace.step(serial, step, ok, self.at, says);
    }

    /// Reads the body to its end, if it is no longer than this; one whose length is in doubt is
    /// refused, because its sender would forget what we did not read.
    pub(super) async fn read(&mut self, limit: usize) -> Result<Kept, No> {
        let has = |name| self.headers.contains_key(name);
        let announced = has(CONTENT_LENGTH) || has(TRANSFER_ENCODING);
        if !announced || self.visitor.framing.is_announced_twice() {
            return Err(No::Broken);
        }
        let (crowd, pace) = (&self.visitor.hub.crowd, &self.visitor.pace);
        let read = body::read(&mut self.body, limit, crowd, pace).await;
        read.map_err(|fault| match fault {
            Fault::Broken => No::Broken,
            Fault::Overloaded => No::Overloaded,
            Fault::TooLarge => No::TooLarge,
        })
    }

    /// The body is here: from now on the time is ours.
    pub(super) fn came(&self) {
        let now = tokio::time::Instant::now();
        self.visitor.pace.enter(Phase::Answer, now);
    }

    /// The store of its records.
    pub(super) fn store(&self, known: &Known) -> Result<Store, No> {
        let stores = self.visitor.hub.stores.load();
        let store = stores.of(&known.enrolment.tenant).cloned();
        store.ok_or(No::StoreUnavailable)
    }

    /// Settles it in a task of its own, so that a sender that hangs up changes nothing about what
    /// is stored and counted.
    pub(super) async fn settled<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, No>> + Send + 'static,
    ) -> Result<T, No> {
        let hub = &self.visitor.hub;
        let settled = hub.drain.spawn(work.in_current_span()).await;
        settled.unwrap_or_else(|_| {
            hub.metrics.panics.inc();
            Err(No::Internal)
        })
    }

    /// Passes over what is left of the body; true when the connection must end, because that is
    /// too much.
    pub(super) async fn is_last(&mut self) -> bool {
        !body::discard(&mut self.body, UNWANTED, &self.visitor.pace).await
    }

    /// The answer to a post that is not taken.
    pub(super) async fn refused(mut self, no: No) -> Answer {
        let last = self.is_last().await;
        let serial = self.holder.as_ref().map(|known| &known.enrolment.serial);
        let refusals = &self.visitor.hub.refusals;
        refusals.note(no.as_str(), serial, self.sender.address, "", self.at);
        Answer::plain(no.status(), last)
    }
}

/// Lets whoever posts in, unless it comes from where it may not, or too fast.
fn admit(hub: &Hub, known: &Known, address: IpAddr, at: Millis) -> Result<(), No> {
    let serial = &known.enrolment.serial;
    if known.is_elsewhere(address) {
        let detail = Says::FromElsewhere.with(&[&address]);
        hub.trace.step(serial, Step::Approved, false, at, detail);
        return Err(No::WrongNetwork);
    }
    let rate = hub.config.load().limits.requests_per_serial;
    if known.facts().pace.take(rate, at) {
        return Ok(());
    }
    let refusals = &hub.refusals;
    refusals.note("requests_per_serial", Some(serial), address, "", at);
    Err(No::Overloaded)
}

/// What a post hears that the store refuses.
pub(crate) fn not_taken(refused: Refused) -> No {
    match refused {
        Refused::Overloaded => No::Overloaded,
        Refused::Unavailable(_) | Refused::Closing | Refused::Moved => No::StoreUnavailable,
        Refused::Fenced => No::Internal,
    }
}
