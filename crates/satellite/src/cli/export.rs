//! `satellite export`: a tenant's events of a time as one CSV or JSON-lines file.
//!
//! Read the way any reader of the feed reads, page by page, so that memory does not grow with the
//! time that is asked for. The file appears under its name only when it is whole and on disk; what
//! goes to standard output can be piped. Progress goes to standard error, for people only.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use daemon::exit::Exit;
use event::Kind;
use store::AnyEngine;
use store::feed::{self, FeedRow};
use store::outputs::{self, Wanted};

use super::databases::{self, Place};
use super::events::{csv_head, csv_rows, json_row};
use super::progress::{Progress, Reach};
use super::words::{Speaks as _, Word};
use super::{Context, now, out, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite export --tenant acme --from 2026-11-01 --to 2026-11-30 --file november.csv
  satellite export --tenant acme --from 24h --format jsonl | gzip > day.jsonl.gz";

/// Rows read at once.
const PAGE: usize = 1_000;

/// What `export` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose events
    #[arg(long, value_name = "T")]
    tenant: String,
    /// From when on: 24h, 2026-11-01, "2026-11-01 08:00"
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Up to when; a day is included [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only punches
    #[arg(long)]
    punches: bool,
    /// How they are written
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Into this file, which appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For spreadsheets.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// Writes events out.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant(&args.tenant)?;
    let zone = context.zone(None, Some(&tenant));
    let from = time::moment(&args.from, &zone, now()).map_err(anyhow::Error::msg)?;
    let to = match &args.to {
        Some(text) => time::end(text, &zone, now()).map_err(anyhow::Error::msg)?,
        None => now(),
    };
    if from >= to {
        let shown = [time::show(from, &zone), time::show(to, &zone)];
        anyhow::bail!(context.say(Word::WindowIsNone, &[&shown[0], &shown[1]]));
    }
    let place = databases::places(context, Some(&tenant)).into_iter().next();
    let place = place.ok_or_else(|| anyhow::anyhow!("the tenant has no database"))?;
    let mut engine = databases::open(context, &place).await?;
    let kinds: &[Kind] = if args.punches { &[Kind::Punch] } else { &[] };
    let wanted = Wanted {
        tenant: tenant.as_str(),
        kinds,
        between: Some((from, to)),
        limit: PAGE,
    };
    let mut pages = Pages {
        engine: &mut engine,
        wanted,
        place: &place,
        context,
    };
    let count = match &args.file {
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            pages.write(args.format, &mut out).await?
        }
        Some(file) => into_file(file, args.format, &mut pages).await?,
    };
    out::remark(&context.say(Word::Exported, &[&count]));
    Ok(Exit::Fine)
}

/// Writes beside the file and gives it its name when it is on disk.
async fn into_file(file: &Path, format: Format, pages: &mut Pages<'_>) -> anyhow::Result<u64> {
    let name = file.file_name().context("the file has no name")?;
    let beside = format!(".{}.{}.part", name.to_string_lossy(), std::process::id());
    let beside = file.with_file_name(beside);
    let context = pages.context;
    let told = |error: io::Error| {
        let why = context.lang.detail(&error.to_string());
        anyhow::anyhow!(context.say(Word::CannotWriteFile, &[&file.display(), &why]))
    };
    let made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&beside)
        .map_err(told)?;
    let written = async {
        let mut out = BufWriter::new(made);
        let count = pages.write(format, &mut out).await?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        std::fs::rename(&beside, file)?;
        Ok(count)
    };
    let written: anyhow::Result<u64> = written.await;
    written.inspect_err(|_| {
        // What is left of it is of use to nobody; that it stays is no second failure.
        std::fs::remove_file(&beside).ok();
    })
}

/// The events that were asked for, a page at a time.
struct Pages<'a> {
    engine: &'a mut AnyEngine,
    wanted: Wanted<'a>,
    place: &'a Place,
    context: &'a Context,
}

impl Pages<'_> {
    async fn write(&mut self, format: Format, out: &mut impl Write) -> anyhow::Result<u64> {
        let failed = |failure| databases::told(self.context, self.place, &failure);
        let head = feed::head(self.engine).await.map_err(failed)?;
        let (mut progress, mut reach) = (Progress::new(), Reach::before(head.next_seq));
        let (mut after, mut count) = (0, 0);
        if format == Format::Csv {
            out.write_all(csv_head()?.as_bytes())?;
        }
        loop {
            let page = outputs::page(self.engine, self.wanted, after).await;
            let page = page.map_err(failed)?;
            out.write_all(text(format, &page.rows)?.as_bytes())?;
            count += page.rows.len() as u64;
            after = page.up_to;
            if !page.has_more {
                out.flush()?;
                return Ok(count);
            }
            if let Some(last) = page.rows.last() {
                let context = self.context;
                progress.show(reach.share(after), || {
                    let at = time::show(last.received_at, &context.zone(None, None));
                    context.say(Word::Exporting, &[&count, &at])
                });
            }
        }
    }
}

fn text(format: Format, rows: &[FeedRow]) -> anyhow::Result<String> {
    Ok(match format {
        Format::Csv => csv_rows(rows)?,
        Format::Jsonl => rows
            .iter()
            .map(|row| format!("{}\n", json_row(row)))
            .collect(),
    })
}
