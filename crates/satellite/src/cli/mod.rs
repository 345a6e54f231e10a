//! The commands of `satellite`, one module each, and what they share.
//!
//! Commands work directly on the databases and on the mirror in `state_dir`, so that they do
//! the same with and without a running satellite. Output goes to standard output, remarks to
//! standard error, so that what is listed can be piped. Nothing here changes an event; whatever
//! changes the registry leaves a line in its audit.

mod backfill;
mod backup;
mod check;
mod compare;
mod conditions;
mod cutoff;
mod databases;
mod db;
mod demo;
mod devices;
mod doctor;
mod events;
mod evidence;
mod export;
mod help;
mod hold;
mod http;
mod lockdown;
mod nearest;
mod out;
mod outputs;
mod progress;
mod quarantine;
mod restore;
mod retention;
mod run;
mod table;
mod tenant;
mod terms;
mod time;
mod top;
mod trace;
mod words;

use std::fmt::Display;
use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use console::{Shell, Told};
use daemon::config::ConfigError;
use daemon::exit::Exit;
use daemon::{actor, owner};
use event::{Millis, TenantId, Zone};
use satellite::Config;
use satellite::lifecycle::exit_of;

pub(crate) use out::complain;
use words::{Bilingual, Lang, Speaks as _, Word};

const ABOUT: &str = "Attendance terminals into a database, exactly once";

const LONG: &str = "Takes in every record of attendance terminals and stores each one in MySQL, MariaDB or SQLite \
exactly once. A terminal is told OK only after the commit.

Commands work with and without a running satellite. As root they first become the owner of the \
state folder.";

const EXAMPLES: &str = "Examples:
  See it work, with simulated terminals:
    satellite demo
  The first terminal, without any configuration:
    satellite run &
    satellite devices add --tenant main --vendor zkteco --serial ABC1
    satellite trace ABC1
    satellite events --follow

Exit status: 0 fine, 1 failed, 78 the configuration is wrong.";

/// The command line.
#[derive(Parser)]
#[command(name = "satellite", version, about = ABOUT, long_about = LONG, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Configuration [default: /etc/satellite/satellite.toml; without it: SQLite under ./satellite-data]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, global = true, value_enum)]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    #[command(after_help = run::EXAMPLES)]
    Run(run::Args),
    /// Check the configuration and say what it means
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// Look at everything satellite stands on, and say what mends it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Show it working: simulated terminals, an embedded database, events as they arrive
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Args),
    /// The databases: tables, numbers, upkeep
    #[command(subcommand, after_help = db::EXAMPLES)]
    Db(db::Command),
    /// The terminals: enrol, approve, block, list
    #[command(subcommand, after_help = devices::EXAMPLES)]
    Devices(devices::Command),
    /// Show events
    #[command(after_help = events::EXAMPLES)]
    Events(events::Args),
    /// Records that were stored and could not be read
    #[command(subcommand, after_help = quarantine::EXAMPLES)]
    Quarantine(quarantine::Command),
    /// Ask a terminal for a window of its record again
    #[command(after_help = backfill::EXAMPLES)]
    Backfill(backfill::Args),
    /// Copies of the databases: made, shown, proven by restoring them, removed
    #[command(subcommand, after_help = backup::EXAMPLES)]
    Backup(backup::Command),
    /// Put a copy back, after saying how old it is and keeping what is there
    #[command(after_help = restore::EXAMPLES)]
    Restore(restore::Args),
    /// Where stored events are carried to: outputs, how far they are, pause, deliver again
    #[command(subcommand, after_help = outputs::EXAMPLES)]
    Outputs(outputs::Command),
    /// A tenant's events of a time as one CSV or JSON-lines file
    #[command(after_help = export::EXAMPLES)]
    Export(export::Args),
    /// A whole tenant: into one file, and out of one
    #[command(subcommand, after_help = tenant::EXAMPLES)]
    Tenant(tenant::Command),
    /// A day's punches here against those in a file of another program
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Args),
    /// Whether a payroll period is complete, terminal by terminal
    #[command(after_help = cutoff::EXAMPLES)]
    Cutoff(cutoff::Args),
    /// How far a terminal gets, and what to do about it
    #[command(after_help = trace::EXAMPLES)]
    Trace(trace::Args),
    /// The running satellite on one screen: tenants, terminals, rates, latency, conditions
    #[command(after_help = top::EXAMPLES)]
    Top(top::Args),
    /// What happened since a moment, in one file that anybody can verify
    #[command(after_help = evidence::EXAMPLES)]
    Evidence(evidence::Args),
    /// After a break-in: stop commands, enrolments and outputs, and go on storing
    #[command(subcommand, after_help = lockdown::EXAMPLES)]
    Lockdown(lockdown::Command),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  satellite completion bash > /etc/bash_completion.d/satellite"
    )]
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a folder, for packages
    #[command(
        hide = true,
        after_help = "Example:\n  satellite manual --lang es man/es/man1"
    )]
    Manual {
        /// The folder
        folder: PathBuf,
    },
}

