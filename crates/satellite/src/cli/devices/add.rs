//! `satellite devices add`: enrols a terminal, and for Hikvision says how it is reached.
//!
//! A password is only ever named by its file, which is read once here so that a mistake shows
//! now and not in the log at night. A token is made here and shown once. Whatever is wrong is
//! told before the registry is changed.

use std::path::Path;

use daemon::config::{secret_file, secret_places};
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Serial, Text, Vendor};
use hikvision_isapi::Credentials;
use satellite::config::SECRETS_FOLDER;
use serde_json::json;
use store::registry::{Access, Enrolled, Enrolment, NewEnrolment};
use zkteco_pull::CommKey;

use super::super::words::{Speaks as _, Word};
use super::super::{Context, now, out, time};
use super::listening::Listening;
use super::{Registry, accept_from, checked_zone, filled, noticed, sentence};

pub(super) const EXAMPLES: &str = "Examples:
  satellite devices add --tenant acme --vendor zkteco --serial ABC1
  satellite devices add --tenant acme --vendor zkteco --serial ABC1 --time-zone America/Tijuana
  A used terminal, whose former owner's records must not come in:
    satellite devices add --tenant acme --vendor zkteco --serial ABC1 --accept-from 2026-11-21
  A ZKTeco terminal that is dialled on port 4370; its communication key is in a file:
    satellite devices add --tenant acme --vendor zkteco --serial ABC1 \\
      --address 10.8.0.21 --secret-file abc1
  A Hikvision device that can be reached, for example over a VPN; its password is in a file:
    satellite devices add --tenant acme --vendor hikvision --serial K12345678 \\
      --address 10.8.0.20:80 --user events --secret-file k12345678
  A Hikvision device that posts to us; prints what to type into it:
    satellite devices add --tenant acme --vendor hikvision --serial K12345678 --listen
  Another make that posts JSON or CSV; a [[mapping]] of the configuration reads it:
    satellite devices add --tenant acme --vendor other --serial BIOSTAR-1 --listen
  An edge, which is a satellite at a client's site; prints its token:
    satellite devices add --tenant acme --vendor satellite --serial SITE1 --listen";

/// The port of ZKTeco terminals that are dialled.
const PULL_PORT: u16 = 4370;
/// Shortest serial by which a Hikvision device is recognised.
const SERIAL_MIN: usize = 6;

/// What `devices add` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whose terminal it is
    #[arg(long, value_name = "T")]
    tenant: String,
    /// Who made it: zkteco, hikvision, other; satellite for an edge
    #[arg(long)]
    vendor: String,
    /// Its serial number, as it names itself
    #[arg(long, value_name = "SN")]
    serial: Serial,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// Where it stands
    #[arg(long)]
    site: Option<String>,
    /// IANA zone of its clock [default: the tenant's]
    #[arg(long, value_name = "Z")]
    time_zone: Option<String>,
    /// Records older than this are acknowledged and not stored; `all` takes everything
    /// [default: all for a new serial, from now on for one that was enrolled before]
    #[arg(long, value_name = "TIME")]
    accept_from: Option<String>,
    /// One of the watchdog's own terminals
    #[arg(long)]
    canary: bool,
    /// Begin a new history: other hardware under the same serial
    #[arg(long)]
    replace: bool,
    /// Hikvision, others and edges: let it post to us; prints its URL or token once, and makes a new one each time
    #[arg(long)]
    listen: bool,
    /// Where it is dialled; a ZKTeco terminal on port 4370 when none is given
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Hikvision: the account on the device
    #[arg(long)]
    user: Option<String>,
    /// The file with the account's password, for ZKTeco with the communication key: a path, or a name in /etc/satellite/secrets
    #[arg(long, value_name = "F")]
    secret_file: Option<String>,
    /// Hikvision: its MAC address, which it may show instead of its serial
    #[arg(long, value_name = "M")]
    mac: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Enrols.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let vendor = vendor(args, context)?;
    let tenant = context.tenant(&args.tenant)?;
    let zone = checked_zone(args.time_zone.as_deref())?;
    let shown_in = zone
        .clone()
        .unwrap_or_else(|| context.zone(None, Some(&tenant)));
    let accept_from = args
        .accept_from
        .as_deref()
        .map(|text| accept_from(text, &shown_in, now()));
    let access = match vendor {
        Vendor::Zkteco => terminal(args, context)?,
        Vendor::Other | Vendor::Satellite => Access::default(),
        _ => access(args, context)?,
    };
    let listening = args
        .listen
        .then(|| Listening::fresh(context, vendor))
        .transpose()?;
    let new = NewEnrolment {
        name: filled(args.name.as_deref()),
        site: filled(args.site.as_deref()),
        time_zone: zone.as_ref().map(|zone| Text::new(zone.name())),
        canary: args.canary,
        accept_from: accept_from.transpose().map_err(anyhow::Error::msg)?,
        replace: args.replace,
        access: Access {
            token_hash: listening.as_ref().map(Listening::hash),
            ..access
        },
        ..NewEnrolment::of(vendor, args.serial.clone(), tenant)
    };
    let mut registry = Registry::open(context).await?;
    let before = registry.find_of(Some(vendor), &args.serial).await?;
    let kept = before.filter(|before| before.tenant == new.tenant && !args.replace);
    if vendor == Vendor::Hikvision && !is_reached(&new.access, kept.as_ref()) {
        anyhow::bail!(context.say(Word::HowReached, &[]));
    }
    let rotated = listening.is_some() && kept.is_some_and(|kept| kept.access.token_hash.is_some());
    let enrolled = registry.enrol(new).await?;
    let done = Done {
        enrolled,
        listening,
        rotated,
    };
    if args.json {
        out::json(&done.json(context))?;
        return Ok(Exit::Fine);
    }
    out::line(&sentence(context, &done.enrolled))?;
    if let Some(from) = done.enrolled.enrolment().accept_from {
        out::line(&context.say(Word::AcceptsFrom, &[&time::show(from, &shown_in)]))?;
    }
    out::print(&done.page(context))?;
    noticed(context, &args.serial)
}

