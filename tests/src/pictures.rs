//! Pictures in the manuals: what a program put on a screen, or a letter, drawn as text in an SVG.
//!
//! Each is drawn from what the real programs printed in a test, and that test holds the picture in
//! `docs/` against what they print now: the same words, whatever the numbers and the times are.
//! `SATELLITE_WRITE_SCREENS=1` draws them anew. A picture needs no font of its own and no network.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::pages::workspace;

/// A line may be so wide; a longer one goes on in the next.
const COLUMNS: usize = 92;
/// Room of a letter and of a line, in pixels.
const LETTER: (usize, usize) = (8, 19);
/// Room around the text, and above it for the title.
const AROUND: usize = 16;
const ABOVE: usize = 34;
/// Of a hundred words of the picture so many must still be printed: a day, a state or the name of
/// a machine may be another.
const SAME: usize = 85;

/// Whether the picture of that name below `docs/` still shows these lines; draws it where that is
/// asked for.
///
/// # Errors
/// It is not there, or shows other words; the error has what was printed.
pub fn picture(name: &str, title: &str, printed: &[String]) -> Result<()> {
    let path = workspace().join("docs").join(name);
    let lines: Vec<String> = printed.iter().flat_map(|line| folded(line)).collect();
    if std::env::var_os("SATELLITE_WRITE_SCREENS").is_some() {
        return write(&path, &drawn(title, &lines));
    }
    let shown = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (same, all) = still_there(&shown, &lines);
    ensure!(
        all > 0 && same * 100 >= all * SAME,
        "{name}: {same} of {all} words are still printed; SATELLITE_WRITE_SCREENS=1 draws it anew:\n{}",
        lines.join("\n")
    );
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// The line in pieces that are not too wide, parted where a word ends.
fn folded(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let width = |piece: &String| piece.chars().count() + word.trim_end().chars().count();
        match pieces.last_mut() {
            Some(piece) if piece.is_empty() || width(piece) <= COLUMNS => piece.push_str(word),
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

fn drawn(title: &str, lines: &[String]) -> String {
    let widest = lines.iter().map(|line| line.chars().count()).max();
    let width = widest.unwrap_or_default().max(40) * LETTER.0 + 2 * AROUND;
    let height = lines.len() * LETTER.1 + ABOVE + AROUND;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#1c2128\"/>\n\
         <g font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"13\" fill=\"#d6dde6\">\n\
         <text x=\"{AROUND}\" y=\"22\" fill=\"#8b98a8\">{}</text>\n",
        escaped(title),
        escaped(title),
    );
    for (number, line) in lines.iter().enumerate() {
        let y = ABOVE + number * LETTER.1 + 14;
        // Blanks that nobody draws as one.
        let line = escaped(line.trim_end()).replace(' ', "\u{a0}");
        if !line.is_empty() {
            writeln!(svg, "<text x=\"{AROUND}\" y=\"{y}\">{line}</text>").ok();
        }
    }
    svg + "</g>\n</svg>\n"
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

/// Words of letters alone, in capitals or not: no numbers, times, identities, addresses.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let plain = |word: &&str| {
        word.chars()
            .all(|c| c.is_alphabetic() || ".,:;()'-«»".contains(c))
    };
    text.split_whitespace().filter(plain)
}

/// How many words of a picture are among those lines, and how many it has.
fn still_there(svg: &str, lines: &[String]) -> (usize, usize) {
    let text = |line: &str| {
        let text = line.strip_prefix("<text ")?.split_once('>')?.1;
        Some(text.strip_suffix("</text>")?.to_owned())
    };
    // The first is the title.
    let shown: Vec<String> = svg.lines().filter_map(text).skip(1).collect();
    let printed = escaped(&lines.join(" "));
    let printed: BTreeSet<&str> = words(&printed).collect();
    let shown = shown.join(" ");
    let all = words(&shown).count();
    (words(&shown).filter(|it| printed.contains(it)).count(), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_the_same_words_with_other_numbers_and_not_those_of_another_screen() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let svg = drawn("título", &lines("bien  disco 60 % <libre>\n\nmal   reloj"));
        let line = ">bien\u{a0}\u{a0}disco\u{a0}60\u{a0}%\u{a0}&lt;libre&gt;</text>";
        assert!(svg.contains(line), "{svg}");
        assert_eq!(
            still_there(&svg, &lines("bien disco 7 % <libre>\nmal reloj")),
            (4, 4)
        );
        assert_eq!(still_there(&svg, &lines("nada")).0, 0);
    }

    #[test]
    fn a_line_that_is_too_wide_goes_on_and_loses_nothing() {
        let line = "palabra ".repeat(40);
        let pieces = folded(&line);
        assert!(pieces.len() > 2, "{pieces:?}");
        assert!(
            pieces
                .iter()
                .all(|it| it.trim_end().chars().count() <= COLUMNS)
        );
        assert_eq!(pieces.concat(), line);
        assert_eq!(folded("a  b"), ["a  b"]);
    }
}
