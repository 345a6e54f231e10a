//! Where other machines put their facts: `POST /host` of the admin door.
//!
//! Each machine has a token of its own, which names it, so that nobody can speak for another.
//! Tokens are compared by their hash, which says nothing about them by how long it takes. A
//! body is bounded before it is read, and what it says is kept as the last word of that machine
//! and never as a list that grows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use daemon::config::Secret;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::gather::Facts;

/// Longest body, in bytes.
const BODY: usize = 64 * 1024;

/// The last words of other machines.
pub struct Board {
    machines: Vec<Machine>,
    since: Instant,
    heard: Mutex<HashMap<String, (Instant, Timestamp, Facts)>>,
}

struct Machine {
    name: String,
    token: [u8; 32],
}

/// What was heard of a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Nothing yet.
    Nothing {
        /// For so long.
        waited: Duration,
    },
    /// Its facts.
    Facts {
        /// So long ago, by the monotonic clock.
        ago: Duration,
        /// At that moment.
        at: Timestamp,
        /// What it said.
        facts: Box<Facts>,
    },
}

impl Board {
    /// For machines by name, each with its token.
    pub fn new(machines: &[(String, Secret)]) -> Arc<Self> {
        let machines = machines.iter().map(|(name, token)| Machine {
            name: name.clone(),
            token: hash(token.expose().trim()),
        });
        Arc::new(Self {
            machines: machines.collect(),
            since: Instant::now(),
            heard: Mutex::default(),
        })
    }

    /// What was heard of that machine.
    pub fn heard(&self, name: &str) -> Heard {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.get(name) {
            Some((when, at, facts)) => Heard::Facts {
                ago: when.elapsed(),
                at: *at,
                facts: Box::new(facts.clone()),
            },
            None => Heard::Nothing {
                waited: self.since.elapsed(),
            },
        }
    }

    /// The door's part for machines, to be put beside the other pages.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/host", post(take))
            .layer(DefaultBodyLimit::max(BODY))
            .with_state(Arc::clone(self))
    }

    fn machine(&self, token: &str) -> Option<&str> {
        let token = hash(token);
        let machine = self.machines.iter().find(|known| known.token == token)?;
        Some(&machine.name)
    }
}

async fn take(State(board): State<Arc<Board>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let bearer = headers.get("authorization").and_then(|it| it.to_str().ok());
    let token = bearer.and_then(|it| it.strip_prefix("Bearer "));
    let Some(name) = token.and_then(|token| board.machine(token)) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(facts) = serde_json::from_slice::<Facts>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let word = (Instant::now(), Timestamp::now(), facts);
    let mut heard = board.heard.lock().unwrap_or_else(PoisonError::into_inner);
    heard.insert(name.to_owned(), word);
    StatusCode::NO_CONTENT
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
