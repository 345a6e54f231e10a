//! `satellite evidence`: what happened since a moment, in one file that anybody can verify.
//!
//! For whoever has to show after a break-in who did what and who tried what: the audit, refusals
//! with their addresses, configurations, terminals. A tar archive, because every machine opens it;
//! SHA-256 of each part inside and of the whole beside it, because every machine computes it.
//! Rows pass through one at a time, so that a year costs no more memory than a day. No password
//! and no token can be in it: neither is in what it is made from.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use daemon::exit::Exit;
use event::Millis;
use satellite::evidence::{FOLDER, days, hash_file};
use satellite::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::registry;
use tar::{Builder, EntryWriter, Header};

use super::words::Word;
use super::{Context, databases, devices, now, out, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite evidence --since 2d --out /var/lib/satellite/evidence.tar
  satellite evidence --since 2026-11-20 --until 2026-11-22 --out /var/lib/satellite/evidence.tar
  cd /var/lib/satellite && sha256sum -c evidence.tar.sha256
  tar xf evidence.tar && sha256sum -c SHA256SUMS
The file is written by the user of the state folder and is never overwritten.";

/// What satellite keeps of its configuration.
const CONFIGURATION: &str = "configuration";
/// Lines of the audit read at once.
const PAGE: u32 = 500;

/// What `evidence` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// From when on: 2h, 2026-11-21, "2026-11-21 08:00"
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Up to when [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The file; its hash is written beside it with the end .sha256
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The time that is asked for, in the form of the audit.
struct Span {
    since: Millis,
    until: Millis,
}

/// Writes the file and says how to verify it.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let zone = context.zone(None, None);
    let moment = |text: &str| time::moment(text, &zone, now()).map_err(anyhow::Error::msg);
    let span = Span {
        since: moment(&args.since)?,
        until: args.until.as_deref().map_or_else(|| Ok(now()), moment)?,
    };
    // An archive of no time at all would look like one in which nothing happened.
    anyhow::ensure!(
        span.since < span.until,
        context.say(Word::EvidenceNoTime, &[])
    );
    let written = write(&args.out, &span, context).await;
    if let Err(error) = &written {
        if is_there(error) {
            anyhow::bail!(context.say(Word::EvidenceThere, &[&args.out.display()]));
        }
        // Half of it would look like all of it.
        std::fs::remove_file(&args.out).ok();
    }
    let parts = written?;
    let (name, hash) = (file_name(&args.out), hash_file(&args.out)?);
    let mut beside = args.out.clone().into_os_string();
    beside.push(".sha256");
    std::fs::write(&beside, format!("{hash}  {name}\n"))?;
    for (name, rows) in parts {
        out::line(&context.say(Word::EvidencePart, &[&name, &rows]))?;
    }
    out::line(&context.say(Word::EvidenceDone, &[&args.out.display(), &hash]))?;
    out::line(&context.say(Word::EvidenceVerify, &[&name, &name]))?;
    Ok(Exit::Fine)
}

/// True when the file was there before, and so is not ours.
fn is_there(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Writes every part; answers their names and how many rows each has.
async fn write(
    path: &Path,
    span: &Span,
    context: &Context,
) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let mut archive = Archive::create(path)?;
    let mut parts = Vec::new();
    let mut part = archive.begin("README.txt")?;
    part.write_all(readme(span).as_bytes())?;
    part.end()?;
    let mut part = archive.begin("audit.jsonl")?;
    parts.push(("audit.jsonl", audit(&mut part, span, context).await?));
    part.end()?;
    for (name, what) in [
        ("refusals.jsonl", "refused"),
        ("configuration.jsonl", CONFIGURATION),
    ] {
        let mut part = archive.begin(name)?;
        let folder = context.config.state_dir.join(FOLDER);
        parts.push((name, kept(&mut part, &folder, what, span)?));
        part.end()?;
    }
    let mut part = archive.begin("terminals.jsonl")?;
    parts.push(("terminals.jsonl", terminals(&mut part, context).await?));
    part.end()?;
    archive.finish()?;
    Ok(parts)
}

/// The lines of the audit in that time.
async fn audit(part: &mut Part<'_>, span: &Span, context: &Context) -> anyhow::Result<u64> {
    let place = databases::registry_place(context);
    let mut engine = databases::open(context, &place).await?;
    let (mut after, mut rows) = (0, 0);
    loop {
        let page = registry::audit_after(&mut engine, after, PAGE).await;
        let page = page.map_err(|failure| databases::told(context, &place, &failure))?;
        let Some(last) = page.last() else {
            return Ok(rows);
        };
        after = last.id;
        let within =
            |line: &&registry::AuditRow| (span.since..=span.until).contains(&line.happened_at);
        for line in page.iter().filter(within) {
            let detail = serde_json::from_str(&line.detail);
            let line = json!({
                "id": line.id,
                "at": time::utc(line.happened_at),
                "actor": line.actor,
                "action": line.action,
                "subject": line.subject,
                "detail": detail.unwrap_or_else(|_| Value::from(line.detail.as_str())),
            });
            writeln!(part, "{line}")?;
            rows += 1;
        }
    }
}

/// The lines of that kind that satellite kept in that time; of the configuration also the one that
/// was in force when it began.
fn kept(part: &mut Part<'_>, folder: &Path, what: &str, span: &Span) -> anyhow::Result<u64> {
    let (mut rows, mut in_force): (u64, Option<String>) = (0, None);
    let mut put = |part: &mut Part<'_>, line: &str| {
        rows += 1;
        writeln!(part, "{line}")
    };
    for day in days(folder)? {
        for line in BufReader::new(File::open(day)?).lines() {
            let line = line?;
            let Ok(read) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let at = Millis::parse(read["at"].as_str().unwrap_or_default());
            let Some(at) = at.filter(|at| read["what"] == what && *at <= span.until) else {
                continue;
            };
            if at >= span.since {
                if let Some(before) = in_force.take() {
                    put(part, &before)?;
                }
                put(part, &line)?;
            } else if what == CONFIGURATION {
                in_force = Some(line);
            }
        }
    }
    if let Some(before) = in_force {
        put(part, &before)?;
    }
    Ok(rows)
}

