//! Screens in a manual: what a command printed stands below it, as in a terminal.
//!
//! Each is shown by the real program in the installation of the manuals' test, and what stands in the
//! page must still be what it prints: the same words in the same lines, whatever the numbers, the
//! times and the widths are. `SATELLITE_WRITE_SCREENS=1` writes the page anew.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use promises::{Container, workspace};

const PAGE: &str = "docs/es/pantallas.md";
/// A machine differs from another in a line or two (its clock, its disk), so three of four must stay.
const SAME: (usize, usize) = (3, 4);

/// The words of a line, without numbers, times, identities and lines of tables.
fn words(line: &str) -> String {
    let word = |word: &&str| {
        word.chars()
            .all(|c| c.is_alphabetic() || ".,:;()'-".contains(c))
    };
    let words: Vec<&str> = line.split_whitespace().filter(word).collect();
    words.join(" ")
}

/// How many lines of a screen a program still prints, and how many there are.
fn still_there(shown: &str, printed: &str) -> (usize, usize) {
    let printed: BTreeSet<String> = printed.lines().map(words).collect();
    let shown: Vec<String> = shown
        .lines()
        .map(words)
        .filter(|it| !it.is_empty())
        .collect();
    let same = shown.iter().filter(|line| printed.contains(*line)).count();
    (same, shown.len())
}

/// Runs each command of the page; answers which screens are others by now.
pub(super) async fn compare(container: &Container) -> Result<Vec<String>> {
    let path = workspace().join(PAGE);
    let page = std::fs::read_to_string(&path)?;
    let (mut written, mut others) = (String::new(), Vec::new());
    for (number, part) in page.split("```text\n$ ").enumerate() {
        if number == 0 {
            written += part;
            continue;
        }
        let (command, rest) = part.split_once('\n').unwrap_or((part, ""));
        let (shown, behind) = rest.split_once("```").unwrap_or((rest, ""));
        let output = container.output(command).await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (same, all) = still_there(shown, &printed);
        if all == 0 || same * SAME.1 < all * SAME.0 {
            others.push(format!(
                "{PAGE}: {command}\n    {same} of {all} lines are the same:\n{printed}"
            ));
        }
        let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        let printed = printed.join("\n");
        written += &format!("```text\n$ {command}\n{printed}\n```{behind}");
    }
    ensure!(written.contains("```text"), "{PAGE} shows nothing");
    if std::env::var_os("SATELLITE_WRITE_SCREENS").is_some() {
        std::fs::write(&path, written)?;
        others.clear();
    }
    Ok(others)
}

#[test]
fn a_screen_is_the_same_with_other_numbers_and_another_one_with_other_words() {
    let shown = "bien  máquina  60 % libre\nmal   reloj    sin ajustar\n";
    assert_eq!(
        still_there(shown, "bien  máquina   7 % libre\nmal reloj sin ajustar\n"),
        (2, 2)
    );
    assert_eq!(
        still_there(shown, "bien  máquina   7 % libre\nbien reloj ajustado\n"),
        (1, 2)
    );
}
