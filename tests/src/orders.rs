//! Commands of satellite as an operator gives them: whether they worked, and what they said.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::SatelliteProcess;

/// Longest that a command may take here.
const LONG: Duration = Duration::from_secs(90);

/// Whether a command that this person gave ended with 0, and what it printed on both streams.
///
/// # Errors
/// It does not start, or does not end.
pub async fn said(
    satellite: &SatelliteProcess,
    words: &[&str],
    who: &str,
) -> Result<(bool, String)> {
    let mut order = satellite.order(words);
    order.env_remove("SUDO_USER").env("USER", who);
    let output = order.stdin(Stdio::null()).output();
    let output = tokio::time::timeout(LONG, output).await;
    let output = output.context("the command has not ended")??;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    println!("$ satellite {}\n{text}", words.join(" "));
    Ok((output.status.success(), text))
}

/// The same, of somebody called `operator`.
///
/// # Errors
/// As [`said`].
pub async fn outcome(satellite: &SatelliteProcess, words: &[&str]) -> Result<(bool, String)> {
    said(satellite, words, "operator").await
}

/// What a command says that has to work.
///
/// # Errors
/// It fails.
pub async fn works(satellite: &SatelliteProcess, words: &[&str]) -> Result<String> {
    let (fine, text) = outcome(satellite, words).await?;
    ensure!(fine, "{words:?}: {text}");
    Ok(text)
}

/// A command that has to fail, and to say `what`.
///
/// # Errors
/// It works, or says something else.
pub async fn fails(satellite: &SatelliteProcess, words: &[&str], what: &str) -> Result<()> {
    let (fine, text) = outcome(satellite, words).await?;
    ensure!(!fine && text.contains(what), "not {what:?} but: {text}");
    Ok(())
}
