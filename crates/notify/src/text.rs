//! Text of strangers, made fit to be shown.
//!
//! Names of terminals, serials and answers of servers come from outside. Everything that
//! could start a line, hide itself, or turn the reading direction around is made visible here
//! before it reaches a subject, a body, a page or a log. Nothing is dropped in silence: what
//! cannot be shown as it is appears as its picture (`␀`) or its number (`⟨U+202E⟩`).

/// The language of the words that this crate adds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// Spanish, the first language of the house.
    #[default]
    Spanish,
    /// English.
    English,
}

impl Language {
    /// `es` or `en`, as it stands in configurations and tables.
    pub fn code(self) -> &'static str {
        match self {
            Self::Spanish => "es",
            Self::English => "en",
        }
    }

    /// Reads what [`Language::code`] writes.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "es" => Some(Self::Spanish),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// Picks one of two texts.
    pub(crate) fn pick<T>(self, spanish: T, english: T) -> T {
        match self {
            Self::Spanish => spanish,
            Self::English => english,
        }
    }
}

/// One line: line breaks and all other invisible characters are made visible, a tab becomes a
/// space.
pub fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        show(c, &mut shown);
    }
    shown
}

/// One line of at most `limit` characters; what is cut off is marked by `…`.
pub fn short(text: &str, limit: usize) -> String {
    let shown = line(text);
    if shown.chars().count() <= limit {
        return shown;
    }
    let mut cut: String = shown.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Several lines: as [`line`], but line breaks stay, each as one `\n`.
pub fn block(text: &str) -> String {
    let unified = text.replace("\r\n", "\n");
    let lines: Vec<String> = unified.split('\n').map(line).collect();
    lines.join("\n")
}

/// The same text inside HTML, in an element or between quotes of an attribute.
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn show(c: char, out: &mut String) {
    match c {
        '\t' => out.push(' '),
        // Unicode has a picture for each of these.
        '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('␀')),
        '\u{7f}' => out.push('␡'),
        _ if is_invisible(c) => out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c))),
        _ => out.push(c),
    }
}

/// Characters that show nothing by themselves: the second set of controls, everything that
/// steers direction or joining, tags, separators of lines, and code points that are no
/// characters.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    ) || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_hides_is_made_visible_and_what_people_write_stays() {
        assert_eq!(line("Reloj «Planta Ñandú» 3"), "Reloj «Planta Ñandú» 3");
        assert_eq!(line("a\r\nBcc: x\0"), "a␍␊Bcc: x␀");
        assert_eq!(line("evil\u{202e}gpj.exe"), "evil⟨U+202E⟩gpj.exe");
        assert_eq!(
            line("a\tb\u{85}\u{2028}\u{ffff}"),
            "a b⟨U+0085⟩⟨U+2028⟩⟨U+FFFF⟩"
        );
    }

    #[test]
    fn a_block_keeps_its_lines_and_no_other_control() {
        assert_eq!(block("a\r\nb\nc\rd"), "a\nb\nc␍d");
    }

    #[test]
    fn a_short_line_says_that_it_was_cut() {
        assert_eq!(short("Querétaro", 9), "Querétaro");
        assert_eq!(short("Querétaro", 5), "Quer…");
    }

    proptest! {
        #[test]
        fn no_line_holds_a_control_or_more_than_its_limit(text: String, limit in 1_usize..80) {
            let shown = short(&text, limit);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(shown.chars().count() <= limit);
        }

        #[test]
        fn escaped_text_has_no_mark_of_html(text: String) {
            let escaped = html(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        }
    }
}