/// Which vendor is meant; flags of another one are a mistake.
fn vendor(args: &Args, context: &Context) -> anyhow::Result<Vendor> {
    let secret = args.secret_file.is_some() || args.user.is_some();
    let is_dialled = args.address.is_some() || args.mac.is_some() || secret;
    let has_hikvision = args.listen || args.user.is_some() || args.mac.is_some();
    match Vendor::from_word(&args.vendor.to_ascii_lowercase()) {
        Some(Vendor::Zkteco) if has_hikvision => {
            anyhow::bail!(context.say(Word::OnlyHikvision, &[]))
        }
        Some(Vendor::Other) if is_dialled => anyhow::bail!(context.say(Word::OtherPosts, &[])),
        Some(Vendor::Satellite) if is_dialled || !args.listen => {
            anyhow::bail!(context.say(Word::EdgePosts, &[]))
        }
        Some(vendor) => Ok(vendor),
        None => anyhow::bail!(context.say(Word::UnknownVendor, &[&Escaped(&args.vendor)])),
    }
}

/// How a ZKTeco terminal is dialled, checked; without an address it pushes by itself.
fn terminal(args: &Args, context: &Context) -> anyhow::Result<Access> {
    let file = args.secret_file.as_deref();
    let Some(address) = args.address.as_deref() else {
        if file.is_some() {
            anyhow::bail!(context.say(Word::KeyNeedsAddress, &[]));
        }
        return Ok(Access::default());
    };
    let address = with_port(address);
    if !is_host_and_port(&address) {
        anyhow::bail!(context.say(Word::BadAddress, &[&Escaped(&address)]));
    }
    if let Some(file) = file {
        let secret =
            secret_file(file, &secret_places(Path::new(SECRETS_FOLDER))).map_err(|error| {
                anyhow::anyhow!(context.say(Word::SecretTrouble, &[&context.config_error(&error)]))
            })?;
        if CommKey::parse(secret.expose().trim()).is_none() {
            anyhow::bail!(context.say(Word::BadKey, &[]));
        }
    }
    Ok(Access {
        address: Some(Text::from(address)),
        secret_file: file.map(Text::new),
        ..Access::default()
    })
}

/// The address with the port that these terminals come with, where none was given.
fn with_port(address: &str) -> String {
    let bare_name = !address.contains(':');
    if bare_name || address.ends_with(']') {
        format!("{address}:{PULL_PORT}")
    } else {
        address.to_owned()
    }
}

