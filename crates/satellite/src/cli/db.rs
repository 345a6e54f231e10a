//! `satellite db`: the tables, how far each feed has come, a new epoch, upkeep.
//!
//! These are for whoever looks after the databases. Migrating may be done again at any time;
//! a new epoch is for the hour after a restore. Nothing here touches an event of a person but
//! `retention`, which has a file of its own.

use clap::Subcommand;
use daemon::exit::Exit;
use event::{DeviceId, Millis};
use serde_json::{Value, json};
use store::mirror::FeedMark;
use store::quarantine;
use store::registry::{self, EnrolmentState};
use store::schema::{self, SchemaState};
use store::{AnyEngine, Failure, feed, maintain};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, actor, hold, now, out, retention, table};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite db migrate                 # makes or updates the tables of every database
  satellite db status                  # versions and numbers
  satellite db epoch --new             # after restoring an older copy, before readers go on
  satellite db maintain                # from a timer, once a day
  satellite db retention --tenant acme --class alarm --before 1825d
  satellite db hold on --tenant acme   # legal hold: nothing of that tenant goes";

/// Canary events deleted in one transaction; writers wait for no longer than that takes.
const DELETE_AT_ONCE: u32 = 5_000;

/// What `db` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make the tables, or bring them up to date, in every database
    #[command(after_help = "Example:\n  satellite db migrate --config with-another-user.toml")]
    Migrate,
    /// Schema, feed number and counts of every database
    #[command(after_help = "Example:\n  satellite db status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Let all further feed numbers start above every number readers have seen
    #[command(
        after_help = "Example, after a restore:\n  systemctl stop 'satellite*.socket' satellite\n  mariadb satellite < satellite.sql\n  satellite db epoch --new\n  systemctl start satellite"
    )]
    Epoch {
        /// Open a new epoch
        #[arg(long, required = true)]
        new: bool,
        /// Only in this tenant's database [default: in every database]
        #[arg(long, value_name = "T")]
        tenant: Option<String>,
    },
    /// Delete old events of canaries
    #[command(after_help = "Example:\n  satellite db maintain --canary-days 7")]
    Maintain {
        /// Canary events older than so many days go
        #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
        canary_days: u32,
    },
    /// Archive old records and empty them in the database; without --apply only count
    #[command(after_help = retention::EXAMPLES)]
    Retention(retention::Args),
    /// Legal hold: while it lasts nothing of a tenant is archived or emptied
    #[command(subcommand)]
    Hold(hold::Command),
}

/// Carries out a `db` command.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Migrate => migrate(context).await,
        Command::Status { json } => status(context, json).await,
        Command::Epoch { new: _, tenant } => epoch(context, tenant.as_deref()).await,
        Command::Maintain { canary_days } => maintain(context, canary_days).await,
        Command::Retention(args) => retention::run(&args, context).await,
        Command::Hold(command) => hold::run(command, context).await,
    }
}

async fn migrate(context: &Context) -> anyhow::Result<Exit> {
    let mut wrong = None;
    for place in databases::places(context, None) {
        let word = match databases::open_ready(context, &place).await {
            Ok((_, true)) => Word::Migrated,
            Ok((_, false)) => Word::MigratedBefore,
            // The others are brought up to date all the same.
            Err(error) => {
                out::complain(&format!("{error:#}"));
                wrong = Some(error);
                continue;
            }
        };
        out::line(&context.say(word, &[&place.label, &place.target, &schema::VERSION]))?;
    }
    Ok(wrong.map_or(Exit::Fine, |error| satellite::lifecycle::exit_of(&error)))
}

/// What `db status` knows of one database.
struct Status {
    label: String,
    place: String,
    version: i64,
    head: feed::FeedHead,
    quarantined: u64,
    devices: Option<[usize; 2]>,
}

async fn status(context: &Context, as_json: bool) -> anyhow::Result<Exit> {
    let (mut found, mut exit) = (Vec::new(), Exit::Fine);
    let mut broken = Vec::new();
    for place in databases::places(context, None) {
        let read = match databases::open(context, &place).await {
            Ok(mut engine) => read_status(&place, &mut engine)
                .await
                .map_err(|f| databases::told(context, &place, &f)),
            Err(error) => Err(error),
        };
        match read {
            Ok(status) => found.push(status),
            Err(error) => {
                out::complain(&format!("{error:#}"));
                broken.push(json!({ "label": place.label, "place": place.target.to_string(), "error": error.to_string() }));
                exit = Exit::Failed;
            }
        }
    }
    let pending = match databases::mirror(context).await {
        Some(mirror) => mirror.pending().await.unwrap_or_default().len(),
        None => 0,
    };
    if as_json {
        let stores = found
            .iter()
            .map(status_json)
            .chain(broken)
            .collect::<Vec<_>>();
        out::json(&json!({ "stores": stores, "pending": pending }))?;
        return Ok(exit);
    }
    let headings = context.lang.headings(&[
        Word::Store,
        Word::Version,
        Word::Epoch,
        Word::NextNumber,
        Word::InReview,
        Word::Approved,
        Word::Blocked,
        Word::Address,
    ]);
    let rows: Vec<Vec<String>> = found.iter().map(status_row).collect();
    out::print(&table::table(&headings, &rows))?;
    out::line(&context.say(Word::PendingCount, &[&pending]))?;
    Ok(exit)
}

