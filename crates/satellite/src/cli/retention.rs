//! `satellite db retention`: what is old goes into a file that anybody can verify, and out of the
//! database.
//!
//! Without `--apply` it only counts. With it, file by file: the rows are written, the file is made
//! durable and read back, its hash goes into the audit, and only then are exactly those rows
//! emptied in the database ([`store::retention`] says what stays of them and why). Whatever fails
//! on the way leaves every row where it was; the next run archives them again. Nothing is emptied
//! whose archive was not read back whole, nothing without a line in the audit, and nothing of a
//! tenant under legal hold, which is looked at before each transaction.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use daemon::exit::Exit;
use event::{Kind, Millis, TenantId};
use satellite::config::{SHORTEST, Tenant};
use serde_json::{Value, json};
use store::retention::{self, Class, Due, Rows, Tally};
use store::{AnyEngine, Failure, registry};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, actor, events, hold, now, out, program, quarantine, time};

mod archive;

use archive::{Archive, Sealed};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite db retention --tenant acme --class alarm --before 1825d      # counts, changes nothing
  satellite db retention --tenant acme --class punch,access --before 2021-01-01 --archive /var/lib/satellite/archive --apply
  satellite db retention --configured --archive /var/lib/satellite/archive --apply      # what the timer does
  cd /var/lib/satellite/archive && sha256sum -c *.sha256
  zcat acme-alarm-*.jsonl.gz | head
The folder must be there and belong to the user of the state folder. The account needs UPDATE on the
events, as satellite and satellite_upkeep of grants.sql have it.";

/// Rows that one statement looks at.
const STRETCH: u32 = 5_000;
/// Rows after which a file ends and they are emptied; a command that is cut off has done that many.
const FILE_ROWS: usize = 200_000;
/// Rows emptied in one transaction; writers wait for no longer than that takes.
const AT_ONCE: usize = 1_000;

/// What `db retention` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// By the configuration: all that is older than `keep` of its tenant says
    #[arg(long, conflicts_with_all = ["tenant", "class", "before"])]
    configured: bool,
    /// Whose records
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Which records: kinds of event, or settled quarantine; several with commas
    #[arg(
        long,
        value_name = "CLASS",
        value_enum,
        value_delimiter = ',',
        required_unless_present = "configured"
    )]
    class: Vec<Named>,
    /// What happened before: 1825d, 2021-01-01; at least 30 days ago
    #[arg(long, value_name = "TIME", required_unless_present = "configured")]
    before: Option<String>,
    /// The folder for the archives
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
    /// Archive the records and empty them in the database
    #[arg(long, requires = "archive")]
    apply: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A class as it is typed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Named {
    /// Attendance
    Punch,
    /// Doors
    Access,
    /// Alarms and detections
    Alarm,
    /// Operators and menus
    Operation,
    /// States of devices
    Device,
    /// The rest
    Other,
    /// Settled records in quarantine
    Quarantine,
}

impl Named {
    fn class(self) -> Class {
        Class::Events(match self {
            Self::Punch => Kind::Punch,
            Self::Access => Kind::Access,
            Self::Alarm => Kind::Alarm,
            Self::Operation => Kind::Operation,
            Self::Device => Kind::Device,
            Self::Other => Kind::Other,
            Self::Quarantine => return Class::Quarantine,
        })
    }
}

/// Counts, or archives and empties.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let all = if args.configured {
        configured(context)
    } else {
        asked(args, context)?
    };
    let folder = args.archive.as_deref().filter(|_| args.apply);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!(context.say(Word::RetentionNoFolder, &[&folder.display()]));
    }
    let (mut told, mut exit) = (Vec::new(), Exit::Fine);
    for (tenant, due) in &all {
        if let Err(error) = one(args, tenant, due, folder, context, &mut told).await {
            // The others go on all the same.
            out::complain(&format!("{error:#}"));
            exit = Exit::Failed;
        }
    }
    if args.json {
        out::json(&json!({ "applied": args.apply, "classes": told }))?;
    } else if all.is_empty() {
        out::line(&context.say(Word::RetentionNoPolicy, &[]))?;
    } else if !args.apply {
        out::line(&context.say(Word::RetentionNothingDone, &[&program()]))?;
    }
    Ok(exit)
}

