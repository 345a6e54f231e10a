//! The project's own commands: `cargo xtask demo`, `test`, `fuzz`, `mutants` and `package`.
//!
//! This is the first thing that a newcomer compiles and waits for, so it stays on the standard
//! library and anyhow. It installs what is missing, builds, and runs; what is tested and shown
//! lives elsewhere. It must never stop or change a service of the machine.

mod arguments;
mod cargo;
mod container;
mod demo;
mod fuzz;
mod inspect;
mod judges;
mod mutants;
mod package;
mod packages;
mod report;
mod stream;
mod tally;
mod test;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Request;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    match arguments::read(std::env::args().skip(1))? {
        Request::Help => {
            print!("{}", arguments::USAGE);
            Ok(ExitCode::SUCCESS)
        }
        Request::Demo { arguments } => demo::run(&arguments),
        Request::Fuzz { seconds, name } => fuzz::run(seconds, &name),
        Request::Mutants { name } => mutants::run(&name),
        Request::MutantsOf { package, options } => mutants::of_a_package(&package, &options),
        Request::Package => package::run().map(|()| ExitCode::SUCCESS),
        Request::Test { full, filters } => test::run(full, filters),
    }
}