async fn read_status(place: &Place, engine: &mut AnyEngine) -> Result<Status, Failure> {
    let version = match schema::state(engine).await? {
        SchemaState::Current => schema::VERSION,
        SchemaState::Behind(version) => version,
    };
    let devices = if place.label == satellite::config::STORE_LABEL {
        let all = registry::all(engine).await?;
        let approved = all
            .iter()
            .filter(|one| one.state == EnrolmentState::Approved)
            .count();
        Some([approved, all.len() - approved])
    } else {
        None
    };
    Ok(Status {
        label: place.label.clone(),
        place: place.target.to_string(),
        version,
        head: feed::head(engine).await?,
        quarantined: quarantine::count(engine, None).await?,
        devices,
    })
}

/// The place of a feed number in its epoch.
fn number_in_epoch(seq: i64) -> i64 {
    seq & ((1 << feed::EPOCH_BITS) - 1)
}

fn status_row(status: &Status) -> Vec<String> {
    let count = |at: usize| {
        status
            .devices
            .map(|counts| counts[at].to_string())
            .unwrap_or_default()
    };
    vec![
        status.label.clone(),
        status.version.to_string(),
        status.head.epoch().to_string(),
        number_in_epoch(status.head.next_seq).to_string(),
        status.quarantined.to_string(),
        count(0),
        count(1),
        status.place.clone(),
    ]
}

fn status_json(status: &Status) -> Value {
    json!({
        "label": status.label,
        "place": status.place,
        "schema_version": status.version,
        "schema_newest": schema::VERSION,
        "store_id": DeviceId(status.head.store_id).to_string(),
        "epoch": status.head.epoch(),
        "next_seq": status.head.next_seq,
        "server": status.head.server,
        "quarantined": status.quarantined,
        "approved": status.devices.map(|counts| counts[0]),
        "blocked": status.devices.map(|counts| counts[1]),
    })
}

async fn epoch(context: &Context, tenant: Option<&str>) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(tenant)?;
    let actor = actor::actor();
    let mirror = databases::mirror(context).await;
    for place in databases::places(context, tenant.as_ref()) {
        let fail = |failure: Failure| databases::told(context, &place, &failure);
        let mut engine = databases::open(context, &place).await?;
        let mark = match &mirror {
            Some(mirror) => mirror.feed_mark(&place.label).await.map_err(fail)?,
            None => None,
        };
        let reason = format!("asked for by {actor}");
        let epoch = feed::open_epoch(&mut engine, mark.as_ref(), &reason, now())
            .await
            .map_err(fail)?;
        let head = feed::head(&mut engine).await.map_err(fail)?;
        let mark = FeedMark {
            store_id: head.store_id,
            server: head.server,
            next_seq: head.next_seq,
        };
        if let Some(mirror) = &mirror {
            mirror
                .set_feed_mark(&place.label, &mark)
                .await
                .map_err(fail)?;
        }
        out::line(&context.say(
            Word::NewEpoch,
            &[&place.label, &place.target, &epoch, &head.next_seq],
        ))?;
        note(
            context,
            &actor,
            "epoch",
            &place.label,
            &json!({ "epoch": epoch }),
        )
        .await;
    }
    Ok(Exit::Fine)
}

async fn maintain(context: &Context, canary_days: u32) -> anyhow::Result<Exit> {
    let actor = actor::actor();
    let before = Millis(now().0 - i64::from(canary_days) * 86_400_000);
    for place in databases::places(context, None) {
        let mut engine = databases::open(context, &place).await?;
        let mut deleted = 0;
        loop {
            let gone = maintain::delete_canary_events(&mut engine, before, DELETE_AT_ONCE).await;
            let gone = gone.map_err(|failure| databases::told(context, &place, &failure))?;
            deleted += gone;
            if gone < u64::from(DELETE_AT_ONCE) {
                break;
            }
        }
        out::line(&context.say(
            Word::CanariesDeleted,
            &[&place.label, &deleted, &canary_days],
        ))?;
        if deleted > 0 {
            let detail = json!({ "canary_events": deleted, "before": before.text() });
            note(context, &actor, "maintain", &place.label, &detail).await;
        }
    }
    Ok(Exit::Fine)
}

/// Puts a line into the audit. The registry may be the database that was lost; what was done
/// stays done.
pub(super) async fn note(
    context: &Context,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &Value,
) {
    let place = databases::registry_place(context);
    let written = match databases::open(context, &place).await {
        Ok(mut engine) => registry::audit(
            &mut engine,
            now(),
            actor,
            action,
            subject,
            &detail.to_string(),
        )
        .await
        .map_err(|failure| databases::told(context, &place, &failure)),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        out::complain(&context.say(Word::NoAudit, &[&error]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_number_is_told_without_its_epoch() {
        assert_eq!(number_in_epoch(17), 17);
        assert_eq!(number_in_epoch((3 << feed::EPOCH_BITS) + 5), 5);
    }
}