/// A tenant, and what of it is due.
type Wanted = (TenantId, Vec<Due>);

/// What the command names.
fn asked(args: &Args, context: &Context) -> anyhow::Result<Vec<Wanted>> {
    let tenant = context.tenant_or_only(args.tenant.as_deref())?;
    let zone = context.zone(None, Some(&tenant));
    let before = args.before.as_deref().unwrap_or_default();
    let before = time::moment(before, &zone, now()).map_err(anyhow::Error::msg)?;
    if before.0 > ago(SHORTEST).0 {
        anyhow::bail!(context.say(Word::RetentionTooYoung, &[&time::show(before, &zone)]));
    }
    let due = args.class.iter().map(|named| Due {
        tenant: tenant.clone(),
        class: named.class(),
        before,
    });
    let due = due.collect();
    Ok(vec![(tenant, due)])
}

/// What `keep` of each tenant names.
fn configured(context: &Context) -> Vec<Wanted> {
    let tenants = context.config.tenants.iter();
    let wanted = tenants.filter(|tenant| !tenant.keep.is_empty());
    let due = |tenant: &Tenant| {
        let due = tenant.keep.iter().map(|(class, time)| Due {
            tenant: tenant.id.clone(),
            class: *class,
            before: ago(*time),
        });
        (tenant.id.clone(), due.collect())
    };
    wanted.map(due).collect()
}

fn ago(time: Duration) -> Millis {
    let back = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Millis(now().0.saturating_sub(back))
}

/// All that is due of one tenant.
async fn one(
    args: &Args,
    tenant: &TenantId,
    due: &[Due],
    folder: Option<&Path>,
    context: &Context,
    told: &mut Vec<Value>,
) -> anyhow::Result<()> {
    let mut registry = databases::open(context, &databases::registry_place(context)).await?;
    if folder.is_some() {
        hold::refuse(&mut registry, context, tenant).await?;
    }
    for place in databases::places(context, Some(tenant)) {
        let mut engine = databases::open(context, &place).await?;
        for due in due {
            let mut work = Work {
                place: &place,
                due,
                registry: &mut registry,
                context,
                json: args.json,
            };
            told.push(match folder {
                None => work.count(&mut engine).await?,
                Some(folder) => work.apply(&mut engine, folder).await?,
            });
        }
    }
    Ok(())
}

/// One class of one database.
struct Work<'a> {
    place: &'a Place,
    due: &'a Due,
    registry: &'a mut AnyEngine,
    context: &'a Context,
    json: bool,
}

