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

/// The last words of other machines. It outlives a reload of the configuration, so that no
/// machine seems silent because of one.
#[derive(Default)]
pub struct Board(Mutex<Words>);

#[derive(Default)]
struct Words {
    machines: Vec<Machine>,
    heard: HashMap<String, (Instant, Timestamp, Facts)>,
}

struct Machine {
    name: String,
    token: [u8; 32],
    /// Since when it is listened for.
    since: Instant,
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
        let board = Arc::new(Self::default());
        board.configure(machines);
        board
    }

    /// Listens for these machines from now on, and no longer for others.
    pub fn configure(&self, machines: &[(String, Secret)]) {
        let mut words = self.words();
        let before = std::mem::take(&mut words.machines);
        let machines = machines.iter().map(|(name, token)| Machine {
            name: name.clone(),
            token: hash(token.expose().trim()),
            since: before
                .iter()
                .find(|known| known.name == *name)
                .map_or_else(Instant::now, |known| known.since),
        });
        words.machines = machines.collect();
        let names: Vec<String> = words.machines.iter().map(|it| it.name.clone()).collect();
        words.heard.retain(|name, _| names.contains(name));
    }

    /// What was heard of that machine.
    pub fn heard(&self, name: &str) -> Heard {
        let words = self.words();
        let since = words.machines.iter().find(|known| known.name == name);
        match words.heard.get(name) {
            Some((when, at, facts)) => Heard::Facts {
                ago: when.elapsed(),
                at: *at,
                facts: Box::new(facts.clone()),
            },
            None => Heard::Nothing {
                waited: since.map_or(Duration::ZERO, |known| known.since.elapsed()),
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

    /// Keeps the words of whoever has that token; false when nobody has.
    fn hear(&self, token: &str, facts: Facts) -> bool {
        let token = hash(token);
        let mut words = self.words();
        let machine = words.machines.iter().find(|known| known.token == token);
        let Some(name) = machine.map(|machine| machine.name.clone()) else {
            return false;
        };
        let word = (Instant::now(), Timestamp::now(), facts);
        words.heard.insert(name, word);
        true
    }

    fn knows(&self, token: &str) -> bool {
        let token = hash(token);
        self.words()
            .machines
            .iter()
            .any(|known| known.token == token)
    }

    fn words(&self) -> std::sync::MutexGuard<'_, Words> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(board): State<Arc<Board>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let bearer = headers.get("authorization").and_then(|it| it.to_str().ok());
    let token = bearer.and_then(|it| it.strip_prefix("Bearer "));
    let Some(token) = token.filter(|token| board.knows(token)) else {
        return StatusCode::UNAUTHORIZED;
    };
    let Ok(facts) = serde_json::from_slice::<Facts>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    if board.hear(token, facts) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::UNAUTHORIZED
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
