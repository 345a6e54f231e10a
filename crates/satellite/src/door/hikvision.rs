//! What a Hikvision device posts to its listening address, and what it hears.
//!
//! The token in the path says who it is; a wrong one, an unknown one and one of a blocked
//! device get the same answer at the same time. The device's own name in the post must be the
//! enrolled one. Success is said only after the COMMIT, or, for a device that cannot be asked
//! again while its database is down, after the journal is on disk. A device that waits for a
//! verdict (`remoteCheck`) never hears one from here.

use std::sync::Arc;
use std::time::Instant;

use event::{Millis, Text, Vendor};
use hikvision_isapi::{Heard, Identity, Post, PostReader};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};

use super::connection::{Answer, Visitor};
use super::crowd::{Room, SHORT};
use super::token_post::{No, TokenPost, not_taken};
use crate::conditions::{self, Condition};
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hikvision::{Brought, Intake, Kept, NotKept};
use crate::hub::Hub;
use crate::origins;
use crate::stores::Store;
use crate::trace::Step;

/// Answers a post to `/hikvision/<token>`.
pub(super) async fn answer(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
    token: &str,
) -> Answer {
    let mut asked = TokenPost::of(visitor, request);
    match taken(&mut asked, token).await {
        Ok(()) => Answer::plain(StatusCode::OK, asked.is_last().await),
        Err(no) => asked.refused(no).await,
    }
}

async fn taken(asked: &mut TokenPost, token: &str) -> Result<(), No> {
    let known = asked.holder(token, Vendor::Hikvision, &[Method::POST, Method::PUT])?;
    let (hub, at) = (asked.hub(), asked.at);
    let (post, room) = read(asked)
        .await
        .inspect_err(|no| asked.step(&known, Step::Parsed, false, no.says()))?;
    asked.came();
    let mac = identified(&known, &post.names).map_err(|detail| {
        asked.step(&known, Step::Identified, false, Says::OtherPosts);
        conditions::raise(&hub, &known, Condition::WrongDevice, detail);
        No::WrongDevice
    })?;
    conditions::clear(&known, Condition::WrongDevice);
    asked.step(&known, Step::Approved, true, Says::Enrolled);
    let sender = &asked.sender;
    origins::note(&hub, &known, sender.address);
    known.facts().heard(sender.address, sender.transport, at);
    note_size(&hub, &known, &post);
    let brought = sorted(post, at);
    if brought.records.is_empty() && brought.aside.is_empty() {
        return Ok(());
    }
    let settle = Settle {
        store: asked.store(&known)?,
        hub,
        known,
        brought,
        mac,
        room,
        at,
        began: asked.began,
    };
    asked.settled(settle.run()).await
}

/// Reads the post piece by piece and to its end, however long it is: pictures, and text
/// beyond all measure, are passed over as they come.
async fn read(asked: &mut TokenPost) -> Result<(Post, Room), No> {
    let hub = asked.hub();
    let short = crate::tally::wide(SHORT);
    let at_first = asked.body.size_hint().exact().unwrap_or(short).min(short);
    let mut room = hub.crowd.room(at_first).ok_or(No::Overloaded)?;
    let content_type = asked.headers.get(CONTENT_TYPE);
    let mut reader = PostReader::new(content_type.and_then(|value| value.to_str().ok()));
    while let Some(frame) = asked.body.frame().await {
        let Ok(data) = frame.map_err(|_| No::Broken)?.into_data() else {
            continue;
        };
        asked.visitor.pace.body_bytes(data.len());
        reader.push(&data);
        if !hub.crowd.widen(&mut room, reader.held()) {
            return Err(No::Overloaded);
        }
    }
    Ok((reader.finish(), room))
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
        let done = self.hub.settle(self.began, self.settle()).await;
        let serial = &self.known.enrolment.serial;
        match &done {
            Ok(detail) => {
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
