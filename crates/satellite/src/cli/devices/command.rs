//! `satellite devices command`: tells a push terminal something, and shows what comes of it.
//!
//! What may be told is fixed in the protocol crate: reading and restarting. Anything else is
//! refused here, before it stands anywhere, with a line of audit of its own; and once more where
//! it would be handed out. A running satellite hands a command out with the terminal's next poll;
//! this command only writes it down and watches.

use std::time::{Duration, Instant};

use daemon::config::Span;
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Millis, Serial, Vendor, WallTime, Zone};
use serde_json::{Value as Json, json};
use store::command::{self, Command, CommandState, NewCommand};
use store::registry::{self, Enrolment, EnrolmentState};
use zkteco_push::{Denied, Dialect, Order, Policy, Window, result_name};

use super::super::words::{Speaks as _, Word};
use super::super::{Context, databases, lockdown, now, out, table, time};
use super::Registry;

pub(super) const EXAMPLES: &str = "Examples:
  satellite devices command ABC1 info
  satellite devices command ABC1 records --from \"2026-11-20 00:00:00\" --to \"2026-11-20 23:59:59\"
  satellite devices command ABC1 count --from 2026-11-20 --to 2026-11-21 --json
  satellite devices command ABC1 options --names FirmVer,IPAddress
  satellite devices command ABC1 reboot --dry-run
Words: info, check, log, time, options, records, count, reboot. Nothing else is ever sent.";

/// How often the table is looked at while this waits.
const LOOK: Duration = Duration::from_millis(500);
/// Longest that a command may wait for its terminal.
const LONGEST: i64 = 24 * 3_600_000;

/// What `devices command` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// What it is told
    what: String,
    /// Begin of the time, by the terminal's clock
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End of the time, included
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Names of settings, separated by commas
    #[arg(long, value_name = "A,B")]
    names: Option<String>,
    /// How long it may wait for the terminal
    #[arg(long, value_name = "TIME", default_value = "10m")]
    expires: String,
    /// Say what would be sent and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the answer
    #[arg(long)]
    no_wait: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Tells.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut registry = Registry::open(context).await?;
    let other = Word::CommandNotPush;
    let enrolment = target(&mut registry, &args.serial, other, context).await?;
    if !args.dry_run {
        lockdown::refuse(context, Some(&enrolment.tenant)).await?;
    }
    let dialect = dialect(&enrolment, context).await;
    let order = match order(args, dialect, context)? {
        Ok(order) => order,
        Err(denied) => return refuse(args, &denied, &mut registry, context).await,
    };
    let Some(text) = order.text(dialect) else {
        return refuse(args, &Denied::NotMeasured(dialect), &mut registry, context).await;
    };
    let expires_at = Millis(now().0 + lifetime(&args.expires, context)?);
    if args.dry_run {
        return dry_run(args, &order, &text, dialect, context);
    }
    let new = NewCommand {
        device: enrolment.id,
        serial: &enrolment.serial,
        form: order.word(),
        text: &text,
        actor: &registry.actor,
        expires_at,
    };
    let asked = command::enqueue(&mut registry.engine, &new, now()).await;
    let asked = asked.map_err(|failure| databases::told(context, &registry.place, &failure))?;
    if !args.json {
        out::line(&context.say(Word::CommandQueued, &[&asked.id, &one_line(&text)]))?;
    }
    if args.no_wait {
        return show(args, &asked, dialect, context);
    }
    let ended = watch(&mut registry, asked, args.json, context).await?;
    show(args, &ended, dialect, context)
}

/// The enrolled ZKTeco terminal of that serial; `other` is what is said of another make.
pub(super) async fn target(
    registry: &mut Registry<'_>,
    serial: &Serial,
    other: Word,
    context: &Context,
) -> anyhow::Result<Enrolment> {
    let Some(enrolment) = registry.find(serial).await? else {
        anyhow::bail!(context.say(Word::UnknownSerial, &[serial, &super::super::program()]));
    };
    if enrolment.vendor != Vendor::Zkteco {
        anyhow::bail!(context.say(other, &[serial]));
    }
    if enrolment.state != EnrolmentState::Approved {
        anyhow::bail!(context.say(Word::CommandBlocked, &[serial]));
    }
    Ok(enrolment)
}