/// What every command is given.
pub(crate) struct Context {
    config: Config,
    lang: Lang,
}

impl Context {
    fn load(file: Option<PathBuf>, lang: Lang) -> anyhow::Result<Self> {
        let config = Config::load(file.as_deref())?;
        owner::become_owner(&config.state_dir)?;
        Ok(Self { config, lang })
    }

    /// The built-in configuration, in English.
    #[cfg(test)]
    fn for_tests() -> Self {
        Self {
            config: Config::in_folder(std::path::Path::new("somewhere")),
            lang: Lang::En,
        }
    }

    /// A text in the language of this call, with its places filled in order.
    fn say(&self, text: impl Bilingual, values: &[&dyn Display]) -> String {
        self.lang.say(text, values)
    }

    /// The tenant of that name.
    ///
    /// # Errors
    /// There is none; the error lists those there are, the nearest first.
    fn tenant(&self, name: &str) -> anyhow::Result<TenantId> {
        let tenants = &self.config.tenants;
        if let Some(known) = tenants.iter().find(|known| known.id.as_str() == name) {
            return Ok(known.id.clone());
        }
        let names = tenants.iter().map(|known| known.id.as_str());
        let names = nearest::nearest_first(name, names).join(", ");
        let name = daemon::logging::Escaped(name);
        anyhow::bail!(self.say(Word::UnknownTenant, &[&name, &names]))
    }

    /// The same, where the name may be left out.
    fn tenant_if_given(&self, name: Option<&str>) -> anyhow::Result<Option<TenantId>> {
        name.map(|name| self.tenant(name)).transpose()
    }

    /// The tenant of that name, or the only one there is.
    fn tenant_or_only(&self, name: Option<&str>) -> anyhow::Result<TenantId> {
        match (name, self.config.tenants.as_slice()) {
            (Some(name), _) => self.tenant(name),
            (None, [only]) => Ok(only.id.clone()),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|known| known.id.as_str()).collect();
                anyhow::bail!(self.say(Word::WhichTenant, &[&names.join(", ")]))
            }
        }
    }

    /// What is wrong with a file, in the language of this command.
    fn config_error(&self, error: &ConfigError) -> String {
        match self.lang {
            Lang::Es => error.in_spanish(),
            Lang::En => error.to_string(),
        }
    }

    /// The tenant to name in a command that a person shall type: the only one there is, else
    /// a place to fill in.
    fn tenant_to_type(&self) -> String {
        match self.config.tenants.as_slice() {
            [only] => only.id.to_string(),
            _ => self.say(Word::TenantHere, &[]),
        }
    }

    /// The zone in which times are read and shown: the terminal's own, else the tenant's, else
    /// the first tenant's.
    fn zone(&self, own: Option<&str>, tenant: Option<&TenantId>) -> Zone {
        if let Some(Ok(zone)) = own.map(Zone::named) {
            return zone;
        }
        let named = tenant.and_then(|id| self.config.tenant(id));
        let any = named.or_else(|| self.config.tenants.first());
        any.map_or_else(Zone::utc, |tenant| tenant.zone.clone())
    }
}

/// Now, by the machine's clock.
fn now() -> Millis {
    Millis(jiff::Timestamp::now().as_millisecond())
}

/// The program as it was called and with the configuration it was given, for commands that a
/// person is told to type.
fn program() -> String {
    called(std::env::args())
}

fn called(mut words: impl Iterator<Item = String>) -> String {
    let program = words.next().unwrap_or_else(|| "satellite".to_owned());
    match option(words, "--config") {
        Some(file) => format!("{program} --config {file}"),
        None => program,
    }
}

/// The value of an option on a command line that is not read yet.
fn option(mut words: impl Iterator<Item = String>, name: &str) -> Option<String> {
    while let Some(word) = words.next() {
        match word.strip_prefix(name) {
            Some("") => return words.next(),
            Some(rest) if rest.starts_with('=') => return rest.get(1..).map(str::to_owned),
            _ => {}
        }
    }
    None
}

/// Reads the command line. Help comes in the language that it asks for.
///
/// # Errors
/// It is not understood, or asks for help or the version: [`help_or_usage`] prints that.
pub(crate) fn read() -> Result<Cli, Told> {
    let words: Vec<String> = std::env::args().collect();
    let asked = Lang::asked(&words, &["--lang"]).or_else(Lang::from_environment);
    let lang = asked.unwrap_or(Lang::En);
    let matches = console::read(Cli::command(), words, lang, &help::BOOK)?;
    Cli::from_arg_matches(&matches).map_err(Told::from)
}

