//! Words that must stand somewhere, and words that must stand nowhere.
//!
//! Every Rust file says what it is for. No ignored test goes without its reason. No SQL of the
//! store loses or bends a row in silence. No file knows a path of somebody's machine.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::sources::{Source, parse, sources, texts, visit_product};

/// The shortest header that can say what a file holds and why.
const HEADER_CHARACTERS_MIN: usize = 40;

/// Statements that drop rows or change values without an error.
const LOSSY_SQL: [&str; 2] = ["INSERT IGNORE", "LOAD DATA"];

/// Folders of the machines on which people happen to work. Put together here, so that this
/// file does not hold what it forbids.
const HOST_PATHS: [&str; 2] = [concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Whether a file starts with a `//!` header of at least a sentence.
fn has_header(text: &str) -> bool {
    let header = text.lines().map_while(|line| line.strip_prefix("//!"));
    let header = header.map(str::trim).collect::<Vec<_>>().join(" ");
    header.trim().chars().count() >= HEADER_CHARACTERS_MIN && header.contains('.')
}

/// The string literals of a file's product code; documentation is not among them.
#[derive(Default)]
struct Literals(Vec<String>);

impl<'ast> Visit<'ast> for Literals {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
    }
}

impl Literals {
    fn scan(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal) {
                        self.0.push(text.value());
                    }
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                _ => {}
            }
        }
    }
}

/// The lossy statements in one text of SQL, whatever its spacing and case.
fn lossy_sql(sql: &str) -> Vec<&'static str> {
    let words: Vec<String> = sql
        .split_whitespace()
        .map(str::to_ascii_uppercase)
        .collect();
    let sql = words.join(" ");
    LOSSY_SQL
        .into_iter()
        .filter(|banned| sql.contains(banned))
        .collect()
}

fn lossy_sql_in_source(source: &Source) -> Vec<&'static str> {
    let mut literals = Literals::default();
    visit_product(&mut literals, &source.syntax);
    literals
        .0
        .iter()
        .flat_map(|literal| lossy_sql(literal))
        .collect()
}

/// Counts `#[ignore]` without a reason, inside macros too.
#[derive(Default)]
struct Unreasoned(usize);

impl<'ast> Visit<'ast> for Unreasoned {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !attribute.path().is_ident("ignore") {
            return;
        }
        let reasoned = match &attribute.meta {
            Meta::NameValue(pair) => match &pair.value {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(reason),
                    ..
                }) => !reason.value().trim().is_empty(),
                _ => false,
            },
            _ => false,
        };
        self.0 += usize::from(!reasoned);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

impl Unreasoned {
    /// In tokens the attribute is `#` before a bracket that holds the one word.
    fn scan(&mut self, tokens: TokenStream) {
        let mut after_mark = false;
        for token in tokens {
            let marked = std::mem::take(&mut after_mark);
            match token {
                TokenTree::Punct(mark) => after_mark = mark.as_char() == '#',
                TokenTree::Group(group) if marked && group.delimiter() == Delimiter::Bracket => {
                    self.0 += usize::from(group.stream().to_string() == "ignore");
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                _ => {}
            }
        }
    }
}

fn unreasoned(source: &Source) -> usize {
    let mut found = Unreasoned::default();
    found.visit_file(&source.syntax);
    found.0
}

#[test]
fn every_rust_file_starts_with_what_it_is_for() {
    let sources = sources();
    let bare = sources.iter().filter(|source| !has_header(&source.text));
    let bare: Vec<&str> = bare.map(|source| source.path.as_str()).collect();
    assert!(
        bare.is_empty(),
        "write a `//!` header of a few sentences: {bare:#?}"
    );
}

#[test]
fn a_header_that_says_nothing_is_found() {
    assert!(has_header(
        "//! Reads what a terminal sends,\n//! line by line.\n\nuse x;\n"
    ));
    assert!(!has_header("//! Reads.\n"));
    assert!(!has_header(
        "use x;\n//! Reads what a terminal sends, line by line, and no more.\n"
    ));
}

#[test]
fn every_ignored_test_gives_its_reason() {
    let sources = sources();
    let silent = sources.iter().filter(|source| unreasoned(source) > 0);
    let silent: Vec<&str> = silent.map(|source| source.path.as_str()).collect();
    assert!(
        silent.is_empty(),
        "write `#[ignore = \"why\"]`: {silent:#?}"
    );
}

#[test]
fn an_ignored_test_without_a_reason_is_found() {
    let text = "#[test]\n#[ignore]\nfn a() {}\n#[ignore = \" \"]\nfn b() {}\n\
        #[ignore = \"takes an hour\"]\nfn c() {}\nproptest! { #[ignore] fn d() {} }\n";
    assert_eq!(unreasoned(&parse("x.rs".into(), text.into())), 3);
}

#[test]
fn no_sql_of_the_store_loses_rows_in_silence() {
    for (path, text) in texts() {
        if path.starts_with("crates/store/") && path.ends_with(".sql") {
            let code = text
                .lines()
                .map(|line| line.split("--").next().unwrap_or_default());
            let found = lossy_sql(&code.collect::<Vec<_>>().join("\n"));
            assert!(found.is_empty(), "{path}: {found:?}");
        }
    }
    for source in sources() {
        if source.path.starts_with("crates/store/src/") && !source.only_tests {
            let found = lossy_sql_in_source(&source);
            assert!(found.is_empty(), "{}: {found:?}", source.path);
        }
    }
}

#[test]
fn lossy_sql_is_found_in_any_spelling_and_not_in_documentation() {
    let text = r#"
        /// Never INSERT IGNORE: it loses rows.
        fn a() { query("insert  ignore INTO t"); query("INSERT INTO t"); }
        fn b() { format!("LOAD\n DATA LOCAL INFILE '{x}'"); }
        #[cfg(test)]
        mod tests { const C: &str = "INSERT IGNORE"; }
    "#;
    let found = lossy_sql_in_source(&parse("x.rs".into(), text.into()));
    assert_eq!(found, ["INSERT IGNORE", "LOAD DATA"]);
}

#[test]
fn no_file_knows_a_path_of_somebodys_machine() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            if HOST_PATHS.iter().any(|host| line.contains(host)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
