//! `cargo xtask mutants`: the lines that the promises rest on are taken out, one at a time, and a
//! named test has to fail each time.
//!
//! Works on a copy of the sources in `target/mutants`, with a target folder of its own, so that a
//! run that is ended half-way leaves nothing changed behind. A change that does not compile, or a
//! test that does not run, proves nothing and is an error. That each change still fits its source
//! is a unit test, so that the table cannot rot between two runs.
//!
//! `--package` is the other direction: cargo-mutants changes every place of one package, and what
//! the package's own tests do not notice is listed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, cargo};

/// One line taken out, or turned into its opposite.
struct Mutant {
    /// What is no longer so.
    name: &'static str,
    /// Source below the root of the workspace.
    file: &'static str,
    /// What stands there, exactly once.
    from: &'static str,
    /// What stands there instead.
    to: &'static str,
    /// The package, the file in its `tests` and the test that has to fail.
    test: (&'static str, &'static str, &'static str),
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "acknowledge-before-commit",
        file: "crates/store/src/writer_task.rs",
        from: "        self.commit(batch, None).await;\n        if self.held",
        to: "        for reply in batch.replies.drain(..) {\n            \
             answer(reply, Ok(Receipt::default()));\n        }\n        \
             self.commit(batch, None).await;\n        if self.held",
        test: (
            "promises",
            "database_down",
            "a_post_while_the_database_is_down_is_refused_and_comes_once_afterwards",
        ),
    },
    Mutant {
        name: "equal-records-not-parted",
        file: "crates/store/src/commit.rs",
        from: "        entries.sort_by_key(key);\n",
        to: "",
        test: (
            "store",
            "writer",
            "equal_lines_are_one_punch_and_a_replay_changes_nothing",
        ),
    },
    Mutant {
        name: "no-unique-key-on-mariadb",
        file: "crates/store/migrations/mysql_0001.sql",
        from: "UNIQUE KEY event_identity (device_id, ident)",
        to: "KEY event_identity (device_id, ident)",
        test: (
            "store",
            "writer",
            "equal_lines_are_one_punch_and_a_replay_changes_nothing",
        ),
    },
    Mutant {
        name: "no-sync-of-a-sqlite-store",
        file: "crates/store/src/sqlite.rs",
        from: ".synchronous(SqliteSynchronous::Full)",
        to: ".synchronous(SqliteSynchronous::Off)",
        test: (
            "promises",
            "power_cut",
            "a_power_cut_under_a_sqlite_store_loses_and_doubles_nothing",
        ),
    },
    Mutant {
        name: "no-sync-of-sentinels-file",
        file: "crates/sentinel/src/database/mod.rs",
        from: ".synchronous(SqliteSynchronous::Full)",
        to: ".synchronous(SqliteSynchronous::Off)",
        test: (
            "promises",
            "sentinel",
            "what_sentinel_has_answered_is_there_after_a_power_cut",
        ),
    },
];

/// The version of cargo-mutants that is used.
const CARGO_MUTANTS: &str = "27.1.0";

/// What nextest ends with when a test failed; anything else is not what is looked for.
const TESTS_FAILED: i32 = 100;

/// Tries those whose name contains `only`.
pub(crate) fn run(only: &str) -> Result<ExitCode> {
    let chosen: Vec<&Mutant> = MUTANTS.iter().filter(|it| it.name.contains(only)).collect();
    let names: Vec<&str> = MUTANTS.iter().map(|it| it.name).collect();
    ensure!(
        !chosen.is_empty(),
        "no change is called `{only}`; there are: {}",
        names.join(", ")
    );
    ensure!(
        cargo::has_subcommand("nextest"),
        "cargo-nextest is needed: `cargo xtask test` installs it"
    );
    let tree = copy_of_the_sources()?;
    println!("== as it is: each of these tests passes");
    for mutant in &chosen {
        ensure!(
            !fails(&tree, mutant.test)?,
            "{} fails without any change",
            mutant.test.2
        );
    }
    let mut survivors = Vec::new();
    for mutant in chosen {
        println!("== {}", mutant.name);
        let begin = Instant::now();
        let path = tree.join(mutant.file);
        let source = fs::read_to_string(&path)?;
        fs::write(&path, mutated(mutant, &source)?)?;
        let failed = fails(&tree, mutant.test);
        fs::write(&path, source)?;
        let seconds = begin.elapsed().as_secs();
        if failed? {
            println!("{}: found by {} ({seconds} s)", mutant.name, mutant.test.2);
        } else {
            println!("{}: NOT FOUND by {}", mutant.name, mutant.test.2);
            survivors.push(mutant.name);
        }
    }
    if survivors.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("not found: {}", survivors.join(", "))
}

