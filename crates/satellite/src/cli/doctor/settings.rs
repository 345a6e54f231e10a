//! The configuration: what it allows that the recommended one does not.

use std::path::Path;

use event::Millis;
use satellite::config::Unknown;

use super::words::Says;
use super::{Context, Findings};
use crate::cli::{now, time, words::Lang};

const DAY_MS: i64 = 24 * 3_600 * 1_000;
/// A certificate that ends sooner has not been renewed as it should.
const RENEW_DAYS: i64 = 14;

pub(super) fn look(context: &Context, findings: &mut Findings) {
    let config = &context.config;
    let Some(file) = &config.file else {
        let copy = "cp /usr/share/doc/satellite/examples/satellite.toml /etc/satellite/".to_owned();
        return findings.care(Says::BuiltIn, &[], copy);
    };
    let edit = || edit(context);
    findings.good(Says::Read, &[&file.display()]);
    if matches!(config.unknown, Unknown::Accept(_)) {
        findings.care(Says::AcceptsAll, &[], edit());
    }
    if config.sentinel_guard.is_none() {
        findings.care(Says::NobodyWatches, &[], edit());
    }
    if !config.listen.admin.ip().is_loopback() {
        findings.care(Says::AdminOpen, &[&config.listen.admin], edit());
    }
    if config.listen.public_url.is_none() {
        findings.care(Says::NoPublicUrl, &[], edit());
    }
    certificate(context, findings, &edit());
}

/// Changes the configuration.
pub(super) fn edit(context: &Context) -> String {
    let usual = Path::new("/etc/satellite/satellite.toml");
    let file = context.config.file.as_deref().unwrap_or(usual).display();
    format!("${{EDITOR:-nano}} {file}; systemctl reload satellite")
}

/// The certificate of the door behind TLS, if there is one.
fn certificate(context: &Context, findings: &mut Findings, edit: &str) {
    match context.config.identity() {
        Ok(None) => {}
        Ok(Some(identity)) => lasts(identity.ends, now(), findings),
        Err(wrong) => {
            let said = match context.lang {
                Lang::Es => wrong.in_spanish(),
                Lang::En => wrong.to_string(),
            };
            findings.bad(Says::CertificateBad, &[&said], edit.to_owned());
        }
    }
}

fn lasts(ends: Millis, now: Millis, findings: &mut Findings) {
    let until = time::utc(ends);
    let renew = || "certbot renew; systemctl reload satellite".to_owned();
    if ends < now {
        findings.bad(Says::CertificateEnded, &[&until], renew());
    } else if ends_soon(ends, now) {
        findings.care(Says::CertificateEnds, &[&until], renew());
    } else {
        findings.good(Says::CertificateEnds, &[&until]);
    }
}

/// Whether a certificate should have been renewed by now.
pub(super) fn ends_soon(ends: Millis, now: Millis) -> bool {
    (ends.0 - now.0).div_euclid(DAY_MS) < RENEW_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Grade;

    #[test]
    fn a_certificate_that_ends_soon_needs_care_and_one_that_ended_is_bad() {
        let grade = |days: i64| {
            let mut findings = Findings::new(Lang::En);
            lasts(Millis(days * DAY_MS + 1), Millis(0), &mut findings);
            findings.list.first().map(|finding| finding.grade)
        };
        assert_eq!(grade(60), Some(Grade::Good));
        assert_eq!(grade(13), Some(Grade::Care));
        assert_eq!(grade(-1), Some(Grade::Bad));
    }
}