/// How it is dialled, checked; the token comes later.
fn access(args: &Args, context: &Context) -> anyhow::Result<Access> {
    let mac = filled(args.mac.as_deref());
    // Dialled or posting, it is recognised by what it says of itself.
    let is_reached = args.listen || args.address.is_some();
    let is_short = args.serial.as_str().len() < SERIAL_MIN;
    if is_reached && is_short && mac.is_none() {
        anyhow::bail!(context.say(Word::ShortSerial, &[&args.serial, &SERIAL_MIN]));
    }
    let Some(address) = args.address.as_deref() else {
        if args.user.is_some() || args.secret_file.is_some() {
            anyhow::bail!(context.say(Word::NeedsAddress, &[]));
        }
        return Ok(Access {
            mac,
            ..Access::default()
        });
    };
    if !is_host_and_port(address) {
        anyhow::bail!(context.say(Word::BadAddress, &[&Escaped(address)]));
    }
    let (Some(user), Some(file)) = (args.user.as_deref(), args.secret_file.as_deref()) else {
        anyhow::bail!(context.say(Word::NeedsUser, &[]));
    };
    let secret = secret_file(file, &secret_places(Path::new(SECRETS_FOLDER))).map_err(|error| {
        anyhow::anyhow!(context.say(Word::SecretTrouble, &[&context.config_error(&error)]))
    })?;
    Credentials::new(user, secret.expose()).map_err(|error| {
        anyhow::anyhow!(context.say(Word::BadUser, &[&context.lang.detail(&error.to_string())]))
    })?;
    Ok(Access {
        address: Some(Text::new(address)),
        user: Some(Text::new(user)),
        secret_file: Some(Text::new(file)),
        mac,
        ..Access::default()
    })
}

/// `host:port`, `10.8.0.20:80` or `[fd00::7]:80`, and nothing more.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let named = match bare {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(allowed)
        }
    };
    named && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether its events can come in some way, the ways that are kept included.
fn is_reached(given: &Access, kept: Option<&Enrolment>) -> bool {
    let has_way = |access: &Access| access.address.is_some() || access.token_hash.is_some();
    has_way(given) || kept.is_some_and(|kept| has_way(&kept.access))
}

/// What was done.
struct Done {
    enrolled: Enrolled,
    listening: Option<Listening>,
    rotated: bool,
}

impl Done {
    fn page(&self, context: &Context) -> String {
        let access = &self.enrolled.enrolment().access;
        let mut page = String::new();
        if let (Some(address), Some(user)) = (&access.address, &access.user) {
            let line = context.say(Word::DialledAt, &[&Escaped(address), &Escaped(user)]);
            page.push_str(&format!("{line}\n"));
        } else if let Some(address) = &access.address {
            let line = context.say(Word::PulledAt, &[&Escaped(address)]);
            page.push_str(&format!("{line}\n"));
        }
        if self.rotated {
            page.push_str(&format!("{}\n", context.say(Word::Rotated, &[])));
        }
        if let Some(listening) = &self.listening {
            page.push_str(&listening.page(context));
        }
        page
    }

    fn json(&self, context: &Context) -> serde_json::Value {
        let one = self.enrolled.enrolment();
        let result = match &self.enrolled {
            Enrolled::New(_) => "new",
            Enrolled::Already(_) => "already",
            Enrolled::Moved { before, now } if before.tenant == now.tenant => "replaced",
            Enrolled::Moved { .. } => "moved",
        };
        let listening = self.listening.as_ref();
        json!({
            "result": result,
            "serial": one.serial.as_str(),
            "vendor": one.vendor.as_str(),
            "tenant": one.tenant.as_str(),
            "state": one.state.as_str(),
            "device_id": one.id.to_string(),
            "accept_from": one.accept_from.map(time::utc),
            "address": one.access.address.as_deref(),
            "user": one.access.user.as_deref(),
            "mac": one.access.mac.as_deref(),
            "listen": listening.map(|listening| listening.json(context, self.rotated)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_port_is_dialled_where_they_all_listen() {
        assert_eq!(with_port("10.8.0.21"), "10.8.0.21:4370");
        assert_eq!(with_port("[fd00::7]"), "[fd00::7]:4370");
        assert_eq!(
            with_port("reloj-1.acme.local:4371"),
            "reloj-1.acme.local:4371"
        );
    }

    #[test]
    fn an_address_is_host_and_port_and_never_a_url() {
        for right in ["10.8.0.20:80", "puerta-1.acme.local:8000", "[fd00::7]:80"] {
            assert!(is_host_and_port(right), "{right}");
        }
        for wrong in [
            "10.8.0.20",
            "http://10.8.0.20:80",
            "a:b@10.8.0.20:80",
            "10.8.0.20:0",
            "10.8.0.20:99999",
            ":80",
            "fd00::7:80",
            "[fd00::7]",
            "ho st:80",
            "10.8.0.20:80/x",
            "",
        ] {
            assert!(!is_host_and_port(wrong), "{wrong}");
        }
    }
}
