//! `satellite devices configure`: writes into a dialled Hikvision device where it shall post.
//!
//! The device gets a new token, tells what it has kept, and only then is the token's hash
//! stored: devices say OK and keep less than they were given. A device that is not the enrolled
//! one is never written to. Every refusal names the next step.

use std::path::Path;

use daemon::config::{Secret, secret_file, secret_places};
use daemon::exit::Exit;
use daemon::logging::Escaped;
use event::{Serial, Text, Vendor};
use hikvision_isapi::{Difference, HostProtocol};
use satellite::config::SECRETS_FOLDER;
use satellite::hikvision::{self, Account, NotSet, PostTo};
use serde_json::json;
use store::registry::{Access, Enrolment, EnrolmentState, NewEnrolment};

use super::super::words::{Speaks as _, Word};
use super::super::{Context, out, time};
use super::Registry;
use super::listening::Listening;

/// What a device may have otherwise without that its posts go astray by it alone: the path,
/// which some models do not keep, and the wish to send again after a break.
const TOLERATED: [&str; 2] = ["url", "httpBroken"];

/// What `devices configure` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its serial number
    serial: Serial,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Configures.
pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut registry = Registry::open(context).await?;
    let enrolment = target(&mut registry, &args.serial, context).await?;
    let (address, user, secret) = account(&enrolment, context)?;
    let listening = Listening::fresh(context)?;
    let Some(host) = listening.host.as_deref() else {
        anyhow::bail!(context.say(Word::ConfigureNoHost, &[]));
    };
    let account = Account {
        address: &address,
        user: &user,
        secret: &secret,
        serial: &enrolment.serial,
        mac: enrolment.access.mac.as_deref(),
    };
    let to = PostTo {
        host,
        port: listening.port,
        path: &listening.path,
        protocol: if listening.is_https {
            HostProtocol::Https
        } else {
            HostProtocol::Http
        },
    };
    let differences = hikvision::configure(&account, &to)
        .await
        .map_err(|error| anyhow::anyhow!(told(&error, &enrolment, context)))?;
    let stored = differences
        .iter()
        .all(|difference| TOLERATED.contains(&difference.key));
    if stored {
        store(&mut registry, &enrolment, &listening).await?;
    }
    if args.json {
        out::json(&found_json(&enrolment, &differences, stored))?;
    } else {
        out::print(&page(&differences, stored, &enrolment, context))?;
    }
    Ok(if stored { Exit::Fine } else { Exit::Failed })
}

/// The device, if it is one that can be configured.
async fn target(
    registry: &mut Registry<'_>,
    serial: &Serial,
    context: &Context,
) -> anyhow::Result<Enrolment> {
    let program = super::super::program();
    let Some(known) = registry.find_of(Some(Vendor::Hikvision), serial).await? else {
        let word = match registry.find(serial).await? {
            Some(_) => Word::ConfigureZkteco,
            None => Word::UnknownSerial,
        };
        anyhow::bail!(context.say(word, &[serial]));
    };
    if known.state == EnrolmentState::Blocked {
        anyhow::bail!(context.say(Word::AdviseBlocked, &[&program, serial]));
    }
    Ok(known)
}

/// Where it is dialled, and as whom.
fn account(enrolment: &Enrolment, context: &Context) -> anyhow::Result<(Text, Text, Secret)> {
    let access = &enrolment.access;
    let (Some(address), Some(user), Some(file)) =
        (&access.address, &access.user, &access.secret_file)
    else {
        let program = super::super::program();
        let serial = &enrolment.serial;
        anyhow::bail!(context.say(
            Word::ConfigureNoAddress,
            &[serial, &program, &enrolment.tenant, serial]
        ));
    };
    let secret = secret_file(file, &secret_places(Path::new(SECRETS_FOLDER))).map_err(|error| {
        anyhow::anyhow!(context.say(Word::SecretTrouble, &[&context.config_error(&error)]))
    })?;
    Ok((address.clone(), user.clone(), secret))
}

async fn store(
    registry: &mut Registry<'_>,
    enrolment: &Enrolment,
    listening: &Listening,
) -> anyhow::Result<()> {
    let new = NewEnrolment {
        access: Access {
            token_hash: Some(listening.hash()),
            ..Access::default()
        },
        ..NewEnrolment::of(
            enrolment.vendor,
            enrolment.serial.clone(),
            enrolment.tenant.clone(),
        )
    };
    registry.enrol(new).await.map(drop)
}

