//! `satellite tenant export`: everything of a tenant into one file.
//!
//! Cursors are read first, then where the feed ends, then the terminals, then the events up to
//! there: so no cursor claims a record that the file lacks, and no event lacks its terminal. Rows
//! pass through a page at a time. The file gets its name when it is whole, on disk, and the audit
//! has a line with its hash.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;

use daemon::exit::Exit;
use event::{DeviceId, TenantId, Text};
use satellite::bundle::line::{AuditLine, CursorLine, DeviceLine, EventLine, QuarantineLine};
use satellite::bundle::write::{Sealed, Writing};
use satellite::bundle::{FORMAT, Lines, Manifest, Part};
use satellite::hex;
use serde_json::json;
use store::feed::{self, FeedHead};
use store::moving::{self, Terminal};
use store::outputs::{self, Wanted};
use store::registry;
use store::{AnyEngine, Failure};

use super::super::databases::{self, Place};
use super::super::progress::{Progress, Reach};
use super::super::words::{Speaks as _, Word};
use super::super::{Context, actor, now, out, time};
use super::whose::Whose;

pub(crate) const EXAMPLES: &str = "Example:
  satellite tenant export --tenant acme --to /var/lib/satellite/acme.tar.gz
The file is written by the user of the state folder. It holds personal data: keep it as the database is kept.";

/// Rows read at once.
const PAGE: usize = 500;
/// Lines of the audit read at once.
const AUDIT: u32 = 500;
/// The cursor that says in which language a push terminal's records are read.
const LANGUAGE: &str = "language";

/// What `tenant export` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose data
    #[arg(long, value_name = "T")]
    tenant: String,
    /// The file, which appears when it is complete and is never written over
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Writes the file.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant(&args.tenant)?;
    let told = |error: io::Error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return anyhow::anyhow!(context.say(Word::BundleThere, &[&args.to.display()]));
        }
        let why = context.lang.detail(&error.to_string());
        anyhow::anyhow!(context.say(Word::CannotWriteFile, &[&args.to.display(), &why]))
    };
    let mut source = Source::open(context, tenant).await?;
    let mut writing = Writing::create(&args.to, now(), &readme(&source.tenant)).map_err(told)?;
    let manifest = source.write(&mut writing).await?;
    let sealed = writing.seal(manifest).map_err(told)?;
    source.note(&sealed, &args.to).await?;
    let (lines, sha256) = (sealed.lines, sealed.sha256.clone());
    sealed.publish().map_err(told)?;
    if args.json {
        let told = json!({ "file": args.to, "sha256": sha256, "lines": lines });
        out::json(&told)?;
        return Ok(Exit::Fine);
    }
    let counted: [&dyn std::fmt::Display; 5] = [
        &source.tenant,
        &lines.devices,
        &lines.events,
        &lines.quarantine,
        &lines.audit,
    ];
    out::line(&context.say(Word::BundleLines, &counted))?;
    out::line(&context.say(Word::BundleWritten, &[&args.to.display(), &sha256]))?;
    out::remark(&context.say(Word::BundleSecrets, &[]));
    Ok(Exit::Fine)
}

/// Where a tenant's data is.
struct Source<'a> {
    context: &'a Context,
    tenant: TenantId,
    place: Place,
    engine: AnyEngine,
    registry: AnyEngine,
}

