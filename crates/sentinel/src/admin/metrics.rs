//! `/metrics`: what the loop shows, as Prometheus reads it. Few series, whatever is watched.

use jiff::Timestamp;
use prometheus::{
    Encoder as _, GaugeVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::kind::{Class, Severity};
use crate::run::Snapshot;

/// The whole page. Its figures are copied out of the snapshot, so that a scrape never meets
/// half of a change.
pub(super) fn text(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    let up = gauges(
        &registry,
        "sentinel_check_up",
        "1 when everything that the check saw was fine.",
        &["check"],
    )?;
    let known = gauges(
        &registry,
        "sentinel_check_known",
        "0 while the check knows nothing.",
        &["check"],
    )?;
    let took = floats(
        &registry,
        "sentinel_check_seconds",
        "How long the last round of the check took.",
        &["check"],
    )?;
    for (name, check) in snapshot.checks.iter() {
        up.with_label_values(&[name]).set(i64::from(check.up));
        known.with_label_values(&[name]).set(i64::from(check.known));
        took.with_label_values(&[name]).set(check.took_seconds);
    }
    canaries(&registry, snapshot)?;
    let open = gauges(
        &registry,
        "sentinel_incidents_open",
        "Incidents that are not closed.",
        &["class", "severity"],
    )?;
    for class in Class::ALL {
        for severity in Severity::ALL {
            let count = snapshot
                .incidents
                .iter()
                .filter(|it| it.class == class && it.severity == severity);
            open.with_label_values(&[class.as_str(), severity.as_str()])
                .set(number(count.count()));
        }
    }
    let silent = gauges(
        &registry,
        "sentinel_silent_devices",
        "Terminals whose usual punches are missing.",
        &["tenant"],
    )?;
    for (tenant, count) in &snapshot.silent {
        silent.with_label_values(&[tenant]).set(number(*count));
    }
    mail(&registry, snapshot)?;
    let healthy = IntGauge::new("sentinel_healthy", "1 while the self-test passes.")?;
    healthy.set(i64::from(snapshot.self_test(Timestamp::now()).is_empty()));
    registry.register(Box::new(healthy))?;
    let build = gauges(
        &registry,
        "sentinel_build_info",
        "The running version.",
        &["version"],
    )?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    process(&registry)?;
    let mut bytes = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut bytes)?;
    String::from_utf8(bytes).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// Memory, processor time and open files of this process.
#[cfg(target_os = "linux")]
fn process(registry: &Registry) -> Result<(), prometheus::Error> {
    let own = prometheus::process_collector::ProcessCollector::for_self();
    registry.register(Box::new(own))
}

#[cfg(not(target_os = "linux"))]
fn process(_: &Registry) -> Result<(), prometheus::Error> {
    Ok(())
}

fn canaries(registry: &Registry, snapshot: &Snapshot) -> Result<(), prometheus::Error> {
    let seconds = floats(
        registry,
        "sentinel_canary_seconds",
        "From the canary's punch to its row.",
        &["check"],
    )?;
    for (name, took) in &snapshot.canary_seconds {
        seconds.with_label_values(&[name]).set(*took);
    }
    let success = floats(
        registry,
        "sentinel_canary_last_success_timestamp_seconds",
        "When the canary's punch was last read back.",
        &["check"],
    )?;
    for (name, at) in &snapshot.canary_success {
        success
            .with_label_values(&[name])
            .set(at.as_duration().as_secs_f64());
    }
    Ok(())
}

fn mail(registry: &Registry, snapshot: &Snapshot) -> Result<(), prometheus::Error> {
    for (name, help, count) in [
        (
            "sentinel_mail_sent_total",
            "Letters that were delivered.",
            snapshot.figures.sent,
        ),
        (
            "sentinel_mail_failed_total",
            "Letters that were given up.",
            snapshot.figures.failed,
        ),
    ] {
        let counter = IntCounter::new(name, help)?;
        counter.inc_by(count);
        registry.register(Box::new(counter))?;
    }
    let oldest = prometheus::Gauge::new(
        "sentinel_mail_queue_oldest_seconds",
        "Age of the oldest letter that waits.",
    )?;
    oldest.set(snapshot.figures.oldest.unwrap_or_default().as_secs_f64());
    registry.register(Box::new(oldest))?;
    let waiting = IntGauge::new("sentinel_mail_queue", "Letters that wait.")?;
    waiting.set(snapshot.figures.waiting.try_into().unwrap_or(i64::MAX));
    registry.register(Box::new(waiting))
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn floats(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<GaugeVec, prometheus::Error> {
    let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn number(count: usize) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
