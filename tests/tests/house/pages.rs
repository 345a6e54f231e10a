//! Pages that say what there is: keys of the configurations, metrics, promises, the map of the house.
//! What they name is there, and what is there they name.
//!
//! Held against the sources as they are written, not against a run: a key that nobody sets in a test and
//! a metric of which there is no sample yet have to stand in their page too.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};
use syn::{Expr, ExprLit, Lit};

use crate::manifests;
use crate::sources::{Source, parse, sources, texts, visit_product};

/// Where the two configurations are read.
const CONFIGURATIONS: [&str; 2] = ["crates/satellite/src/config", "crates/sentinel/src/config"];
/// Pages that explain their keys; the first lists them.
const KEYS: [&str; 3] = ["docs/CONFIG.md", "docs/OUTPUTS.md", "docs/SENTINEL.md"];
/// Tables that stand in English and in Spanish, each by its page and the head of its first column.
const TWINS: [[(&str, &str); 2]; 5] = [
    [
        ("docs/SENTINEL.md", "Look"),
        ("docs/es/sentinela.md", "Revisión"),
    ],
    [
        ("docs/OPERATIONS.md", "Name"),
        ("docs/es/operacion.md", "Nombre"),
    ],
    [
        ("docs/OPERATIONS.md", "Reason"),
        ("docs/es/operacion.md", "Motivo"),
    ],
    [
        ("docs/OPERATIONS.md", "Account"),
        ("docs/es/base-de-datos.md", "Usuario"),
    ],
    [
        ("docs/OPERATIONS.md", "Setting"),
        ("docs/es/base-de-datos.md", "Ajuste"),
    ],
];
/// Words that operators read otherwise: a device, what is in review, a client, an incident, sentinel.
const NOT_THEIRS: [&str; 8] = [
    "las terminales",
    "cuarentena",
    "inquilino",
    "incidencia",
    "golpe",
    "fichaje",
    "atasco",
    "centinela",
];
/// Pages that name tests.
const PROMISES: [&str; 2] = ["docs/PROMISES.md", "docs/PROOF.md"];
/// A test's name is a sentence; what is shorter may be a word of anything.
const SENTENCE: usize = 25;

fn page(path: &str) -> String {
    let found = texts().into_iter().find(|(name, _)| name == path);
    found.map_or_else(|| panic!("there is no {path}"), |(_, text)| text)
}

fn is_name(word: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !word.is_empty() && word.chars().all(letter)
}

/// The names in a text: words of small letters and underscores.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    parts.filter(|word| is_name(word))
}

/// What stands between backticks, fenced blocks included.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The first two cells of each row of a table under a heading that begins so.
fn rows<'a>(text: &'a str, heading: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut is_inside = false;
    text.lines().filter_map(move |line| {
        let mut cells = line
            .strip_prefix('|')
            .into_iter()
            .flat_map(|it| it.split('|'));
        match cells.next().map(str::trim) {
            None => is_inside = false,
            Some(cell) if cell == heading => is_inside = true,
            Some(cell) if is_inside && !cell.starts_with("---") => {
                return Some((cell, cells.next().unwrap_or_default().trim()));
            }
            Some(_) => {}
        }
        None
    })
}

fn first_cells<'a>(text: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    rows(text, heading).map(|(first, _)| first)
}

/// What a table names and no language changes: its names up to what stands for something of the
/// reader's, with a time such as `20 s` or `10 min` behind them.
fn named(text: &str, heading: &str) -> BTreeSet<(String, String)> {
    let time = |cell: &str| {
        let is = cell.starts_with(|c: char| c.is_ascii_digit()) && cell.len() < 8;
        if is { cell.to_owned() } else { String::new() }
    };
    let names = rows(text, heading).flat_map(|(first, second)| {
        let stem = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        code(first).map(move |name| (stem(name), time(second)))
    });
    names.collect()
}

/// Fields of structures that take no unknown key, as they are written in a file.
#[derive(Default)]
struct Keys(BTreeSet<String>);

impl<'ast> Visit<'ast> for Keys {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let is_closed = |attribute: &syn::Attribute| {
            let list = attribute.meta.require_list();
            list.is_ok_and(|list| list.tokens.to_string().contains("deny_unknown_fields"))
        };
        if item.attrs.iter().any(is_closed) {
            let fields = item.fields.iter().filter_map(|field| field.ident.as_ref());
            let plain = |name: String| name.trim_start_matches("r#").to_owned();
            self.0.extend(fields.map(|name| plain(name.to_string())));
        }
    }
}

