//! Where output goes: what was asked for to standard output, remarks to standard error.
//!
//! Standard output may be a pipe whose reader leaves (`… | head`); that comes back as an error,
//! and [`reader_left`] tells it from a failure. Texts of peers are escaped before they get here,
//! except in errors, which [`shown`] makes safe.

use std::error::Error;
use std::io::{self, Write as _};

/// Writes to standard output, at once.
///
/// # Errors
/// It takes no more.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to standard output.
///
/// # Errors
/// It takes no more.
pub fn line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes a value as JSON that people can read too.
///
/// # Errors
/// Standard output takes no more, or the value is none that JSON has.
pub fn json(value: &impl serde::Serialize) -> io::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A remark beside the output.
pub fn remark(text: &str) {
    // Without a standard error there is nobody to tell.
    writeln!(io::stderr(), "{text}").ok();
}

/// An error's text with its control characters shown, not obeyed; lines stay lines.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Whether a command ended only because whoever reads its output stopped reading: no failure.
/// `causes` is the chain of its error.
pub fn reader_left<'e>(mut causes: impl Iterator<Item = &'e (dyn Error + 'static)>) -> bool {
    causes.any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_cannot_paint_the_screen() {
        assert_eq!(
            shown("no\u{1b}[2J\ttable\nhint"),
            "no\\u{1b}[2J\\ttable\nhint"
        );
    }

    #[test]
    fn a_reader_that_stops_reading_is_told_from_a_failure() {
        let left = |kind| {
            let error = io::Error::from(kind);
            let cause: &(dyn Error + 'static) = &error;
            reader_left(std::iter::once(cause))
        };
        assert!(left(io::ErrorKind::BrokenPipe));
        assert!(!left(io::ErrorKind::TimedOut));
    }
}
