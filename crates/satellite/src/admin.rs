//! The door for operators: `/metrics`, `/healthz`, `/readyz`, `/status`, `/devices`,
//! `/trace/SERIAL`.
//!
//! Everything here only reads, and answers from memory: a database that is down must not make
//! the page that says so hang. It listens on the loopback address by default and knows no
//! users; whoever opens it to a network puts a proxy before it.

mod conditions;
mod devices;
mod gauges;
mod hikvision;
mod pull;
mod totals;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use event::{Serial, Vendor};
use serde::Serialize;
use store::lockdown::Lockdown;
use tokio::net::TcpListener;

use crate::clock;
use crate::devices::Count;
use crate::hub::Hub;
use crate::inputs::InputStatus;
use crate::outputs::OutputStatus;
use crate::refusals::Refused;
use crate::stores::Store;
use crate::tls::Tls;
use crate::trace::Way;
use crate::tries::Attack;

pub use crate::copies::CopiesStatus;
pub use conditions::{ConditionStatus, DeviceConditions};
pub use devices::{DeviceStatus, Devices};
pub use hikvision::HikvisionStatus;
pub use pull::PullStatus;
pub use totals::{JournalStatus, Totals};

/// What `/status` answers.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The running version.
    pub version: &'static str,
    /// Since the start.
    pub uptime_seconds: u64,
    /// When it was started, UTC: another one means a restart.
    pub started_at: String,
    /// False while the clock is known to be wrong.
    pub clock_synchronised: bool,
    /// Each database once.
    pub stores: Vec<StoreStatus>,
    /// Each tenant of the configuration.
    pub tenants: Vec<TenantStatus>,
    /// Terminals that nobody enrolled and that wait for approval.
    pub pending: usize,
    /// Every enrolled device, whatever its vendor, of which an operator should hear something.
    pub conditions: Vec<DeviceConditions>,
    /// Every enrolled Hikvision device, by serial.
    pub hikvision: Vec<HikvisionStatus>,
    /// Every enrolled ZKTeco terminal that is dialled on port 4370, by serial.
    pub pull: Vec<PullStatus>,
    /// The door for terminals.
    pub door: DoorStatus,
    /// The door behind TLS; `null` without one.
    pub tls: Option<TlsStatus>,
    /// Every output of the configuration.
    pub outputs: Vec<OutputStatus>,
    /// Every input of the configuration.
    pub inputs: Vec<InputStatus>,
    /// What lockdowns hold.
    pub lockdown: Vec<LockdownStatus>,
    /// Attacks that go on.
    pub attacks: Vec<Attack>,
    /// How the copies of the databases stand; `null` where none are configured.
    pub backup: Option<CopiesStatus>,
    /// The stages of the work, and whether they move.
    pub stages: Vec<StageStatus>,
    /// What waits on disk for a store.
    pub journal: JournalStatus,
    /// Counted since the start.
    pub totals: Totals,
    /// The last refusals, newest last.
    pub recent_refusals: Vec<Refused>,
}

/// One database.
#[derive(Debug, Serialize)]
pub struct StoreStatus {
    /// `store`, or the tenant whose own it is.
    pub label: String,
    /// Its address, without a password.
    pub place: String,
    /// Whether it takes events.
    pub up: bool,
    /// What is wrong with it, in a word.
    pub trouble: Option<&'static str>,
    /// What is wrong with it, in the database's words.
    pub detail: Option<String>,
    /// Submissions that wait.
    pub waiting: usize,
    /// Age of the oldest of them.
    pub oldest_waiting_seconds: f64,
    /// Transactions since the start.
    pub commits: u64,
    /// Since the last of them; `null` before the first.
    pub last_commit_seconds: Option<f64>,
    /// Commits since the start whose answer was lost.
    pub ambiguous_commits: u64,
}

/// One tenant.
#[derive(Debug, Serialize)]
pub struct TenantStatus {
    /// Its name in the configuration.
    pub id: String,
    /// Its terminals, canaries left out.
    pub devices: DeviceCounts,
}

