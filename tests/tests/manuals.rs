//! Promise: every command that a manual, the README, a shipped configuration or one of sentinel's
//! letters names is one that the programs understand, with every option it uses.
//!
//! Each is given to the real program with `--help` behind it, which reads the whole line and does
//! nothing. A word in capitals (SERIE, FILE) stands for what the reader puts there.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use promises::{SentinelProcess, shown, texts, workspace};

const PROGRAMS: [&str; 3] = ["satellite", "sentinel", "terminals"];

/// The commands of our programs in a line: program and words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let ours = |words: &Vec<String>| {
        let named = words.len() > 1 && PROGRAMS.contains(&words[0].as_str());
        // An alternative or an ellipsis is no command to type.
        named && !words.iter().any(|word| word.contains(['…', '[', '{']))
    };
    let mut all = vec![Vec::new()];
    for word in words(line) {
        if word.starts_with('#') {
            break;
        }
        let ends = ["|", "||", "&", "&&", ";", ">", ">>", "<", "\\", "→"].contains(&word.as_str());
        match all.last_mut() {
            Some(words) if !ends => {
                let (word, ends) = match word.strip_suffix(';') {
                    Some(word) => (word.to_owned(), true),
                    None => (word, false),
                };
                words.push(word);
                if ends {
                    all.push(Vec::new());
                }
            }
            _ => all.push(Vec::new()),
        }
    }
    all.into_iter().filter(ours).collect()
}

/// The commands of sentinel's letters, as their source has them, with a serial and a tenant filled
/// in.
fn commands_of_letters() -> Vec<Vec<String>> {
    let words = workspace().join("crates/sentinel/src/words");
    let files = ["table.rs", "commands.rs"].map(|name| words.join(name));
    let text = files.map(|file| std::fs::read_to_string(file).unwrap());
    let text = text.concat();
    let filled = text
        .replace("{serial}", "SERIE")
        .replace("{tenant}", "CLIENTE");
    let begins = |text: &&str| {
        ["satellite ", "sentinel "]
            .iter()
            .any(|it| text.starts_with(it))
    };
    let literals = filled.split('"').skip(1).step_by(2).filter(begins);
    let found: Vec<_> = literals.flat_map(commands).collect();
    assert!(found.len() > 12, "{found:?}");
    found
}

/// The words of a line as a shell parts them: what stands in quotes is one.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), String::new(), None);
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => all.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    all.push(word);
    all.retain(|word| !word.is_empty());
    all
}

/// Why the program does not understand these words; `None` when it does.
fn misunderstood(program: &Path, words: &[String]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(&words[1..]).arg("--help").output().unwrap();
    if output.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let stands_for = |word: &String| {
        let capitals = word
            .chars()
            .all(|c| c.is_uppercase() || c == '_' || c == '-');
        capitals && said.contains(&format!("invalid value '{word}'"))
    };
    (!words.iter().any(stands_for)).then_some(said)
}

#[test]
fn every_command_in_a_manual_is_one_that_the_programs_understand() {
    let sentinel = SentinelProcess::prepare("").unwrap();
    let mut wanted: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for path in texts().unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path
            .strip_prefix(workspace())
            .unwrap()
            .display()
            .to_string();
        for words in shown(&text).iter().flat_map(|line| commands(line)) {
            wanted.entry(words).or_default().insert(name.clone());
        }
    }
    for words in commands_of_letters() {
        let letters = "a letter of sentinel".to_owned();
        wanted.entry(words).or_default().insert(letters);
    }
    assert!(
        wanted.len() > 100,
        "only {} commands were found",
        wanted.len()
    );
    let wrong: Vec<String> = wanted
        .iter()
        .filter_map(|(words, places)| {
            let program = sentinel.program().with_file_name(&words[0]);
            let said = misunderstood(&program, words)?;
            let first = said.lines().next().unwrap_or_default();
            Some(format!("{places:?}: {}\n    {first}", words.join(" ")))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} are not understood:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{} commands are understood", wanted.len());
}

#[test]
fn commands_are_found_in_blocks_and_in_prose_without_what_surrounds_them() {
    let text = "Run `satellite devices list`.\n```sh\nsatellite check && systemctl reload satellite # soon\n\
                satellite events --since \"2026-11-21 07:00\" --json | head\n```\n```toml\nsatellite = no\n```\n";
    let found: Vec<String> = shown(text)
        .iter()
        .flat_map(|line| commands(line))
        .map(|words| words.join(" "))
        .collect();
    assert_eq!(
        found,
        [
            "satellite check",
            "satellite events --since 2026-11-21 07:00 --json",
            "satellite devices list"
        ]
    );
}
