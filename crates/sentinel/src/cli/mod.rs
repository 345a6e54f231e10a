//! The commands of `sentinel`, one module each, and what they share.
//!
//! Commands read sentinel's file; what changes something is asked of the running sentinel,
//! which is the only one that decides. Output goes to standard output, remarks to standard
//! error, so that what is listed can be piped.

mod ask;
mod check;
mod checklist;
mod connect;
mod help;
mod host;
mod incidents;
mod mail;
mod maintenance;
mod out;
mod report;
mod status;

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use console::{Lang, Shell, Told};
use daemon::config::ConfigError;
use daemon::exit::Exit;
use daemon::owner;
use notify::Language;
use sentinel::Config;
use sentinel::database::Database;
use sentinel::run::exit_of;

pub(crate) use out::complain;

const ABOUT: &str =
    "Proves around the clock that punches arrive, and tells the right person when not";

const EXAMPLES: &str = "Examples:
  sentinel check
  sentinel status
  sentinel incidents
  sentinel ack INC-2026-000123

Exit status: 0 fine, 1 failed, 78 the configuration is wrong.";

/// As mails have it.
fn language(lang: Lang) -> Language {
    lang.pick(Language::Spanish, Language::English)
}

/// The command line.
#[derive(Parser)]
#[command(name = "sentinel", version, about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Configuration [default: /etc/sentinel/sentinel.toml; without it: state under ./sentinel-data]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG, else the configuration]
    #[arg(long, alias = "language", global = true, value_enum)]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the watchdog
    #[command(after_help = "Example:\n  sentinel run --config /etc/sentinel/sentinel.toml")]
    Run,
    /// Check the configuration and say what it means
    #[command(after_help = check::EXAMPLES)]
    Check(check::Args),
    /// How each client stands, and what was seen last
    #[command(after_help = status::EXAMPLES)]
    Status(status::Args),
    /// Incidents: list, show, remark, close
    #[command(after_help = incidents::EXAMPLES)]
    Incidents(incidents::Args),
    /// Say that you are on an incident; nobody else is called
    #[command(after_help = "Example:\n  sentinel ack INC-2026-000123")]
    Ack(ask::AckArgs),
    /// Windows in which nobody is told
    #[command(subcommand, after_help = maintenance::EXAMPLES)]
    Maintenance(maintenance::Command),
    /// Send this machine's facts to a sentinel elsewhere
    #[command(after_help = host::EXAMPLES)]
    Host(host::Args),
    /// The way by which alerts leave
    #[command(subcommand, after_help = mail::EXAMPLES)]
    Mail(mail::Command),
    /// A client's check lists, with evidence and a place to sign
    #[command(after_help = checklist::EXAMPLES)]
    Checklist(checklist::Args),
    /// A month of each client: availability, incidents, punches
    #[command(after_help = report::EXAMPLES)]
    Report(report::Args),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  sentinel completion bash > /etc/bash_completion.d/sentinel"
    )]
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a folder, for packages
    #[command(
        hide = true,
        after_help = "Example:\n  sentinel manual --lang es man/es/man1"
    )]
    Manual {
        /// The folder
        folder: PathBuf,
    },
}

/// What every command is given.
pub(crate) struct Context {
    config: Config,
    language: Language,
}

impl Context {
    fn load(file: Option<PathBuf>, lang: Option<Lang>) -> anyhow::Result<Self> {
        let config = Config::load(file.as_deref())?;
        owner::become_owner(&config.state_dir)?;
        let language = lang.map_or(config.language, language);
        Ok(Self { config, language })
    }

    /// One of two texts.
    fn say<T>(&self, spanish: T, english: T) -> T {
        match self.language {
            Language::Spanish => spanish,
            Language::English => english,
        }
    }

    /// That there is such a client.
    fn knows(&self, tenant: &str) -> anyhow::Result<()> {
        if self.config.tenants().any(|known| known == tenant) {
            return Ok(());
        }
        let known = self.config.tenants().collect::<Vec<_>>().join(", ");
        anyhow::bail!(self.say(
            format!("no hay cliente '{tenant}'; hay: {known}"),
            format!("there is no client '{tenant}'; there are: {known}"),
        ));
    }

    /// The file of a sentinel that has run.
    async fn database(&self) -> anyhow::Result<Database> {
        let folder = &self.config.state_dir;
        if !folder.join(sentinel::database::FILE).exists() {
            let folder = folder.display();
            anyhow::bail!(self.say(
                format!("no hay datos en {folder}: Sentinela no se ha ejecutado aquí"),
                format!("there is nothing in {folder}: sentinel has not run here"),
            ));
        }
        Ok(Database::existing(folder).await?)
    }

    /// A moment in the configuration's zone.
    fn moment(&self, at: jiff::Timestamp) -> String {
        sentinel::words::moment(self.language, &self.config.zone, at)
    }
}

/// Reads the command line. Help comes in the language that it asks for.
///
/// # Errors
/// It is not understood, or asks for help or the version: [`help_or_usage`] prints that.
pub(crate) fn read() -> Result<Cli, Told> {
    let words: Vec<String> = std::env::args().collect();
    let asked = Lang::asked(&words, &["--lang", "--language"]);
    let lang = asked.or_else(Lang::from_environment).unwrap_or(Lang::En);
    let matches = console::read(Cli::command(), words, lang, &help::BOOK)?;
    Cli::from_arg_matches(&matches).map_err(Told::from)
}

/// Carries out what was asked for.
pub(crate) async fn dispatch(cli: Cli) -> Exit {
    let lang = cli.lang.or_else(Lang::from_environment);
    let done = match cli.command {
        Command::Run => run(cli.config).await,
        Command::Host(args) => host::run(args).await,
        Command::Completion { shell } => {
            let script =
                console::completion(Cli::command(), shell, lang.unwrap_or(Lang::En), &help::BOOK);
            console::print(&script)
                .map(|()| Exit::Fine)
                .map_err(Into::into)
        }
        Command::Manual { folder } => {
            let written = console::write_pages(
                Cli::command(),
                &folder,
                lang.unwrap_or(Lang::En),
                &help::BOOK,
            );
            written.map(|()| Exit::Fine).map_err(Into::into)
        }
        command => match Context::load(cli.config, lang) {
            Ok(context) => with_config(command, context).await,
            Err(error) => Err(error),
        },
    };
    done.unwrap_or_else(|error| explain(&error, lang.unwrap_or(Lang::En)))
}

async fn run(file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let config = Config::load(file.as_deref())?;
    owner::become_owner(&config.state_dir)?;
    drop(config);
    sentinel::run::run(file).await
}

async fn with_config(command: Command, context: Context) -> anyhow::Result<Exit> {
    match command {
        Command::Check(args) => check::run(&args, &context).await,
        Command::Status(args) => status::run(&args, &context).await,
        Command::Incidents(args) => incidents::run(args, &context).await,
        Command::Ack(args) => ask::acknowledge(args, &context).await,
        Command::Maintenance(command) => maintenance::run(command, &context).await,
        Command::Mail(command) => mail::run(command, &context).await,
        Command::Checklist(args) => checklist::run(&args, &context).await,
        Command::Report(args) => report::run(&args, &context).await,
        // They need another configuration or none, and were dealt with before.
        Command::Run | Command::Host(_) | Command::Completion { .. } | Command::Manual { .. } => {
            Ok(Exit::Fine)
        }
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
        _ => complain(&format!("{error:#}")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_teaches_with_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string);
            assert!(
                help.unwrap_or_default().contains("sentinel "),
                "{}",
                sub.get_name()
            );
        }
    }
}
