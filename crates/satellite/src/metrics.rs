//! The daemon's figures, under the names of the outside contract.
//!
//! Every series that can be known beforehand exists from the start with a zero, because an
//! alert on a counter that appears only with its first increment never fires. Labels are
//! tenants, routes, reasons and stores: never a serial, never an address.

use std::time::Duration;

use event::{Reason, Route};
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use store::command::CommandState;
use zkteco_push::Refusal;

use crate::again::Outcome;
use crate::conditions::Condition;
use crate::config::Config;
use crate::door::{HandshakeFailed, TLS_VERSIONS, TOKEN_REASONS};
use crate::hikvision::ISUP_REASONS;
use crate::inputs::RESULTS;
use crate::tries::Try;

/// Why the door let go of a connection, beside the protocol's own refusals.
pub(crate) const DOOR_REASONS: [&str; 11] = [
    "connections",
    "connections_per_address",
    "header_timeout",
    "body_timeout",
    "write_timeout",
    "head_too_large",
    "head_unreadable",
    "tls",
    "tls_handshake",
    "requests_per_address",
    "requests_per_serial",
];

/// The ways by which events come in.
const ROUTES: [Route; 5] = [
    Route::Push,
    Route::Stream,
    Route::Listen,
    Route::Poll,
    Route::Backfill,
];

/// All figures.
pub struct Metrics {
    registry: Registry,
    /// Events that arrived, also again.
    pub(crate) received: IntCounterVec,
    /// Events that became rows.
    pub(crate) committed: IntCounterVec,
    /// Events that were rows already.
    pub(crate) duplicate: IntCounterVec,
    /// Events from before the enrolment.
    pub(crate) before_enrolment: IntCounterVec,
    /// Records that went to quarantine.
    pub(crate) quarantined: IntCounterVec,
    /// Requests and connections that were refused.
    pub(crate) refused: IntCounterVec,
    /// Records acknowledged and not kept: people, templates, pictures.
    pub(crate) dropped: IntCounter,
    /// From the head of an upload to its positive answer.
    pub(crate) ack: Histogram,
    /// One transaction.
    pub(crate) commit: Histogram,
    /// 1 while a store takes events.
    pub(crate) store_up: IntGaugeVec,
    /// Commits whose answer was lost.
    pub(crate) ambiguous: IntGaugeVec,
    /// Age of the oldest submission that waits, over all stores.
    pub(crate) oldest_waiting: GaugeVec,
    /// Terminals by tenant and state.
    pub(crate) devices: IntGaugeVec,
    /// Events known to be missing.
    pub(crate) gaps: IntGaugeVec,
    /// Terminals that wait for approval.
    pub(crate) pending: IntGauge,
    /// Connections of terminals.
    pub(crate) connections: IntGauge,
    /// Connections ended because nothing came for the idle time.
    pub(crate) idle_closed: IntCounter,
    /// New epochs of a feed.
    pub(crate) epochs: IntCounterVec,
    /// Readings of the configuration on request.
    pub(crate) reloads: IntCounterVec,
    /// Events that wait in the journal.
    pub(crate) journal: IntGauge,
    /// Events stored because they were asked for again.
    pub(crate) backfilled: IntCounter,
    /// Parts of streams that could not be read.
    pub(crate) stream_faults: IntCounter,
    /// Bytes of posts that are kept nowhere.
    pub(crate) post_bytes_dropped: IntCounter,
    /// Conditions of devices that began.
    conditions: IntCounterVec,
    /// Devices for which a condition holds.
    pub(crate) conditions_now: IntGaugeVec,
    /// Commands to terminals that have not ended.
    commands_open: IntGauge,
    /// Commands to terminals by how they ended.
    commands: IntCounterVec,
    /// Comparisons of terminals with what is stored, by what came of them.
    reconciliations: IntCounterVec,
    /// Handshakes that succeeded, by version.
    handshakes: IntCounterVec,
    /// Handshakes that came to nothing, by reason.
    handshakes_failed: IntCounterVec,
    /// New certificates, by whether they serve.
    certificates: IntCounterVec,
    /// When the certificate in force ends; 0 without one.
    pub(crate) certificate_ends: IntGauge,
    /// Terminals last heard over plain HTTP.
    pub(crate) devices_plain: IntGaugeVec,
    /// Attacks that began.
    pub(crate) attacks: IntCounterVec,
    /// Attacks that go on.
    pub(crate) attacks_now: IntGaugeVec,
    /// 1 while a lockdown holds.
    pub(crate) lockdown: IntGaugeVec,
    /// Events that a receiver has taken.
    pub(crate) output_events: IntCounterVec,
    /// Deliveries that did not get through.
    pub(crate) output_failures: IntCounterVec,
    /// Events that became dead letters.
    pub(crate) output_dead: IntCounterVec,
    /// Age of the oldest event that a receiver does not have.
    pub(crate) output_lag: GaugeVec,
    /// 1 while an output stands still.
    pub(crate) output_standing: IntGaugeVec,
    /// Messages of an input that were acknowledged, by what became of them.
    pub(crate) input_messages: IntCounterVec,
    /// Connections of an input that failed.
    pub(crate) input_failures: IntCounterVec,
    /// 1 while an input listens.
    pub(crate) input_up: IntGaugeVec,
    /// Age of the oldest event that an edge has not delivered, the worst of a tenant's edges.
    pub(crate) edge_lag: GaugeVec,
    /// Signs of life that the program that ran before did not get.
    pub(crate) signs_left_out: IntCounterVec,
    /// Tasks that ended in a panic.
    pub(crate) panics: IntCounter,
}