impl<'a> Source<'a> {
    async fn open(context: &'a Context, tenant: TenantId) -> anyhow::Result<Self> {
        let place = databases::places(context, Some(&tenant)).into_iter().next();
        let place = place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))?;
        let registry = databases::registry_place(context);
        Ok(Self {
            engine: databases::open(context, &place).await?,
            registry: databases::open(context, &registry).await?,
            context,
            tenant,
            place,
        })
    }

    fn failed(&self) -> impl Fn(Failure) -> anyhow::Error + use<'a> {
        let (context, place) = (self.context, self.place.clone());
        move |failure| databases::told(context, &place, &failure)
    }

    async fn write(&mut self, writing: &mut Writing) -> anyhow::Result<Manifest> {
        let failed = self.failed();
        let ids: Vec<DeviceId> = ids(&self.terminals().await?);
        let cursors = store::cursors(&mut self.engine, Some(&ids)).await;
        let cursors = cursors.map_err(&failed)?;
        let head = feed::head(&mut self.engine).await.map_err(&failed)?;
        let terminals = self.terminals().await?;
        for terminal in &terminals {
            writing.line(Part::Devices, &DeviceLine::of(terminal))?;
        }
        writing.end(Part::Devices)?;
        let languages = languages(&cursors);
        self.events(writing, &head, &languages).await?;
        let known: HashSet<DeviceId> = self::ids(&terminals).into_iter().collect();
        self.quarantine(writing, &known).await?;
        for (device, name, value) in &cursors {
            if let Some(line) = CursorLine::of(*device, name, value) {
                writing.line(Part::Cursors, &line)?;
            }
        }
        writing.end(Part::Cursors)?;
        self.audit(writing, &terminals).await?;
        Ok(Manifest {
            format: FORMAT.to_owned(),
            tenant: self.tenant.to_string(),
            time_zone: self
                .context
                .zone(None, Some(&self.tenant))
                .name()
                .to_owned(),
            made_at: now().text(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            feed: hex(&head.store_id),
            up_to: head.next_seq - 1,
            lines: Lines::default(),
            members: Vec::new(),
        })
    }

    /// Every enrolment, and what only the event database still knows.
    async fn terminals(&mut self) -> anyhow::Result<Vec<Terminal>> {
        let place = databases::registry_place(self.context);
        let read = moving::terminals(&mut self.registry, &self.tenant).await;
        let mut all = read.map_err(|failure| databases::told(self.context, &place, &failure))?;
        let known: HashSet<DeviceId> = ids(&all).into_iter().collect();
        let copies = moving::copies(&mut self.engine, &self.tenant, now()).await;
        let copies = copies.map_err(self.failed())?.into_iter();
        all.extend(copies.filter(|copy| !known.contains(&copy.enrolment.id)));
        Ok(all)
    }

    async fn events(
        &mut self,
        writing: &mut Writing,
        head: &FeedHead,
        languages: &HashMap<DeviceId, u16>,
    ) -> anyhow::Result<()> {
        let failed = self.failed();
        let wanted = Wanted {
            tenant: self.tenant.as_str(),
            kinds: &[],
            between: None,
            limit: PAGE,
        };
        let (mut progress, mut reach) = (Progress::new(), Reach::before(head.next_seq));
        let (mut after, mut count) = (0, 0_u64);
        loop {
            let page = outputs::page(&mut self.engine, wanted, after).await;
            let mut page = page.map_err(&failed)?;
            page.rows.retain(|row| row.seq < head.next_seq);
            let origins = moving::origins(&mut self.engine, &page.rows).await;
            let origins = origins.map_err(&failed)?;
            for origin in &origins {
                let row = page.rows.binary_search_by_key(&origin.seq, |row| row.seq);
                let row = row.ok().and_then(|at| page.rows.get(at));
                let language = languages.get(&origin.device).copied();
                if let Some(line) = row.and_then(|row| EventLine::of(row, origin, language)) {
                    writing.line(Part::Events, &line)?;
                    count += 1;
                }
            }
            after = page.up_to;
            if !page.has_more || after >= head.next_seq - 1 {
                return Ok(writing.end(Part::Events)?);
            }
            if let Some(last) = page.rows.last() {
                let (context, tenant) = (self.context, &self.tenant);
                progress.show(reach.share(after), || {
                    let at = time::show(last.received_at, &context.zone(None, Some(tenant)));
                    context.say(Word::Exporting, &[&count, &at])
                });
            }
        }
    }

    async fn quarantine(
        &mut self,
        writing: &mut Writing,
        known: &HashSet<DeviceId>,
    ) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let rows = moving::set_aside(&mut self.engine, &self.tenant, after, PAGE).await;
            let rows = rows.map_err(self.failed())?;
            let Some(last) = rows.last() else {
                return Ok(writing.end(Part::Quarantine)?);
            };
            after = last.id;
            // One that is not known came first while this was written.
            for row in rows.iter().filter(|row| known.contains(&row.device_id)) {
                writing.line(Part::Quarantine, &QuarantineLine::of(row))?;
            }
        }
    }

    async fn audit(&mut self, writing: &mut Writing, terminals: &[Terminal]) -> anyhow::Result<()> {
        let place = databases::registry_place(self.context);
        let context = self.context;
        let failed = |failure| databases::told(context, &place, &failure);
        let shared = moving::shared_serials(&mut self.registry, &self.tenant).await;
        let shared: HashSet<String> = shared.map_err(failed)?.into_iter().collect();
        let serials = terminals.iter().map(|one| one.enrolment.serial.to_string());
        let of = Whose {
            tenant: &self.tenant,
            ids: ids(terminals).iter().map(ToString::to_string).collect(),
            serials: serials.filter(|serial| !shared.contains(serial)).collect(),
        };
        let mut after = 0;
        loop {
            let page = registry::audit_after(&mut self.registry, after, AUDIT).await;
            let page = page.map_err(failed)?;
            let Some(last) = page.last() else {
                return Ok(writing.end(Part::Audit)?);
            };
            after = last.id;
            for row in &page {
                if let Some(detail) = of.share(row) {
                    writing.line(Part::Audit, &AuditLine::of(row, detail))?;
                }
            }
        }
    }

    /// Puts into the audit that the data was taken out.
    async fn note(&mut self, sealed: &Sealed, to: &std::path::Path) -> anyhow::Result<()> {
        let place = databases::registry_place(self.context);
        let detail = json!({
            "file": to,
            "sha256": sealed.sha256,
            "lines": sealed.lines,
        });
        let (actor, detail) = (actor::actor(), detail.to_string());
        let subject = self.tenant.as_str();
        let action = "tenant_export";
        registry::audit(&mut self.registry, now(), &actor, action, subject, &detail)
            .await
            .map_err(|failure| databases::told(self.context, &place, &failure))
    }
}

