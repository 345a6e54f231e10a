//! What manuals, examples and change log show as commands, found by how it is written: between
//! backticks and in fenced blocks of shell.

use std::path::{Path, PathBuf};

/// Folders and single files in which people read commands.
const PLACES: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "docs",
    "docs/es",
    "docs/devices",
    "deploy",
    "deploy/es",
];

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Every text that people read for commands, in an order that does not change.
///
/// # Errors
/// A folder is not there.
pub fn texts() -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for place in PLACES.map(|place| workspace().join(place)) {
        if place.is_file() {
            found.push(place);
            continue;
        }
        let entries = place.read_dir()?.flatten();
        let fits = |path: &PathBuf| {
            path.extension()
                .is_some_and(|end| ["md", "toml", "sql"].iter().any(|it| end == *it))
        };
        found.extend(entries.map(|entry| entry.path()).filter(fits));
    }
    found.sort();
    Ok(found)
}

/// What stands in fenced blocks of shell, line by line, and then what stands between backticks.
#[must_use]
pub fn shown(text: &str) -> Vec<String> {
    let (mut found, named) = parts(text);
    found.extend(named);
    found
}

/// The lines of fenced blocks of shell, and what stands between backticks.
#[must_use]
pub fn parts(text: &str) -> (Vec<String>, Vec<String>) {
    let mut found = Vec::new();
    let mut fenced: Option<bool> = None;
    let mut prose = String::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), fenced) {
            (Some(language), None) => fenced = Some(["sh", "console"].contains(&language)),
            (Some(_), Some(_)) => fenced = None,
            (None, Some(true)) => found.push(line.to_owned()),
            (None, Some(false)) => {}
            (None, None) => prose += &format!("{line} "),
        }
    }
    let named = prose.split('`').skip(1).step_by(2);
    (found, named.map(str::to_owned).collect())
}
