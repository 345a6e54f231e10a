//! `satellite quarantine`: records that were stored and acknowledged, and could not be read.
//!
//! Listing and showing change nothing. Replaying reads the raw bytes again with the reader of
//! this version and stores what it understands now the same way as a terminal's upload; a
//! record is settled only when everything in it was stored. Nothing is ever deleted here.

mod mapped;
mod replay;
mod reread;

use clap::Subcommand;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Serial, TenantId, Zone};
use satellite::hex;
use serde_json::{Value, json};
use store::quarantine::{self, QuarantineFilter, QuarantineRow};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, out, table, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite quarantine list
  satellite quarantine list --reason bad_time --json
  satellite quarantine show 17
  satellite quarantine replay --all            # after an update that reads more";

/// What `quarantine` is told.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List records in review
    #[command(after_help = "Example:\n  satellite quarantine list --serial ABC1")]
    List(ListArgs),
    /// One record, with its bytes
    #[command(after_help = "Example:\n  satellite quarantine show 17")]
    Show {
        /// Its number
        id: i64,
        /// In this tenant's database; needed when several databases have that number
        #[arg(long, value_name = "T")]
        tenant: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Read records again and store what can be read now
    #[command(
        after_help = "Examples:\n  satellite quarantine replay 17\n  satellite quarantine replay --serial ABC1"
    )]
    Replay(replay::Args),
}

/// What `quarantine list` is told.
#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// Only of this terminal
    #[arg(long, value_name = "SN")]
    serial: Option<Serial>,
    /// Only with this reason: unreadable, bad_time, bad_field, bad_text, unknown_table, unknown_terminal, same_second, conflict, store_refused
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Only in this tenant's database
    #[arg(long, value_name = "T")]
    tenant: Option<String>,
    /// Also those that were settled
    #[arg(long)]
    settled: bool,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn reason(word: &str) -> Result<String, String> {
    let words: Vec<&str> = event::Reason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .collect();
    match event::Reason::from_word(word) {
        Some(reason) => Ok(reason.as_str().to_owned()),
        None => Err(format!("there are: {}", words.join(", "))),
    }
}

/// Carries out a `quarantine` command.
pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => list(&args, context).await,
        Command::Show { id, tenant, json } => show(id, tenant.as_deref(), json, context).await,
        Command::Replay(args) => replay::run(&args, context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> anyhow::Result<Exit> {
    let tenant = context.tenant_if_given(args.tenant.as_deref())?;
    let filter = QuarantineFilter {
        serial: args.serial.as_ref().map(ToString::to_string),
        reason: args.reason.clone(),
        include_settled: args.settled,
        before: None,
        limit: args.limit,
    };
    let mut found: Vec<(String, QuarantineRow)> = Vec::new();
    for place in databases::places(context, tenant.as_ref()) {
        let mut engine = databases::open(context, &place).await?;
        let rows = quarantine::list(&mut engine, &filter).await;
        let rows = rows.map_err(|failure| databases::told(context, &place, &failure))?;
        let ours = rows.into_iter().filter(|row| match (&tenant, &row.tenant) {
            (Some(tenant), Some(of)) => tenant.as_str() == of,
            _ => true,
        });
        found.extend(ours.map(|row| (place.label.clone(), row)));
    }
    if args.json {
        let rows = found
            .iter()
            .map(|(label, row)| row_json(label, row))
            .collect();
        out::json(&Value::Array(rows))?;
    } else if found.is_empty() {
        out::line(&context.say(Word::NothingInReview, &[]))?;
    } else {
        let headings = context.lang.headings(&[
            Word::Number,
            Word::Store,
            Word::Serial,
            Word::Reason,
            Word::Source,
            Word::Seen,
            Word::LastTime,
            Word::Detail,
        ]);
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|(label, row)| cells(label, row, context))
            .collect();
        out::print(&table::table(&headings, &rows))?;
        out::remark(&context.say(Word::ReviewNote, &[&super::program()]));
    }
    Ok(Exit::Fine)
}

fn cells(label: &str, row: &QuarantineRow, context: &Context) -> Vec<String> {
    let zone = zone_of(row, context);
    vec![
        row.id.to_string(),
        label.to_owned(),
        row.serial.clone().unwrap_or_default(),
        context.lang.term(&row.reason),
        row.source.clone(),
        row.seen.to_string(),
        time::show(row.last_at, &zone),
        context.lang.detail(&row.detail),
    ]
}

/// The zone of its tenant, in which its times are shown.
fn zone_of(row: &QuarantineRow, context: &Context) -> Zone {
    let tenant = row.tenant.as_deref().and_then(|id| TenantId::new(id).ok());
    context.zone(None, tenant.as_ref())
}

