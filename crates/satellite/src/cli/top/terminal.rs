//! The terminal that is drawn on: its other screen, its keys, and the way back.
//!
//! Plain control sequences and the system's own settings, as every terminal since the VT100 and
//! every ssh has them. Dropping the value gives the terminal back as it was found, whatever
//! happened in between. Nothing from outside is ever written without being cut to its line.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, SpecialCodeIndex, Termios};
use tokio::sync::mpsc;

/// To the other screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Columns and rows.
pub(super) type Size = (usize, usize);

/// What was pressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Enough: q, Esc, Ctrl-C, Ctrl-D, or the terminal is gone.
    End,
    /// Anything else.
    Other,
}

/// A terminal that is ours for a while.
pub(super) struct Terminal {
    keys: mpsc::Receiver<Key>,
    before: Termios,
}

impl Terminal {
    /// Takes it; `None` where input or output is none, or cannot be drawn on.
    pub(super) fn take() -> io::Result<Option<Self>> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let (input, output) = (io::stdin(), io::stdout());
        if dumb || !input.is_terminal() || !output.is_terminal() {
            return Ok(None);
        }
        let before = termios::tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A reading ends after a tenth of a second, with a key or without.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        termios::tcsetattr(&input, OptionalActions::Now, &raw)?;
        let (sender, keys) = mpsc::channel(8);
        let terminal = Self { keys, before };
        std::thread::spawn(move || listen(&sender));
        write(ENTER)?;
        Ok(Some(terminal))
    }

    /// The next key.
    pub(super) async fn key(&mut self) -> Key {
        self.keys.recv().await.unwrap_or(Key::End)
    }

    /// How large it is now; 80 by 24 where it does not say.
    pub(super) fn size(&self) -> Size {
        let told = termios::tcgetwinsize(io::stdout());
        let told = told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        told.ok()
            .filter(|(columns, rows)| *columns > 0 && *rows > 0)
            .unwrap_or((80, 24))
    }

    /// Draws the lines over what is there.
    pub(super) fn draw(&mut self, lines: &[String], size: Size) -> io::Result<()> {
        write(&drawn(lines, size))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        write(LEAVE).ok();
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before).ok();
    }
}

/// Hands keys on until nobody wants any more.
fn listen(keys: &mpsc::Sender<Key>) {
    let mut bytes = [0; 64];
    while !keys.is_closed() {
        let key = match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(n) => pressed(bytes.get(..n).unwrap_or_default()),
            Err(_) => Key::End,
        };
        if keys.blocking_send(key).is_err() {
            return;
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// A key that sends several bytes begins with Esc and goes on.
fn pressed(bytes: &[u8]) -> Key {
    match bytes {
        [0x1b] => Key::End,
        [0x1b, ..] => Key::Other,
        bytes if bytes.iter().any(|byte| b"qQ\x03\x04".contains(byte)) => Key::End,
        _ => Key::Other,
    }
}

/// What makes these lines the whole screen: each cut to its row, everything else emptied.
fn drawn(lines: &[String], (columns, rows): Size) -> String {
    let mut text = String::from("\x1b[H");
    for (at, line) in lines.iter().take(rows).enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        // Emptied first: behind a full row some terminals would take its last letter away.
        text.push_str("\x1b[K");
        text.extend(line.chars().filter(|c| !c.is_control()).take(columns));
    }
    if lines.len() < rows {
        text.push_str("\r\n\x1b[J");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_q_escape_or_an_interrupt_and_an_arrow_is_not() {
        for end in ["q", "Q", "\x03", "\x04", "\x1b", "xq"] {
            assert_eq!(pressed(end.as_bytes()), Key::End, "{end:?}");
        }
        for other in ["\x1b[A", "\x1bOq", "x", " "] {
            assert_eq!(pressed(other.as_bytes()), Key::Other, "{other:?}");
        }
    }

    #[test]
    fn a_line_is_cut_to_its_row_and_can_say_nothing_to_the_terminal() {
        let lines = [
            "wide \x1b[2J letters".to_owned(),
            "b".to_owned(),
            "c".to_owned(),
        ];
        let text = drawn(&lines, (8, 2));
        assert_eq!(text, "\x1b[H\x1b[Kwide [2J\r\n\x1b[Kb");
        let text = drawn(&lines[2..], (8, 2));
        assert_eq!(text, "\x1b[H\x1b[Kc\r\n\x1b[J");
    }
}
