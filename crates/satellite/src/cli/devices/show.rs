//! `satellite devices show`: everything about one terminal, and what to type into it.
//!
//! For the person who stands in front of it: address and port as its menu wants them, the zone
//! its clock is read in, from when its records count, and who changed its enrolment last.

use daemon::exit::Exit;
use event::{Millis, Serial, Vendor, Zone};
use satellite::config::Listen;
use serde_json::{Value, json};
use store::inventory::Inventory;
use store::mirror::Pending;
use store::quarantine;
use store::registry::{self, AuditRow, Enrolment};
use store::status::StatusRow;

use super::super::databases;
use super::super::words::{Speaks as _, Word};
use super::super::{Context, out, table, time};
use super::hikvision::{self, Seen};
use super::pull::Pulled;
use super::{list, schedule};

/// Lines of the audit that are searched, and shown at most.
const AUDIT: (u32, usize) = (5_000, 5);

/// What `devices show` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    pub(crate) serial: Serial,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What is known of one terminal.
struct Found<'a> {
    enrolment: &'a Enrolment,
    status: Option<StatusRow>,
    quarantined: Option<u64>,
    audit: Vec<AuditRow>,
    inventory: Option<Inventory>,
    zone: &'a Zone,
    /// More, of a Hikvision device.
    seen: Option<Seen<'a>>,
    /// More, of a terminal that is dialled on port 4370.
    pulled: Option<Pulled<'a>>,
    /// What a running satellite says of one that only pushes.
    held: Option<Held>,
    /// What is known of it through an edge.
    carried: Option<hikvision::Carried>,
}

/// Conditions, if a satellite runs and lists the terminal.
type Held = Result<Option<Vec<hikvision::Condition>>, String>;

/// Shows.
pub(crate) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let enrolments = databases::enrolments(context).await?;
    let mut known = enrolments.iter().filter(|one| one.serial == args.serial);
    let Some(enrolment) = known.next() else {
        let waiting = list::waiting(context, &enrolments).await;
        let Some(pending) = waiting.iter().find(|waits| waits.serial == args.serial) else {
            anyhow::bail!(context.say(
                Word::UnknownSerial,
                &[&args.serial, &super::super::program()]
            ));
        };
        return show_pending(pending, args.json, context);
    };
    let mut states = list::states(context, Some(&enrolment.tenant)).await;
    let zone = context.zone(enrolment.time_zone.as_deref(), Some(&enrolment.tenant));
    let status = states.remove(&(enrolment.tenant.to_string(), enrolment.serial.to_string()));
    let seen = match enrolment.vendor {
        Vendor::Hikvision => Some(seen(context, enrolment, status.as_ref(), &zone).await),
        _ => None,
    };
    let pulled = match enrolment.vendor {
        Vendor::Zkteco if enrolment.access.address.is_some() => Some(Pulled {
            enrolment,
            live: hikvision::live_pull(context, args.serial.as_str()).await,
            zone: &zone,
        }),
        _ => None,
    };
    let held = match (&seen, &pulled) {
        (None, None) => Some(hikvision::held(context, args.serial.as_str()).await),
        _ => None,
    };
    let found = Found {
        enrolment,
        status,
        quarantined: quarantined(context, enrolment).await,
        audit: audit(context, &args.serial).await,
        inventory: list::inventories(context, Some(&enrolment.tenant))
            .await
            .remove(&enrolment.id),
        zone: &zone,
        seen,
        pulled,
        held,
        carried: hikvision::carried(context, args.serial.as_str()).await,
    };
    if args.json {
        out::json(&found_json(&found, context))?;
    } else {
        out::print(&found_text(&found, context))?;
    }
    Ok(Exit::Fine)
}

/// What is stored of a Hikvision device, and what a running satellite says of it.
async fn seen<'a>(
    context: &Context,
    enrolment: &'a Enrolment,
    status: Option<&StatusRow>,
    zone: &'a Zone,
) -> Seen<'a> {
    let mut chains = hikvision::chains(context, &[enrolment]).await;
    let live = hikvision::live(context).await;
    Seen {
        enrolment,
        chain: chains.remove(&enrolment.id),
        live: live.map(|mut all| all.remove(enrolment.serial.as_str())),
        completeness: status.map(|status| status.completeness.clone()),
        zone,
    }
}

