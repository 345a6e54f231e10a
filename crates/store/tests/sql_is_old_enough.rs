//! No statement of this crate is newer than MySQL 5.7 and MariaDB 10.4, and none asks for a
//! right over the whole server.
//!
//! The scanner reads the migrations and every text in the sources that looks like SQL. It
//! knows words, not grammar; what it must find is listed beside what it looks for.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::fs;
use std::path::Path;

/// A construct as a row of words, `…` for anything between, and a statement that has it.
const TOO_NEW: &[(&str, &str)] = &[
    ("WITH … AS (", "WITH t AS (SELECT 1) SELECT * FROM t"),
    (
        "WITH RECURSIVE",
        "WITH RECURSIVE t (n) AS (SELECT 1) SELECT n FROM t",
    ),
    ("RETURNING", "INSERT INTO t (a) VALUES (?) RETURNING a"),
    ("OVER (", "SELECT ROW_NUMBER() OVER (ORDER BY a) FROM t"),
    ("SKIP LOCKED", "SELECT a FROM t FOR UPDATE SKIP LOCKED"),
    ("NOWAIT", "SELECT a FROM t FOR UPDATE NOWAIT"),
    ("FOR SHARE", "SELECT a FROM t FOR SHARE"),
    (
        "JSON_TABLE",
        "SELECT * FROM JSON_TABLE(?, '$' COLUMNS (a INT PATH '$.a')) AS t",
    ),
    ("LATERAL", "SELECT * FROM t JOIN LATERAL (SELECT t.a) AS u"),
    ("INTERSECT", "SELECT a FROM t INTERSECT SELECT a FROM u"),
    ("EXCEPT", "SELECT a FROM t EXCEPT SELECT a FROM u"),
    (
        "VALUES … ) AS … ON DUPLICATE",
        "INSERT INTO t (a) VALUES (?) AS new ON DUPLICATE KEY UPDATE a = new.a",
    ),
    ("CHECK (", "CREATE TABLE t (a INT CHECK (a > 0))"),
    (
        "DEFAULT (",
        "CREATE TABLE t (a BINARY(16) DEFAULT (UUID()))",
    ),
    ("INVISIBLE", "ALTER TABLE t ALTER INDEX i INVISIBLE"),
    ("RENAME COLUMN", "ALTER TABLE t RENAME COLUMN a TO b"),
    ("COLUMN IF", "ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT"),
    ("OR REPLACE TABLE", "CREATE OR REPLACE TABLE t (a INT)"),
    ("SEQUENCE", "CREATE SEQUENCE s"),
    ("INSERT IGNORE", "INSERT IGNORE INTO t (a) VALUES (?)"),
    ("REPLACE INTO", "REPLACE INTO t (a) VALUES (?)"),
    ("LOAD DATA", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t"),
    ("SET GLOBAL", "SET GLOBAL sql_mode = ''"),
    ("SET PERSIST", "SET PERSIST sql_mode = ''"),
    ("@@GLOBAL", "SET @@GLOBAL.sql_mode = ''"),
    ("SUPER", "GRANT SUPER ON *.* TO satellite"),
    (
        "TRIGGER",
        "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
    ),
];

/// Words that begin, or stand in, a statement.
const SQL_WORDS: &[&str] = &[
    "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "ALTER", "DROP", "SET", "GRANT",
    "LOAD", "WITH", "FROM", "WHERE", "VALUES", "FOR", "AND", "ORDER", "ON", "AS", "INTO",
];

/// Words and single punctuation marks, in capitals; comments of SQL are left out.
fn words(sql: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for line in sql.lines() {
        let code = line.split("--").next().unwrap_or_default();
        for c in code.chars() {
            let last = words.last_mut().unwrap();
            if c.is_alphanumeric() || c == '_' || c == '@' {
                last.extend(c.to_uppercase());
            } else {
                words.push(if c.is_whitespace() {
                    String::new()
                } else {
                    c.to_string()
                });
                words.push(String::new());
            }
        }
        words.push(String::new());
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether the words hold the construct: its parts in order, next to each other except at `…`.
fn holds(words: &[String], construct: &str) -> bool {
    let runs: Vec<Vec<&str>> = construct
        .split('…')
        .map(|run| run.split_whitespace().collect())
        .collect();
    let mut from = 0;
    for run in runs.iter().filter(|run| !run.is_empty()) {
        let rest = words.get(from..).unwrap_or_default();
        let Some(at) = rest
            .windows(run.len())
            .position(|here| here.iter().eq(run.iter()))
        else {
            return false;
        };
        from += at + run.len();
    }
    true
}

fn found_in(sql: &str) -> Vec<&'static str> {
    let words = words(sql);
    TOO_NEW
        .iter()
        .map(|(construct, _)| *construct)
        .filter(|it| holds(&words, it))
        .collect()
}

/// The texts of a Rust source, without comments, with `\` at a line's end joined.
fn texts(source: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let here = &rest[at..];
        let hashes = rest[..at].len() - rest[..at].trim_end_matches('#').len();
        let raw = rest[..at - hashes].ends_with('r');
        if here.starts_with("//") {
            rest = here.split_once('\n').map_or("", |(_, rest)| rest);
        } else if here.starts_with('"') && raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let (text, after) = here[1..].split_once(&end).unwrap();
            texts.push(text.to_owned());
            rest = after;
        } else if let Some(inside) = here.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = inside.char_indices();
            let mut end = here.len();
            while let Some((place, c)) = chars.next() {
                match c {
                    '"' => {
                        end = place + 2;
                        break;
                    }
                    '\\' => text.push(chars.next().map_or(' ', |(_, c)| c)),
                    c => text.push(c),
                }
            }
            texts.push(text);
            rest = &here[end..];
        } else {
            // A quotation mark as a character: '"'. Everything else after ' is code.
            rest = here.strip_prefix("'\"'").unwrap_or_else(|| &here[1..]);
        }
    }
    texts
}