/// Registers a collector. Names and labels are fixed in this file, so that a clash would show
/// in every test; the collector then still works and is only not exported.
fn put<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    match made {
        Ok(collector) => {
            if let Err(error) = registry.register(Box::new(collector.clone())) {
                tracing::error!(%error, "a metric is not exported");
            }
            collector
        }
        Err(error) => unreachable!("a fixed metric has a valid name: {error}"),
    }
}

/// Every metric with its help text.
const HELP: [(&str, &str); 48] = [
    ("build_info", "Version of the running program."),
    (
        "events_received_total",
        "Events read from terminals, repeated ones included.",
    ),
    ("events_committed_total", "Events that became rows."),
    ("events_duplicate_total", "Events that were stored already."),
    (
        "before_enrolment_total",
        "Events older than their terminal's enrolment accepts, not stored.",
    ),
    ("quarantined_total", "Records set aside raw."),
    ("refused_total", "Requests and connections refused."),
    (
        "records_dropped_total",
        "Records of people, templates, pictures, rules and door states, acknowledged and not kept.",
    ),
    (
        "ack_seconds",
        "From the head of an upload to its positive answer.",
    ),
    ("commit_seconds", "One transaction of a store."),
    ("store_up", "1 while the store takes events."),
    (
        "ambiguous_commits",
        "Commits since the start whose answer was lost.",
    ),
    (
        "oldest_waiting_seconds",
        "Age of the oldest submission waiting for the store.",
    ),
    ("devices", "Terminals by tenant and state."),
    (
        "devices_pending",
        "Terminals that nobody enrolled and that wait for approval.",
    ),
    ("connections", "Open connections of terminals."),
    (
        "idle_closed_total",
        "Connections ended because no request came for the idle time.",
    ),
    ("feed_epochs_total", "New epochs opened in a store's feed."),
    (
        "config_reloads_total",
        "Readings of the configuration on request, by result.",
    ),
    (
        "panics_total",
        "Requests that ended in a fault of this program.",
    ),
    (
        "device_gap_events",
        "Events known to be missing, by tenant.",
    ),
    (
        "journal_events",
        "Events that wait in the journal for their store.",
    ),
    (
        "backfill_events_total",
        "Events stored because they were asked for again.",
    ),
    (
        "stream_faults_total",
        "Parts of live streams that could not be read.",
    ),
    (
        "post_bytes_dropped_total",
        "Bytes of posts that were beyond all measure and are kept nowhere.",
    ),
    (
        "device_conditions_total",
        "Conditions of devices that began, by their name.",
    ),
    (
        "device_conditions",
        "Devices for which a condition holds, by its name.",
    ),
    (
        "commands_open",
        "Commands to terminals that have not ended.",
    ),
    (
        "reconciliations_total",
        "Comparisons of terminals with what is stored, by what came of them.",
    ),
    (
        "commands_total",
        "Commands to terminals that ended, by how they did.",
    ),
    (
        "tls_handshakes_total",
        "TLS handshakes that succeeded, by version.",
    ),
    (
        "tls_handshakes_failed_total",
        "TLS handshakes that came to nothing, by reason.",
    ),
    (
        "tls_certificates_total",
        "New certificates found while running, by whether they serve.",
    ),
    (
        "tls_certificate_end_timestamp_seconds",
        "When the certificate in force ends; 0 without one.",
    ),
    (
        "attacks_total",
        "Attacks that began: many different tokens or serials tried.",
    ),
    ("attacks", "Attacks that go on, by kind."),
    (
        "lockdown",
        "1 while commands, enrolments and outputs are stopped.",
    ),
    (
        "output_events_total",
        "Events that the receiver of an output has taken.",
    ),
    (
        "output_failures_total",
        "Deliveries of an output that did not get through and are repeated.",
    ),
    (
        "output_dead_letters_total",
        "Events that a receiver refused for good or did not take in time.",
    ),
    (
        "output_lag_seconds",
        "Age of the oldest event that the receiver does not have.",
    ),
    (
        "edge_lag_seconds",
        "Age of the oldest event that an edge has not delivered, the worst of the tenant's edges.",
    ),
    (
        "forward_signs_left_out_total",
        "Greetings and polls that were not repeated to the receiver of forward_to.",
    ),
    (
        "output_standing",
        "1 while nothing has got through for ten minutes.",
    ),
    (
        "input_messages_total",
        "Messages of an input that were acknowledged, by what became of them.",
    ),
    (
        "input_failures_total",
        "Connections of an input that failed or were not had.",
    ),
    ("input_up", "1 while an input listens to its broker."),
    (
        "devices_plain",
        "Approved terminals whose last request came over plain HTTP.",
    ),
];

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn opts(name: &str) -> Opts {
        let help = HELP.iter().find(|(known, _)| *known == name);
        Opts::new(
            format!("satellite_{name}"),
            help.map_or("", |(_, help)| *help),
        )
    }

    fn counters(&self, name: &str, labels: &[&str]) -> IntCounterVec {
        put(self.0, IntCounterVec::new(Self::opts(name), labels))
    }

    fn counter(&self, name: &str) -> IntCounter {
        put(self.0, IntCounter::with_opts(Self::opts(name)))
    }

    fn gauges(&self, name: &str, labels: &[&str]) -> IntGaugeVec {
        put(self.0, IntGaugeVec::new(Self::opts(name), labels))
    }

    fn gauge(&self, name: &str) -> IntGauge {
        put(self.0, IntGauge::with_opts(Self::opts(name)))
    }

    fn ages(&self, name: &str, labels: &[&str]) -> GaugeVec {
        put(self.0, GaugeVec::new(Self::opts(name), labels))
    }

    fn seconds(&self, name: &str) -> Histogram {
        let buckets = vec![
            0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ];
        let opts = HistogramOpts {
            common_opts: Self::opts(name),
            buckets,
        };
        put(self.0, Histogram::with_opts(opts))
    }
}