impl Work<'_> {
    fn failed(&self) -> impl Fn(Failure) -> anyhow::Error {
        |failure| databases::told(self.context, self.place, &failure)
    }

    /// The next stretch of the table after `after`.
    async fn stretch(&self, engine: &mut AnyEngine, after: i64) -> anyhow::Result<Option<i64>> {
        let last = retention::stretch(engine, self.due.class, after, STRETCH).await;
        last.map_err(self.failed())
    }

    async fn count(&self, engine: &mut AnyEngine) -> anyhow::Result<Value> {
        let (mut after, mut all) = (i64::MIN, Tally::default());
        while let Some(last) = self.stretch(engine, after).await? {
            let tally = retention::tally(engine, self.due, (after, last)).await;
            let tally = tally.map_err(self.failed())?;
            all.due += tally.due;
            all.bytes += tally.bytes;
            all.kept += tally.kept;
            after = last;
        }
        let class = self.context.lang.term(self.due.class.as_str());
        if !self.json {
            let tenant = &self.due.tenant;
            let counted: [&dyn std::fmt::Display; 5] =
                [tenant, &class, &all.due, &all.bytes, &all.kept];
            out::line(&self.context.say(Word::RetentionCounted, &counted))?;
        }
        Ok(json!({
            "tenant": self.due.tenant.as_str(),
            "class": self.due.class.as_str(),
            "store": self.place.label,
            "due": all.due,
            "bytes": all.bytes,
            "kept": all.kept,
        }))
    }

    async fn apply(&mut self, engine: &mut AnyEngine, folder: &Path) -> anyhow::Result<Value> {
        let (mut after, mut emptied, mut files) = (i64::MIN, 0, Vec::new());
        loop {
            let name = format!("{}-{}", self.due.tenant, self.due.class.as_str());
            let mut archive = Archive::create(folder, &name, now())?;
            let mut numbers = Vec::new();
            let mut is_end = false;
            while numbers.len() < FILE_ROWS {
                let Some(last) = self.stretch(engine, after).await? else {
                    is_end = true;
                    break;
                };
                let rows = retention::due_rows(engine, self.due, (after, last)).await;
                let rows = rows.map_err(self.failed())?;
                self.write(&mut archive, &rows)?;
                numbers.extend(rows.numbers());
                after = last;
            }
            if numbers.is_empty() {
                archive.discard()?;
            } else {
                let sealed = archive.seal()?;
                self.note(&sealed).await?;
                emptied += self.empty(engine, &numbers).await?;
                self.tell(&sealed)?;
                files.push(json!({
                    "file": sealed.path,
                    "rows": sealed.rows,
                    "sha256": sealed.hash,
                }));
            }
            if is_end {
                break;
            }
        }
        if !self.json {
            let class = self.context.lang.term(self.due.class.as_str());
            let done: [&dyn std::fmt::Display; 3] = [&self.due.tenant, &class, &emptied];
            out::line(&self.context.say(Word::RetentionEmptied, &done))?;
        }
        Ok(json!({
            "tenant": self.due.tenant.as_str(),
            "class": self.due.class.as_str(),
            "store": self.place.label,
            "emptied": emptied,
            "files": files,
        }))
    }

    fn write(&self, archive: &mut Archive, rows: &Rows) -> anyhow::Result<()> {
        match rows {
            Rows::Events(rows) => rows
                .iter()
                .try_for_each(|row| archive.line(&events::json_row(row))),
            Rows::Quarantine(rows) => rows
                .iter()
                .try_for_each(|row| archive.line(&quarantine::whole_json(&self.place.label, row))),
        }?;
        Ok(())
    }

    /// Puts the file into the audit.
    ///
    /// # Errors
    /// The registry cannot be written: then nothing may be emptied.
    async fn note(&mut self, sealed: &Sealed) -> anyhow::Result<()> {
        let place = databases::registry_place(self.context);
        let detail = json!({
            "class": self.due.class.as_str(),
            "before": self.due.before.text(),
            "rows": sealed.rows,
            "file": sealed.path,
            "sha256": sealed.hash,
        });
        let (actor, subject) = (actor::actor(), self.due.tenant.as_str());
        let detail = detail.to_string();
        registry::audit(self.registry, now(), &actor, "retention", subject, &detail)
            .await
            .map_err(|failure| databases::told(self.context, &place, &failure))
    }

    async fn empty(&mut self, engine: &mut AnyEngine, numbers: &[i64]) -> anyhow::Result<u64> {
        let mut emptied = 0;
        for some in numbers.chunks(AT_ONCE) {
            hold::refuse(self.registry, self.context, &self.due.tenant).await?;
            let done = retention::retire(engine, self.due.class, some).await;
            emptied += done.map_err(self.failed())?;
        }
        Ok(emptied)
    }

    fn tell(&self, sealed: &Sealed) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        let told: [&dyn std::fmt::Display; 3] =
            [&sealed.path.display(), &sealed.rows, &sealed.hash];
        Ok(out::line(
            &self.context.say(Word::RetentionArchived, &told),
        )?)
    }
}
