//! `satellite devices rotate-token SERIAL`: another token for a device that posts to us.
//!
//! For a token that somebody may have seen. The old one stops working at once, with no time in
//! which both do: what is sent with it afterwards is refused, and devices that keep what was
//! refused send it again. The new URL is shown once and kept nowhere but as a hash.

use daemon::exit::Exit;
use event::{Serial, Vendor};
use serde_json::json;
use store::registry;

use super::super::words::Word;
use super::super::{Context, now, out};
use super::Registry;
use super::listening::Listening;

pub(super) const EXAMPLES: &str = "Examples:
  satellite devices rotate-token K12345678
  satellite devices configure K12345678      # the same, and writes it into the device";

/// What `devices rotate-token` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Rotates and prints what to type into the device.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let serial = &args.serial;
    let mut registry = Registry::open(context).await?;
    let program = super::super::program();
    let mut posts = None;
    for vendor in [Vendor::Hikvision, Vendor::Other, Vendor::Satellite] {
        if posts.is_none() {
            posts = registry.find_of(Some(vendor), serial).await?;
        }
    }
    let Some(enrolment) = posts else {
        if registry.find(serial).await?.is_some() {
            anyhow::bail!(context.say(Word::NoTokenZkteco, &[serial, &program, serial]));
        }
        anyhow::bail!(context.say(Word::UnknownSerial, &[serial, &program]));
    };
    if enrolment.access.token_hash.is_none() {
        let tenant = &enrolment.tenant;
        let vendor = enrolment.vendor;
        anyhow::bail!(context.say(Word::NoToken, &[serial, &program, tenant, &vendor, serial]));
    }
    let listening = Listening::fresh(context, enrolment.vendor)?;
    let hash = listening.hash();
    let done = registry::set_token(&mut registry.engine, serial, hash, now(), &registry.actor);
    let done = done.await.map_err(|error| registry.told(error))?;
    if args.json {
        out::json(&json!({
            "serial": serial.as_str(),
            "tenant": done.tenant.as_str(),
            "listen": listening.json(context, true),
        }))?;
        return Ok(Exit::Fine);
    }
    out::line(&context.say(Word::TokenRotated, &[serial]))?;
    out::print(&listening.page(context))?;
    Ok(Exit::Fine)
}
