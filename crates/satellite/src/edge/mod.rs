//! What two satellites say to each other when one is the edge of the other.
//!
//! An edge stands at a client's site, stores what its terminals say as any satellite does, and hands
//! all of it to the satellite in the cloud. [`wire`] is the form of that, written by the output
//! `outputs::edge` and read by `door::edge`; [`read`] makes an event of the other installation's
//! record, with an identity that follows from the record; [`claim`] is what one satellite knows of
//! a terminal through another. Nothing here dials, listens or stores.

pub(crate) mod claim;
pub(crate) mod read;
pub(crate) mod wire;

/// Where an edge posts.
pub(crate) const PATH: &str = "/edge/events";

/// Whether a request is an edge's, by its target.
pub(crate) fn is_ours(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)),
        None => Some(path),
    };
    path == Some(PATH)
}

/// The token in the value of a header `Authorization`; empty when there is none.
pub(crate) fn token_of(value: Option<&str>) -> &str {
    let (scheme, token) = value
        .and_then(|value| value.split_once(' '))
        .unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        token.trim()
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_path_is_an_edges_and_only_a_bearers_token_is_one() {
        for target in ["/edge/events", "/edge/events?x=1", "http://h:1/edge/events"] {
            assert!(is_ours(target), "{target}");
        }
        for target in [
            "/edge",
            "/edge/events/x",
            "/",
            "",
            "http://h",
            "/iclock/cdata",
        ] {
            assert!(!is_ours(target), "{target}");
        }
        assert_eq!(token_of(Some("Bearer abc")), "abc");
        assert_eq!(token_of(Some("bearer abc ")), "abc");
        for none in [
            None,
            Some(""),
            Some("abc"),
            Some("Basic abc"),
            Some("Bearer"),
        ] {
            assert_eq!(token_of(none), "", "{none:?}");
        }
    }
}
