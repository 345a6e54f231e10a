//! Logs: text for a person at a terminal, JSON for the journal, always on stderr.
//!
//! Lines are written where something is handled, through `tracing`. Whatever a device or a
//! peer supplied goes through [`Escaped`] first, so that no peer can start a line of its own,
//! paint a screen, or fill a disk with one value.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use tracing::{Dispatch, Level};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON when the process runs under systemd and nobody looks at stderr, otherwise text.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line, with the fields of all spans around the event.
    Json,
}

/// Logging was started a second time in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("logging has already been started")]
pub struct AlreadyStarted;

/// Starts logging for the whole process. `level` is what is written unless `RUST_LOG` says
/// otherwise; a `RUST_LOG` that cannot be read is named in a warning and ignored.
///
/// # Errors
/// When logging has already been started.
pub fn init(format: Format, level: Level) -> Result<(), AlreadyStarted> {
    let terminal = std::io::stderr().is_terminal();
    let set = |name: &str| std::env::var_os(name).is_some();
    let supervised = set("JOURNAL_STREAM") || set("INVOCATION_ID");
    let format = settle(format, terminal, supervised);
    let colours = terminal && !set("NO_COLOR");
    let wish = std::env::var("RUST_LOG").unwrap_or_default();
    let (filter, complaint) = filter(&wish, level);
    let dispatch = build(format, filter, colours, std::io::stderr);
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| AlreadyStarted)?;
    if let Some(error) = complaint {
        tracing::warn!(
            error = %Escaped(error),
            "RUST_LOG cannot be read and is ignored"
        );
    }
    Ok(())
}

/// Decides what `Auto` means. Shells started from a desktop inherit systemd's variables, so
/// a terminal always gets text.
fn settle(format: Format, terminal: bool, supervised: bool) -> Format {
    match format {
        Format::Auto if supervised && !terminal => Format::Json,
        Format::Auto => Format::Text,
        chosen => chosen,
    }
}

fn filter(wish: &str, level: Level) -> (EnvFilter, Option<String>) {
    let plain = || EnvFilter::new(level.as_str());
    if wish.trim().is_empty() {
        return (plain(), None);
    }
    match EnvFilter::try_new(wish) {
        Ok(filter) => (filter, None),
        Err(error) => (plain(), Some(error.to_string())),
    }
}

fn build<W>(format: Format, filter: EnvFilter, colours: bool, writer: W) -> Dispatch
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would tell of a line that cannot be written by writing to stderr, and panic when that
        // fails too: whoever logs on a full disk would end.
        .log_internal_errors(false)
        .with_writer(writer);
    match format {
        Format::Json => Dispatch::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(true)
                .finish(),
        ),
        Format::Text | Format::Auto => Dispatch::new(builder.with_ansi(colours).finish()),
    }
}

/// Longest text that [`Escaped`] writes, in bytes, without the final `…`.
const ESCAPED_LIMIT: usize = 256;

/// Text supplied by a device or a peer, made safe for a log line.
///
/// Display and Debug write the same: control characters, double quotes, backslashes and characters
/// that are invisible or change the direction of writing appear as `\n`, `\"` or `\u{202e}`;
/// bytes that are not UTF-8 as `\xff`; other letters of any language stay as they are. At
/// most 256 bytes come out, then `…`.
#[derive(Clone, Copy)]
pub struct Escaped<T>(pub T);