/// Terminals by state.
#[derive(Debug, Serialize)]
pub struct DeviceCounts {
    /// Enrolled.
    pub approved: usize,
    /// Always 0 here: a pending terminal has no tenant yet.
    pub pending: usize,
    /// Enrolled and shut out.
    pub blocked: usize,
    /// Heard within the last minutes.
    pub online: usize,
    /// Of senders of other makes: not heard within the last minutes, which is no fault.
    pub quiet: usize,
}

/// The door for terminals.
#[derive(Debug, Serialize)]
pub struct DoorStatus {
    /// Open connections.
    pub connections: usize,
    /// Bytes of bodies that may still come into memory.
    pub free_bytes: u64,
    /// Where terminals are awaited; `null` until the door is open.
    pub address: Option<SocketAddr>,
    /// The same behind TLS; `null` without one.
    pub tls_address: Option<SocketAddr>,
}

/// A lockdown that holds.
#[derive(Debug, Serialize)]
pub struct LockdownStatus {
    /// The tenant, or `*` for everything.
    pub scope: String,
    /// Since when, UTC.
    pub since: String,
    /// Who began it.
    pub actor: String,
}

/// The door behind TLS.
#[derive(Debug, Serialize)]
pub struct TlsStatus {
    /// When the certificate in force ends, UTC.
    pub certificate_ends_at: String,
    /// Why the certificate as it is on disk now does not serve, if it does not; an older one is in
    /// force then.
    pub trouble: Option<String>,
    /// The same in Spanish.
    pub trouble_es: Option<String>,
}

/// One stage of the work.
#[derive(Debug, Serialize)]
pub struct StageStatus {
    /// Its name.
    pub name: String,
    /// Pieces of work in it.
    pub waiting: usize,
    /// Since something last moved; 0 while nothing waits.
    pub quiet_seconds: f64,
    /// True when work waits and nothing moves.
    pub stalled: bool,
}

/// Serves until the task is dropped.
pub(crate) async fn run(hub: Arc<Hub>, listener: TcpListener) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/devices", get(some_devices))
        .route("/trace/{serial}", get(trace))
        .with_state(hub);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the operators' door closed");
    }
}