fn keys(sources: &[Source]) -> BTreeSet<String> {
    let mut keys = Keys::default();
    let of_configurations = sources.iter().filter(|source| {
        let is = |place: &&str| source.path.starts_with(*place);
        CONFIGURATIONS.iter().any(is) && !source.only_tests
    });
    for source in of_configurations {
        visit_product(&mut keys, &source.syntax);
    }
    keys.0
}

#[test]
fn every_key_of_the_configurations_is_explained_and_every_key_that_is_listed_exists() {
    let keys = keys(&sources());
    assert!(keys.len() > 100, "{keys:?}");
    let pages = KEYS.map(page);
    let explained: BTreeSet<&str> = pages
        .iter()
        .flat_map(|it| code(it))
        .flat_map(names)
        .collect();
    let silent: Vec<_> = keys
        .iter()
        .filter(|it| !explained.contains(it.as_str()))
        .collect();
    assert!(silent.is_empty(), "no page explains {silent:?}");
    let listed = first_cells(&pages[0], "Key").flat_map(code);
    // `[watch]` is a section, `listen.admin` a key in one.
    let listed = listed.filter_map(|it| it.rsplit('.').next().filter(|it| is_name(it)));
    let gone: Vec<_> = listed.filter(|it| !keys.contains(*it)).collect();
    assert!(gone.is_empty(), "there is no key {gone:?}");
}

/// Texts in an expression, at any depth.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_expr_lit(&mut self, literal: &'ast ExprLit) {
        if let Lit::Str(text) = &literal.lit {
            self.0.push(text.value());
        }
    }
}

/// The names of satellite's metrics: the first text of each pair of `HELP`.
fn of_satellite(source: &Source) -> BTreeSet<String> {
    let items = source.syntax.items.iter().filter_map(|item| match item {
        syn::Item::Const(item) if item.ident == "HELP" => Some(&*item.expr),
        _ => None,
    });
    let mut found = BTreeSet::new();
    for expression in items {
        let Expr::Array(array) = expression else {
            continue;
        };
        for pair in &array.elems {
            let mut texts = Texts::default();
            visit::visit_expr(&mut texts, pair);
            let name = texts.0.first();
            found.extend(name.map(|name| format!("satellite_{name}")));
        }
    }
    found
}

/// The names of sentinel's: texts that begin so.
fn of_sentinel(source: &Source) -> BTreeSet<String> {
    let mut texts = Texts::default();
    visit_product(&mut texts, &source.syntax);
    let ours = |text: &String| text.starts_with("sentinel_") && is_name(text);
    texts.0.into_iter().filter(ours).collect()
}

#[test]
fn every_metric_stands_in_its_page_and_every_metric_of_the_page_exists() {
    let sources = sources();
    let of = |path: &str| {
        let found = sources.iter().find(|source| source.path == path);
        found.unwrap_or_else(|| panic!("there is no {path}"))
    };
    let mut metrics = of_satellite(of("crates/satellite/src/metrics.rs"));
    metrics.extend(of_sentinel(of("crates/sentinel/src/admin/metrics.rs")));
    assert!(metrics.len() > 50, "{metrics:?}");
    let page = page("docs/METRICS.md");
    let cells = first_cells(&page, "Name").chain(first_cells(&page, "Metric"));
    let listed = cells.flat_map(code).filter_map(|it| it.split('{').next());
    let listed: BTreeSet<String> = listed.filter(|it| is_name(it)).map(str::to_owned).collect();
    let silent: Vec<_> = metrics.difference(&listed).collect();
    let gone: Vec<_> = listed
        .difference(&metrics)
        .filter(|it| *it != "process_")
        .collect();
    assert!(
        silent.is_empty() && gone.is_empty(),
        "not listed: {silent:?}; not there: {gone:?}"
    );
}

#[test]
fn a_table_in_spanish_names_what_the_english_one_names() {
    for pair in TWINS {
        let [english, spanish] = pair.map(|(path, heading)| named(&page(path), heading));
        assert!(english.len() >= 4, "{pair:?}: {english:?}");
        let differs: Vec<_> = english.symmetric_difference(&spanish).collect();
        assert!(differs.is_empty(), "{pair:?}: {differs:?}");
    }
}

