//! Tables on a terminal.
//!
//! Every cell is made safe here, because serials, names and persons come from the network;
//! absent values are a dash. Nothing here knows what the columns mean.

use comfy_table::{Table, presets};
use daemon::logging::Escaped;

/// Lays out rows under their headings; ends with a line feed.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            text => Escaped(text).to_string(),
        }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, one a line, the values in one column.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (name, value) in facts {
        let value = if value.is_empty() { "-" } else { value };
        let gap = " ".repeat(width.saturating_sub(name.chars().count()));
        text.push_str(&format!("{name}{gap}  {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_leave_its_line_and_an_absent_value_is_a_dash() {
        let rows = [vec!["a\n\u{1b}[2Jb".to_owned(), String::new()]];
        let text = table(&["one", "two"], &rows);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains(r"a\n\u{1b}[2Jb") && text.contains(" -"),
            "{text}"
        );
    }

    #[test]
    fn values_stand_in_one_column_whatever_the_letters_of_their_names() {
        let text = facts(&[("año", "1".to_owned()), ("serial", String::new())]);
        assert_eq!(text, "año     1\nserial  -\n");
    }
}
