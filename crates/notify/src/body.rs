//! The body of a letter: one list of parts, from which plain text and HTML are both made.
//!
//! A caller never writes HTML. Each part is one line for a narrow screen; every text that goes
//! in is treated as a stranger's ([`crate::text`]). The two versions always say the same,
//! because they come from the same parts.

use crate::text;

/// The longest part in characters; longer ones end in `…`.
const PART_CHARACTERS: usize = 600;

/// Parts that a body holds at most. What comes after is counted and not shown.
const PARTS: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Heading(String),
    Line(String),
    Pair(String, String),
    Item(String),
    Command(String),
    Link(String, String),
}

/// What a letter says, part after part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    parts: Vec<Part>,
    left_out: usize,
}

impl Body {
    /// A body that says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A title over the parts that follow.
    pub fn heading(self, words: &str) -> Self {
        self.with(Part::Heading(cut(words)))
    }

    /// A sentence of its own.
    pub fn line(self, words: &str) -> Self {
        self.with(Part::Line(cut(words)))
    }

    /// A label and its value: `Desde: 09:15`.
    pub fn pair(self, label: &str, value: &str) -> Self {
        self.with(Part::Pair(cut(label), cut(value)))
    }

    /// One entry of a list.
    pub fn item(self, words: &str) -> Self {
        self.with(Part::Item(cut(words)))
    }

    /// A command to be typed, on a line of its own.
    pub fn command(self, command: &str) -> Self {
        self.with(Part::Command(cut(command)))
    }

    /// A link with the words on its button. An address that is not `http://` or `https://`, or
    /// that holds a space or a control, is shown as text and leads nowhere.
    pub fn link(self, words: &str, url: &str) -> Self {
        self.with(Part::Link(cut(words), text::line(url)))
    }

    fn with(mut self, part: Part) -> Self {
        if self.parts.len() < PARTS {
            self.parts.push(part);
        } else {
            self.left_out += 1;
        }
        self
    }

    /// As plain text, lines ending in `\n`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for part in &self.parts {
            let shown = match part {
                Part::Heading(words) if out.is_empty() => format!("{words}\n"),
                Part::Heading(words) => format!("\n{words}\n"),
                Part::Line(words) => format!("{words}\n"),
                Part::Pair(label, value) => format!("{label}: {value}\n"),
                Part::Item(words) => format!("- {words}\n"),
                Part::Command(words) => format!("    {words}\n"),
                Part::Link(words, url) => format!("{words}:\n{url}\n"),
            };
            out.push_str(&shown);
        }
        if self.left_out > 0 {
            out.push_str(&format!("(+{})\n", self.left_out));
        }
        out
    }

    /// As a small HTML page: no script, no picture, nothing loaded from anywhere.
    pub fn html(&self) -> String {
        let mut inner = String::new();
        let mut in_list = false;
        for part in &self.parts {
            let is_item = matches!(part, Part::Item(_));
            if is_item != in_list {
                inner.push_str(if is_item { "<ul>\n" } else { "</ul>\n" });
                in_list = is_item;
            }
            inner.push_str(&part_html(part));
            inner.push('\n');
        }
        if in_list {
            inner.push_str("</ul>\n");
        }
        if self.left_out > 0 {
            inner.push_str(&format!("<p>(+{})</p>\n", self.left_out));
        }
        page(&inner)
    }
}

fn cut(words: &str) -> String {
    text::short(words, PART_CHARACTERS)
}

fn part_html(part: &Part) -> String {
    match part {
        Part::Heading(words) => format!("<h3>{}</h3>", text::html(words)),
        Part::Line(words) => format!("<p>{}</p>", text::html(words)),
        Part::Pair(label, value) => {
            let (label, value) = (text::html(label), text::html(value));
            format!("<p><b>{label}:</b> {value}</p>")
        }
        Part::Item(words) => format!("<li>{}</li>", text::html(words)),
        Part::Command(words) => format!(
            "<pre style=\"white-space:pre-wrap\">{}</pre>",
            text::html(words)
        ),
        Part::Link(words, url) if is_web_address(url) => {
            let (words, url) = (text::html(words), text::html(url));
            format!("<p><a href=\"{url}\">{words}</a></p>")
        }
        Part::Link(words, url) => {
            let (words, url) = (text::html(words), text::html(url));
            format!("<p>{words}: {url}</p>")
        }
    }
}

fn is_web_address(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A whole page around what is already HTML.
pub(crate) fn page(inner: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n</head><body style=\"font-family:sans-serif;\
         max-width:36em;overflow-wrap:anywhere\">\n{inner}</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same_parts() {
        let body = Body::new()
            .heading("Sin avance")
            .pair("Desde", "09:15")
            .item("Reloj 1")
            .item("Reloj <2>")
            .command("sentinel status")
            .link("Enterado, lo atiendo", "https://s.example.mx/ack/1");
        assert_eq!(
            body.text(),
            "Sin avance\nDesde: 09:15\n- Reloj 1\n- Reloj <2>\n    sentinel status\n\
             Enterado, lo atiendo:\nhttps://s.example.mx/ack/1\n"
        );
        let html = body.html();
        assert!(html.contains("<ul>\n<li>Reloj 1</li>\n<li>Reloj &lt;2&gt;</li>\n</ul>\n<pre"));
        assert!(html.contains("<a href=\"https://s.example.mx/ack/1\">Enterado, lo atiendo</a>"));
    }

    #[test]
    fn a_hostile_address_is_shown_and_leads_nowhere() {
        for url in [
            "javascript:alert(1)",
            "https://x/\u{202e}",
            "https://x y",
            "data:x",
        ] {
            let html = Body::new().link("x", url).html();
            assert!(!html.contains("href"), "{url}: {html}");
        }
        let html = Body::new().link("x", "https://x/\"onclick=\"y").html();
        assert!(html.contains("https://x/&quot;onclick=&quot;y"), "{html}");
    }

    #[test]
    fn a_body_without_end_is_cut_and_says_how_much_is_missing() {
        let long = "x".repeat(10_000);
        let body = (0..1000).fold(Body::new(), |body, _| body.item(&long));
        assert!(body.text().len() < 300_000);
        assert!(body.text().ends_with("(+600)\n"));
        assert!(body.html().contains("(+600)"));
    }
}
