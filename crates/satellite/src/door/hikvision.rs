//! What a Hikvision device posts to its listening address, and what it hears.
//!
//! The token in the path says who it is; a wrong one, an unknown one and one of a blocked
//! device get the same answer at the same time. The device's own name in the post must be the
//! enrolled one. Success is said only after the COMMIT, or, for a device that cannot be asked
//! again while its database is down, after the journal is on disk. A device that waits for a
//! verdict (`remoteCheck`) never hears one from here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use event::{Millis, Text, Vendor};
use hikvision_isapi::{Heard, Identity, Post, PostReader};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use store::Refused;
use store::registry::TokenHash;
use tracing::Instrument;

use super::Transport;
use super::body;
use super::connection::{Answer, Visitor};
use super::crowd::{Room, SHORT};
use super::pace::{Pace, Phase};
use super::sender::Sender;
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hikvision::{Brought, Intake, Kept, NotKept};
use crate::hub::Hub;
use crate::origins;
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

    pub(super) fn status(self) -> StatusCode {
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
struct Case {
    visitor: Arc<Visitor>,
    method: Method,
    headers: HeaderMap,
    body: Incoming,
    address: IpAddr,
    transport: Transport,
}

/// Answers a post to `/hikvision/<token>`.
pub(super) async fn answer(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
    token: &str,
) -> Answer {
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&visitor, &parts.headers);
    let hub = Arc::clone(&visitor.hub);
    let mut case = Case {
        visitor,
        method: parts.method,
        headers: parts.headers,
        body,
        address: sender.address,
        transport: sender.transport,
    };
    let (at, began) = (clock::now(), Instant::now());
    let done = match sender.is_too_many() {
        Some(_) => Err((None, No::Overloaded)),
        None => case.known(&hub, token, at, began).await,
    };
    let whole = body::discard(&mut case.body, UNWANTED, &case.visitor.pace).await;
    let status = match done {
        Ok(()) => StatusCode::OK,
        Err((known, no)) => {
            let serial = known.as_ref().map(|known| &known.enrolment.serial);
            hub.refusals.note(no.as_str(), serial, case.address, "", at);
            no.status()
        }
    };
    Answer::plain(status, !whole)
}

impl Case {
    /// Who posts, and may it?
    async fn known(
        &mut self,
        hub: &Arc<Hub>,
        token: &str,
        at: Millis,
        began: Instant,
    ) -> Result<(), (Option<Arc<Known>>, No)> {
        // The hash is looked up, never the token: how long that takes says nothing about it.
        match hub.devices.by_token(&TokenHash::of(token)) {
            Some(known) if known.enrolment.vendor == Vendor::Hikvision && known.may_post() => {
                hub.trace.reached(&known.enrolment.serial, self.address, at);
                let done = self.enrolled(hub, &known, at, began).await;
                done.map_err(|no| (Some(known), no))
            }
            _ if !hub.devices.is_loaded() => Err((None, No::StoreUnavailable)),
            _ => {
                hub.refusals.tried(Try::Token, token, self.address, at);
                Err((None, No::UnknownToken))
            }
        }
    }

    async fn enrolled(
        &mut self,
        hub: &Arc<Hub>,
        known: &Arc<Known>,
        at: Millis,
        began: Instant,
    ) -> Result<(), No> {
        if self.method != Method::POST && self.method != Method::PUT {
            return Err(No::Method);
        }
        admit(hub, known, self.address, at)?;
        let serial = &known.enrolment.serial;
        let pace = Arc::clone(&self.visitor.pace);
        let (post, room) = self.read(hub, &pace).await.inspect_err(|no| {
            hub.trace.step(serial, Step::Parsed, false, at, no.says());
        })?;
        pace.enter(Phase::Answer, tokio::time::Instant::now());
        let mac = identified(known, &post.names).map_err(|detail| {
            hub.trace
                .step(serial, Step::Identified, false, at, Says::OtherPosts);
            conditions::raise(hub, known, Condition::WrongDevice, detail);
            No::WrongDevice
        })?;
        conditions::clear(known, Condition::WrongDevice);
        hub.trace
            .step(serial, Step::Approved, true, at, Says::Enrolled);
        origins::note(hub, known, self.address);
        known.facts().heard(self.address, self.transport, at);
        note_size(hub, known, &post);
        let brought = sorted(post, at);
        if brought.records.is_empty() && brought.aside.is_empty() {
            return Ok(());
        }
        let Some(store) = hub.stores.load().of(&known.enrolment.tenant).cloned() else {
            return Err(No::StoreUnavailable);
        };
        let settle = Settle {
            hub: Arc::clone(hub),
            known: Arc::clone(known),
            store,
            brought,
            mac,
            room,
            at,
            began,
        };
        let settled = hub.drain.spawn(settle.run().in_current_span()).await;
        settled.unwrap_or_else(|_| {
            hub.metrics.panics.inc();
            Err(No::Internal)
        })
    }

    /// Reads the post piece by piece and to its end, however long it is: pictures, and text
    /// beyond all measure, are passed over as they come.
    async fn read(&mut self, hub: &Hub, pace: &Pace) -> Result<(Post, Room), No> {
        let short = crate::tally::wide(SHORT);
        let at_first = self.body.size_hint().exact().unwrap_or(short).min(short);
        let mut room = hub.crowd.room(at_first).ok_or(No::Overloaded)?;
        let content_type = self.headers.get(CONTENT_TYPE);
        let mut reader = PostReader::new(content_type.and_then(|value| value.to_str().ok()));
        while let Some(frame) = self.body.frame().await {
            let Ok(data) = frame.map_err(|_| No::Broken)?.into_data() else {
                continue;
            };
            pace.body_bytes(data.len());
            reader.push(&data);
            if !hub.crowd.widen(&mut room, reader.held()) {
                return Err(No::Overloaded);
            }
        }
        Ok((reader.finish(), room))
    }
}