/// The dialect that the terminal last showed, as satellite noted it beside its events or in its
/// state folder; attendance when there is no note.
async fn dialect(enrolment: &Enrolment, context: &Context) -> Dialect {
    let mut noted = Vec::new();
    for place in databases::places(context, Some(&enrolment.tenant)) {
        if let Ok(mut engine) = databases::open(context, &place).await {
            let ids = [enrolment.id];
            noted.extend(
                store::cursors(&mut engine, Some(&ids))
                    .await
                    .unwrap_or_default(),
            );
        }
    }
    if let Some(mirror) = databases::mirror(context).await {
        noted.extend(mirror.stamps().await.unwrap_or_default());
    }
    // The copy in the state folder is the newer note.
    let own = noted.iter().rev();
    let mut own = own.filter(|(id, name, _)| *id == enrolment.id && name == "dialect");
    let word = own.next().map(|(_, _, value)| value.as_str());
    word.and_then(Dialect::from_word)
        .unwrap_or(Dialect::Attendance)
}

/// The order that was typed: one of our words, or the exact text of an order.
fn order(
    args: &Args,
    dialect: Dialect,
    context: &Context,
) -> anyhow::Result<Result<Order, Denied>> {
    let window = window(args, context)?;
    let order = match args.what.as_str() {
        "info" => Order::Info,
        "check" => Order::Check,
        "log" => Order::Log,
        "time" => Order::Time,
        "reboot" => Order::Reboot,
        "records" => Order::Records(window),
        "count" => Order::Count(window),
        "options" => {
            let names = args.names.as_deref().unwrap_or_default();
            let order = Order::options(names.split(',').map(str::trim));
            let wrong = || anyhow::anyhow!(context.say(Word::CommandNames, &[]));
            order.ok_or_else(wrong)?
        }
        text => return Ok(Order::parse(text, dialect, Policy::READ_ONLY)),
    };
    let needs_window = matches!(order, Order::Records(None) | Order::Count(None));
    if needs_window && dialect == Dialect::Attendance {
        anyhow::bail!(context.say(Word::CommandWindow, &[]));
    }
    Ok(Ok(order))
}

/// The time between `--from` and `--to`, which the terminal reads by its own clock.
fn window(args: &Args, context: &Context) -> anyhow::Result<Option<Window>> {
    let read = |text: &str| -> anyhow::Result<WallTime> {
        // As UTC, so that what is typed is what is sent.
        let at = time::moment(text, &Zone::utc(), now()).map_err(anyhow::Error::msg)?;
        let wall = at.text();
        let wall = wall
            .get(..19)
            .and_then(|text| WallTime::parse(text.as_bytes()));
        wall.ok_or_else(|| anyhow::anyhow!("{}", Escaped(text)))
    };
    match (&args.from, &args.to) {
        (None, None) => Ok(None),
        (Some(from), Some(to)) => {
            let window = Window::new(read(from)?, read(to)?);
            let wrong = || anyhow::anyhow!(context.say(Word::CommandWindow, &[]));
            window.map(Some).ok_or_else(wrong)
        }
        _ => anyhow::bail!(context.say(Word::CommandWindow, &[])),
    }
}

/// How long a command may wait, in milliseconds.
fn lifetime(text: &str, context: &Context) -> anyhow::Result<i64> {
    let span = text.parse::<Span>().ok();
    let lifetime = span.and_then(|span| i64::try_from(span.0.as_millis()).ok());
    let usable = lifetime.filter(|lifetime| (1_000..=LONGEST).contains(lifetime));
    let wrong = || anyhow::anyhow!(context.say(Word::CommandExpiry, &[&Escaped(text)]));
    usable.ok_or_else(wrong)
}

