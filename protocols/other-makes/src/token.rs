//! The path that a sender posts to: `/ingest/TOKEN`.

/// First segment of the path.
pub const TOKEN_PATH: &str = "ingest";

/// The token in a request's target, when that is one of this door's.
pub fn token_of(target: &str) -> Option<&str> {
    event::token_of(target, TOKEN_PATH)
}