/// A text is SQL when it begins with a word of SQL in any case, or holds one in capitals.
fn looks_like_sql(text: &str) -> bool {
    let parts = || {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|part| !part.is_empty())
    };
    let first = parts().next().unwrap_or_default();
    let begins = [
        "select", "insert", "update", "delete", "replace", "create", "alter", "load",
    ];
    begins.contains(&first) || parts().any(|part| SQL_WORDS.contains(&part))
}

#[test]
fn every_statement_runs_on_the_oldest_servers() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut looked, mut wrong) = (0, Vec::new());
    for folder in ["migrations", "src"] {
        for entry in fs::read_dir(home.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read_to_string(&path).unwrap();
            let statements = if folder == "migrations" {
                content.split(';').map(str::to_owned).collect()
            } else {
                texts(&content)
            };
            for sql in statements.iter().filter(|text| looks_like_sql(text)) {
                looked += 1;
                for construct in found_in(sql) {
                    wrong.push(format!("{}: {construct}: {sql}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked > 60, "only {looked} statements were found");
}

#[test]
fn the_scanner_finds_each_construct_in_source_text() {
    for (construct, sql) in TOO_NEW {
        let source = format!("let sql = \"{sql}\"; // fine");
        let found: Vec<_> = texts(&source)
            .iter()
            .flat_map(|text| found_in(text))
            .collect();
        assert!(
            found.contains(construct),
            "{construct} was not found in {sql}"
        );
        assert!(
            found_in(&sql.to_lowercase()).contains(construct),
            "{construct} in small letters"
        );
        assert!(looks_like_sql(sql), "{sql}");
    }
}

#[test]
fn the_scanner_reads_past_comments_characters_and_escapes() {
    let source = r##"
        // "SKIP LOCKED"
        let a = '"'; let b = "x \"RETURNING\" \
                              y"; let c: &'static str = r#"FOR "SHARE""#;
    "##;
    let texts = texts(source);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(found_in(&texts[0]), ["RETURNING"]);
    assert_eq!(words(&texts[1]), ["FOR", "\"", "SHARE", "\""]);
}

#[test]
fn what_old_servers_understand_is_left_alone() {
    for fine in [
        "SELECT CAST(a AS CHAR) FROM t WHERE b = VALUES(b)",
        "INSERT INTO t (a) VALUES (?), (?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
        "SELECT a FROM t FOR UPDATE",
        "a TINYINT DEFAULT 0, supervisor TEXT -- CHECK (this)",
    ] {
        assert!(found_in(fine).is_empty(), "{fine}: {:?}", found_in(fine));
    }
}
