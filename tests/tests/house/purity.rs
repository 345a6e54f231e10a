//! Protocol crates are pure: bytes and the time come in, records and replies go out.
//!
//! A clock, a socket, a file or a runtime in there would take away what makes them testable by
//! vectors and by fuzzing. The vocabulary crate keeps the same rule. Their tests may do as
//! they like.

use proc_macro2::{TokenStream, TokenTree};
use syn::UseTree;
use syn::visit::{self, Visit};

use crate::manifests::{Need, members};
use crate::sources::{Source, parse, sources, visit_product};

/// The folders of pure code.
const PURE: [&str; 2] = ["protocols/", "crates/event/"];

/// Crates that do something with the world.
const WORLDLY_CRATES: &[&str] = &[
    "axum",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "prometheus",
    "rand",
    "reqwest",
    "socket2",
    "sqlx",
    "systemd",
    "tempfile",
    "tokio",
    "tokio-util",
    "tracing",
];

/// Paths that lead out of pure code.
const WORLDLY_PATHS: &[&str] = &[
    "std::*",
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::*",
    "std::time::Instant",
    "std::time::SystemTime",
    "sqlx",
    "tokio",
];

/// Every path in a syntax tree, in the arguments of macros too.
#[derive(Default)]
struct Paths(Vec<String>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.0.push(segments.join("::"));
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.flatten(&item.tree, String::new());
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
    }
}

impl Paths {
    fn flatten(&mut self, tree: &UseTree, before: String) {
        match tree {
            UseTree::Path(path) => self.flatten(&path.tree, format!("{before}{}::", path.ident)),
            UseTree::Name(name) => self.0.push(format!("{before}{}", name.ident)),
            UseTree::Rename(name) => self.0.push(format!("{before}{}", name.ident)),
            UseTree::Glob(_) => self.0.push(format!("{before}*")),
            UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|item| self.flatten(item, before.clone()));
            }
        }
    }

    /// Tokens have no paths yet: words joined by `::` are put together here.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path = String::new();
        for token in tokens {
            match token {
                TokenTree::Ident(word) if path.is_empty() || path.ends_with("::") => {
                    path.push_str(&word.to_string());
                }
                TokenTree::Ident(word) => {
                    self.0.push(std::mem::replace(&mut path, word.to_string()));
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => {
                    path.push(':');
                }
                other => {
                    self.0.push(std::mem::take(&mut path));
                    if let TokenTree::Group(group) = other {
                        self.scan(group.stream());
                    }
                }
            }
        }
        self.0.push(path);
    }
}

/// The paths in a file's product code that lead out of pure code.
fn impurities(source: &Source) -> Vec<String> {
    let mut paths = Paths::default();
    visit_product(&mut paths, &source.syntax);
    let leads_out = |path: &String| {
        let banned = WORLDLY_PATHS.iter().any(|banned| {
            path.strip_prefix(banned)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        // Whatever clock it is, it is asked by a function of this name.
        banned || path.ends_with("::now")
    };
    paths
        .0
        .into_iter()
        .filter(leads_out)
        .map(|path| format!("{}: {path}", source.path))
        .collect()
}

#[test]
fn pure_crates_reach_for_no_clock_socket_file_or_runtime() {
    let sources = sources();
    let pure = sources.iter().filter(|source| {
        let folder = PURE.iter().any(|folder| source.path.starts_with(folder));
        folder && source.path.contains("/src/") && !source.only_tests
    });
    let impure: Vec<String> = pure.flat_map(impurities).collect();
    assert!(
        impure.is_empty(),
        "hand it in as an argument instead: {impure:#?}"
    );
}

#[test]
fn pure_crates_depend_on_nothing_that_does_input_or_output() {
    for member in members() {
        let folder = format!("{}/", member.folder);
        if !PURE.iter().any(|pure| folder.starts_with(pure)) {
            continue;
        }
        for dependency in member.dependencies() {
            let worldly = WORLDLY_CRATES.contains(&dependency.name);
            let name = dependency.name;
            assert!(
                !worldly || dependency.need == Need::Tests,
                "{folder} depends on {name}"
            );
        }
    }
}

#[test]
fn a_clock_a_socket_and_a_file_are_found_wherever_they_hide() {
    let text = r#"
        use std::{fmt, net::{self, TcpStream}};
        fn a() { let _ = std::time::SystemTime::UNIX_EPOCH; }
        fn b() { println!("{:?}", std::fs::read("x")); }
        mod inner { fn c() { let _ = jiff::Timestamp::now(); } }
        impl std::fmt::Display for X { fn d(&self) { tokio::spawn(async {}); } }
        fn pure(wait: std::time::Duration) -> std::time::Duration { wait }
        #[cfg(test)]
        mod tests { use std::fs; fn e() { std::time::Instant::now(); } }
    "#;
    let found = impurities(&parse("x.rs".into(), text.into()));
    let expected = [
        "x.rs: std::net::self",
        "x.rs: std::net::TcpStream",
        "x.rs: std::time::SystemTime::UNIX_EPOCH",
        "x.rs: std::fs::read",
        "x.rs: jiff::Timestamp::now",
        "x.rs: tokio::spawn",
    ];
    assert_eq!(found, expected);
}
