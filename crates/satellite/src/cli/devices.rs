//! `satellite devices`: which terminals may bring records, and for whom.
//!
//! Changes go to the registry with a line of audit each, and a running satellite notices them
//! within ten seconds. A terminal that goes to another tenant begins a new history; no command
//! here does that unless it was asked for by name.

mod add;
mod command;
mod configure;
pub(crate) mod hikvision;
mod import;
pub(crate) mod list;
mod listening;
pub(crate) mod pull;
mod record;
mod rotate;
mod schedule;
pub(crate) mod show;

use clap::Subcommand;
use daemon::exit::Exit;
use event::{Millis, Serial, Text, Vendor, Zone};
use store::registry::{self, Enrolled, EnrolmentState, NewEnrolment, RegistryError};
use store::{AnyEngine, Mirror};

use super::databases::{self, Place};
use super::words::Word;
use super::{Context, actor, now, out, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite devices list                               # pending ones too
  satellite devices list --plain                       # who still speaks plain HTTP
  satellite devices approve ABC1 --tenant acme         # one that waits
  satellite devices add --tenant acme --vendor zkteco --serial ABC1 --name \"Main door\"
  satellite devices add --tenant acme --vendor hikvision --serial K12345678 --listen
  satellite devices configure K12345678
  satellite devices command ABC1 info
  satellite devices record ABC1 --minutes 15
  satellite devices schedule ABC1 --every 15m
  satellite devices block ABC1
  satellite devices rotate-token K12345678
  satellite devices show ABC1                          # and what to type into the terminal
  satellite devices import terminals.csv --dry-run
A running satellite notices a change within 10 seconds.";

/// What `devices` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Enrol a terminal and approve it
    #[command(after_help = add::EXAMPLES)]
    Add(Box<add::Args>),
    /// Approve a terminal that waits, or one that was blocked
    #[command(after_help = "Example:\n  satellite devices approve ABC1 --tenant acme")]
    Approve {
        /// Its serial number
        serial: Serial,
        /// For whom [default: the only tenant, or the one it is enrolled for]
        #[arg(long, value_name = "T")]
        tenant: Option<String>,
    },
    /// Shut a terminal out; it keeps its records
    #[command(after_help = "Example:\n  satellite devices block ABC1")]
    Block {
        /// Its serial number
        serial: Serial,
    },
    /// List terminals: approved, blocked, pending
    #[command(
        after_help = "Examples:\n  satellite devices list --state pending\n  satellite devices list --tenant acme --json"
    )]
    List(list::Args),
    /// Everything about one terminal, and what to type into it
    #[command(after_help = "Example:\n  satellite devices show ABC1")]
    Show(show::Args),
    /// Write into a Hikvision device where it shall post, and read it back
    #[command(after_help = "Example:\n  satellite devices configure K12345678")]
    Configure(configure::Args),
    /// Give a device that posts another token: the old one stops working
    #[command(name = "rotate-token", after_help = rotate::EXAMPLES)]
    RotateToken(rotate::Args),
    /// Tell a ZKTeco push terminal something, and show what it answers
    #[command(name = "command", after_help = command::EXAMPLES)]
    Tell(command::Args),
    /// Record what a ZKTeco terminal says and hears, without names, cards and secrets
    #[command(after_help = record::EXAMPLES)]
    Record(record::Args),
    /// How often a terminal that is dialled is visited
    #[command(after_help = schedule::EXAMPLES)]
    Schedule(schedule::Args),
    /// Enrol every terminal of a CSV file
    #[command(after_help = import::EXAMPLES)]
    Import(import::Args),
}

/// Carries out a `devices` command.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add::run(&args, context).await,
        Command::Configure(args) => configure::run(&args, context).await,
        Command::RotateToken(args) => rotate::run(&args, context).await,
        Command::Tell(args) => command::run(&args, context).await,
        Command::Record(args) => record::run(&args, context).await,
        Command::Schedule(args) => schedule::run(&args, context).await,
        Command::Approve { serial, tenant } => approve(&serial, tenant.as_deref(), context).await,
        Command::Block { serial } => block(&serial, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Show(args) => show::run(&args, context).await,
        Command::Import(args) => import::run(&args, context).await,
    }
}

/// The registry, opened for changes, with who changes it.
struct Registry<'a> {
    context: &'a Context,
    place: Place,
    engine: AnyEngine,
    mirror: Option<Mirror>,
    actor: String,
}

impl<'a> Registry<'a> {
    async fn open(context: &'a Context) -> anyhow::Result<Self> {
        let place = databases::registry_place(context);
        let (engine, _) = databases::open_ready(context, &place).await?;
        let mirror = databases::mirror(context).await;
        Ok(Self {
            context,
            place,
            engine,
            mirror,
            actor: actor::actor(),
        })
    }

    fn told(&self, error: RegistryError) -> anyhow::Error {
        match error {
            RegistryError::Failure(failure) => databases::told(self.context, &self.place, &failure),
            RegistryError::LockedDown(held) => super::lockdown::told(&held, self.context),
            other => other.into(),
        }
    }

    async fn find(&mut self, serial: &Serial) -> anyhow::Result<Option<registry::Enrolment>> {
        self.find_of(None, serial).await
    }

    async fn find_of(
        &mut self,
        vendor: Option<Vendor>,
        serial: &Serial,
    ) -> anyhow::Result<Option<registry::Enrolment>> {
        let found = registry::find(&mut self.engine, vendor, serial).await;
        found.map_err(|failure| databases::told(self.context, &self.place, &failure))
    }