impl Metrics {
    /// All series at zero, for the tenants and stores of `config`.
    pub fn new(config: &Config) -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let (by_tenant, store) = (["tenant", "route"], ["store"]);
        let by_output = ["tenant", "output"];
        let build = make.gauges("build_info", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            received: make.counters("events_received_total", &by_tenant),
            committed: make.counters("events_committed_total", &by_tenant),
            duplicate: make.counters("events_duplicate_total", &by_tenant),
            before_enrolment: make.counters("before_enrolment_total", &["tenant"]),
            quarantined: make.counters("quarantined_total", &["reason"]),
            refused: make.counters("refused_total", &["reason"]),
            dropped: make.counter("records_dropped_total"),
            ack: make.seconds("ack_seconds"),
            commit: make.seconds("commit_seconds"),
            store_up: make.gauges("store_up", &store),
            ambiguous: make.gauges("ambiguous_commits", &store),
            oldest_waiting: make.ages("oldest_waiting_seconds", &store),
            devices: make.gauges("devices", &["tenant", "state"]),
            gaps: make.gauges("device_gap_events", &["tenant"]),
            pending: make.gauge("devices_pending"),
            connections: make.gauge("connections"),
            idle_closed: make.counter("idle_closed_total"),
            epochs: make.counters("feed_epochs_total", &store),
            reloads: make.counters("config_reloads_total", &["result"]),
            journal: make.gauge("journal_events"),
            backfilled: make.counter("backfill_events_total"),
            stream_faults: make.counter("stream_faults_total"),
            post_bytes_dropped: make.counter("post_bytes_dropped_total"),
            conditions: make.counters("device_conditions_total", &["condition"]),
            conditions_now: make.gauges("device_conditions", &["condition"]),
            commands_open: make.gauge("commands_open"),
            commands: make.counters("commands_total", &["state"]),
            reconciliations: make.counters("reconciliations_total", &["result"]),
            handshakes: make.counters("tls_handshakes_total", &["version"]),
            handshakes_failed: make.counters("tls_handshakes_failed_total", &["reason"]),
            certificates: make.counters("tls_certificates_total", &["result"]),
            certificate_ends: make.gauge("tls_certificate_end_timestamp_seconds"),
            devices_plain: make.gauges("devices_plain", &["tenant"]),
            attacks: make.counters("attacks_total", &["kind"]),
            attacks_now: make.gauges("attacks", &["kind"]),
            lockdown: make.gauges("lockdown", &["tenant"]),
            output_events: make.counters("output_events_total", &by_output),
            output_failures: make.counters("output_failures_total", &by_output),
            output_dead: make.counters("output_dead_letters_total", &by_output),
            output_lag: make.ages("output_lag_seconds", &by_output),
            output_standing: make.gauges("output_standing", &by_output),
            input_messages: make.counters("input_messages_total", &["tenant", "input", "result"]),
            input_failures: make.counters("input_failures_total", &["tenant", "input"]),
            input_up: make.gauges("input_up", &["tenant", "input"]),
            edge_lag: make.ages("edge_lag_seconds", &["tenant"]),
            signs_left_out: make.counters("forward_signs_left_out_total", &["tenant"]),
            panics: make.counter("panics_total"),
            registry: registry.clone(),
        };
        add_process(&registry);
        metrics.prepare(config);
        metrics
    }

    /// Makes the series that follow from a configuration, also one that was just reloaded.
    pub(crate) fn prepare(&self, config: &Config) {
        for tenant in &config.tenants {
            for route in ROUTES {
                let labels = [tenant.id.as_str(), route.as_str()];
                for family in [&self.received, &self.committed, &self.duplicate] {
                    family.with_label_values(&labels);
                }
            }
            self.before_enrolment
                .with_label_values(&[tenant.id.as_str()]);
            self.gaps.with_label_values(&[tenant.id.as_str()]);
            self.devices_plain.with_label_values(&[tenant.id.as_str()]);
            self.lockdown.with_label_values(&[tenant.id.as_str()]);
            self.signs_left_out.with_label_values(&[tenant.id.as_str()]);
            self.edge_lag.with_label_values(&[tenant.id.as_str()]);
            for state in ["approved", "blocked", "online", "quiet"] {
                self.devices.with_label_values(&[tenant.id.as_str(), state]);
            }
        }
        self.prepare_outputs(config);
        self.prepare_inputs(config);
        for (label, _) in config.stores() {
            self.store_up.with_label_values(&[label.as_str()]);
            self.oldest_waiting.with_label_values(&[label.as_str()]);
            self.ambiguous.with_label_values(&[label.as_str()]);
            self.epochs.with_label_values(&[label.as_str()]);
        }
        for reason in Reason::ALL {
            self.quarantined.with_label_values(&[reason.as_str()]);
        }
        for reason in Refusal::ALL {
            self.refused.with_label_values(&[reason.as_str()]);
        }
        for state in CommandState::ALL
            .into_iter()
            .filter(|state| !state.is_open())
        {
            self.commands.with_label_values(&[state.as_str()]);
        }
        for outcome in Outcome::ALL {
            self.reconciliations.with_label_values(&[outcome.as_str()]);
        }
        for condition in Condition::ALL {
            self.conditions.with_label_values(&[condition.as_str()]);
            self.conditions_now.with_label_values(&[condition.as_str()]);
        }
        for reason in DOOR_REASONS
            .iter()
            .chain(&TOKEN_REASONS)
            .chain(&ISUP_REASONS)
        {
            self.refused.with_label_values(&[reason]);
        }
        for kind in Try::ALL {
            self.attacks.with_label_values(&[kind.as_str()]);
            self.attacks_now.with_label_values(&[kind.as_str()]);
        }
        for version in TLS_VERSIONS {
            self.handshakes.with_label_values(&[version]);
        }
        for reason in HandshakeFailed::ALL {
            self.handshakes_failed.with_label_values(&[reason.as_str()]);
        }
        for result in ["ok", "failed"] {
            self.certificates.with_label_values(&[result]);
            self.reloads.with_label_values(&[result]);
        }
    }

    fn prepare_outputs(&self, config: &Config) {
        for output in &config.outputs {
            let labels = [output.tenant.as_str(), output.name.as_str()];
            for family in [
                &self.output_events,
                &self.output_failures,
                &self.output_dead,
            ] {
                family.with_label_values(&labels);
            }
            self.output_lag.with_label_values(&labels);
            self.output_standing.with_label_values(&labels);
        }
    }

    fn prepare_inputs(&self, config: &Config) {
        for input in &config.inputs {
            let labels = [input.tenant.as_str(), input.name.as_str()];
            self.input_failures.with_label_values(&labels);
            self.input_up.with_label_values(&labels);
            for result in RESULTS {
                let [tenant, name] = labels;
                self.input_messages
                    .with_label_values(&[tenant, name, result]);
            }
        }
    }

    /// So many commands have not ended.
    pub(crate) fn commands_open(&self, open: usize) {
        self.commands_open
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// A command ended in that state.
    pub(crate) fn command_ended(&self, state: CommandState) {
        self.commands.with_label_values(&[state.as_str()]).inc();
    }

    /// A terminal was compared with what is stored.
    pub(crate) fn reconciled(&self, outcome: Outcome) {
        self.reconciliations
            .with_label_values(&[outcome.as_str()])
            .inc();
    }

    /// A TLS handshake succeeded.
    pub(crate) fn handshake(&self, version: &'static str) {
        self.handshakes.with_label_values(&[version]).inc();
    }

    /// A TLS handshake came to nothing.
    pub(crate) fn handshake_failed(&self, why: HandshakeFailed) {
        self.handshakes_failed
            .with_label_values(&[why.as_str()])
            .inc();
    }

    /// A new certificate was found.
    pub(crate) fn certificate_taken(&self, serves: bool) {
        let result = if serves { "ok" } else { "failed" };
        self.certificates.with_label_values(&[result]).inc();
    }

    /// A condition of a device began.
    pub(crate) fn condition(&self, condition: Condition) {
        self.conditions
            .with_label_values(&[condition.as_str()])
            .inc();
    }

    /// Remembers how long an acknowledgement took.
    pub(crate) fn acked(&self, took: Duration) {
        self.ack.observe(took.as_secs_f64());
    }

    /// Everything in the text format of Prometheus.
    ///
    /// # Errors
    /// When a metric cannot be written, which its registration rules out.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(target_os = "linux")]
fn add_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    if let Err(error) = registry.register(Box::new(process)) {
        tracing::error!(%error, "the process's own figures are not exported");
    }
}

