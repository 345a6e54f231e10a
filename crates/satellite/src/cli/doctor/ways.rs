//! The other sides: the satellite that this one is an edge of, and the brokers of outputs and inputs.
//!
//! Each is reached as the daemon reaches it, under a name of its own or with nothing to hand over, so
//! that no session is disturbed and no event moves. How far deliveries have come is told with the
//! service, because only that knows it.

use std::fmt::Display;

use event::Millis;
use satellite::broker::{self, Away};
use satellite::config::{Edge, Link, Receiver};
use satellite::outputs::{Looked, Unfit, look_at_edge};
use satellite::tls;

use super::words::Says;
use super::{Context, Findings, settings};
use crate::cli::words::Speaks as _;
use crate::cli::{now, time};

/// Further off than this, an edge and the cloud do not speak of the same minute.
const CLOCK_OFF_MS: u64 = 60_000;

pub(super) async fn look(context: &Context, findings: &mut Findings) {
    for output in &context.config.outputs {
        match &output.to {
            Receiver::Edge(cloud) => {
                let looked = look_at_edge(cloud).await;
                edge(context, cloud, looked, findings.about("edge"));
            }
            Receiver::Mqtt(to) => {
                let looked = broker::look(&to.link).await;
                broker(context, &to.link, looked, findings.about(&output.name));
            }
            // Nothing can be asked of these without handing them an event; a table and a folder
            // are looked at by `check --connect`.
            Receiver::Webhook(_)
            | Receiver::Forward(_)
            | Receiver::Table(_)
            | Receiver::Folder(_) => {}
        }
    }
    for input in &context.config.inputs {
        let looked = broker::look(&input.link).await;
        broker(context, &input.link, looked, findings.about(&input.name));
    }
}

fn edge(context: &Context, cloud: &Edge, looked: Result<Looked, Unfit>, findings: &mut Findings) {
    let place = format!("{}:{}", cloud.to.host(), cloud.to.port());
    match looked {
        Ok(seen) => {
            findings.good(Says::CloudKnowsUs, &[&place]);
            agrees(&seen, &place, now(), findings);
        }
        Err(Unfit::Token) => {
            let rotate =
                "satellite devices rotate-token …; $EDITOR /etc/satellite/secrets/edge-token";
            findings.bad(Says::TokenUnknown, &[&place], rotate.to_owned());
        }
        Err(why) => {
            let mend = if why.is_about_the_certificate() {
                certificate(&place)
            } else {
                format!("curl -v {}", cloud.to.join("/"))
            };
            let why = context.lang.detail(&why.to_string());
            findings.bad(Says::CloudAway, &[&place, &why], mend);
        }
    }
}

/// The certificate and the clock of a satellite that takes what we bring.
fn agrees(seen: &Looked, place: &dyn Display, now: Millis, findings: &mut Findings) {
    if let Some((_, ends)) = seen.certificate.as_deref().and_then(tls::validity) {
        let until = time::utc(ends);
        let renew = "certbot renew; systemctl reload satellite".to_owned();
        if settings::ends_soon(ends, now) {
            findings.care(Says::CloudCertificateEnds, &[place, &until], renew);
        } else {
            findings.good(Says::CloudCertificateEnds, &[place, &until]);
        }
    }
    let off = seen.clock.map_or(0, |clock| clock.0.abs_diff(now.0));
    if off > CLOCK_OFF_MS {
        let sync = "timedatectl set-ntp true; timedatectl status".to_owned();
        findings.care(Says::CloudClockOff, &[place, &(off / 1_000)], sync);
    }
}

fn broker(context: &Context, link: &Link, looked: Result<(), Away>, findings: &mut Findings) {
    let place = link.place();
    match looked {
        Ok(()) => findings.good(Says::BrokerLetsUsIn, &[&place]),
        Err(away) => {
            let mend = match &away {
                Away::Refused(_) => settings::edit(context),
                Away::Unreached(_) if link.url.is_encrypted() => certificate(&place),
                Away::Unreached(_) => format!("nc -vz {} {}", link.url.host(), link.url.port()),
            };
            let why = context.lang.detail(&away.to_string());
            findings.bad(Says::BrokerAway, &[&place, &why], mend);
        }
    }
}

/// Shows whose certificate is offered there, by whom it was issued, and when it ends.
fn certificate(place: &str) -> String {
    format!(
        "openssl s_client -connect {place} </dev/null | openssl x509 -noout -subject -issuer -dates"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Grade;
    use crate::cli::words::Lang;

    #[test]
    fn a_clouds_certificate_that_ends_within_days_needs_care() {
        let mut own = rcgen::CertificateParams::new(Vec::new()).unwrap();
        own.not_after = rcgen::date_time_ymd(2026, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = own.self_signed(&key).unwrap().der().to_vec();
        let (_, ends) = tls::validity(&der).unwrap();
        let grade = |days: i64| {
            let mut findings = Findings::new(Lang::En);
            let seen = Looked {
                certificate: Some(der.clone()),
                clock: None,
            };
            let now = Millis(ends.0 - days * 24 * 3_600_000);
            agrees(&seen, &"cloud:443", now, &mut findings);
            findings.list.first().map(|finding| finding.grade)
        };
        assert_eq!(
            [grade(60), grade(13)],
            [Some(Grade::Good), Some(Grade::Care)]
        );
    }

    #[test]
    fn a_cloud_of_another_minute_needs_care_and_one_of_the_same_does_not() {
        let found = |clock: Option<i64>| {
            let mut findings = Findings::new(Lang::En);
            let seen = Looked {
                certificate: None,
                clock: clock.map(Millis),
            };
            agrees(&seen, &"cloud:443", Millis(1_000_000), &mut findings);
            findings.list.first().map(|finding| finding.grade)
        };
        assert_eq!([found(None), found(Some(1_059_000))], [None, None]);
        assert_eq!(found(Some(939_000)), Some(Grade::Care));
    }
}
