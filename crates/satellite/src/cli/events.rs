//! `satellite events`: what stands in `event_feed`, as a table, as JSON lines or as CSV.
//!
//! Reads the view and nothing else, the way any other program should: page by page, by `seq`.
//! Persons, cards and names come from terminals, so tables escape them and CSV cells cannot
//! become formulas. Nothing is changed here.

mod write;

pub(crate) use write::{csv_head, csv_rows, guarded, json_row};

use std::time::Duration;

use clap::ValueEnum;
use daemon::exit::Exit;
use event::{Kind, Millis, Serial, Zone};
use store::feed::{self, FeedFilter, FeedRow};
use store::{AnyEngine, Failure};

use super::databases::{self, Place};
use super::words::Word;
use super::{Context, now, out, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite events --since 2h                          # the last two hours
  satellite events --since 2026-11-21 --person 1001
  satellite events --follow                            # as they arrive, until Ctrl-C
  satellite events --since 2026-11-01 --tenant acme --format csv > november.csv";

/// Rows read at once.
const PAGE: u32 = 1_000;
/// Rows of a table when nothing else is said; more than anybody reads.
const TABLE_LIMIT: u64 = 1_000;
/// How often a follower looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is shown when nothing says since when.
const SINCE: &str = "24h";

/// What `events` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// From when on: 2h, 2026-11-21, "2026-11-21 08:00" [default: 24h; with --follow: from now]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Go on with new events until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only this person
    #[arg(long, value_name = "P")]
    person: Option<String>,
    /// Only this terminal
    #[arg(long, value_name = "SN")]
    serial: Option<Serial>,
    /// Only this tenant
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Only this kind: punch, access, alarm, operation, device, other
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    /// The watchdog's own terminals instead of all others
    #[arg(long)]
    canary: bool,
    /// At most so many rows [default: 1000 for a table, else all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How they are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// For spreadsheets.
    Csv,
}

fn kind(word: &str) -> Result<Kind, String> {
    let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    Kind::from_word(word).ok_or_else(|| format!("there are: {}", words.join(", ")))
}

/// Shows events.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let zone = context.zone(None, tenant.as_ref());
    let since = match (args.since.as_deref(), args.follow) {
        (None, true) => None,
        (text, _) => Some(moment(text.unwrap_or(SINCE), &zone)?),
    };
    let filter = FeedFilter {
        after_seq: 0,
        since,
        person: args.person.clone(),
        serial: args.serial.as_ref().map(ToString::to_string),
        tenant: tenant.as_ref().map(ToString::to_string),
        kind: args.kind,
        canary: args.canary,
        limit: PAGE,
    };
    let format = if args.json { Format::Json } else { args.format };
    let places = databases::places(context, tenant.as_ref());
    if args.follow {
        return follow(args, format, &places, filter, context).await;
    }
    let (limit, mut left) = limits(args.limit, format);
    let mut table = Vec::new();
    write::start(format, context)?;
    for place in &places {
        let mut feed = Feed::open(context, place, filter.clone()).await?;
        loop {
            let page = feed
                .page(left)
                .await
                .map_err(|failure| databases::told(context, place, &failure))?;
            if page.is_empty() {
                break;
            }
            left = left.saturating_sub(page.len() as u64);
            match format {
                Format::Table => table.extend(page),
                Format::Json | Format::Csv => write::rows(format, &page)?,
            }
        }
    }
    if format == Format::Table {
        // Several databases each have their own order.
        table.sort_by_key(|row| (row.occurred_at.unwrap_or(row.received_at), row.seq));
        out::print(&write::table(&table, context))?;
        if left == 0 {
            out::remark(&context.say(Word::MoreRows, &[&limit]));
        }
    }
    Ok(Exit::Fine)
}

fn moment(text: &str, zone: &Zone) -> anyhow::Result<Millis> {
    time::moment(text, zone, now()).map_err(anyhow::Error::msg)
}

/// How many rows are shown, and how many are left to show.
fn limits(asked: Option<u64>, format: Format) -> (u64, u64) {
    let usual = if format == Format::Table {
        TABLE_LIMIT
    } else {
        u64::MAX
    };
    let limit = asked.unwrap_or(usual);
    (limit, limit)
}

/// One database's feed, read onwards.
struct Feed {
    engine: AnyEngine,
    filter: FeedFilter,
}

impl Feed {
    async fn open(context: &Context, place: &Place, filter: FeedFilter) -> anyhow::Result<Self> {
        let engine = databases::open(context, place).await?;
        Ok(Self { engine, filter })
    }

    /// The next rows, at most `left`.
    async fn page(&mut self, left: u64) -> Result<Vec<FeedRow>, Failure> {
        let limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let filter = FeedFilter {
            limit,
            ..self.filter.clone()
        };
        let page = feed::read(&mut self.engine, &filter).await?;
        if let Some(last) = page.last() {
            self.filter.after_seq = last.seq;
        }
        Ok(page)
    }

    /// Skips everything that is there now.
    async fn skip_to_end(&mut self) -> Result<(), Failure> {
        self.filter.after_seq = feed::head(&mut self.engine).await?.next_seq - 1;
        Ok(())
    }
}

/// Follows every database until Ctrl-C, or until so many rows were shown.
async fn follow(
    args: &Args,
    format: Format,
    places: &[Place],
    filter: FeedFilter,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut feeds = Vec::with_capacity(places.len());
    for place in places {
        let mut feed = Feed::open(context, place, filter.clone()).await?;
        if filter.since.is_none() {
            feed.skip_to_end()
                .await
                .map_err(|failure| databases::told(context, place, &failure))?;
        }
        feeds.push((place, feed));
    }
    write::start(format, context)?;
    write::line_headings(format, context)?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let end = tokio::signal::ctrl_c();
    tokio::pin!(end);
    while left > 0 {
        tokio::select! {
            _ = &mut end => break,
            _ = tick.tick() => {}
        }
        for (place, feed) in &mut feeds {
            left -= show_new(feed, place, format, left, context).await?;
        }
    }
    Ok(Exit::Fine)
}

/// Shows what is new; answers how many rows. A database that fails is named and asked again,
/// over a new connection, at the next look.
async fn show_new(
    feed: &mut Feed,
    place: &Place,
    format: Format,
    left: u64,
    context: &Context,
) -> anyhow::Result<u64> {
    let mut shown = 0;
    loop {
        match feed.page(left - shown).await {
            Ok(page) if page.is_empty() => return Ok(shown),
            Ok(page) => {
                shown += page.len() as u64;
                match format {
                    Format::Table => out::print(&write::lines(&page, context.lang))?,
                    Format::Json | Format::Csv => write::rows(format, &page)?,
                }
            }
            Err(failure) => {
                out::complain(&databases::told(context, place, &failure).to_string());
                tokio::time::sleep(LOOK_EVERY * 4).await;
                if let Ok(engine) = databases::open(context, place).await {
                    feed.engine = engine;
                }
                return Ok(shown);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_and_what_programs_read_is_not() {
        assert_eq!(limits(None, Format::Table), (TABLE_LIMIT, TABLE_LIMIT));
        assert_eq!(limits(None, Format::Csv), (u64::MAX, u64::MAX));
        assert_eq!(limits(Some(3), Format::Json), (3, 3));
    }

    #[test]
    fn an_unknown_kind_is_answered_with_those_there_are() {
        assert_eq!(kind("punch"), Ok(Kind::Punch));
        assert!(kind("check").unwrap_err().contains("punch, access"));
    }
}