/// Every enrolled terminal as it stands now, with where it was last heard from.
async fn terminals(part: &mut Part<'_>, context: &Context) -> anyhow::Result<u64> {
    let enrolments = databases::enrolments(context).await?;
    let states = devices::list::states(context, None).await;
    let inventories = devices::list::inventories(context, None).await;
    let mut rows = 0;
    for enrolment in &enrolments {
        let line = devices::list::Line {
            enrolment,
            status: states.get(&devices::list::key(enrolment)),
            inventory: inventories.get(&enrolment.id),
        };
        writeln!(part, "{}", devices::list::enrolled_json(&line, context))?;
        rows += 1;
    }
    Ok(rows)
}

fn readme(span: &Span) -> String {
    let [since, until, made] = [span.since, span.until, now()].map(time::utc);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "Evidencia del Programa Satélite {version}, hecha el {made} (UTC)\n\
         Del {since} al {until} (UTC)\n\n\
         audit.jsonl          quién hizo qué: altas, bloqueos, órdenes, tokens, bloqueo de seguridad\n\
         refusals.jsonl       lo que se rechazó: motivo, dirección, serie, cuántas veces\n\
         configuration.jsonl  la configuración con la que empezó ese tiempo, y cada vez que cambió\n\
         terminals.jsonl      los dispositivos dados de alta y desde dónde hablaron\n\n\
         Para comprobar que nadie la cambió: sha256sum -c SHA256SUMS\n\n\
         Evidence of satellite {version}, made at {made} (UTC)\n\
         {since} to {until} (UTC)\n\n\
         audit.jsonl          who did what: enrolments, blocks, commands, tokens, lockdowns\n\
         refusals.jsonl       what was refused: reason, address, serial, how often\n\
         configuration.jsonl  the configuration at the beginning of that time, and whenever it changed\n\
         terminals.jsonl      the enrolled terminals and where they spoke from\n\n\
         To verify that nobody changed it: sha256sum -c SHA256SUMS\n"
    )
}

/// The archive, and the hash of each part that is whole.
struct Archive {
    tar: Builder<BufWriter<File>>,
    head: Header,
    sums: String,
}

impl Archive {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|error| {
            let shown = path.display().to_string();
            anyhow::Error::from(error).context(shown)
        })?;
        Ok(Self {
            tar: Builder::new(BufWriter::new(file)),
            head: Header::new_ustar(),
            sums: String::new(),
        })
    }

    /// Begins a part, whose length is known when it ends.
    fn begin(&mut self, name: &'static str) -> io::Result<Part<'_>> {
        self.head = Header::new_ustar();
        self.head.set_mode(0o600);
        self.head
            .set_mtime(u64::try_from(now().0 / 1000).unwrap_or_default());
        Ok(Part {
            entry: self.tar.append_writer(&mut self.head, name)?,
            name,
            hash: Sha256::new(),
            sums: &mut self.sums,
        })
    }

    fn finish(mut self) -> io::Result<()> {
        let sums = std::mem::take(&mut self.sums);
        let mut part = self.begin("SHA256SUMS")?;
        part.write_all(sums.as_bytes())?;
        part.end()?;
        let mut file = self.tar.into_inner()?;
        file.flush()?;
        file.get_ref().sync_all()
    }
}

/// A part while it is written.
struct Part<'a> {
    entry: EntryWriter<'a>,
    name: &'static str,
    hash: Sha256,
    sums: &'a mut String,
}

impl Part<'_> {
    fn end(self) -> io::Result<()> {
        self.entry.finish()?;
        let hash = hex(&self.hash.finalize());
        self.sums.push_str(&format!("{hash}  {}\n", self.name));
        Ok(())
    }
}

impl Write for Part<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.entry.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.entry.flush()
    }
}
