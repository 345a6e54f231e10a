//! The configuration: what it allows that the recommended one does not.

use satellite::config::Unknown;

use super::words::Says;
use super::{Context, Findings};

pub(super) fn look(context: &Context, findings: &mut Findings) {
    let config = &context.config;
    let Some(file) = &config.file else {
        let copy = "cp /usr/share/doc/satellite/examples/satellite.toml /etc/satellite/".to_owned();
        return findings.care(Says::BuiltIn, &[], copy);
    };
    let edit = || {
        format!(
            "${{EDITOR:-nano}} {}; systemctl reload satellite",
            file.display()
        )
    };
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
}