/// Says why a command is not sent, and leaves that in the audit.
async fn refuse(
    args: &Args,
    denied: &Denied,
    registry: &mut Registry<'_>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let detail = json!({ "text": args.what, "why": denied.to_string() }).to_string();
    let (actor, serial) = (registry.actor.clone(), args.serial.as_str());
    let action = "command_refused";
    let engine = &mut registry.engine;
    let noted = registry::audit(engine, now(), &actor, action, serial, &detail).await;
    noted.map_err(|failure| databases::told(context, &registry.place, &failure))?;
    anyhow::bail!(context.say(
        Word::CommandRefused,
        &[
            &Escaped(&args.what),
            &context.lang.detail(&denied.to_string())
        ]
    ))
}

fn dry_run(
    args: &Args,
    order: &Order,
    text: &str,
    dialect: Dialect,
    context: &Context,
) -> anyhow::Result<Exit> {
    if args.json {
        out::json(&json!({
            "serial": args.serial.as_str(),
            "form": order.word(),
            "class": order.class().as_str(),
            "dialect": dialect.as_str(),
            "text": text,
            "sent": false,
        }))?;
    } else {
        out::line(&context.say(
            Word::CommandWould,
            &[&args.serial, &dialect, &one_line(text)],
        ))?;
    }
    Ok(Exit::Fine)
}

/// A text with its TAB visible.
fn one_line(text: &str) -> String {
    text.replace('\t', "<TAB>")
}

/// Watches a command until it has ended, saying each change of its state.
async fn watch(
    registry: &mut Registry<'_>,
    asked: Command,
    quiet: bool,
    context: &Context,
) -> anyhow::Result<Command> {
    let mut last = asked;
    let grace = last.expires_at.0 - now().0 + 15_000;
    let until = Instant::now() + Duration::from_millis(u64::try_from(grace).unwrap_or(0));
    while last.state.is_open() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        let read = command::get(&mut registry.engine, &last.id).await;
        let read = read.map_err(|failure| databases::told(context, &registry.place, &failure))?;
        let Some(read) = read else {
            break;
        };
        let moved = (read.state, read.records, read.attempts);
        if !quiet && moved != (last.state, last.records, last.attempts) {
            let state = context.lang.term(read.state.as_str());
            out::remark(&context.say(
                Word::CommandProgress,
                &[&state, &read.attempts, &read.records],
            ));
        }
        last = read;
    }
    Ok(last)
}

fn show(
    args: &Args,
    command: &Command,
    dialect: Dialect,
    context: &Context,
) -> anyhow::Result<Exit> {
    let answer: Json = command
        .result
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Json::Null);
    if args.json {
        out::json(&json!({
            "id": command.id,
            "serial": command.serial,
            "form": command.form,
            "dialect": dialect.as_str(),
            "text": command.text,
            "state": command.state.as_str(),
            "attempts": command.attempts,
            "return_code": command.return_code,
            "records": command.records,
            "created_at": time::utc(command.created_at),
            "sent_at": command.sent_at.map(time::utc),
            "answered_at": command.answered_at.map(time::utc),
            "result": answer,
        }))?;
    } else if !args.no_wait {
        out::print(&page(command, &answer, context))?;
        if command.state == CommandState::Expired || command.state.is_open() {
            let program = super::super::program();
            out::remark(&context.say(Word::CommandSilent, &[&program, &args.serial]));
        }
    }
    let fine = args.no_wait || command.state == CommandState::Done;
    Ok(if fine { Exit::Fine } else { Exit::Failed })
}

fn page(command: &Command, answer: &Json, context: &Context) -> String {
    let code = command.return_code.map(|code| match result_name(code) {
        Some(name) => format!("{code} ({name})"),
        None => code.to_string(),
    });
    let [state, result, records] =
        context
            .lang
            .headings(&[Word::State, Word::CommandCode, Word::CommandRecords]);
    let mut facts = vec![
        (state, context.lang.term(command.state.as_str())),
        (result, code.unwrap_or_default()),
        (records, command.records.to_string()),
    ];
    let pairs = answer.as_object().into_iter().flatten();
    facts.extend(pairs.map(|(key, value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (key.as_str(), Escaped(&value).to_string())
    }));
    let safe: Vec<(String, String)> = facts
        .into_iter()
        .map(|(key, value)| (Escaped(key).to_string(), value))
        .collect();
    let lines: Vec<(&str, String)> = safe
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    table::facts(&lines)
}
