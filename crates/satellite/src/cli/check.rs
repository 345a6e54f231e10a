//! `satellite check`: reads the configuration as the daemon would, and says what it means.
//!
//! Loading it is the check: whatever is wrong ends there, with file, line and key. With
//! `--connect` each database and each broker is asked too. Nothing is started, made or changed.

use std::fmt::Write as _;

use daemon::exit::Exit;
use daemon::logging::Escaped;
use satellite::broker;
use satellite::config::{Receiver, Unknown};
use satellite::outputs::{look_at_edge, look_at_folder, look_at_table};
use store::schema::{self, SchemaState};

use super::databases::{self, Place};
use super::words::{Speaks as _, Word};
use super::{Context, out, table, time};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite check                          # keys, values and secrets
  satellite check --connect                # databases and brokers too
  satellite check && systemctl reload satellite";

/// What `check` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also connect to each database and broker
    #[arg(long)]
    connect: bool,
}

/// Checks and prints.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    if let Some(identity) = context.config.identity()? {
        let timely = identity.check_time(super::now());
        timely.map_err(|wrong| context.config.tls_error(wrong))?;
    }
    out::print(&summary(context))?;
    if !args.connect {
        return Ok(Exit::Fine);
    }
    let mut exit = Exit::Fine;
    for place in databases::places(context, None) {
        let (word, text) = look(&place, context).await;
        if word != Word::StoreReady {
            exit = Exit::Failed;
        }
        out::line(&context.say(word, &[&place.label, &place.target, &text]))?;
    }
    for output in &context.config.outputs {
        let (name, place) = (&output.name, output.to.place());
        let (ready, fails, looked) = match &output.to {
            Receiver::Table(table) => {
                let looked = look_at_table(table).await;
                let looked = looked.map_err(|failure| failure.text);
                (Word::TableReady, Word::TableFails, looked)
            }
            Receiver::Mqtt(to) => {
                let looked = broker::look(&to.link).await;
                let looked = looked.map_err(|away| away.to_string());
                (Word::OutputBrokerReady, Word::OutputBrokerFails, looked)
            }
            Receiver::Edge(cloud) => {
                let looked = look_at_edge(cloud).await.map(drop);
                let looked = looked.map_err(|unfit| unfit.to_string());
                (Word::EdgeReady, Word::EdgeFails, looked)
            }
            Receiver::Folder(daily) => {
                let looked = look_at_folder(daily).await;
                (Word::FolderReady, Word::FolderFails, looked)
            }
            Receiver::Webhook(_) | Receiver::Forward(_) => continue,
        };
        if told(context, (ready, fails), (name, &place), looked)? == Exit::Failed {
            exit = Exit::Failed;
        }
    }
    for input in &context.config.inputs {
        let looked = broker::look(&input.link).await;
        let looked = looked.map_err(|away| away.to_string());
        let words = (Word::InputBrokerReady, Word::InputBrokerFails);
        let place = input.link.place();
        if told(context, words, (&input.name, &place), looked)? == Exit::Failed {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

/// Says how the other side of an output or input answered.
fn told(
    context: &Context,
    (ready, fails): (Word, Word),
    (name, place): (&str, &str),
    looked: Result<(), String>,
) -> anyhow::Result<Exit> {
    match looked {
        Ok(()) => out::line(&context.say(ready, &[&name, &place]))?,
        Err(why) => {
            let why = context.lang.detail(&why);
            out::line(&context.say(fails, &[&name, &place, &Escaped(&why)]))?;
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Fine)
}

/// How a database answers: ready, behind, or in trouble; and the words for it
/// with what they end in: nothing, the command that helps, or what went wrong.
async fn look(place: &Place, context: &Context) -> (Word, String) {
    if databases::is_missing(&place.target) {
        return (Word::StoreEmpty, super::program());
    }
    let state = match place.target.connect().await {
        Ok(mut engine) => schema::state(&mut engine).await,
        Err(failure) => Err(failure),
    };
    match state {
        Ok(SchemaState::Current) => (Word::StoreReady, String::new()),
        Ok(SchemaState::Behind(_)) => (Word::StoreEmpty, super::program()),
        Err(failure) => (
            Word::StoreFails,
            format!(
                "{}: {}",
                context.lang.term(failure.trouble().as_str()),
                context.lang.detail(&failure.text)
            ),
        ),
    }
}

fn summary(context: &Context) -> String {
    let config = &context.config;
    let built_in = || context.say(Word::BuiltIn, &[]);
    let file = config
        .file
        .as_ref()
        .map_or_else(built_in, |file| file.display().to_string());
    let mut text = context.say(Word::ConfigRight, &[&file]);
    text.push('\n');
    let unknown = match &config.unknown {
        Unknown::Hold => "hold".to_owned(),
        Unknown::Accept(tenant) => format!("accept → {tenant}"),
        Unknown::Reject => "reject".to_owned(),
    };
    let listen = &config.listen;
    text.push_str(&table::facts(&[
        ("state_dir", config.state_dir.display().to_string()),
        ("listen.devices", listen.devices.to_string()),
        (
            "listen.devices_tls",
            listen
                .devices_tls
                .as_ref()
                .map(|door| door.address.to_string())
                .unwrap_or_default(),
        ),
        ("listen.admin", listen.admin.to_string()),
        (
            "listen.public_url",
            listen.public_url.clone().unwrap_or_default(),
        ),
        ("enrolment.unknown", unknown),
        ("store", config.store.to_string()),
    ]));
    let now = super::now();
    for tenant in &config.tenants {
        let store = tenant
            .own_store
            .as_ref()
            .map_or_else(|| "store".to_owned(), ToString::to_string);
        let offset = time::offset_text(tenant.zone.offset_seconds_at(now));
        let clock = if tenant.set_clock {
            Word::SetsClock
        } else {
            Word::LeavesClock
        };
        let line = context.say(
            Word::TenantLine,
            &[
                &tenant.id,
                &tenant.name,
                &tenant.zone.name(),
                &offset,
                &context.say(clock, &[]),
                &store,
            ],
        );
        // Writing into memory cannot fail.
        writeln!(text, "{line}").ok();
    }
    text.push_str(&mappings(context));
    for output in &config.outputs {
        let (kind, place) = (output.to.kind(), output.to.place());
        let values: [&dyn std::fmt::Display; 4] = [&output.name, &output.tenant, &kind, &place];
        writeln!(text, "{}", context.say(Word::OutputLine, &values)).ok();
    }
    text.push_str(&inputs(context));
    text
}

/// The inputs, each with its broker, topics and sender.
fn inputs(context: &Context) -> String {
    let mut text = String::new();
    for input in &context.config.inputs {
        let (place, topics) = (input.link.place(), input.topics.iter());
        let topics: Vec<&str> = topics.map(mqtt::Filter::as_str).collect();
        let topics = topics.join(", ");
        let values: [&dyn std::fmt::Display; 5] =
            [&input.name, &input.tenant, &place, &topics, &input.sender];
        writeln!(text, "{}", context.say(Word::InputLine, &values)).ok();
    }
    text
}

/// The mapping files, each with what it is for.
fn mappings(context: &Context) -> String {
    let mut text = String::new();
    for one in &context.config.mappings {
        let (file, mapping) = (one.file.display(), &one.mapping);
        let serials: Vec<&str> = one.serials.iter().map(|serial| serial.as_str()).collect();
        let serials = match serials.is_empty() {
            true => context.say(Word::EverySerial, &[]),
            false => serials.join(", "),
        };
        let make = mapping.make().unwrap_or("-");
        let values: [&dyn std::fmt::Display; 4] = [&file, &make, &mapping.format(), &serials];
        writeln!(text, "{}", context.say(Word::MappingLine, &values)).ok();
    }
    text
}