async fn metrics(State(hub): State<Arc<Hub>>) -> Response {
    gauges::set(&hub);
    match hub.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether work moves. A store that is down is no reason: its refusals are movement.
async fn healthz(State(hub): State<Arc<Hub>>) -> Response {
    let stalled: Vec<String> = hub
        .progress
        .report(Instant::now())
        .into_iter()
        .filter(|stage| stage.stalled)
        .map(|stage| stage.name.to_string())
        .collect();
    if stalled.is_empty() {
        "fine\n".into_response()
    } else {
        let text = format!("work waits and nothing moves in: {}\n", stalled.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

/// Whether terminals can be served. This page exists only after the door was opened.
async fn readyz(State(hub): State<Arc<Hub>>) -> Response {
    let reason = if hub.drain.token().is_cancelled() {
        "satellite is ending\n"
    } else if hub.devices.is_loaded() {
        return "ready\n".into_response();
    } else {
        "the enrolled terminals are not known: the registry does not answer and there is no copy of it yet\n"
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn status(State(hub): State<Arc<Hub>>) -> Json<Status> {
    let counts = hub.devices.count(clock::now());
    let tenants = hub
        .config
        .load()
        .tenants
        .iter()
        .map(|tenant| tenant_status(tenant.id.as_str(), counts.get(&tenant.id)))
        .collect();
    let stages = hub.progress.report(Instant::now()).into_iter();
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: hub.started.elapsed().as_secs(),
        started_at: hub.started_at.text(),
        clock_synchronised: hub.clock.is_synchronised(),
        stores: hub.stores.load().list().iter().map(store_status).collect(),
        tenants,
        pending: hub.devices.pending(),
        conditions: conditions::list(&hub),
        hikvision: hikvision::list(&hub),
        pull: pull::list(&hub),
        door: door_status(&hub),
        tls: hub.tls.as_ref().map(tls_status),
        outputs: outputs(&hub),
        inputs: inputs(&hub),
        lockdown: hub.lockdowns.load().iter().map(lockdown_status).collect(),
        attacks: hub.refusals.attacks(clock::now()),
        backup: hub.copies.load().as_ref().clone(),
        stages: stages
            .map(|stage| StageStatus {
                name: stage.name.to_string(),
                waiting: stage.waiting,
                quiet_seconds: stage.quiet.as_secs_f64(),
                stalled: stage.stalled,
            })
            .collect(),
        journal: totals::journal(&hub, clock::now()),
        totals: totals::totals(&hub.metrics),
        recent_refusals: hub.refusals.recent(),
    })
}

fn door_status(hub: &Hub) -> DoorStatus {
    let addresses = hub.addresses.get();
    DoorStatus {
        connections: hub.crowd.connections(),
        free_bytes: hub.crowd.free_bytes(),
        address: addresses.map(|it| it.devices),
        tls_address: addresses.and_then(|it| it.devices_tls),
    }
}

fn outputs(hub: &Hub) -> Vec<OutputStatus> {
    let (config, now) = (hub.config.load(), clock::now());
    let all = config.outputs.iter();
    all.map(|output| hub.outputs.status(output, now)).collect()
}

fn inputs(hub: &Hub) -> Vec<InputStatus> {
    let (config, now) = (hub.config.load(), clock::now());
    let all = config.inputs.iter();
    all.map(|input| crate::inputs::status(hub, input, now))
        .collect()
}

fn lockdown_status(held: &Lockdown) -> LockdownStatus {
    LockdownStatus {
        scope: held.scope().to_owned(),
        since: held.since.text(),
        actor: held.actor.clone(),
    }
}

async fn some_devices(State(hub): State<Arc<Hub>>, RawQuery(query): RawQuery) -> Response {
    match devices::Asked::read(query.as_deref().unwrap_or_default()) {
        Ok(asked) => Json(devices::list(&hub, &asked, clock::now())).into_response(),
        Err(error) => refused(error),
    }
}

/// A question that is not understood.
fn refused(error: String) -> Response {
    let wrong = HashMap::from([("error", error)]);
    (StatusCode::BAD_REQUEST, Json(wrong)).into_response()
}

fn tenant_status(id: &str, count: Option<&Count>) -> TenantStatus {
    let count = count.copied().unwrap_or_default();
    TenantStatus {
        id: id.to_owned(),
        devices: DeviceCounts {
            approved: count.approved,
            pending: 0,
            blocked: count.blocked,
            online: count.online,
            quiet: count.quiet,
        },
    }
}

fn tls_status(tls: &Tls) -> TlsStatus {
    let (trouble, trouble_es) = tls.trouble().map(|it| (it.en, it.es)).unzip();
    TlsStatus {
        certificate_ends_at: tls.ends().text(),
        trouble,
        trouble_es,
    }
}

fn store_status(store: &Store) -> StoreStatus {
    let report = store.writer.report();
    let (trouble, detail) = report.trouble.unzip();
    StoreStatus {
        label: store.label.clone(),
        place: store.target.to_string(),
        up: report.up,
        trouble: trouble.map(|trouble| trouble.as_str()),
        detail,
        waiting: report.waiting,
        oldest_waiting_seconds: report
            .oldest_waiting
            .unwrap_or(Duration::ZERO)
            .as_secs_f64(),
        commits: report.commits,
        ambiguous_commits: report.ambiguous_commits,
        last_commit_seconds: report.last_commit.map(|last| last.elapsed().as_secs_f64()),
    }
}

async fn trace(State(hub): State<Arc<Hub>>, Path(serial): Path<String>) -> Response {
    match Serial::new(&serial) {
        Ok(serial) => {
            let find = |vendor| hub.devices.find(vendor, &serial);
            let vendors = [
                Vendor::Hikvision,
                Vendor::Zkteco,
                Vendor::Other,
                Vendor::Satellite,
            ];
            let known = vendors.into_iter().find_map(find);
            let way = known.map_or(Way::Push, |known| Way::of(&known.enrolment));
            Json(hub.trace.report(&serial, way)).into_response()
        }
        Err(error) => refused(format!("the serial {error}")),
    }
}
