//! Figures that are looked up when somebody asks for `/metrics`, rather than counted.
//!
//! Everything comes from memory; nothing here waits for a database.

use std::collections::HashMap;

use event::TenantId;

use crate::clock;
use crate::conditions::Condition;
use crate::door::Transport;
use crate::hub::Hub;
use crate::tries::Try;

/// Sets them all.
pub(super) fn set(hub: &Hub) {
    let metrics = &hub.metrics;
    stores(hub);
    tenants(hub);
    outputs(hub);
    inputs(hub);
    terminals(hub);
    alarms(hub);
    let ends = hub.tls.as_ref().map_or(0, |tls| tls.ends().0 / 1000);
    metrics.certificate_ends.set(ends);
    metrics.journal.set(gauge(hub.journal.waiting().events));
    metrics.pending.set(gauge(hub.devices.pending()));
    metrics.connections.set(gauge(hub.crowd.connections()));
}

fn stores(hub: &Hub) {
    let metrics = &hub.metrics;
    for store in hub.stores.load().list() {
        let (report, label) = (store.writer.report(), [store.label.as_str()]);
        let up = i64::from(report.up);
        metrics.store_up.with_label_values(&label).set(up);
        let waiting = report.oldest_waiting.unwrap_or_default().as_secs_f64();
        let oldest = metrics.oldest_waiting.with_label_values(&label);
        oldest.set(waiting);
        let ambiguous = metrics.ambiguous.with_label_values(&label);
        ambiguous.set(gauge(report.ambiguous_commits));
    }
}

fn outputs(hub: &Hub) {
    let (metrics, now) = (&hub.metrics, clock::now());
    for output in &hub.config.load().outputs {
        let labels = [output.tenant.as_str(), output.name.as_str()];
        let status = hub.outputs.status(output, now);
        let lag = metrics.output_lag.with_label_values(&labels);
        lag.set(status.lag_seconds);
        let standing = metrics.output_standing.with_label_values(&labels);
        standing.set(i64::from(status.state == "standing"));
    }
}

fn inputs(hub: &Hub) {
    let now = clock::now();
    for input in &hub.config.load().inputs {
        let labels = [input.tenant.as_str(), input.name.as_str()];
        let is_up = crate::inputs::status(hub, input, now).state == "fine";
        let up = hub.metrics.input_up.with_label_values(&labels);
        up.set(i64::from(is_up));
    }
}

fn tenants(hub: &Hub) {
    let counts = hub.devices.count(clock::now());
    for tenant in &hub.config.load().tenants {
        let count = counts.get(&tenant.id).copied().unwrap_or_default();
        let states = [
            ("approved", count.approved),
            ("blocked", count.blocked),
            ("online", count.online),
            ("quiet", count.quiet),
        ];
        for (state, n) in states {
            let labels = [tenant.id.as_str(), state];
            let devices = hub.metrics.devices.with_label_values(&labels);
            devices.set(gauge(n));
        }
    }
}

/// What is counted over all terminals but canaries.
fn terminals(hub: &Hub) {
    let metrics = &hub.metrics;
    let mut conditions: HashMap<Condition, usize> = HashMap::new();
    let mut plain: HashMap<TenantId, usize> = HashMap::new();
    let mut gaps: HashMap<TenantId, u64> = HashMap::new();
    let (mut lags, now): (HashMap<TenantId, u64>, _) = (HashMap::new(), clock::now());
    for known in hub.devices.all(|known| !known.enrolment.canary) {
        for (condition, _) in known.conditions().now() {
            *conditions.entry(condition).or_default() += 1;
        }
        let tenant = &known.enrolment.tenant;
        if known.is_approved() && known.facts().heard_over == Some(Transport::Plain) {
            *plain.entry(tenant.clone()).or_default() += 1;
        }
        if let Some(bringer) = known.edge().bringer().filter(|_| known.is_approved()) {
            let lag = lags.entry(tenant.clone()).or_default();
            *lag = (*lag).max(bringer.lag(now));
        }
        let missing = known.claim().1.unwrap_or(0);
        if missing > 0 {
            *gaps.entry(tenant.clone()).or_default() += missing;
        }
    }
    for condition in Condition::ALL {
        let n = conditions.get(&condition).copied().unwrap_or_default();
        let label = [condition.as_str()];
        let now = metrics.conditions_now.with_label_values(&label);
        now.set(gauge(n));
    }
    for tenant in &hub.config.load().tenants {
        let label = [tenant.id.as_str()];
        let n = gaps.get(&tenant.id).copied().unwrap_or_default();
        metrics.gaps.with_label_values(&label).set(gauge(n));
        let lag = lags.get(&tenant.id).copied().unwrap_or_default();
        let lag = std::time::Duration::from_secs(lag).as_secs_f64();
        metrics.edge_lag.with_label_values(&label).set(lag);
        let n = plain.get(&tenant.id).copied().unwrap_or_default();
        metrics
            .devices_plain
            .with_label_values(&label)
            .set(gauge(n));
    }
}

/// Attacks and lockdowns.
fn alarms(hub: &Hub) {
    let attacks = hub.refusals.attacks(clock::now());
    for kind in Try::ALL {
        let kind = kind.as_str();
        let n = attacks.iter().filter(|one| one.name == kind).count();
        let now = hub.metrics.attacks_now.with_label_values(&[kind]);
        now.set(gauge(n));
    }
    for tenant in &hub.config.load().tenants {
        let held = hub.is_locked(Some(&tenant.id));
        let label = [tenant.id.as_str()];
        let lockdown = hub.metrics.lockdown.with_label_values(&label);
        lockdown.set(i64::from(held));
    }
}

fn gauge(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}
