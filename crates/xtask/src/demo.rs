//! `cargo xtask demo`: from a clean clone to events on the screen.
//!
//! Builds only the program that is shown, in a profile that compiles quickly, and then becomes
//! that program, so that Ctrl-C and the exit status are its own. What is shown is
//! `satellite demo`'s business, not ours.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{cargo, packages};

/// Installs, builds, and becomes `satellite demo`. Returns only when that failed.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    packages::for_build()?;
    println!("Building satellite. The first time takes a few minutes.");
    let built = cargo::build(&["--profile", "demo"], &["satellite"])?;
    let satellite = built.first().context("cargo built no satellite")?;
    let error = Command::new(satellite).arg("demo").args(arguments).exec();
    Err(error).with_context(|| format!("{} did not start", satellite.display()))
}
