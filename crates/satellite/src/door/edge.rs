//! What an edge hands over at `/edge/events`, and what it hears.
//!
//! The token in its header says which edge it is, and so whose terminals it may speak for: those of
//! its own tenant and no others. It is refused as every sender with a token is. Nothing is refused
//! for what a record says; a success is said only after the COMMIT of everything in the batch, with
//! nothing in the journal: an edge keeps what was not acknowledged.

mod settle;
mod told;

use std::sync::Arc;

use event::Vendor;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, StatusCode};

use super::connection::{Answer, Visitor};
use super::token_post::{No, TokenPost};
use crate::detail::Says;
use crate::edge::token_of;
use crate::origins;
use crate::trace::Step;
use settle::{Done, Settle};

/// Longest batch that is read, in bytes, where `limits.body` allows as much. An edge's are far shorter,
/// and what JSON holds takes several times its length in memory.
const BATCH: usize = 4 << 20;

/// Answers a batch of an edge.
pub(super) async fn answer(visitor: Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let mut asked = TokenPost::of(visitor, request);
    let mut answer = match taken(&mut asked).await {
        Ok(Done::Holds(told)) => Answer::json(StatusCode::OK, &told, asked.is_last().await),
        Ok(Done::Lacks(told)) => Answer::json(StatusCode::CONFLICT, &told, asked.is_last().await),
        Err(no) => asked.refused(no).await,
    };
    // So that an edge can tell how far its clock is off.
    answer.dated = true;
    answer
}

async fn taken(asked: &mut TokenPost) -> Result<Done, No> {
    let value = asked.headers.get(AUTHORIZATION);
    let token = token_of(value.and_then(|value| value.to_str().ok())).to_owned();
    let known = asked.holder(&token, Vendor::Satellite, &[Method::POST])?;
    asked.step(&known, Step::Identified, true, Says::NamedByToken);
    asked.step(&known, Step::Approved, true, Says::Enrolled);
    let hub = asked.hub();
    let limit = hub.config.load().limits.body.min(BATCH);
    let kept = asked
        .read(limit)
        .await
        .inspect_err(|no| asked.step(&known, Step::Parsed, false, no.says()))?;
    asked.came();
    origins::note(&hub, &known, asked.sender.address);
    let (address, transport) = (asked.sender.address, asked.sender.transport);
    known.facts().heard(address, transport, asked.at);
    let settle = Settle {
        store: asked.store(&known)?,
        hub,
        edge: known,
        body: kept.bytes,
        room: Some(kept.room),
        address,
        at: asked.at,
        began: asked.began,
    };
    asked.settled(settle.run()).await
}
