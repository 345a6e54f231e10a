//! The headings while the steps run and the table when they are done.
//!
//! A skipped step is written in capitals, when it happens and in the table: it must not pass
//! for a good one.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It found nothing wrong.
    Fine,
    /// It could not be done here, for the reason given; the run goes on.
    Skipped(String),
    /// It found something wrong, or could not be done.
    Failed(String),
}

impl Outcome {
    /// How a step ended that did two things: a failure counts most, and all that was skipped is
    /// told.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fine, outcome) | (outcome, Self::Fine) => outcome,
            (Self::Failed(one), Self::Failed(other)) => Self::Failed(format!("{one}; {other}")),
            (Self::Failed(why), _) | (_, Self::Failed(why)) => Self::Failed(why),
            (Self::Skipped(one), Self::Skipped(other)) => Self::Skipped(format!("{one}; {other}")),
        }
    }
}

/// The steps that were done so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Does one step under its heading. False when it failed.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<Outcome>,
    ) -> bool {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let took = start.elapsed();
        match &outcome {
            Outcome::Fine => println!("== {name}: ok in {:.1} s", took.as_secs_f64()),
            Outcome::Skipped(why) => println!("== SKIPPED: {name}: {why}"),
            Outcome::Failed(why) => println!("== FAILED: {name}: {why}"),
        }
        let good = !matches!(outcome, Outcome::Failed(_));
        self.rows.push((name, outcome, took));
        good
    }

    /// The step that failed, if one did.
    pub(crate) fn failed(&self) -> Option<&'static str> {
        let failed = self
            .rows
            .iter()
            .find(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
        failed.map(|(name, ..)| *name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:<8} {:>9}", "step", "result", "time")?;
        for (name, outcome, took) in &self.rows {
            let (result, why) = match outcome {
                Outcome::Fine => ("ok", ""),
                Outcome::Skipped(why) => ("SKIPPED", why.as_str()),
                Outcome::Failed(why) => ("FAILED", why.as_str()),
            };
            // The whole reason was printed when it happened; the table takes its first line.
            let why = why.lines().next().unwrap_or_default();
            let row = format!(
                "{name:<12} {result:<8} {:>7.1} s  {why}",
                took.as_secs_f64()
            );
            writeln!(f, "{}", row.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skipped_step_is_loud_in_the_table_and_does_not_fail_the_run() {
        let mut report = Report::default();
        assert!(report.step("format", || Ok(Outcome::Fine)));
        assert!(report.step("advisories", || Ok(Outcome::Skipped(
            "not reachable".into()
        ))));
        assert_eq!(report.failed(), None);
        let table = report.to_string();
        assert!(
            table
                .lines()
                .any(|row| row.starts_with("advisories   SKIPPED")),
            "{table}"
        );
        assert!(table.contains("not reachable"), "{table}");
    }

    #[test]
    fn an_error_in_a_step_fails_the_run_under_the_steps_name() {
        let mut report = Report::default();
        assert!(!report.step("clippy", || anyhow::bail!("two lines\nof reason")));
        assert_eq!(report.failed(), Some("clippy"));
        let table = report.to_string();
        assert!(
            table.contains("two lines") && !table.contains("of reason"),
            "{table}"
        );
    }
}
