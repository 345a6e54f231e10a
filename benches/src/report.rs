//! What a bench says: tables for people, one JSON object for machines, always with the machine
//! and the command.
//!
//! A figure without the command that gave it and the machine that it was measured on is
//! worth nothing, so neither can be left out. Numbers are rounded for people only.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::machine;

/// One cell of a table.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// A whole number, shown with thousands apart.
    Count(u64),
    /// A number, shown with so many decimals.
    Number(f64, usize),
    /// A share, shown in per cent.
    Share(f64),
}

impl Cell {
    /// Words.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number a second, shown whole.
    pub(crate) fn rate(number: f64) -> Self {
        Self::Number(number, 0)
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(number) => json!(number),
            Self::Number(number, _) | Self::Share(number) => json!(number),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Count(number) => f.write_str(&apart(&number.to_string())),
            Self::Number(number, decimals) => {
                let text = format!("{number:.decimals$}");
                let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
                f.write_str(&apart(whole))?;
                if rest.is_empty() {
                    Ok(())
                } else {
                    write!(f, ".{rest}")
                }
            }
            Self::Share(share) => write!(f, "{:.1} %", share * 100.0),
        }
    }
}

/// Digits in groups of three.
fn apart(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Rows under common headings.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &'static [&'static str]) -> Self {
        Self {
            title: title.into(),
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row and says it on standard error at once: a bench takes minutes.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        let said: Vec<String> = self
            .columns
            .iter()
            .zip(&row)
            .map(|(column, cell)| format!("{column} {cell}"))
            .collect();
        eprintln!("  {}", said.join(", "));
        self.rows.push(row);
    }

    fn json(&self) -> Value {
        let row = |row: &Vec<Cell>| {
            let pairs = self
                .columns
                .iter()
                .zip(row)
                .map(|(column, cell)| ((*column).to_owned(), cell.value()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::to_string).collect())
            .collect();
        let width = |at: usize| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let heading = self.columns.get(at).map_or(0, |name| name.chars().count());
            cells
                .map(|cell| cell.chars().count())
                .fold(heading, usize::max)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        writeln!(f, "{}\n", self.title)?;
        let heading: Vec<String> = self.columns.iter().map(|name| (*name).to_owned()).collect();
        line(f, &heading, &widths)?;
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        line(f, &rule, &widths)?;
        rows.iter().try_for_each(|row| line(f, row, &widths))
    }
}

/// One line of a table, readable as Markdown. The first column is words, the others numbers.
fn line(f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    f.write_str("|")?;
    for (at, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        if at == 0 {
            write!(f, " {cell:<width$} |")?;
        } else {
            write!(f, " {cell:>width$} |")?;
        }
    }
    writeln!(f)
}

/// Everything one run has to say.
#[derive(Debug)]
pub(crate) struct Report {
    tables: Vec<Table>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(tables: Vec<Table>) -> Self {
        Self {
            tables,
            notes: Vec::new(),
        }
    }

    /// Adds a sentence that a reader of the figures needs.
    pub(crate) fn note(mut self, sentence: impl Into<String>) -> Self {
        self.notes.push(sentence.into());
        self
    }

    /// The report as one object.
    pub(crate) fn json(&self) -> Value {
        json!({
            "command": command(),
            "machine": machine::facts(),
            "tables": self.tables.iter().map(Table::json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", command())?;
        for (name, value) in machine::facts() {
            writeln!(f, "{name}: {}", value.as_str().unwrap_or_default())?;
        }
        for table in &self.tables {
            write!(f, "\n{table}")?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// The command as one would type it from the root of the workspace.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("target/release/benches {}", arguments.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_in_groups_of_three_and_shares_in_per_cent() {
        assert_eq!(Cell::Count(1_234_567).to_string(), "1,234,567");
        assert_eq!(Cell::Count(999).to_string(), "999");
        assert_eq!(Cell::Number(-12_345.678, 1).to_string(), "-12,345.7");
        assert_eq!(Cell::rate(1_999.6).to_string(), "2,000");
        assert_eq!(Cell::Share(0.6254).to_string(), "62.5 %");
    }

    #[test]
    fn a_table_is_markdown_and_its_json_names_each_cell() {
        let mut table = Table::new("Rows", &["what", "rows/s"]);
        table.push(vec![Cell::text("one"), Cell::Count(1_000)]);
        let text = table.to_string();
        assert!(
            text.contains("| what | rows/s |\n| ---- | ------ |\n| one  |  1,000 |"),
            "{text}"
        );
        assert_eq!(
            table.json()["rows"][0],
            json!({ "what": "one", "rows/s": 1_000 })
        );
    }
}