/// Why it was not written to, with the next step.
fn told(error: &NotSet, enrolment: &Enrolment, context: &Context) -> String {
    let serial = &enrolment.serial;
    let program = super::super::program();
    let zone = context.zone(enrolment.time_zone.as_deref(), Some(&enrolment.tenant));
    let address = enrolment.access.address.as_deref().unwrap_or_default();
    match error {
        NotSet::User(error) => context.say(Word::BadUser, &[error]),
        NotSet::Unreachable(detail) => context.say(
            Word::ConfigureUnreachable,
            &[&Escaped(address), &Escaped(detail)],
        ),
        NotSet::LoginRefused { until } => {
            context.say(Word::ConfigureLogin, &[&time::show(*until, &zone)])
        }
        NotSet::WrongDevice(named) => context.say(
            Word::ConfigureWrong,
            &[&Escaped(address), &Escaped(named), serial],
        ),
        NotSet::Setting(error) => context.say(Word::ConfigureBadHost, &[error]),
        NotSet::Refused(detail) => context.say(
            Word::ConfigureRefused,
            &[&Escaped(detail), &program, &enrolment.tenant, serial],
        ),
    }
}

fn page(
    differences: &[Difference],
    stored: bool,
    enrolment: &Enrolment,
    context: &Context,
) -> String {
    let serial = &enrolment.serial;
    let mut lines = Vec::new();
    for difference in differences {
        let wanted = context.lang.term(&difference.wanted);
        let found = context.lang.term(&difference.found);
        lines.push(context.say(
            Word::HasOtherwise,
            &[&difference.key, &Escaped(&wanted), &Escaped(&found)],
        ));
    }
    if stored {
        lines.push(context.say(Word::ConfigureDone, &[serial]));
    } else {
        let program = super::super::program();
        lines.push(context.say(Word::ConfigureNot, &[&program, &enrolment.tenant, serial]));
    }
    if stored && differences.iter().any(|difference| difference.key == "url") {
        lines.push(context.say(Word::ConfigureNoPath, &[]));
    }
    if stored {
        lines.push(context.say(Word::Noticed, &[]));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn found_json(
    enrolment: &Enrolment,
    differences: &[Difference],
    stored: bool,
) -> serde_json::Value {
    let listed = differences.iter().map(|difference| {
        json!({ "key": difference.key, "wanted": difference.wanted, "found": difference.found })
    });
    let keeps_path = differences.iter().all(|difference| difference.key != "url");
    json!({
        "serial": enrolment.serial.as_str(),
        "stored": stored,
        "keeps_path": keeps_path,
        "differences": listed.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{DeviceId, Millis, TenantId};

    #[test]
    fn every_refusal_names_the_next_step_and_a_lost_path_is_said_loudly() {
        let context = Context::for_tests();
        let enrolment = Enrolment {
            id: DeviceId([1; 16]),
            vendor: Vendor::Hikvision,
            serial: Serial::new("HIK0000001").unwrap(),
            tenant: TenantId::new("main").unwrap(),
            state: EnrolmentState::Approved,
            name: None,
            site: None,
            time_zone: None,
            canary: false,
            accept_from: None,
            created_at: Millis(0),
            access: Access::default(),
        };
        let refused = NotSet::Refused("403 Forbidden".to_owned());
        assert!(told(&refused, &enrolment, &context).contains("--listen"));
        let locked = NotSet::LoginRefused { until: Millis(0) };
        assert!(told(&locked, &enrolment, &context).contains("until"));
        let url = Difference {
            key: "url",
            wanted: "the path with the token".to_owned(),
            found: "nothing: the device does not keep it".to_owned(),
        };
        let text = page(std::slice::from_ref(&url), true, &enrolment, &context);
        assert!(text.contains("does not keep the path"), "{text}");
        let text = page(&[url], false, &enrolment, &context);
        assert!(text.contains("Nothing was changed here"), "{text}");
        assert!(
            account(&enrolment, &context)
                .unwrap_err()
                .to_string()
                .contains("--address")
        );
    }
}
