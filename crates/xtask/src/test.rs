//! `cargo xtask test`: everything that must hold before a change is good.
//!
//! The steps run in order and the first that fails ends the run; the table is printed in any
//! case, and the last line counts the tests that really ran. The MariaDB servers are private
//! ones that end with this process, however it ends.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use mariadb::{Flavor, Server};

use crate::cargo::{self, cargo, has_subcommand};
use crate::report::{Outcome, Report};
use crate::tally::{Runner, Tally};
use crate::{container, judges, packages, stream};

/// The version of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";
/// What cargo-deny says when it has no advisories to compare with.
const NO_ADVISORIES: [&str; 3] = [
    "failed to fetch advisory database",
    "failed to load advisory database",
    "failed to open advisory database",
];

/// What later steps need of earlier ones.
struct Run {
    runner: Runner,
    full: bool,
    filters: Vec<String>,
    environment: Vec<(&'static str, String)>,
    servers: Vec<Server>,
    programs: Vec<PathBuf>,
    /// The system for the tests of the packages, from the moment it is begun.
    making: Option<container::Making>,
    tally: Tally,
}

type Step = (&'static str, fn(&mut Run) -> Result<Outcome>);

const STEPS: &[Step] = &[
    ("packages", |_| packages::for_test().map(|()| Outcome::Fine)),
    ("format", |_| {
        succeed(&mut cargo(["fmt", "--all", "--check"]))
    }),
    ("judges", Run::install_judges),
    ("mail servers", |_| Ok(mail_servers())),
    // Beside what compiles; after what installs, because of that only one may be under way.
    ("system", |run| {
        run.making = Some(container::Making::begin());
        Ok(Outcome::Fine)
    }),
    ("clippy", |_| {
        succeed(&mut cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("deny", |_| deny()),
    ("advisories", |_| advisories()),
    ("servers", Run::start_servers),
    ("build", Run::build),
    ("container", Run::prepare_container),
    ("tests", Run::test),
    ("doc tests", Run::doc_test),
];

/// Runs all steps. The exit status is a failure when one of them failed.
pub(crate) fn run(full: bool, filters: Vec<String>) -> Result<ExitCode> {
    let runner = if has_subcommand("nextest") {
        Runner::Nextest
    } else {
        Runner::Cargo
    };
    let mut run = Run {
        runner,
        full,
        filters,
        environment: Vec::new(),
        servers: Vec::new(),
        programs: Vec::new(),
        making: None,
        tally: Tally::default(),
    };
    let mut report = Report::default();
    for (name, work) in STEPS {
        if !report.step(name, || work(&mut run)) {
            break;
        }
    }
    run.servers.clear();
    if let Some(making) = run.making.take() {
        // An earlier step failed, which is told below; nothing is left behind at work.
        making.end().ok();
    }
    println!("\n{report}");
    let Some(failed) = report.failed() else {
        println!("{}", run.tally);
        return Ok(ExitCode::SUCCESS);
    };
    if run.tally == Tally::default() {
        println!("No test ran: the step `{failed}` failed.");
    } else {
        println!("{}", run.tally);
    }
    Ok(ExitCode::FAILURE)
}

/// Runs a command whose exit status says it all.
fn succeed(command: &mut Command) -> Result<Outcome> {
    let line = shown(command);
    println!("{line}");
    let status = command
        .status()
        .with_context(|| format!("`{line}` did not start"))?;
    Ok(if status.success() {
        Outcome::Fine
    } else {
        Outcome::Failed(format!("`{line}`: {status}"))
    })
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command
        .get_args()
        .map(|argument| argument.to_string_lossy())
        .collect();
    format!("cargo {}", arguments.join(" "))
}

/// Gets the mail servers that tests start for themselves; without them those tests say so.
fn mail_servers() -> Outcome {
    match packages::for_mail() {
        Ok(()) => Outcome::Fine,
        Err(error) => Outcome::Skipped(format!("NOT tried with real mail servers: {error:#}")),
    }
}

/// `cargo deny check` for the given checks; `auto` is what cargo-deny decides by itself.
fn deny_check(checks: &[&'static str]) -> Command {
    let colour = match cargo::colour().as_str() {
        "always" => "always",
        "never" => "never",
        _ => "auto",
    };
    let mut command = cargo(["deny", "--color", colour, "check"]);
    command.args(checks);
    command
}

fn deny() -> Result<Outcome> {
    cargo::install_tool("deny", "cargo-deny", CARGO_DENY)?;
    succeed(&mut deny_check(&["bans", "licenses", "sources"]))
}

/// Compares our dependencies with the known advisories, where the list of those can be had.
fn advisories() -> Result<Outcome> {
    let mut command = deny_check(&["advisories"]);
    println!("{}", shown(&command));
    let mut unreachable = false;
    let status = stream::run(&mut command, |line| unreachable |= has_no_advisories(line))?;
    Ok(match (status.success(), unreachable) {
        (true, _) => Outcome::Fine,
        (false, true) => Outcome::Skipped(
            "the advisory database could not be fetched; known vulnerabilities were NOT checked"
                .to_owned(),
        ),
        (false, false) => Outcome::Failed("cargo deny found advisories".to_owned()),
    })
}

fn has_no_advisories(line: &str) -> bool {
    NO_ADVISORIES.iter().any(|said| line.contains(said))
}

impl Run {
    fn start_servers(&mut self) -> Result<Outcome> {
        for flavor in Flavor::ALL {
            let server = Server::start(flavor)?;
            println!("MariaDB, {}: 127.0.0.1:{}", flavor.name(), server.port());
            self.environment
                .push((flavor.variable(), server.address().base()));
            self.servers.push(server);
        }
        if self.full {
            self.environment
                .push(("SATELLITE_TEST_FULL", "1".to_owned()));
        }
        Ok(Outcome::Fine)
    }

    /// Gets the programs of other people that judge our simulated terminals.
    fn install_judges(&mut self) -> Result<Outcome> {
        let (variables, outcome) = judges::install();
        self.environment.extend(variables);
        Ok(outcome)
    }

    /// Packs what was built and makes the system in which the packages are tested.
    fn prepare_container(&mut self) -> Result<Outcome> {
        let making = self.making.take().context("the system was not begun")?;
        let (variables, outcome) = container::prepare(&self.programs, making)?;
        self.environment.extend(variables);
        Ok(outcome)
    }

    /// Builds the programs that end-to-end tests start, and every test.
    fn build(&mut self) -> Result<Outcome> {
        let variables = ["SATELLITE_BIN", "TERMINALS_BIN", "SENTINEL_BIN"];
        let built = cargo::build(&[], &["satellite", "terminals", "sentinel"])?;
        self.programs.clone_from(&built);
        for (variable, path) in variables.into_iter().zip(built) {
            let path = path.into_os_string().into_string();
            let path = path.map_err(|path| anyhow::anyhow!("{} is no text", path.display()))?;
            self.environment.push((variable, path));
        }
        let mut command = match self.runner {
            Runner::Nextest => cargo(["nextest", "run", "--workspace", "--no-run"]),
            Runner::Cargo => cargo(["test", "--workspace", "--tests", "--no-run"]),
        };
        succeed(self.with_environment(&mut command))
    }

    fn test(&mut self) -> Result<Outcome> {
        let mut command = match self.runner {
            Runner::Nextest => cargo(["nextest", "run", "--workspace", "--no-fail-fast"]),
            Runner::Cargo => cargo(["test", "--workspace", "--no-fail-fast", "--tests", "--"]),
        };
        command.args(&self.filters);
        let outcome = self.count(&mut command, self.runner)?;
        ensure!(self.tally.ran() > 0, "no test ran");
        Ok(outcome)
    }

    fn doc_test(&mut self) -> Result<Outcome> {
        let mut command = cargo(["test", "--workspace", "--no-fail-fast", "--doc", "--"]);
        command.args(&self.filters);
        self.count(&mut command, Runner::Cargo)
    }

    /// Runs tests, adds their counts to the tally, and holds the two against each other.
    fn count(&mut self, command: &mut Command, runner: Runner) -> Result<Outcome> {
        println!("{}", shown(command));
        let mut tally = self.tally;
        let status = stream::run(self.with_environment(command), |line| {
            tally.read(runner, line)
        })?;
        self.tally = tally;
        Ok(if !status.success() {
            Outcome::Failed(format!("the tests ended with {status}"))
        } else if tally.failed > 0 {
            Outcome::Failed("a test failed, although the runner says otherwise".to_owned())
        } else {
            Outcome::Fine
        })
    }

    fn with_environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_out_of_reach_is_told_apart_from_a_finding() {
        assert!(has_no_advisories(
            "2026-01-01 00:00:00 [ERROR] failed to fetch advisory database https://example.org"
        ));
        assert!(!has_no_advisories(
            "error[vulnerability]: Marvin Attack: key recovery"
        ));
    }

    #[test]
    fn every_flavour_of_server_has_a_variable_of_its_own() {
        let [one, other] = Flavor::ALL.map(Flavor::variable);
        assert_ne!(one, other);
    }
}
