//! The report as JSON, for programs. Its keys are the fields of [`Report`], in their order.

use super::Report;

/// One document, indented, with a line break at its end.
///
/// # Errors
/// None that can happen: there is no map with keys that are no text in a report.
pub fn to_json(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}
