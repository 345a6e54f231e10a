//! `cargo xtask fuzz`: the fuzzers of `tests/fuzz`, each for so many seconds, one after another.
//!
//! They start from vectors or shipped files and from what earlier runs found, which stays in
//! `tests/fuzz/corpus`. The first input that breaks a law ends the run; libFuzzer names the file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// Where they stand: no member of the workspace.
const FOLDER: &str = "tests/fuzz";
/// The version of cargo-fuzz that is used.
const CARGO_FUZZ: &str = "0.13.2";

/// Each fuzzer, and the folder of what it starts from.
const FUZZERS: [(&str, &str); 9] = [
    ("push", "protocols/zkteco-push/vectors"),
    ("push_table", "protocols/zkteco-push/vectors"),
    ("pull_session", "protocols/zkteco-pull/vectors"),
    ("pull_tables", "protocols/zkteco-pull/vectors"),
    ("isapi", "protocols/hikvision-isapi/vectors"),
    ("isapi_answers", "protocols/hikvision-isapi/vectors"),
    ("other_makes", "protocols/other-makes/vectors"),
    ("configuration", "deploy"),
    ("mail", "protocols/hikvision-isapi/vectors"),
];

/// Runs those whose name contains `only`.
pub(crate) fn run(seconds: u32, only: &str) -> Result<ExitCode> {
    let chosen = FUZZERS.iter().filter(|(name, _)| name.contains(only));
    let chosen: Vec<_> = chosen.collect();
    let names: Vec<&str> = FUZZERS.iter().map(|(name, _)| *name).collect();
    ensure!(
        !chosen.is_empty(),
        "no fuzzer is called `{only}`; there are: {}",
        names.join(", ")
    );
    cargo::install_tool("fuzz", "cargo-fuzz", CARGO_FUZZ)?;
    for (name, begin) in chosen {
        println!("== {name}, {seconds} s");
        one(name, begin, seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(name: &str, begin: &str, seconds: u32) -> Result<()> {
    let corpus = folder(&Path::new(FOLDER).join("corpus").join(name))?;
    let vectors = cargo::root().join(begin);
    let mut command = cargo::cargo([
        "fuzz",
        "run",
        "--fuzz-dir",
        FOLDER,
        "--sanitizer",
        "none",
        name,
    ]);
    let status = command
        .args([corpus, vectors])
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=20", "-max_len=16384", "-print_final_stats=1"])
        // Coverage needs a flag that the stable compiler keeps behind this name.
        .env("RUSTC_BOOTSTRAP", "1")
        // The build of libsystemd-sys links a program of its own, which has no fuzzer in it.
        .env(
            "RUSTFLAGS",
            "-Clink-arg=-Wl,--unresolved-symbols=ignore-all",
        )
        .status()
        .context("cargo did not start")?;
    ensure!(
        status.success(),
        "{name} broke a law: the input is named above"
    );
    Ok(())
}

fn folder(path: &Path) -> Result<PathBuf> {
    let folder = cargo::root().join(path);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