/// Changes the places of `package` one after the other; `options` are cargo-mutants' own.
///
/// Ends with its status: 0 when each change was noticed, 2 when one was not, 3 when one made a
/// test go on for ever.
pub(crate) fn of_a_package(package: &str, options: &[String]) -> Result<ExitCode> {
    cargo::install_tool("mutants", "cargo-mutants", CARGO_MUTANTS)?;
    let output = cargo::root().join("target/mutants");
    fs::create_dir_all(&output)?;
    let status = cargo(["mutants", "--package", package, "--output"])
        .arg(&output)
        .args(options)
        .status()
        .context("cargo-mutants did not start")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The source with the change in it.
fn mutated(mutant: &Mutant, source: &str) -> Result<String> {
    let times = source.matches(mutant.from).count();
    ensure!(
        times == 1,
        "`{}` stands {times} times in {}: the change `{}` has to follow it",
        mutant.from,
        mutant.file,
        mutant.name
    );
    Ok(source.replace(mutant.from, mutant.to))
}

/// Builds, runs the one test, and says whether it failed.
fn fails(tree: &Path, (package, file, test): (&str, &str, &str)) -> Result<bool> {
    let programs = [
        "build",
        "-p",
        "satellite",
        "-p",
        "sentinel",
        "-p",
        "terminals",
    ];
    let built = within(tree, &programs).status()?;
    ensure!(built.success(), "the programs do not compile");
    // Only that file's tests are built: linking those of all files takes minutes for each change.
    let built = ["-p", package, "--test", file];
    let no_run = [&["nextest", "run", "--no-run"], &built[..]].concat();
    let compiled = within(tree, &no_run).status()?;
    ensure!(compiled.success(), "the tests do not compile");
    let filter = format!("test(/(^|::){test}$/)");
    let chosen = ["--no-tests", "fail", "-E", &filter];
    let run = [&["nextest", "run"], &built[..], &chosen[..]].concat();
    let ran = within(tree, &run).status()?;
    match ran.code() {
        Some(0) => Ok(false),
        Some(TESTS_FAILED) => Ok(true),
        _ => bail!("{test} did not run: {ran}"),
    }
}

/// A cargo command in the copy, with what it builds beside it.
fn within(tree: &Path, words: &[&str]) -> Command {
    let mut command = cargo(words.iter().copied());
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"));
    command
}

/// Copies every file that git would; what is equal stays untouched, so that little is built anew.
fn copy_of_the_sources() -> Result<PathBuf> {
    let tree = cargo::root().join("target/mutants/tree");
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(cargo::root())
        .output()
        .context("git did not start")?;
    ensure!(listed.status.success(), "git does not list the sources");
    let names = String::from_utf8(listed.stdout)?;
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let Ok(source) = fs::read(cargo::root().join(name)) else {
            continue;
        };
        let copy = tree.join(name);
        if fs::read(&copy).is_ok_and(|there| there == source) {
            continue;
        }
        let folder = copy.parent().context("a file has a folder")?;
        fs::create_dir_all(folder)?;
        fs::copy(cargo::root().join(name), &copy)
            .with_context(|| format!("cannot write {}", copy.display()))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_still_fits_its_source_and_its_test_is_there() {
        for mutant in MUTANTS {
            let source = fs::read_to_string(cargo::root().join(mutant.file)).unwrap();
            let changed = mutated(mutant, &source).unwrap();
            assert_ne!(changed, source, "{}", mutant.name);
            let (package, file, test) = mutant.test;
            let folder = match package {
                "promises" => "tests/tests".to_owned(),
                other => format!("crates/{other}/tests"),
            };
            let path = cargo::root().join(folder).join(file).with_extension("rs");
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.contains(&format!("async fn {test}()"));
            assert!(
                found,
                "{}: no test {test} in {file} of {package}",
                mutant.name
            );
        }
    }
}
