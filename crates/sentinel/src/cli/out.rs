//! Where output goes, and how it is laid out: what was asked for to standard output, remarks to
//! standard error. Every cell and every error is made safe here, because serials and words of
//! servers come from the network.

use comfy_table::{Table, presets};
use daemon::logging::Escaped;

pub(crate) use console::{json, line, print};

/// What went wrong, or a remark beside the output.
pub(crate) fn complain(text: &str) {
    console::remark(&format!("sentinel: {}", console::shown(text)));
}

/// Rows under their headings; an absent value is a dash.
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
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_leave_its_line_and_an_absent_value_is_a_dash() {
        let rows = [vec!["a\n\u{1b}[2Jb".to_owned(), String::new()]];
        let text = table(&["one", "two"], &rows);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(" -") && !text.contains('\u{1b}'), "{text}");
    }
}
