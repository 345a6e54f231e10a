//! `satellite doctor`: looks at everything that satellite stands on, and says line by line what is
//! good, what needs care and what is bad, with the command that mends it.
//!
//! Each module looks at one thing: the service, its doors, the machine, the configuration, the other
//! sides of an edge and of brokers, the copies, the databases.
//! Nothing is changed, and nothing that cannot be seen is called good. What terminals do is the
//! business of `satellite trace` and `satellite devices`; here it is only counted.

mod copies;
mod databases;
mod doors;
mod machine;
mod service;
mod settings;
mod ways;
mod words;

use std::fmt::Display;
use std::io::IsTerminal as _;

use daemon::exit::Exit;
use serde::Serialize;

use super::words::{Lang, Speaks as _};
use super::{Context, out};
use words::Says;

pub(crate) const EXAMPLES: &str = "Examples:
  satellite doctor                         # what is wrong, and what mends it
  satellite doctor --json                  # for machines
  satellite doctor || mail -s satellite admin@example.com

Exit status: 0 nothing is bad, 1 something is, 78 the configuration is wrong.";

/// What `doctor` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    /// As it should be.
    Good,
    /// It works, and somebody should look.
    Care,
    /// Events are not taken, or may be lost.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    grade: Grade,
    /// What was looked at: `service`, `doors`, `machine`, `configuration`, `edge`, `copies`, the
    /// name of an output or input, or a database's label.
    about: String,
    /// What was seen.
    seen: String,
    /// What mends it; nothing for what is good.
    mend: Option<String>,
}

/// What was found, in the language of this call.
struct Findings {
    lang: Lang,
    /// What is being looked at.
    about: String,
    list: Vec<Finding>,
}

impl Findings {
    fn new(lang: Lang) -> Self {
        Self {
            lang,
            about: String::new(),
            list: Vec::new(),
        }
    }

    /// What comes next is about this.
    fn about(&mut self, what: &str) -> &mut Self {
        what.clone_into(&mut self.about);
        self
    }

    fn good(&mut self, says: Says, values: &[&dyn Display]) {
        self.add(Grade::Good, says, values, None);
    }

    fn care(&mut self, says: Says, values: &[&dyn Display], mend: String) {
        self.add(Grade::Care, says, values, Some(mend));
    }

    fn bad(&mut self, says: Says, values: &[&dyn Display], mend: String) {
        self.add(Grade::Bad, says, values, Some(mend));
    }

    fn add(&mut self, grade: Grade, says: Says, values: &[&dyn Display], mend: Option<String>) {
        self.list.push(Finding {
            grade,
            about: self.about.clone(),
            seen: self.lang.say(says, values),
            mend,
        });
    }
}

/// Looks at everything and prints it.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let lang = context.lang;
    let mut findings = Findings::new(lang);
    let open = service::look(context, findings.about("service")).await;
    doors::look(context, open, findings.about("doors")).await;
    machine::look(context, findings.about("machine")).await;
    settings::look(context, findings.about("configuration"));
    ways::look(context, &mut findings).await;
    copies::look(context, findings.about("copies")).await;
    for place in super::databases::places(context, None) {
        databases::look(context, &place, findings.about(&place.label)).await;
    }
    let list = findings.list;
    let worst = list.iter().map(|finding| finding.grade).max();
    if args.json {
        out::json(&list)?;
    } else {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        out::print(&page(&list, lang, colours))?;
    }
    Ok(if worst == Some(Grade::Bad) {
        Exit::Failed
    } else {
        Exit::Fine
    })
}

/// For a person: the worst last, where the eye is when the command ends.
fn page(list: &[Finding], lang: Lang, colours: bool) -> String {
    let mut sorted: Vec<&Finding> = list.iter().collect();
    sorted.sort_by_key(|finding| finding.grade);
    let mut text = String::new();
    for finding in sorted {
        let (says, colour) = match finding.grade {
            Grade::Good => (Says::Good, 32),
            Grade::Care => (Says::Care, 33),
            Grade::Bad => (Says::Bad, 31),
        };
        let grade = format!("{:<8}", lang.say(says, &[]));
        let grade = if colours {
            format!("\u{1b}[{colour}m{grade}\u{1b}[0m")
        } else {
            grade
        };
        let about = lang.term(&finding.about);
        text += &format!("{grade}  {about:<14}  {}\n", console::shown(&finding.seen));
        if let Some(mend) = &finding.mend {
            text += &format!("{:26}→ {}\n", "", console::shown(mend));
        }
    }
    let count = |grade| list.iter().filter(|finding| finding.grade == grade).count();
    let [good, care, bad] = [Grade::Good, Grade::Care, Grade::Bad].map(count);
    text += &format!("\n{}\n", lang.say(Says::Sum, &[&good, &care, &bad]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(grade: Grade, mend: Option<&str>) -> Finding {
        Finding {
            grade,
            about: "store".to_owned(),
            seen: "seen\u{1b}[2J".to_owned(),
            mend: mend.map(str::to_owned),
        }
    }

    #[test]
    fn the_worst_stands_last_with_what_mends_it_and_no_servers_words_are_obeyed() {
        let list = [
            finding(Grade::Bad, Some("mend it")),
            finding(Grade::Good, None),
        ];
        let text = page(&list, Lang::Es, false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("bien"), "{text}");
        assert!(
            lines[1].starts_with("mal") && lines[2].ends_with("→ mend it"),
            "{text}"
        );
        assert_eq!(lines[4], "bien: 1, atención: 0, mal: 1");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
