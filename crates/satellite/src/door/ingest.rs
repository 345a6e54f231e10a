//! What other makes post to `/ingest/TOKEN`, read by a mapping file, and what they hear.
//!
//! The token says who sends, as with posts of Hikvision devices, and is refused in the same way.
//! A sender may speak for terminals that its records name: those that are approved for its tenant
//! get their records, those of others wait in quarantine, because a refusal would hold up the
//! records of all. Nothing is refused for what it says; success is said only after the COMMIT, or,
//! while the database is down, after the journal is on disk.

use std::sync::Arc;

use event::Vendor;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use super::connection::{Answer, Visitor};
use super::token_post::{No, TokenPost};
use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::makes::{Came, Done, Settle};
use crate::origins;
use crate::trace::Step;

/// Answers a post to `/ingest/<token>`.
pub(super) async fn answer(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
    token: &str,
) -> Answer {
    let mut asked = TokenPost::of(visitor, request);
    match taken(&mut asked, token).await {
        Ok(done) => Answer::json(StatusCode::OK, &done.told(), asked.is_last().await),
        Err(no) => asked.refused(no).await,
    }
}

async fn taken(asked: &mut TokenPost, token: &str) -> Result<Done, No> {
    let known = asked.holder(token, Vendor::Other, &[Method::POST, Method::PUT])?;
    asked.step(&known, Step::Identified, true, Says::NamedByToken);
    asked.step(&known, Step::Approved, true, Says::Enrolled);
    let hub = asked.hub();
    let limit = hub.config.load().limits.body;
    let read = asked.read(limit).await;
    conditions::expire(&known);
    if matches!(read, Err(No::TooLarge)) {
        let detail = Says::UploadTooLarge.with(&[&other_makes::SOURCE]);
        conditions::raise(&hub, &known, Condition::PostTooLarge, detail);
    }
    let kept = read.inspect_err(|no| asked.step(&known, Step::Parsed, false, no.says()))?;
    asked.came();
    origins::note(&hub, &known, asked.sender.address);
    let settle = Settle {
        store: asked.store(&known)?,
        hub,
        known,
        body: kept.bytes,
        came: Came::Post(asked.sender.address, asked.sender.transport),
        room: Some(kept.room),
        at: asked.at,
        began: asked.began,
    };
    asked.settled(settle.run()).await
}
