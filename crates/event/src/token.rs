//! The path that a listening device posts to, `/<word>/TOKEN`, whatever a device made of it.

/// Longest token looked at, in bytes; ours have 32.
const TOKEN_LIMIT: usize = 128;

/// The token in a request's target, when that is two segments of which the first is `word`: doubled
/// slashes, another case of the word, a slash or a query appended, the absolute form with or without
/// a slash before it. Tokens are of `A-Z a-z 0-9 - _`. `None` for every other target.
pub fn token_of<'t>(target: &'t str, word: &str) -> Option<&'t str> {
    let path = target.split(['?', '#']).next()?;
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => path,
    };
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let first = segments.next()?;
    let token = segments.next()?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let right = first.eq_ignore_ascii_case(word)
        && token.len() <= TOKEN_LIMIT
        && token.bytes().all(allowed);
    (right && segments.next().is_none()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_doors_own_path_has_a_token() {
        for path in [
            "/ingest/tok-1_A",
            "//Ingest//tok-1_A/",
            "/ingest/tok-1_A?x=/y",
            "http://h/ingest/tok-1_A",
        ] {
            assert_eq!(token_of(path, "ingest"), Some("tok-1_A"), "{path}");
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
            "/hikvision/a",
            "http://ingest/a",
            &long,
        ] {
            assert_eq!(token_of(path, "ingest"), None, "{path}");
        }
    }
}
