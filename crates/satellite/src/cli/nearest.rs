//! Which known name was probably meant.
//!
//! A small edit distance over short names that people type: tenants, columns. Only for advice
//! in errors; nothing is ever taken for something else because it is near.

/// The names, the nearest to `wanted` first; equally near ones keep their order.
pub(crate) fn nearest_first<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    let wanted = wanted.to_lowercase();
    names.sort_by_cached_key(|name| distance(&wanted, &name.to_lowercase()));
    names
}

/// Insertions, deletions and replacements that make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&other) {
            let replaced = corner + usize::from(a != *b);
            corner = *cell;
            left = replaced.min(left + 1).min(corner + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let names = ["beta", "acme", "alfa"];
        assert_eq!(nearest_first("Acmee", names.into_iter())[0], "acme");
        assert_eq!(nearest_first("bta", names.into_iter())[0], "beta");
    }

    #[test]
    fn the_distance_counts_single_changes() {
        for (one, other, changes) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(one, other), changes, "{one} {other}");
            assert_eq!(distance(other, one), changes, "{other} {one}");
        }
    }
}