/// Lets whoever posts in, unless it comes from where it may not, or too fast.
pub(super) fn admit(hub: &Hub, known: &Known, address: IpAddr, at: Millis) -> Result<(), No> {
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

/// Names the condition of a post that was longer than any has to be. Its events are stored, and
/// what was not read stands in quarantine, up to what one post may leave there.
fn note_size(hub: &Hub, known: &Known, post: &Post) {
    conditions::expire(known);
    let most = crate::tally::wide(hub.config.load().limits.body);
    let unread = post.skipped + post.left_out;
    hub.metrics.post_bytes_dropped.inc_by(post.dropped);
    if post.dropped > 0 {
        let detail = Says::PostDropped.with(&[&unread, &post.bytes, &post.dropped]);
        conditions::raise(hub, known, Condition::PostTooLarge, detail);
    } else if unread > 0 {
        let detail = Says::PostsUnread.with(&[&unread, &post.bytes]);
        conditions::raise(hub, known, Condition::PostTooLarge, detail);
    } else if post.bytes > most {
        let detail = Says::PostWasLarge.with(&[&post.bytes]);
        conditions::raise(hub, known, Condition::PostTooLarge, detail);
    }
}

/// Whether the names in a post are those of the enrolled device; a post without any was
/// vouched for by its token. Answers the hardware address when it is new to us.
fn identified(known: &Known, names: &Identity) -> Result<Option<Text>, Detail> {
    if names.is_empty() {
        return Ok(None);
    }
    let enrolled = known.enrolment.access.mac.clone();
    let mac = enrolled.or_else(|| known.hikvision().view().mac.clone());
    let says_mac = mac.as_ref().is_some_and(|mac| names.says(mac));
    let says_serial = names.says(known.enrolment.serial.as_str());
    // The first hardware address is taken on trust, unless a serial speaks against it.
    let first = mac.is_none() && (names.serials.is_empty() || says_serial);
    if says_mac || says_serial || first {
        return Ok(names.macs.first().filter(|_| mac.is_none()).cloned());
    }
    let said = names.serials.iter().chain(&names.macs).next();
    let said = said.map_or("", Text::as_str).escape_debug();
    Err(Says::OtherNamed.with(&[&said]))
}

fn sorted(post: Post, at: Millis) -> Brought {
    let mut brought = Brought::of(event::Route::Listen);
    for heard in post.heard {
        match heard {
            Heard::Heartbeat | Heard::Notice(_) => {}
            Heard::Record(record) => brought.records.push(*record),
            Heard::Unreadable(unreadable) => {
                brought
                    .aside
                    .push(unreadable.quarantined(event::Route::Listen, at));
            }
        }
    }
    brought
}

/// A post on its way into the store. Runs as a task of its own, so that a device that hangs up
/// changes nothing about what is stored and counted.
struct Settle {
    hub: Arc<Hub>,
    known: Arc<Known>,
    store: Store,
    brought: Brought,
    mac: Option<Text>,
    room: Room,
    at: Millis,
    began: Instant,
}

impl Settle {
    async fn run(self) -> Result<(), No> {
        let work = self.hub.settling.begin(Instant::now());
        let done = self.settle().await;
        work.finish(Instant::now());
        let serial = &self.known.enrolment.serial;
        match &done {
            Ok(detail) => {
                self.hub.metrics.acked(self.began.elapsed());
                let trace = &self.hub.trace;
                trace.step(serial, Step::Parsed, true, self.at, Says::PostRead);
                trace.step(serial, Step::Stored, true, self.at, detail.clone());
            }
            Err(no) => self
                .hub
                .trace
                .step(serial, Step::Stored, false, self.at, no.says()),
        }
        drop(self.room);
        done.map(drop)
    }

    async fn settle(&self) -> Result<Detail, No> {
        let intake = Intake {
            hub: Arc::clone(&self.hub),
            known: Arc::clone(&self.known),
            store: self.store.clone(),
            fence: None,
        };
        if self.known.hikvision().brings_again() || self.known.is_brought(self.at) {
            // What cannot be told yet is found by the search, or comes again after it.
            return match intake.hints(&self.brought).await {
                Ok(hinted) if hinted.doubtful == 0 => Ok(told(&hinted.receipt)),
                Ok(_) => Err(No::StoreUnavailable),
                Err(refused) => Err(not_taken(refused)),
            };
        }
        match intake.kept(&self.brought, self.mac.clone()).await {
            Ok(Kept::Stored(receipt)) => Ok(told(&receipt)),
            Ok(Kept::Journaled(rows)) => Ok(Says::PostWaits.with(&[&rows])),
            Err(NotKept::Store(refused)) => Err(not_taken(refused)),
            Err(NotKept::Journal(error)) => {
                let serial = &self.known.enrolment.serial;
                // That the journal refuses is in the log once, and each refusal is counted.
                tracing::debug!(%error, %serial, "the journal takes nothing; the post is refused");
                Err(No::StoreUnavailable)
            }
        }
    }
}

fn told(receipt: &store::Receipt) -> Detail {
    Says::PostStored.with(&[&receipt.new, &receipt.duplicate, &receipt.quarantined])
}

/// What a post hears that the store refuses.
pub(crate) fn not_taken(refused: Refused) -> No {
    match refused {
        Refused::Overloaded => No::Overloaded,
        Refused::Unavailable(_) | Refused::Closing | Refused::Moved => No::StoreUnavailable,
        Refused::Fenced => No::Internal,
    }
}
