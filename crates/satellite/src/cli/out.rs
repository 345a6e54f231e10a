//! Where output goes, as `console` has it, under the name of this program.

use std::sync::{Mutex, PoisonError};

pub(crate) use console::{json, line, print, remark};

/// What this call has complained of.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What went wrong, once: a command that asks one database for several things hears the same from
/// it each time. Control characters that a server's message may hold are shown, not obeyed.
pub(crate) fn complain(text: &str) {
    if is_new(
        &mut SAID.lock().unwrap_or_else(PoisonError::into_inner),
        text,
    ) {
        remark(&format!("satellite: {}", console::shown(text)));
    }
}

fn is_new(said: &mut Vec<String>, text: &str) -> bool {
    let new = !said.iter().any(|earlier| earlier.starts_with(text));
    if new {
        said.push(text.to_owned());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_even_when_it_first_came_with_a_remark() {
        let mut said = Vec::new();
        assert!(is_new(
            &mut said,
            "the database a: refused; showing the local copy"
        ));
        assert!(!is_new(&mut said, "the database a: refused"));
        assert!(is_new(&mut said, "the database b: refused"));
    }
}