impl<T: AsRef<[u8]>> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No character comes out shorter than it went in, so whatever a cut here splits lies
        // behind the limit and is never written. It keeps huge values from being scanned.
        let bytes = self.0.as_ref();
        let bytes = bytes.get(..ESCAPED_LIMIT + 4).unwrap_or(bytes);
        let mut room = Room {
            f,
            left: ESCAPED_LIMIT,
        };
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                let fits = if needs_escape(c) {
                    room.put(c.escape_default().len(), c.escape_default())?
                } else {
                    room.put(c.len_utf8(), c)?
                };
                if !fits {
                    return Ok(());
                }
            }
            for byte in chunk.invalid() {
                if !room.put(4, format_args!("\\x{byte:02x}"))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<T: AsRef<[u8]>> fmt::Debug for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is left of the limit while an [`Escaped`] is written.
struct Room<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl Room<'_, '_> {
    /// Writes a piece of `length` bytes, or `…` when it no longer fits.
    fn put(&mut self, length: usize, piece: impl fmt::Display) -> Result<bool, fmt::Error> {
        if length > self.left {
            self.f.write_char('…')?;
            return Ok(false);
        }
        self.left -= length;
        write!(self.f, "{piece}")?;
        Ok(true)
    }
}

fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '"' | '\\')
        // Soft hyphen, zero-width, line and paragraph separators, marks and overrides of the
        // writing direction, byte order mark, tags.
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, wish: &str, work: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (filter, _) = filter(wish, Level::INFO);
        let dispatch = build(format, filter, false, move || writer.clone());
        tracing::dispatcher::with_default(&dispatch, work);
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_device_cannot_forge_a_line_paint_the_screen_or_hide_what_follows() {
        let text = Escaped("ok\n2026 ERROR \"x\" \u{1b}[2J\u{202e}\\").to_string();
        assert_eq!(text, r#"ok\n2026 ERROR \"x\" \u{1b}[2J\u{202e}\\"#);
        assert_eq!(format!("{:?}", Escaped("a\r\0")), r"a\r\u{0}");
    }

    #[test]
    fn letters_of_any_language_stay_and_other_bytes_are_shown_in_hexadecimal() {
        assert_eq!(Escaped("José 李").to_string(), "José 李");
        assert_eq!(Escaped(b"Jos\xe9 \xff").to_string(), r"Jos\xe9 \xff");
    }

    #[test]
    fn a_value_of_any_size_is_cut_at_256_bytes() {
        assert_eq!(Escaped("a".repeat(256)).to_string(), "a".repeat(256));
        let cut = Escaped(vec![b'a'; 10 << 20]).to_string();
        assert_eq!(cut, format!("{}…", "a".repeat(256)));
        let quotes = Escaped("\"".repeat(300)).to_string();
        assert_eq!(quotes, format!("{}…", "\\\"".repeat(128)));
        // 85 characters of three bytes leave one byte that the next cannot use.
        let wide = Escaped("李".repeat(100)).to_string();
        assert_eq!(wide, format!("{}…", "李".repeat(85)));
    }

    proptest! {
        #[test]
        fn escaped_text_never_holds_a_control_character_nor_a_bare_quote(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let text = Escaped(&bytes).to_string();
            prop_assert!(!text.chars().any(char::is_control), "{text:?}");
            prop_assert!(text.len() <= ESCAPED_LIMIT + '…'.len_utf8());
            prop_assert!(!text.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }

        #[test]
        fn escaped_text_of_any_characters_stays_on_one_line(text: String) {
            let text = Escaped(text).to_string();
            let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{1b}'];
            prop_assert!(!text.contains(breaks));
        }
    }

    #[test]
    fn auto_means_json_only_under_systemd_and_away_from_a_terminal() {
        assert_eq!(settle(Format::Auto, false, true), Format::Json);
        assert_eq!(settle(Format::Auto, true, true), Format::Text);
        assert_eq!(settle(Format::Auto, false, false), Format::Text);
        assert_eq!(settle(Format::Text, false, true), Format::Text);
        assert_eq!(settle(Format::Json, true, false), Format::Json);
    }

    #[test]
    fn a_json_line_carries_the_identity_of_the_spans_around_it() {
        let text = logged(Format::Json, "", || {
            let _request = tracing::info_span!("request", id = 7).entered();
            let _store = tracing::info_span!("store", store = "main").entered();
            tracing::info!(serial = %Escaped("A\"1\n"), "committed");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "committed");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["serial"], "A\\\"1\\n");
        assert_eq!(line["spans"][0]["id"], 7);
        assert_eq!(line["spans"][1]["store"], "main");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_text_line_stays_one_line_without_colours() {
        let text = logged(Format::Text, "", || {
            tracing::warn!(pin = %Escaped("1\n\u{1b}[31m"), "refused");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN") && text.contains(r"pin=1\n\u{1b}[31m"));
    }

    #[test]
    fn rust_log_is_honoured_and_a_wrong_one_is_named_and_ignored() {
        let speak = || tracing::debug!("detail");
        assert_eq!(logged(Format::Text, "", speak), "");
        assert!(logged(Format::Text, "debug", speak).contains("detail"));
        assert!(filter("daemon=loud", Level::INFO).1.is_some());
        assert_eq!(logged(Format::Text, "daemon=loud", speak), "");
    }
}