#[cfg(not(target_os = "linux"))]
fn add_process(_: &Registry) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_contract_is_there_from_the_start() {
        let text = Metrics::new(&Config::in_folder(std::path::Path::new("x")))
            .text()
            .unwrap();
        for name in [
            "satellite_build_info{version=",
            "satellite_events_received_total{route=\"push\",tenant=\"main\"} 0",
            "satellite_events_committed_total{route=\"push\",tenant=\"main\"} 0",
            "satellite_events_duplicate_total{route=\"push\",tenant=\"main\"} 0",
            "satellite_before_enrolment_total{tenant=\"main\"} 0",
            "satellite_quarantined_total{reason=\"bad_time\"} 0",
            "satellite_refused_total{reason=\"pending\"} 0",
            "satellite_refused_total{reason=\"body_timeout\"} 0",
            "satellite_ack_seconds_bucket",
            "satellite_commit_seconds_bucket",
            "satellite_store_up{store=\"store\"} 0",
            "satellite_oldest_waiting_seconds{store=\"store\"} 0",
            "satellite_journal_events 0",
            "satellite_devices{state=\"approved\",tenant=\"main\"} 0",
            "satellite_backfill_events_total 0",
            "satellite_device_gap_events{tenant=\"main\"} 0",
        ] {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
    }

    #[test]
    fn counters_end_in_total_and_every_help_is_a_sentence() {
        let text = Metrics::new(&Config::in_folder(std::path::Path::new("x")))
            .text()
            .unwrap();
        let ours = |line: &&str| line.contains(" satellite_");
        for line in text
            .lines()
            .filter(|line| line.starts_with("# HELP"))
            .filter(ours)
        {
            assert!(line.ends_with('.'), "{line}");
        }
        for line in text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .filter(ours)
        {
            assert_eq!(
                line.ends_with(" counter"),
                line.contains("_total "),
                "{line}"
            );
        }
    }
}
