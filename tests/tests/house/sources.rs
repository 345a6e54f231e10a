//! The files of the workspace, read once for every rule: texts, and Rust sources as syntax.
//!
//! What cargo builds (any folder with its mark, `CACHEDIR.TAG`) and what git keeps are left
//! out. A Rust file that cannot be parsed fails the test that asked for it, by name: a rule
//! must not pass because it could not look.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use syn::visit::{self, Visit};
use syn::{Attribute, Item};

/// A Rust file of the workspace.
pub(crate) struct Source {
    /// From the root of the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
    /// It is a module that some `#[cfg(test)] mod …;` brings in.
    pub(crate) only_tests: bool,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// Every text file of the workspace: path from the root, and content.
pub(crate) fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).ok()?.to_str()?.to_owned();
        // What is not UTF-8 is no text.
        Some((path, fs::read_to_string(file).ok()?))
    };
    files.into_iter().filter_map(read).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        // A folder, or in a second working tree a file that says where that folder is.
        if entry.file_name() == ".git" {
            continue;
        }
        if !path.is_dir() {
            files.push(path);
        } else if !path.join("CACHEDIR.TAG").exists() {
            walk(&path, files);
        }
    }
}

/// Every Rust file of the workspace.
pub(crate) fn sources() -> Vec<Source> {
    let texts = texts()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs"));
    let mut sources: Vec<Source> = texts.map(|(path, text)| parse(path, text)).collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let stem = source
            .path
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .to_owned();
        source.only_tests = Path::new(&stem)
            .ancestors()
            .any(|above| above.to_str().is_some_and(|above| tests.contains(above)));
    }
    sources
}

/// One file as syntax; for fixtures too.
pub(crate) fn parse(path: String, text: String) -> Source {
    let syntax = syn::parse_file(&text);
    let syntax = syntax.unwrap_or_else(|error| panic!("{path} cannot be parsed: {error}"));
    Source {
        path,
        text,
        syntax,
        only_tests: false,
    }
}

/// The modules in other files that this file declares for tests only, as paths without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let path = Path::new(&source.path);
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => path.parent().map(Path::to_owned),
        _ => Some(path.with_extension("")),
    };
    let modules = source.syntax.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => folder
            .as_ref()?
            .join(module.ident.to_string())
            .to_str()
            .map(str::to_owned),
        _ => None,
    });
    modules.collect()
}

/// Whether an item exists only when tests are built: `#[cfg(test)]`, alone or among others.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let words: Vec<String> = words(list.tokens.clone());
                words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not")
            })
    })
}

/// All identifiers in tokens, at any depth.
pub(crate) fn words(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            proc_macro2::TokenTree::Ident(ident) => found.push(ident.to_string()),
            proc_macro2::TokenTree::Group(group) => found.extend(words(group.stream())),
            _ => {}
        }
    }
    found
}

/// Walks the items that are in the product: those for tests only are left out.
pub(crate) fn visit_product<'ast>(visitor: &mut impl Visit<'ast>, syntax: &'ast syn::File) {
    struct Product<'v, V>(&'v mut V);
    impl<'ast, V: Visit<'ast>> Visit<'ast> for Product<'_, V> {
        fn visit_item(&mut self, item: &'ast Item) {
            if is_for_tests(attributes(item)) {
                return;
            }
            match item {
                // Modules are walked here, so that what is inside them is judged one by one.
                Item::Mod(module) => visit::visit_item_mod(self, module),
                other => self.0.visit_item(other),
            }
        }
    }
    Product(visitor).visit_file(syntax);
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[test]
fn the_rules_see_this_very_file_and_no_build_output() {
    let texts = texts();
    assert!(
        texts
            .iter()
            .any(|(path, _)| path == "tests/tests/house/sources.rs")
    );
    assert!(texts.iter().any(|(path, _)| path == ".ci/run"));
    assert!(!texts.iter().any(|(path, _)| path.starts_with("target/")));
}

#[test]
fn a_module_in_its_own_file_is_known_as_a_test_module() {
    let text = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(not(test))]\nmod c;\n";
    let library = parse("crates/x/src/lib.rs".into(), text.into());
    assert_eq!(test_modules(&library), ["crates/x/src/b"]);
    let inner = parse("crates/x/src/a.rs".into(), text.into());
    assert_eq!(test_modules(&inner), ["crates/x/src/a/b"]);
}