/// The same with the record itself.
pub(crate) fn whole_json(label: &str, row: &QuarantineRow) -> Value {
    let text = std::str::from_utf8(&row.raw).ok();
    let mut value = row_json(label, row);
    value["raw"] = json!(text);
    value["raw_hex"] = json!(text.is_none().then(|| hex(&row.raw)));
    value
}

fn row_json(label: &str, row: &QuarantineRow) -> Value {
    json!({
        "id": row.id,
        "store": label,
        "serial": row.serial,
        "tenant": row.tenant,
        "device_id": row.device_id.to_string(),
        "reason": row.reason,
        "detail": row.detail,
        "source": row.source,
        "route": row.route,
        "first_at": time::utc(row.first_at),
        "last_at": time::utc(row.last_at),
        "seen": row.seen,
        "settled_at": row.settled_at.map(time::utc),
        "bytes": row.raw.len(),
    })
}

/// The record of that number, from the one database that has it.
async fn find(
    id: i64,
    tenant: Option<&str>,
    context: &Context,
) -> anyhow::Result<(Place, QuarantineRow)> {
    let tenant = context.tenant_if_given(tenant)?;
    let mut found = Vec::new();
    for place in databases::places(context, tenant.as_ref()) {
        let mut engine = databases::open(context, &place).await?;
        let row = quarantine::get(&mut engine, id).await;
        if let Some(row) = row.map_err(|failure| databases::told(context, &place, &failure))? {
            found.push((place, row));
        }
    }
    let several = found.len() > 1;
    match found.pop() {
        Some(only) if !several => Ok(only),
        Some(_) => anyhow::bail!(context.say(Word::SeveralOfNumber, &[&id])),
        None => anyhow::bail!(context.say(Word::NoneOfNumber, &[&id])),
    }
}

async fn show(
    id: i64,
    tenant: Option<&str>,
    as_json: bool,
    context: &Context,
) -> anyhow::Result<Exit> {
    let (place, row) = find(id, tenant, context).await?;
    if as_json {
        out::json(&whole_json(&place.label, &row))?;
        return Ok(Exit::Fine);
    }
    let zone = zone_of(&row, context);
    let safe = |text: &str| Escaped(text).to_string();
    let names = context.lang.headings(&[
        Word::Number,
        Word::Store,
        Word::Serial,
        Word::Tenant,
        Word::Reason,
        Word::Detail,
        Word::Source,
        Word::Route,
        Word::FirstTime,
        Word::LastTime,
        Word::Seen,
        Word::Settled,
        Word::Bytes,
    ]);
    let values = [
        row.id.to_string(),
        place.label.clone(),
        safe(row.serial.as_deref().unwrap_or_default()),
        row.tenant.clone().unwrap_or_default(),
        safe(&context.lang.term(&row.reason)),
        safe(&context.lang.detail(&row.detail)),
        safe(&row.source),
        safe(&context.lang.term(&row.route)),
        time::show(row.first_at, &zone),
        time::show(row.last_at, &zone),
        row.seen.to_string(),
        time::show_if(row.settled_at, &zone),
        row.raw.len().to_string(),
    ];
    let facts: Vec<(&str, String)> = names.into_iter().zip(values).collect();
    out::print(&table::facts(&facts))?;
    out::print(&raw_lines(&row.raw))?;
    Ok(Exit::Fine)
}

/// All of the bytes, nothing of which a terminal could obey: texts with escapes, line by
/// line, anything else as sixteen bytes a line.
fn raw_lines(raw: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(raw)
        && !text.contains('\0')
    {
        let line = |line: &str| -> String {
            let safe: String = line.escape_debug().collect();
            format!("  {safe}\n")
        };
        return text.split_inclusive('\n').map(line).collect();
    }
    let mut page = String::new();
    for (index, bytes) in raw.chunks(16).enumerate() {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let letter = |byte: &u8| {
            if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '.'
            }
        };
        let letters: String = bytes.iter().map(letter).collect();
        page.push_str(&format!(
            "  {:06x}  {:<47}  {letters}\n",
            index * 16,
            digits.join(" ")
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_text_is_shown_whole_with_its_ends_and_without_obeying_it() {
        let text = raw_lines("1\t2026-13-01\r\n\u{1b}[2J".as_bytes());
        assert_eq!(text, "  1\\t2026-13-01\\r\\n\n  \\u{1b}[2J\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hexadecimal() {
        let text = raw_lines(&[0x4c, 0x5a, 0x4f, 0x31, 0xff, 0x00]);
        assert!(text.starts_with("  000000  4c 5a 4f 31 ff 00"), "{text}");
        assert!(text.ends_with("LZO1..\n"), "{text}");
        assert_eq!(raw_lines(&[0xff; 33]).lines().count(), 3);
    }

    #[test]
    fn an_unknown_reason_is_answered_with_those_there_are() {
        assert_eq!(reason("bad_time").as_deref(), Ok("bad_time"));
        assert!(reason("bad").unwrap_err().contains("bad_time"));
    }
}
