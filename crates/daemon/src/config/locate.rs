//! Where in a TOML text a key or a value stands.
//!
//! Serde's errors know a range of bytes at best; people need a line and the name of a key.
//! The text is parsed once more into a tree with ranges, which is done only after something
//! went wrong. Nothing here judges the text, and a text that is not TOML gives what could be
//! read of it.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A key with its value, or an element of an array.
#[derive(Debug)]
pub(super) struct Node {
    /// The way to it from the top, as in `tenant[1].id`.
    pub(super) path: String,
    /// The bytes of the key; for an element of an array those of the value.
    pub(super) key: Range<usize>,
    /// The bytes of the value; for a table under a header those of the header.
    pub(super) value: Range<usize>,
}

/// Every key, value and element of the text, and whether all of it could be read.
pub(super) fn nodes(text: &str) -> (Vec<Node>, bool) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut nodes = Vec::new();
    walk_table("", root.get_ref(), &mut nodes);
    (nodes, errors.is_empty())
}

fn walk_table(parent: &str, table: &DeTable<'_>, nodes: &mut Vec<Node>) {
    for (key, value) in table {
        let path = join(parent, key.get_ref());
        nodes.push(Node {
            path: path.clone(),
            key: key.span(),
            value: value.span(),
        });
        walk_value(&path, value.get_ref(), nodes);
    }
}

fn walk_value(path: &str, value: &DeValue<'_>, nodes: &mut Vec<Node>) {
    match value {
        DeValue::Table(table) => walk_table(path, table, nodes),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let path = format!("{path}[{index}]");
                nodes.push(Node {
                    path: path.clone(),
                    key: element.span(),
                    value: element.span(),
                });
                walk_value(&path, element.get_ref(), nodes);
            }
        }
        _ => {}
    }
}

/// The node that an error's range is about. An exact key is a better answer than an exact
/// value, and of equal values the innermost is (the first `[[tenant]]` has the same range as
/// the list that it starts).
pub(super) fn by_range<'a>(nodes: &'a [Node], range: &Range<usize>) -> Option<&'a Node> {
    let key = nodes.iter().rfind(|node| node.key == *range);
    key.or_else(|| nodes.iter().rfind(|node| node.value == *range))
}

/// The path of the table whose header stands last before `offset`; empty above all headers.
pub(super) fn section<'a>(nodes: &'a [Node], text: &str, offset: usize) -> &'a str {
    let is_header = |node: &&Node| {
        let start = node.value.start;
        let line = text.get(..start).and_then(|before| before.lines().last());
        let opens_line = text.get(..start).is_some_and(|t| t.ends_with('\n'))
            || line.is_none_or(|line| line.trim().is_empty());
        start < offset && opens_line && text.get(start..).is_some_and(|t| t.starts_with('['))
    };
    let last = nodes
        .iter()
        .filter(is_header)
        .max_by_key(|node| (node.value.start, node.path.len()));
    last.map_or("", |node| node.path.as_str())
}

/// The node of a path, or of the nearest table around it that exists.
pub(super) fn by_path<'a>(nodes: &'a [Node], path: &str) -> Option<&'a Node> {
    let mut path = path;
    loop {
        if let Some(node) = nodes.iter().find(|node| node.path == path) {
            return Some(node);
        }
        path = split(path).0;
        if path.is_empty() {
            return None;
        }
    }
}

/// Adds a key to the path of its table.
pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Splits a path into its table and its last key.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_start_at_one_and_count_characters() {
        let text = "a\néé = 1\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 2), (2, 1));
        assert_eq!(position(text, 4), (2, 2));
        assert_eq!(position(text, 5), (2, 2), "the middle of a character");
        assert_eq!(position(text, 999), (3, 1));
    }

    #[test]
    fn a_path_is_found_in_headers_lists_inline_tables_and_dotted_keys() {
        let text = "a.b = 1\nc = { d = 2 }\n[e.f]\ng = 3\n[[h]]\n[[h]]\ni = 4\n";
        let (nodes, whole) = nodes(text);
        assert!(whole);
        for (path, line) in [("a.b", 1), ("c.d", 2), ("e.f.g", 4), ("h[1].i", 7)] {
            let node = by_path(&nodes, path).unwrap();
            assert_eq!(node.path, path);
            assert_eq!(position(text, node.key.start).0, line, "{path}");
        }
        assert_eq!(by_path(&nodes, "h[1].absent").unwrap().path, "h[1]");
        assert!(by_path(&nodes, "absent.too").is_none());
    }

    #[test]
    fn the_section_of_a_place_is_the_last_header_before_it() {
        let text = "x = 1\n[a]\ny = [\n  [1],\n]\nz = 1\n[[b]]\nw = 1\n";
        let (nodes, _) = nodes(text);
        assert_eq!(section(&nodes, text, text.find('x').unwrap()), "");
        assert_eq!(section(&nodes, text, text.find('y').unwrap()), "a");
        assert_eq!(section(&nodes, text, text.find('w').unwrap()), "b[0]");
    }
}