fn show_pending(pending: &Pending, as_json: bool, context: &Context) -> anyhow::Result<Exit> {
    let zone = context.zone(None, None);
    if as_json {
        out::json(&list::pending_json(pending))?;
        return Ok(Exit::Fine);
    }
    let first = time::show(pending.first_seen, &zone);
    let address = daemon::logging::Escaped(&pending.address);
    out::line(&context.say(Word::PendingSince, &[&pending.serial, &first, &address]))?;
    let (program, tenant) = (super::super::program(), context.tenant_to_type());
    out::line(&context.say(Word::ApproveIt, &[&program, &pending.serial, &tenant]))?;
    Ok(Exit::Fine)
}

/// How many of its records are in review; `None` when its database cannot say.
pub(crate) async fn quarantined(context: &Context, enrolment: &Enrolment) -> Option<u64> {
    let place = databases::places(context, Some(&enrolment.tenant))
        .into_iter()
        .next()?;
    let mut engine = databases::open(context, &place).await.ok()?;
    let counted = quarantine::count(&mut engine, Some(enrolment.id)).await;
    counted.ok()
}

/// The last changes of its enrolment, as far as the registry can be asked.
async fn audit(context: &Context, serial: &Serial) -> Vec<AuditRow> {
    let place = databases::registry_place(context);
    let Ok(mut engine) = databases::open(context, &place).await else {
        return Vec::new();
    };
    let (search, show) = AUDIT;
    let mut rows = registry::audit_tail(&mut engine, search)
        .await
        .unwrap_or_default();
    rows.retain(|row| row.subject == serial.as_str());
    rows.split_off(rows.len().saturating_sub(show))
}

/// What the list says of it, and more.
fn found_json(found: &Found<'_>, context: &Context) -> Value {
    let (host, port, sure) = address(&context.config.listen);
    let audit = found.audit.iter().map(
        |row| json!({ "at": time::utc(row.happened_at), "actor": row.actor, "action": row.action }),
    );
    let line = list::Line {
        enrolment: found.enrolment,
        status: found.status.as_ref(),
        inventory: found.inventory.as_ref(),
    };
    let mut all = list::enrolled_json(&line, context);
    all["every_seconds"] = json!(found.enrolment.access.every);
    all["set_clock"] = json!(sets_clock(found.enrolment, context));
    all["quarantined"] = json!(found.quarantined);
    all["server"] = json!({
        "address": host, "port": port, "https": is_https(&context.config.listen), "from_public_url": sure
    });
    all["audit"] = audit.collect();
    all["edge"] = json!(found.carried);
    if let Some(seen) = &found.seen {
        all["hikvision"] = seen.json();
    }
    if let Some(pulled) = &found.pulled {
        all["pull"] = pulled.json();
    }
    if let Some(held) = &found.held {
        let held = held.as_ref().ok().and_then(Option::as_ref);
        all["conditions"] = json!(held.map(|held| hikvision::conditions_json(held)));
    }
    all
}

/// Only terminals that push take their time from us.
fn sets_clock(enrolment: &Enrolment, context: &Context) -> bool {
    let tenant_wants = context
        .config
        .tenant(&enrolment.tenant)
        .is_some_and(|tenant| tenant.set_clock);
    enrolment.vendor == Vendor::Zkteco && tenant_wants
}

fn found_text(found: &Found<'_>, context: &Context) -> String {
    let (one, status, zone) = (found.enrolment, found.status.as_ref(), found.zone);
    let (lang, say) = (context.lang, |word| context.say(word, &[]));
    let text = |text: Option<&str>| daemon::logging::Escaped(text.unwrap_or_default()).to_string();
    let clock = if sets_clock(one, context) {
        Word::SetsClock
    } else {
        Word::LeavesClock
    };
    let accepts = one
        .accept_from
        .map_or_else(|| say(Word::TakesAll), |from| time::show(from, zone));
    let stored = status.map(|status| status.completeness.as_str());
    let completeness = found.seen.as_ref().map_or(stored, Seen::completeness);
    let names = lang.headings(&[
        Word::Serial,
        Word::Vendor,
        Word::Tenant,
        Word::State,
        Word::Name,
        Word::Site,
        Word::TimeZone,
        Word::Clock,
        Word::TakesFrom,
        Word::Connection,
        Word::LastContact,
        Word::LastEvent,
        Word::Completeness,
        Word::InReview,
        Word::DeviceId,
    ]);
    let values = [
        one.serial.to_string(),
        one.vendor.to_string(),
        one.tenant.to_string(),
        lang.term(one.state.as_str()),
        text(one.name.as_deref()),
        text(one.site.as_deref()),
        zone.name().to_owned(),
        say(clock),
        accepts,
        status
            .map(|status| lang.term(&status.state))
            .unwrap_or_default(),
        time::show_if(status.and_then(|status| status.last_contact_at), zone),
        time::show_if(status.and_then(|status| status.last_event_at), zone),
        completeness.map(|word| lang.term(word)).unwrap_or_default(),
        found.quarantined.map(|n| n.to_string()).unwrap_or_default(),
        one.id.to_string(),
    ];
    let mut facts: Vec<(&str, String)> = names.into_iter().zip(values).collect();
    if one.access.address.is_some() {
        let [name] = lang.headings(&[Word::Visits]);
        facts.push((name, schedule::told(one, context)));
    }
    facts.extend(edge_facts(found, context));
    facts.extend(inventory_facts(found, context));
    if let Some(seen) = &found.seen {
        facts.extend(seen.facts(context));
    }
    if let Some(pulled) = &found.pulled {
        facts.extend(pulled.facts(context));
    }
    let mut page = table::facts(&facts);
    page.push('\n');
    page.push_str(&conditions(found, context));
    page.push_str(&audit_lines(found, context));
    page
}