    async fn enrol(&mut self, new: NewEnrolment) -> anyhow::Result<Enrolled> {
        let serial = new.serial.clone();
        let done = registry::enrol(&mut self.engine, new, now(), &self.actor).await;
        let enrolled = done.map_err(|error| self.told(error))?;
        self.forget_pending(&serial).await;
        Ok(enrolled)
    }

    async fn set_state(&mut self, serial: &Serial, state: EnrolmentState) -> anyhow::Result<()> {
        let done = registry::set_state(&mut self.engine, serial, state, now(), &self.actor).await;
        done.map(drop).map_err(|error| self.told(error))
    }

    /// A running satellite does this too; without one the list should be right at once.
    async fn forget_pending(&self, serial: &Serial) {
        if let Some(mirror) = &self.mirror
            && let Err(failure) = mirror.forget_pending(serial).await
        {
            tracing::debug!(%failure, "a pending terminal stays listed until satellite runs");
        }
    }

    /// The vendor of a terminal that waits for approval.
    async fn pending(&self, serial: &Serial) -> Option<Vendor> {
        let pending = self.mirror.as_ref()?.pending().await.unwrap_or_default();
        let mut found = pending.iter().filter(|pending| pending.serial == *serial);
        found.next().map(|pending| pending.vendor)
    }
}

fn checked_zone(name: Option<&str>) -> anyhow::Result<Option<Zone>> {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    Ok(name.map(Zone::named).transpose()?)
}

/// `all`, or a time from which records count.
fn accept_from(text: &str, zone: &Zone, now: Millis) -> Result<Option<Millis>, String> {
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    time::moment(text, zone, now).map(Some)
}

/// The text without blanks around it; nothing when there is nothing.
fn filled(text: Option<&str>) -> Option<Text> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(Text::new)
}

/// What an enrolment came to.
fn sentence(context: &Context, enrolled: &Enrolled) -> String {
    let now = enrolled.enrolment();
    match enrolled {
        Enrolled::New(_) => context.say(Word::Enrolled, &[&now.serial, &now.tenant]),
        Enrolled::Already(_) => context.say(Word::EnrolledBefore, &[&now.serial, &now.tenant]),
        Enrolled::Moved { before, .. } if before.tenant == now.tenant => {
            context.say(Word::Replaced, &[&now.serial, &now.tenant])
        }
        Enrolled::Moved { before, .. } => {
            context.say(Word::Moved, &[&now.serial, &before.tenant, &now.tenant])
        }
    }
}

/// What happens next, after every change.
fn noticed(context: &Context, serial: &Serial) -> anyhow::Result<Exit> {
    let program = super::program();
    out::line(&context.say(Word::Noticed, &[]))?;
    out::line(&context.say(Word::ThenTrace, &[&program, serial]))?;
    Ok(Exit::Fine)
}

async fn approve(serial: &Serial, tenant: Option<&str>, context: &Context) -> anyhow::Result<Exit> {
    let wanted = context.tenant_if_given(tenant)?;
    let mut registry = Registry::open(context).await?;
    match registry.find(serial).await? {
        Some(known) if wanted.as_ref().is_none_or(|wanted| *wanted == known.tenant) => {
            registry.set_state(serial, EnrolmentState::Approved).await?;
            out::line(&context.say(Word::ApprovedNow, &[serial, &known.tenant]))?;
        }
        Some(known) => {
            let asked = wanted.map(|tenant| tenant.to_string()).unwrap_or_default();
            let program = super::program();
            anyhow::bail!(context.say(
                Word::BelongsTo,
                &[
                    serial,
                    &known.tenant,
                    &program,
                    &asked,
                    &known.vendor,
                    serial
                ]
            ));
        }
        None => {
            let tenant = match wanted {
                Some(tenant) => tenant,
                None => context.tenant_or_only(None)?,
            };
            let waited = registry.pending(serial).await;
            // Of a terminal that never came nothing but serial and tenant is known.
            let vendor = waited.unwrap_or(Vendor::Zkteco);
            let new = NewEnrolment::of(vendor, serial.clone(), tenant);
            let enrolled = registry.enrol(new).await?;
            out::line(&sentence(context, &enrolled))?;
            if waited.is_none() {
                // A mistyped serial looks just like this.
                out::remark(&context.say(Word::NeverSeen, &[serial]));
            }
        }
    }
    noticed(context, serial)
}

async fn block(serial: &Serial, context: &Context) -> anyhow::Result<Exit> {
    let mut registry = Registry::open(context).await?;
    if registry.find(serial).await?.is_none() {
        let word = if registry.pending(serial).await.is_some() {
            Word::PendingIsOut
        } else {
            Word::UnknownSerial
        };
        anyhow::bail!(context.say(word, &[serial, &super::program()]));
    }
    registry.set_state(serial, EnrolmentState::Blocked).await?;
    out::line(&context.say(Word::BlockedNow, &[serial]))?;
    out::line(&context.say(Word::Noticed, &[]))?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_from_is_a_time_of_the_terminals_zone_or_all() {
        let zone = Zone::named("America/Tijuana").unwrap();
        let read = |text: &str| accept_from(text, &zone, Millis(0));
        assert_eq!(read("ALL"), Ok(None));
        assert_eq!(read("2026-11-21"), Ok(Millis::parse("2026-11-21 08:00:00")));
        assert!(read("whenever").is_err());
    }

    #[test]
    fn blank_names_are_absent_ones() {
        assert_eq!(filled(Some("  ")), None);
        assert_eq!(filled(Some(" Main door ")).as_deref(), Some("Main door"));
        assert_eq!(checked_zone(Some(" ")).unwrap(), None);
        assert!(
            checked_zone(Some("Mexico"))
                .unwrap_err()
                .to_string()
                .contains("America/Mexico_City")
        );
    }
}
