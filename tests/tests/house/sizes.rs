//! Files and functions fit in a head: at most 800 lines a file, 70 lines a function.
//!
//! A function is counted from its `fn` to its closing brace; functions that are tests are not
//! counted. What was larger before the rule is listed with its size in `house-ratchet.toml`,
//! where numbers only fall.

use std::collections::BTreeMap;
use std::fs;

use syn::visit::{self, Visit};
use syn::{Attribute, Block, Signature};
use toml::{Table, Value};

use crate::sources::{Source, parse, sources};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

type Sizes = BTreeMap<String, usize>;

/// The functions of one file with their lengths. Of several with one name the longest counts.
struct Functions {
    path: String,
    sizes: Sizes,
}

impl Functions {
    fn note(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        // `#[test]`, `#[tokio::test]` and their like.
        let is_test = |attribute: &Attribute| {
            attribute
                .path()
                .segments
                .last()
                .is_some_and(|segment| segment.ident == "test")
        };
        if attributes.iter().any(is_test) {
            return;
        }
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        let size = self
            .sizes
            .entry(format!("{}::{}", self.path, signature.ident))
            .or_default();
        *size = (*size).max(last + 1 - first);
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.attrs, &function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.attrs, &function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.attrs, &function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn function_sizes(source: &Source) -> Sizes {
    let mut functions = Functions {
        path: source.path.clone(),
        sizes: Sizes::new(),
    };
    functions.visit_file(&source.syntax);
    functions.sizes
}

/// What the measured sizes break: of the limit, or of the list of exceptions.
fn complaints(measured: &Sizes, limit: usize, listed: &Sizes) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, &size) in measured {
        match listed.get(name) {
            None if size > limit => {
                complaints.push(format!("{name}: {size} lines, at most {limit} are allowed"));
            }
            Some(&old) if size > old => {
                complaints.push(format!("{name}: grew from {old} to {size} lines"));
            }
            _ => {}
        }
    }
    for (name, &old) in listed {
        let size = measured.get(name).copied().unwrap_or_default();
        if size <= limit {
            complaints.push(format!(
                "{name}: {size} lines now, take its line off the list"
            ));
        } else if size < old {
            complaints.push(format!(
                "{name}: {size} lines now, write {size} instead of {old}"
            ));
        }
    }
    complaints
}

/// A table of the list of exceptions.
fn listed(table: &str) -> Sizes {
    let path = format!("{}/house-ratchet.toml", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let list: Table = text
        .parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let entries = list
        .get(table)
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let size = |value: &Value| {
        value
            .as_integer()
            .and_then(|size| usize::try_from(size).ok())
    };
    entries
        .filter_map(|(name, value)| Some((name.clone(), size(value)?)))
        .collect()
}

#[test]
fn no_file_is_longer_than_800_lines_and_known_ones_only_shrink() {
    let sources = sources();
    let measured = sources
        .iter()
        .map(|source| (source.path.clone(), source.text.lines().count()));
    let complaints = complaints(&measured.collect(), FILE_LINES_MAX, &listed("files"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn no_function_is_longer_than_70_lines_and_known_ones_only_shrink() {
    let measured = sources().iter().flat_map(function_sizes).collect();
    let complaints = complaints(&measured, FUNCTION_LINES_MAX, &listed("functions"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_list_of_exceptions_only_shrinks() {
    let sizes = |pairs: &[(&str, usize)]| -> Sizes {
        pairs
            .iter()
            .map(|(name, size)| ((*name).to_owned(), *size))
            .collect()
    };
    let listed = sizes(&[
        ("grew", 80),
        ("same", 80),
        ("less", 80),
        ("good", 80),
        ("gone", 80),
    ]);
    let measured = sizes(&[
        ("new", 71),
        ("fits", 70),
        ("grew", 81),
        ("same", 80),
        ("less", 79),
        ("good", 70),
    ]);
    let expected = [
        "grew: grew from 80 to 81 lines",
        "new: 71 lines, at most 70 are allowed",
        "gone: 0 lines now, take its line off the list",
        "good: 70 lines now, take its line off the list",
        "less: 79 lines now, write 79 instead of 80",
    ];
    assert_eq!(complaints(&measured, 70, &listed), expected);
}

#[test]
fn a_function_is_counted_from_its_fn_to_its_brace_and_tests_are_not() {
    let text = "impl X {\n    /// Words.\n    #[must_use]\n    pub fn a(\n        &self,\n    ) {\n        \
        let _ = '{';\n    }\n}\ntrait T {\n    fn b() {\n    }\n    fn c();\n}\n#[tokio::test]\n\
        async fn d() {\n}\n";
    let sizes = function_sizes(&parse("x.rs".into(), text.into()));
    let expected = [("x.rs::a".to_owned(), 5), ("x.rs::b".to_owned(), 2)];
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), expected);
}
