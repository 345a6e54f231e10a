//! The words behind `cargo xtask`, read by hand.
//!
//! A library for this would take longer to compile than everything else here together, and
//! this program is compiled while a newcomer waits. What is not understood is an error that
//! shows the usage, never a guess.

use anyhow::{Result, bail};

/// What the program says when asked for help, or when it was not understood.
pub(crate) const USAGE: &str = "\
Shows, tests and packs satellite and sentinel. The commands install what they miss.

cargo xtask demo [ARGUMENTS]
    Builds satellite and shows it taking in events of simulated terminals, on embedded
    SQLite. Ends by itself after a minute, or on Ctrl-C. ARGUMENTS are handed on to
    `satellite demo`, for example `--seconds 20`.

cargo xtask test [--full] [-- FILTER...]
    Checks format, lints, licences and advisories, and runs all tests of the workspace
    against SQLite and private MariaDB servers.
    --full      also the long proofs, with more faults and more records
    FILTER...   only the tests whose name contains one of these

cargo xtask fuzz [--seconds N] [NAME]
    Runs the fuzzers whose name contains NAME, each for 60 seconds or as many as are asked
    for. What they find stays in tests/fuzz/corpus.

cargo xtask mutants [NAME]
    Takes out the lines that the promises rest on, one at a time in a copy of the sources,
    and holds that a named test fails each time. Needs root, and builds the programs anew for each.

cargo xtask mutants --package NAME [OPTIONS...]
    Changes a whole package, one place after the other, and lists the changes that its own
    tests do not notice. OPTIONS are handed on to cargo-mutants, for a part of it:
    `--file 'crates/sentinel/src/decide/*.rs'`, or `--shard 0/8` for the first eighth.

cargo xtask package
    Builds the release and packs it: satellite_*.deb and sentinel_*.deb with the list of
    their components (CycloneDX), in target/package.
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Demo {
        arguments: Vec<String>,
    },
    Test {
        full: bool,
        filters: Vec<String>,
    },
    Fuzz {
        seconds: u32,
        name: String,
    },
    Mutants {
        name: String,
    },
    MutantsOf {
        package: String,
        options: Vec<String>,
    },
    Package,
}

/// Reads the arguments, without the program's own name.
pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Result<Request> {
    let mut words = words.into_iter();
    let command = words.next();
    let rest: Vec<String> = words.collect();
    match command.as_deref() {
        Some("help" | "--help" | "-h") => Ok(Request::Help),
        Some("demo") if asks_for_help(&rest) => Ok(Request::Help),
        Some("demo") => Ok(Request::Demo { arguments: rest }),
        Some("test") => read_test(rest),
        Some("fuzz") if asks_for_help(&rest) => Ok(Request::Help),
        Some("fuzz") => read_fuzz(&rest),
        Some("mutants") if asks_for_help(&rest) => Ok(Request::Help),
        Some("mutants") => read_mutants(&rest),
        Some("package") if asks_for_help(&rest) => Ok(Request::Help),
        Some("package") if rest.is_empty() => Ok(Request::Package),
        Some("package") => bail!("`package` takes no arguments\n\n{USAGE}"),
        Some(other) => bail!("`{other}` is not a command\n\n{USAGE}"),
        None => bail!("which command?\n\n{USAGE}"),
    }
}

fn read_test(words: Vec<String>) -> Result<Request> {
    let mut full = false;
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--full" => full = true,
            "--help" | "-h" => return Ok(Request::Help),
            "--" => {
                return Ok(Request::Test {
                    full,
                    filters: words.collect(),
                });
            }
            other => {
                bail!("`{other}` is not an option of `test`; filters go after `--`\n\n{USAGE}")
            }
        }
    }
    Ok(Request::Test {
        full,
        filters: Vec::new(),
    })
}

fn read_fuzz(words: &[String]) -> Result<Request> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (seconds, rest) = match words[..] {
        ["--seconds", number, ref rest @ ..] => (number, rest),
        ref rest => ("60", rest),
    };
    let Ok(seconds @ 1..) = seconds.parse() else {
        bail!("`{seconds}` is no number of seconds\n\n{USAGE}");
    };
    let name = match rest {
        [] => String::new(),
        [name] if !name.starts_with('-') => (*name).to_owned(),
        _ => bail!("`fuzz` does not understand `{}`\n\n{USAGE}", rest.join(" ")),
    };
    Ok(Request::Fuzz { seconds, name })
}

fn read_mutants(words: &[String]) -> Result<Request> {
    match words {
        [] => Ok(Request::Mutants {
            name: String::new(),
        }),
        [option, package, options @ ..] if option == "--package" => Ok(Request::MutantsOf {
            package: package.clone(),
            options: options.to_vec(),
        }),
        [name] if !name.starts_with('-') => Ok(Request::Mutants { name: name.clone() }),
        _ => bail!(
            "`mutants` does not understand `{}`\n\n{USAGE}",
            words.join(" ")
        ),
    }
}

fn asks_for_help(words: &[String]) -> bool {
    matches!(words, [word] if word == "--help" || word == "-h")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Request> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_stand_before_the_dashes_and_filters_behind_them() {
        let filters = vec!["feed".to_owned(), "--exact".to_owned()];
        assert_eq!(
            of("test").unwrap(),
            Request::Test {
                full: false,
                filters: vec![]
            }
        );
        assert_eq!(
            of("test --full -- feed --exact").unwrap(),
            Request::Test {
                full: true,
                filters
            }
        );
    }

    #[test]
    fn fuzzers_run_for_a_minute_or_as_long_as_is_asked_for() {
        let fuzz = |seconds, name: &str| Request::Fuzz {
            seconds,
            name: name.to_owned(),
        };
        assert_eq!(of("fuzz").unwrap(), fuzz(60, ""));
        assert_eq!(of("fuzz isapi").unwrap(), fuzz(60, "isapi"));
        assert_eq!(of("fuzz --seconds 9 push").unwrap(), fuzz(9, "push"));
    }

    #[test]
    fn the_demos_arguments_are_handed_on_as_they_are() {
        let arguments = vec!["--seconds".to_owned(), "20".to_owned()];
        assert_eq!(
            of("demo --seconds 20").unwrap(),
            Request::Demo { arguments }
        );
    }

    #[test]
    fn lines_of_promises_are_taken_out_by_name_and_a_package_is_changed_everywhere() {
        let name = "order".to_owned();
        assert_eq!(of("mutants order").unwrap(), Request::Mutants { name });
        let (package, options) = ("event".to_owned(), vec!["--list".to_owned()]);
        let whole = Request::MutantsOf { package, options };
        assert_eq!(of("mutants --package event --list").unwrap(), whole);
    }

    #[test]
    fn what_is_not_understood_is_named_and_shows_the_usage() {
        for (line, word) in [
            ("tset", "`tset`"),
            ("test feed", "`feed`"),
            ("package satellite", "no arguments"),
            ("mutants one two", "`one two`"),
            ("mutants --package", "`--package`"),
            ("fuzz --seconds 0", "`0`"),
            ("fuzz --for-ever", "`--for-ever`"),
            ("", "which command"),
        ] {
            let error = of(line).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains(USAGE), "{error}");
        }
    }

    #[test]
    fn help_is_given_wherever_it_is_asked_for() {
        for line in [
            "help",
            "--help",
            "test -h",
            "demo --help",
            "package --help",
            "test --full --help",
        ] {
            assert_eq!(of(line).unwrap(), Request::Help, "{line}");
        }
    }
}