/// Carries out what was asked for.
pub(crate) async fn dispatch(cli: Cli) -> Exit {
    let lang = cli.lang.or_else(Lang::from_environment);
    let lang = lang.unwrap_or(Lang::En);
    let done = match cli.command {
        Command::Run(args) => run::run(args, cli.config, lang).await,
        Command::Demo(args) => demo::run(args, lang).await,
        Command::Completion { shell } => {
            let script = console::completion(Cli::command(), shell, lang, &help::BOOK);
            console::print(&script)
                .map(|()| Exit::Fine)
                .map_err(Into::into)
        }
        Command::Manual { folder } => {
            let written = console::write_pages(Cli::command(), &folder, lang, &help::BOOK);
            written.map(|()| Exit::Fine).map_err(Into::into)
        }
        command => match Context::load(cli.config, lang) {
            Ok(context) => with_config(command, context).await,
            Err(error) => Err(error),
        },
    };
    done.unwrap_or_else(|error| explain(&error, lang))
}

async fn with_config(command: Command, context: Context) -> anyhow::Result<Exit> {
    match command {
        Command::Check(args) => check::run(&args, &context).await,
        Command::Db(command) => db::run(command, &context).await,
        Command::Doctor(args) => doctor::run(&args, &context).await,
        Command::Backfill(args) => backfill::run(&args, &context).await,
        Command::Backup(command) => backup::run(command, &context).await,
        Command::Compare(args) => compare::run(&args, &context).await,
        Command::Export(args) => export::run(&args, &context).await,
        Command::Cutoff(args) => cutoff::run(&args, &context).await,
        Command::Devices(command) => devices::run(command, &context).await,
        Command::Events(args) => events::run(&args, &context).await,
        Command::Evidence(args) => evidence::run(&args, &context).await,
        Command::Lockdown(command) => lockdown::run(command, &context).await,
        Command::Restore(args) => restore::run(&args, &context).await,
        Command::Outputs(command) => outputs::run(command, &context).await,
        Command::Quarantine(command) => quarantine::run(command, &context).await,
        Command::Tenant(command) => tenant::run(command, &context).await,
        Command::Top(args) => top::run(&args, &context).await,
        Command::Trace(args) => trace::run(&args, &context).await,
        // These need no configuration of ours and were dealt with before.
        Command::Run(_)
        | Command::Demo(_)
        | Command::Completion { .. }
        | Command::Manual { .. } => Ok(Exit::Fine),
    }
}

/// Says what went wrong and with which status to leave. Whoever reads our output may stop
/// reading; that is no failure.
fn explain(error: &anyhow::Error, lang: Lang) -> Exit {
    if console::reader_left(error.chain()) {
        return Exit::Fine;
    }
    match error.downcast_ref::<ConfigError>() {
        Some(wrong) if lang == Lang::Es => complain(&wrong.in_spanish()),
        _ => {
            let causes = error.chain().map(|cause| lang.detail(&cause.to_string()));
            complain(&causes.collect::<Vec<_>>().join(": "));
        }
    }
    exit_of(error)
}

/// Prints help or the version (fine), or what is wrong with the command line (failed).
pub(crate) fn help_or_usage(told: &Told) -> Exit {
    told.print();
    if told.is_mistake() {
        Exit::Failed
    } else {
        Exit::Fine
    }
}

/// An error that only a person can put right, without a place in a file.
fn wrong_setup(about: impl Into<String>, message: &str) -> anyhow::Error {
    ConfigError::about(about, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_teaches_with_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("satellite "), "{}", sub.get_name());
        }
    }

    #[test]
    fn an_unknown_tenant_is_answered_with_those_there_are() {
        let mut context = Context::for_tests();
        let mut other = context.config.tenants[0].clone();
        other.id = TenantId::new("acme").unwrap();
        context.config.tenants.push(other);
        let error = context.tenant("acm").unwrap_err().to_string();
        assert!(
            error.contains("'acm'") && error.contains("acme, main"),
            "{error}"
        );
        let error = context.tenant_or_only(None).unwrap_err().to_string();
        assert!(error.contains("main, acme"), "{error}");
        context.config.tenants.pop();
        assert_eq!(context.tenant_or_only(None).unwrap().as_str(), "main");
    }

    #[test]
    fn a_command_to_type_reads_the_same_configuration_as_the_one_before() {
        let called = |line: &str| called(line.split(' ').map(str::to_owned));
        assert_eq!(called("satellite devices list"), "satellite");
        for line in [
            "s --config x.toml trace A1",
            "s devices list --config=x.toml",
        ] {
            assert_eq!(called(line), "s --config x.toml");
        }
    }

    #[test]
    fn a_reader_that_stops_reading_is_no_failure() {
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(
            explain(&anyhow::Error::from(pipe).context("printing"), Lang::En),
            Exit::Fine
        );
        assert_eq!(explain(&anyhow::anyhow!("x"), Lang::En), Exit::Failed);
        assert_eq!(
            explain(&wrong_setup("file", "is wrong"), Lang::Es),
            Exit::Config
        );
    }
}
