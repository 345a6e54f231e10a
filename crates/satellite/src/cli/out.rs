//! Where output goes: what was asked for to standard output, remarks to standard error.
//!
//! Standard output may be a pipe whose reader leaves (`… | head`); that comes back as an error
//! that ends the command quietly. Texts of peers are escaped before they get here, except in
//! errors, which are made safe in [`complain`].

use std::io::{self, Write as _};

/// Writes to standard output, at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes a value as JSON that people can read too.
pub(crate) fn json(value: &serde_json::Value) -> io::Result<()> {
    line(&format!("{value:#}"))
}

/// A remark beside the output.
pub(crate) fn remark(text: &str) {
    // Without a standard error there is nobody to tell.
    writeln!(io::stderr(), "{text}").ok();
}

/// What went wrong. Control characters that a server's message may hold are shown, not obeyed.
pub(crate) fn complain(text: &str) {
    remark(&format!("satellite: {}", plain(text)));
}

fn plain(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_cannot_paint_the_screen() {
        assert_eq!(
            plain("no\u{1b}[2J\ttable\nhint"),
            "no\\u{1b}[2J\\ttable\nhint"
        );
    }
}
