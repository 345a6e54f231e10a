//! The program `satellite`: run the daemon, prepare databases, enrol terminals.
//!
//! A checklist only: each command does one thing and answers with an exit status, 0 fine,
//! 1 failed, 78 wrong configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daemon::exit::Exit;
use event::{Millis, Serial, TenantId, Text, Vendor};
use satellite::Config;
use store::registry::{self, EnrolmentState, NewEnrolment};

/// Takes in every event of attendance terminals and stores each one exactly once.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; without it /etc/satellite/satellite.toml, or built-in defaults.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon.
    Run,
    /// Check the configuration.
    Check,
    /// Care for the databases.
    #[command(subcommand)]
    Db(Db),
    /// Enrol terminals.
    #[command(subcommand)]
    Devices(Devices),
}

#[derive(Subcommand)]
enum Db {
    /// Bring every database to this version's schema.
    Migrate,
}

#[derive(Subcommand)]
enum Devices {
    /// Enrol a terminal.
    Add {
        #[arg(long)]
        tenant: TenantId,
        #[arg(long, default_value = "zkteco")]
        vendor: String,
        #[arg(long)]
        serial: Serial,
    },
    /// Approve a terminal that waits.
    Approve {
        serial: Serial,
        #[arg(long)]
        tenant: TenantId,
    },
    /// Block a terminal.
    Block { serial: Serial },
    /// Enrol every line of a CSV file: serial,tenant.
    Import { file: PathBuf },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Run => satellite::lifecycle::run(arguments.config).await,
        command => quick(arguments.config, command).await.map(|()| Exit::Fine),
    };
    done.unwrap_or_else(|error| {
        eprintln!("satellite: {error:#}");
        satellite::lifecycle::exit_of(&error)
    })
    .into()
}

async fn quick(config: Option<PathBuf>, command: Command) -> anyhow::Result<()> {
    let config = Config::load(config.as_deref())?;
    let now = Millis(jiff::Timestamp::now().as_millisecond());
    let new = |serial: Serial, tenant: TenantId| NewEnrolment {
        vendor: Vendor::Zkteco,
        serial,
        tenant,
        name: None,
        site: None,
        time_zone: None,
        canary: false,
        accept_from: None,
        replace: false,
    };
    if let Command::Db(Db::Migrate) = command {
        for (label, target) in config.stores() {
            store::schema::migrate(&mut target.connect().await?).await?;
            println!("{label}: ready");
        }
        return Ok(());
    }
    let mut engine = config.registry_target().connect().await?;
    match command {
        Command::Devices(
            Devices::Add { tenant, serial, .. } | Devices::Approve { serial, tenant },
        ) => {
            registry::enrol(&mut engine, new(serial, tenant), now, "command").await?;
        }
        Command::Devices(Devices::Block { serial }) => {
            registry::set_state(
                &mut engine,
                &serial,
                EnrolmentState::Blocked,
                now,
                "command",
            )
            .await?;
        }
        Command::Devices(Devices::Import { file }) => {
            for record in csv::Reader::from_path(file)?.records() {
                let record = record?;
                let cell = |at: usize| Text::from(record.get(at).unwrap_or_default());
                let (serial, tenant) = (Serial::try_from(cell(0))?, TenantId::try_from(cell(1))?);
                registry::enrol(&mut engine, new(serial, tenant), now, "command").await?;
            }
        }
        _ => {}
    }
    Ok(())
}
