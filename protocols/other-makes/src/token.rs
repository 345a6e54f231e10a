//! The path that a sender posts to: `/ingest/TOKEN`.

/// First segment of the path.
pub const TOKEN_PATH: &str = "ingest";
/// Longest token looked at, in bytes; ours have 32.
const TOKEN_LIMIT: usize = 128;

/// The token in a request's target, when that is one of this door's: exactly two segments, of
/// which the second holds only letters, digits, `-` and `_`. Anything after a `?` is passed over.
pub fn token_of(target: &str) -> Option<&str> {
    let path = target.split(['?', '#']).next()?;
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => path,
    };
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let word = segments.next()?;
    let token = segments.next()?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let right = word == TOKEN_PATH && token.len() <= TOKEN_LIMIT && token.bytes().all(allowed);
    (right && segments.next().is_none()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_doors_own_path_has_a_token() {
        for path in [
            "/ingest/tok-1_A",
            "//ingest//tok-1_A/",
            "/ingest/tok-1_A?x=/y",
            "http://h/ingest/tok-1_A",
        ] {
            assert_eq!(token_of(path), Some("tok-1_A"), "{path}");
        }
        let long = format!("/ingest/{}", "x".repeat(129));
        for path in [
            "",
            "/",
            "/ingest",
            "/ingest/",
            "/ingest/a/b",
            "/ingest/a.b",
            "/ingest/%41",
            "/x/ingest/a",
            "http://ingest/a",
            &long,
        ] {
            assert_eq!(token_of(path), None, "{path}");
        }
    }
}