fn ids(terminals: &[Terminal]) -> Vec<DeviceId> {
    terminals.iter().map(|one| one.enrolment.id).collect()
}

fn languages(cursors: &[(DeviceId, Text, Text)]) -> HashMap<DeviceId, u16> {
    let spoken = cursors.iter().filter(|(_, name, _)| name == LANGUAGE);
    spoken
        .filter_map(|(id, _, value)| Some((*id, value.parse().ok()?)))
        .collect()
}

fn readme(tenant: &TenantId) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Todo lo del cliente {tenant}, escrito por el Programa Satélite {version}\n\n\
         devices/     cada alta que tuvo, sin contraseñas ni tokens\n\
         events/      cada evento: como lo envió el dispositivo (raw) e interpretado\n\
         quarantine/  lo que está en revisión\n\
         cursors/     hasta dónde se ha leído cada dispositivo\n\
         audit/       quién hizo qué\n\
         manifest.json  cuántos renglones hay de cada cosa y el SHA-256 de cada archivo\n\n\
         Para importarlo: satellite tenant import ARCHIVO\n\n\
         Everything of the tenant {tenant}, written by satellite {version}\n\n\
         devices/     every enrolment it ever had, without passwords and tokens\n\
         events/      every event: as the terminal sent it (raw), and normalised\n\
         quarantine/  what could not be read\n\
         cursors/     up to where each terminal has been read\n\
         audit/       who did what\n\
         manifest.json  how many lines there are of each, and the SHA-256 of each file\n\n\
         To import it: satellite tenant import FILE\n"
    )
}
