//! Where output goes, as `console` has it, under the name of this program.

pub(crate) use console::{json, line, print, remark};

/// What went wrong. Control characters that a server's message may hold are shown, not obeyed.
pub(crate) fn complain(text: &str) {
    remark(&format!("satellite: {}", console::shown(text)));
}