/// The conditions that hold; of a terminal that pushes also what to type into it.
fn conditions(found: &Found<'_>, context: &Context) -> String {
    match (&found.seen, &found.pulled) {
        (Some(seen), _) => seen.conditions(context),
        (None, Some(pulled)) => pulled.conditions(context),
        (None, None) => {
            let held = found.held.as_ref().map(|held| {
                let held = held.as_ref().map(Option::as_deref);
                hikvision::conditions_page(held, found.enrolment, found.zone, context)
            });
            let typed = match found.enrolment.vendor {
                Vendor::Zkteco => settings(context),
                Vendor::Hikvision | Vendor::Other | Vendor::Satellite => String::new(),
            };
            held.unwrap_or_default() + &typed
        }
    }
}

/// Which edge brings it, or how far an edge is behind.
fn edge_facts(found: &Found<'_>, context: &Context) -> Vec<(&'static str, String)> {
    let Some(carried) = &found.carried else {
        return Vec::new();
    };
    let said = Millis::parse(&carried.said_at);
    let said = time::show_if(said, found.zone);
    let names = context.lang.headings(&[
        Word::BroughtBy,
        Word::EdgeSaidAt,
        Word::EdgeLag,
        Word::EdgeHeldBack,
    ]);
    let number = |number: Option<u64>, unit: &str| number.map(|n| format!("{n}{unit}"));
    let values = [
        carried
            .by
            .as_deref()
            .map(|by| daemon::logging::Escaped(by).to_string()),
        Some(said),
        number(carried.lag_seconds, " s"),
        number(carried.held_back, ""),
    ];
    let facts = names.into_iter().zip(values);
    facts
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// What the terminal says it is; what it did not say makes no line.
fn inventory_facts(found: &Found<'_>, context: &Context) -> Vec<(&'static str, String)> {
    let known = found.inventory.as_ref();
    let text = |text: Option<&str>| daemon::logging::Escaped(text.unwrap_or_default()).to_string();
    let skew = found
        .status
        .as_ref()
        .and_then(|status| status.clock_skew_seconds);
    let status = found.status.as_ref();
    let names = context.lang.headings(&[
        Word::LogUsed,
        Word::Model,
        Word::Firmware,
        Word::Dialect,
        Word::HeardFrom,
        Word::People,
        Word::ClockAhead,
    ]);
    let values = [
        list::fill(
            status.and_then(|status| status.log_used),
            status.and_then(|status| status.log_capacity),
        ),
        text(known.and_then(|it| it.model.as_deref())),
        text(known.and_then(|it| it.firmware.as_deref())),
        (context.lang).term(&text(known.and_then(|it| it.dialect.as_deref()))),
        text(known.and_then(|it| it.address.as_deref())),
        list::fill(
            known.and_then(|it| it.users_used),
            known.and_then(|it| it.users_capacity),
        ),
        skew.map(|ahead| format!("{ahead:+} s")).unwrap_or_default(),
    ];
    let facts = names.into_iter().zip(values);
    facts.filter(|(_, value)| !value.is_empty()).collect()
}

fn audit_lines(found: &Found<'_>, context: &Context) -> String {
    let text = |text: &str| daemon::logging::Escaped(text).to_string();
    let mut page = String::new();
    for row in &found.audit {
        let at = time::show(row.happened_at, found.zone);
        let (actor, action) = (text(&row.actor), context.lang.term(&text(&row.action)));
        page.push_str(&format!(
            "{}\n",
            context.say(Word::AuditLine, &[&at, &actor, &action])
        ));
    }
    page
}

/// What stands in the terminal's menu for it to find us.
pub(crate) fn settings(context: &Context) -> String {
    let (host, port, sure) = address(&context.config.listen);
    let switch = match &host {
        None => Word::IfName,
        Some(host) if host.parse::<std::net::IpAddr>().is_ok() => Word::No,
        Some(_) => Word::Yes,
    };
    let on = context.say(switch, &[]);
    let host = host.unwrap_or_else(|| context.say(Word::ThisMachine, &[]));
    let no = context.say(Word::No, &[]);
    let https = if is_https(&context.config.listen) {
        Word::Yes
    } else {
        Word::No
    };
    let names = context.lang.headings(&[
        Word::SettingMode,
        Word::SettingDomain,
        Word::SettingAddress,
        Word::SettingPort,
        Word::SettingProxy,
        Word::SettingHttps,
        Word::SettingType,
    ]);
    let values = [
        "ADMS".to_owned(),
        on,
        host,
        port.to_string(),
        no,
        context.say(https, &[]),
        "T&A PUSH / A&C PUSH".to_owned(),
    ];
    let facts: Vec<(&str, String)> = names.into_iter().zip(values).collect();
    let mut page = format!(
        "{}\n{}",
        context.say(Word::TypeThis, &[]),
        table::facts(&facts)
    );
    if !sure {
        page.push_str(&format!("{}\n", context.say(Word::SetPublicUrl, &[])));
    }
    page.push_str(&format!("{}\n", context.say(Word::RestartIt, &[])));
    page
}

/// Whether a terminal has to be told to speak TLS.
pub(super) fn is_https(listen: &Listen) -> bool {
    let url = listen.public_url.as_deref();
    url.is_some_and(|url| url.starts_with("https://"))
}

/// Host and port for a terminal's menu, and whether the configuration names them. Without a
/// public URL the host is the listener's, unless that is every address of the machine.
pub(super) fn address(listen: &Listen) -> (Option<String>, u16, bool) {
    let Some(url) = &listen.public_url else {
        let ip = listen.devices.ip();
        return (
            (!ip.is_unspecified()).then(|| ip.to_string()),
            listen.devices.port(),
            false,
        );
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or(rest);
    let usual = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of a bare IPv6 address stand inside brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(usual)),
        _ => (authority, usual),
    };
    (Some(host.trim_matches(['[', ']']).to_owned()), port, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(devices: &str, public_url: Option<&str>) -> Listen {
        Listen {
            devices: devices.parse().unwrap(),
            admin: "127.0.0.1:9810".parse().unwrap(),
            public_url: public_url.map(str::to_owned),
            isup: None,
            devices_tls: None,
        }
    }

    fn told(devices: &str, public_url: Option<&str>) -> (Option<String>, u16, bool) {
        address(&listen(devices, public_url))
    }

    #[test]
    fn the_switch_https_is_on_where_the_public_url_says_so() {
        let any = "0.0.0.0:8081";
        let on = |url| is_https(&listen(any, url));
        assert!(on(Some("https://satelite.example.mx:8443")));
        assert!(!on(Some("http://satelite.example.mx:8081")) && !on(None));
    }

    #[test]
    fn a_terminal_is_told_the_host_and_the_port_of_the_public_url() {
        let named = |host: &str, port| (Some(host.to_owned()), port, true);
        let any = "0.0.0.0:8081";
        assert_eq!(
            told(any, Some("http://satelite.example.mx:8081")),
            named("satelite.example.mx", 8081)
        );
        assert_eq!(
            told(any, Some("https://satelite.example.mx/x")),
            named("satelite.example.mx", 443)
        );
        assert_eq!(told(any, Some("http://[fd00::1]:99")), named("fd00::1", 99));
        assert_eq!(told(any, Some("http://[fd00::1]")), named("fd00::1", 80));
    }

    #[test]
    fn without_a_public_url_only_a_listener_of_its_own_address_is_told() {
        assert_eq!(told("0.0.0.0:8081", None), (None, 8081, false));
        assert_eq!(
            told("10.0.0.5:8090", None),
            (Some("10.0.0.5".to_owned()), 8090, false)
        );
    }
}