#[test]
fn every_spanish_page_is_found_from_the_first_one() {
    let first = page("docs/es/LEAME.md");
    let texts = texts();
    let names = texts.iter().filter_map(|(path, _)| {
        let name = path.strip_prefix("docs/es/")?;
        (name.ends_with(".md") && name != "LEAME.md").then_some(name)
    });
    let hidden: Vec<&str> = names
        .filter(|name| !first.contains(&format!("]({name})")))
        .collect();
    assert!(hidden.is_empty(), "LEAME.md names no {hidden:?}");
}

#[test]
fn no_spanish_page_uses_a_word_that_its_readers_do_not() {
    let texts = texts();
    let pages = texts
        .iter()
        .filter(|(path, _)| path.starts_with("docs/es/") || path.starts_with("deploy/es/"));
    let mut found = Vec::new();
    let mut read = 0;
    for (path, text) in pages {
        let text = text.to_lowercase();
        let used = NOT_THEIRS.iter().filter(|word| text.contains(*word));
        found.extend(used.map(|word| format!("{path}: {word}")));
        read += 1;
    }
    assert!(read > 20, "only {read} pages were read");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let texts = texts();
    let rust = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    let known: BTreeSet<&str> = rust.flat_map(|(_, text)| names(text)).collect();
    let mut gone = Vec::new();
    for path in PROMISES {
        let page = page(path);
        let named = code(&page).flat_map(str::split_whitespace);
        let sentences = named.filter(|word| is_name(word) && word.len() >= SENTENCE);
        // The beginning of several names stands for all of them.
        let begins =
            |word: &str| word.ends_with('_') && known.iter().any(|it| it.starts_with(word));
        let unknown = sentences.filter(|word| !known.contains(word) && !begins(word));
        gone.extend(unknown.map(|word| format!("{path}: {word}")));
    }
    assert!(gone.is_empty(), "there are no such tests: {gone:#?}");
}

#[test]
fn every_place_on_the_map_of_the_house_is_there_and_every_member_is_on_it() {
    let texts = texts();
    let page = page("docs/ARCHITECTURE.md");
    let ends = [".rs", ".md", ".toml", ".sql", ".json", ".service"];
    let is_place = |word: &&str| word.contains('/') && ends.iter().any(|end| word.ends_with(end));
    let places = code(&page).filter(|word| !word.contains(char::is_whitespace));
    let is_there = |place: &str| {
        let behind = format!("/{place}");
        let fits = |path: &String| path == place || path.ends_with(&behind);
        // A crate's folder `src` is left out where its files are named.
        let (member, file) = place.split_once('/').unwrap_or((place, ""));
        let below = format!("crates/{member}/src/{file}");
        texts.iter().any(|(path, _)| fits(path) || *path == below)
    };
    let gone: Vec<&str> = places.filter(is_place).filter(|it| !is_there(it)).collect();
    assert!(gone.is_empty(), "the map shows {gone:?}");
    let members = manifests::members();
    let shown = |folder: &str| page.contains(folder.rsplit('/').next().unwrap_or(folder));
    let hidden: Vec<_> = members
        .iter()
        .filter(|it| !shown(&it.folder))
        .map(|it| &it.folder)
        .collect();
    assert!(hidden.is_empty(), "the map lacks {hidden:?}");
}

#[test]
fn what_a_page_forgets_and_what_it_invents_is_found() {
    let text = "#[derive(Deserialize)]\n#[serde(deny_unknown_fields)]\nstruct A { r#type: u8, old: u8 }\n\
                struct B { other: u8 }\n";
    let source = parse("crates/satellite/src/config/a.rs".into(), text.into());
    let found: Vec<String> = keys(&[source]).into_iter().collect();
    assert_eq!(found, ["old", "type"]);
    let table =
        "| Key | What |\n|---|---|\n| `a`, `b` | x |\n\n| Other | |\n|---|---|\n| `c` | |\n";
    let cells: Vec<&str> = first_cells(table, "Key").flat_map(code).collect();
    assert_eq!(cells, ["a", "b"]);
    let looks = "| Look | Every |\n|---|---|\n| `host`, `host:NAME` | 30 s |\n| `b` | on |\n";
    let is = [("b", ""), ("host", "30 s")].map(|(name, time)| (name.to_owned(), time.to_owned()));
    assert_eq!(named(looks, "Look"), BTreeSet::from(is));
    let metrics = parse(
        "m.rs".into(),
        "const HELP: [(&str, &str); 1] = [(\"up\", \"It is.\")];".into(),
    );
    assert_eq!(
        of_satellite(&metrics),
        BTreeSet::from(["satellite_up".to_owned()])
    );
}
