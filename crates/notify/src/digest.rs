//! Many letters as one mail: what a storm leaves over.
//!
//! First the list of all subjects, critical ones marked, so that one screen tells what is
//! going on; then each letter in full, as long as there is room. No subject is left out before
//! a thousand.

use crate::body::page;
use crate::text::{self, Language};

/// Subjects that a digest lists at most.
const SUBJECTS: usize = 1000;
/// Bytes of letters repeated in full.
const FULL_BYTES: usize = 200_000;

/// One letter of a digest.
#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) critical: bool,
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Subject, plain text and HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

pub(crate) fn write(language: Language, letters: &[Folded]) -> Written {
    let count = letters.len();
    let critical = letters.iter().filter(|letter| letter.critical).count();
    let subject = language.pick(
        format!("Resumen: {count} avisos ({critical} críticos)"),
        format!("Digest: {count} messages ({critical} critical)"),
    );
    let reason = language.pick(
        "Para no saturar su buzón, estos avisos van juntos en un solo correo.",
        "To keep your mailbox readable, these messages go together in one mail.",
    );
    let mut text_ = format!("{reason}\n\n");
    let mut html = format!("<p>{}</p>\n<ul>\n", text::html(reason));
    for letter in letters.iter().take(SUBJECTS) {
        let mark = if letter.critical { "(!) " } else { "" };
        text_.push_str(&format!("- {mark}{}\n", letter.subject));
        let shown = text::html(&letter.subject);
        html.push_str(&format!("<li>{mark}{shown}</li>\n"));
    }
    html.push_str("</ul>\n");
    let mut room = FULL_BYTES;
    let mut full = 0;
    for letter in letters {
        let Some(left) = room.checked_sub(letter.text.len()) else {
            break;
        };
        (room, full) = (left, full + 1);
        text_.push_str(&format!("\n----\n{}\n\n{}", letter.subject, letter.text));
        let (title, words) = (text::html(&letter.subject), text::html(&letter.text));
        html.push_str(&format!(
            "<hr><h3>{title}</h3>\n<pre style=\"white-space:pre-wrap\">{words}</pre>\n"
        ));
    }
    if full < count {
        let rest = count - full;
        let words = language.pick(
            format!("{rest} avisos más, sin su texto completo."),
            format!("{rest} more messages, without their full text."),
        );
        text_.push_str(&format!("\n----\n{words}\n"));
        html.push_str(&format!("<hr><p>{}</p>\n", text::html(&words)));
    }
    Written {
        subject,
        text: text_,
        html: page(&html),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(number: usize, text: &str) -> Folded {
        Folded {
            critical: number == 0,
            subject: format!("Reloj <{number}> sin conexión"),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_digest_names_every_letter_and_repeats_them_in_full() {
        let letters: Vec<Folded> = (0..30).map(|n| folded(n, "Desde: 09:15\n")).collect();
        let digest = write(Language::Spanish, &letters);
        assert_eq!(digest.subject, "Resumen: 30 avisos (1 críticos)");
        for number in 0..30 {
            let subject = format!("Reloj <{number}> sin conexión");
            assert_eq!(digest.text.matches(&subject).count(), 2);
            let subject = text::html(&subject);
            assert_eq!(digest.html.matches(&subject).count(), 2);
        }
        assert!(digest.text.contains("- (!) Reloj <0>"));
    }

    #[test]
    fn a_huge_digest_stays_small_and_says_what_it_leaves_out() {
        let letters: Vec<Folded> = (0..900).map(|n| folded(n, &"x".repeat(5000))).collect();
        let digest = write(Language::English, &letters);
        assert!(digest.text.len() < 300_000);
        assert!(digest.text.contains("- Reloj <899>"));
        assert!(digest.text.contains("860 more messages"), "{}", digest.text);
    }
}
