//! Counts of tests, read from what the test runner itself prints.
//!
//! nextest prints one `Summary` line; `cargo test` prints one `test result:` line per program.
//! Each runner has its own reader, because nextest repeats the output of failed tests, which
//! holds `test result:` lines of its own.

use std::fmt;

/// Which program runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `cargo nextest run`.
    Nextest,
    /// `cargo test`.
    Cargo,
}

/// How many tests passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// Reads one line of the runner's output, without colours. Other lines count nothing.
    pub(crate) fn read(&mut self, runner: Runner, line: &str) {
        let counts = match runner {
            Runner::Nextest => nextest_counts(line),
            Runner::Cargo => cargo_counts(line),
        };
        for (number, what) in counts
            .unwrap_or_default()
            .split([',', ';'])
            .filter_map(count)
        {
            match what {
                "passed" => self.passed += number,
                "failed" | "timed out" | "exec failed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                // `measured`, `filtered out`, and the time at the end.
                _ => {}
            }
        }
    }

    /// How many tests came to an end.
    pub(crate) fn ran(&self) -> u64 {
        self.passed + self.failed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// `     Summary [   1.2s] 9/12 tests run: 8 passed (1 slow), 1 failed, 2 skipped`
fn nextest_counts(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("Summary [")?;
    line.split_once("run: ").map(|(_, counts)| counts)
}

/// `test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in …`
fn cargo_counts(line: &str) -> Option<&str> {
    line.strip_prefix("test result: ")?
        .split_once(". ")
        .map(|(_, counts)| counts)
}

/// `8 passed (1 slow)` → 8 and `passed`.
fn count(text: &str) -> Option<(u64, &str)> {
    let text = text.split_once('(').map_or(text, |(before, _)| before);
    let (number, what) = text.trim().split_once(' ')?;
    Some((number.parse().ok()?, what.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(runner: Runner, lines: &[&str]) -> String {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(runner, line));
        tally.to_string()
    }

    #[test]
    fn nextests_summary_is_counted_once_and_repeated_output_is_not() {
        let lines = [
            "        FAIL [   0.004s] store feed::a_reader_misses_nothing",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 11 filtered out",
            "     Summary [   1.234s] 9/12 tests run: 6 passed (1 slow, 1 flaky), 1 failed, 1 timed out, 1 exec failed, 2 skipped",
        ];
        assert_eq!(
            tally(Runner::Nextest, &lines),
            "6 passed, 3 failed, 2 skipped"
        );
    }

    #[test]
    fn the_results_of_all_programs_of_a_cargo_test_are_added_up() {
        let lines = [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.11s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.39s",
        ];
        assert_eq!(
            tally(Runner::Cargo, &lines),
            "5 passed, 1 failed, 1 skipped"
        );
    }

    #[test]
    fn a_run_without_tests_counts_nothing() {
        let mut tally = Tally::default();
        tally.read(
            Runner::Nextest,
            "     Summary [   0.000s] 0 tests run: 0 passed, 7 skipped",
        );
        assert_eq!(tally.ran(), 0);
    }
}
