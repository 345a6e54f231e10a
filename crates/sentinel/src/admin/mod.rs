//! The admin door: `/metrics`, `/healthz`, the JSON API under `/api`, the acknowledge page, and
//! `/host`, where other machines put their facts.
//!
//! Everything but the POST of an acknowledge link only reads. A GET of such a link shows the
//! incident and one button: programs that follow every link in a mail acknowledge nothing. It
//! listens on the loopback address; a proxy with TLS stands before it where links lead to it.

mod metrics;
pub(crate) mod page;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use notify::BadLink;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::database::{Database, IncidentRow, Line, Which};
use crate::decide::{Ask, Incident, IncidentId, TenantState};
use crate::run::{CheckState, Hub, Word};
use crate::words::Phrase;

/// How far back the list of incidents goes without `?days=`.
const DAYS: u32 = 90;

/// What `/api/status` answers.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    healthy: bool,
    failing: Vec<&'static str>,
    tenants: Vec<TenantState>,
    open_incidents: Vec<String>,
    checks: std::collections::BTreeMap<String, CheckState>,
}

/// What `/api/incidents/INC-…` answers.
#[derive(Debug, Serialize)]
struct Whole {
    incident: Incident,
    timeline: Vec<Line>,
}

/// Serves until the task is dropped.
pub(crate) async fn run(hub: Hub, listener: TcpListener) {
    if let Err(error) = axum::serve(listener, router(hub)).await {
        tracing::error!(%error, "the admin door closed");
    }
}

fn router(hub: Hub) -> Router {
    let machines = hub.board.router();
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz))
        .route("/api/status", get(status))
        .route("/api/tenants", get(tenants))
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{id}", get(incident))
        .route("/ack/{incident}/{token}", get(show).post(acknowledge))
        .with_state(hub)
        .merge(machines)
}

async fn metrics_text(State(hub): State<Hub>) -> Response {
    match metrics::text(&hub.snapshot.load()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// For programs that read these words: one language for ever.
fn english(failing: &[Phrase]) -> Vec<&'static str> {
    let words = failing.iter();
    words.map(|it| it.text(notify::Language::English)).collect()
}

async fn healthz(State(hub): State<Hub>) -> Response {
    let failing = english(&hub.snapshot.load().self_test(Timestamp::now()));
    if failing.is_empty() {
        return "fine\n".into_response();
    }
    let text = format!("{}\n", failing.join("\n"));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn status(State(hub): State<Hub>) -> Json<Status> {
    let snapshot = hub.snapshot.load();
    let failing = english(&snapshot.self_test(Timestamp::now()));
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        healthy: failing.is_empty(),
        failing,
        tenants: snapshot.tenants.clone(),
        open_incidents: snapshot
            .incidents
            .iter()
            .map(|it| it.id.to_string())
            .collect(),
        checks: snapshot.checks.as_ref().clone(),
    })
}

async fn tenants(State(hub): State<Hub>) -> Json<Vec<TenantState>> {
    Json(hub.snapshot.load().tenants.clone())
}

async fn incidents(
    State(hub): State<Hub>,
    RawQuery(asked): RawQuery,
) -> Result<Json<Vec<IncidentRow>>, Response> {
    let now = Timestamp::now();
    let asked = asked.as_deref().and_then(|text| text.strip_prefix("days="));
    let days = asked.and_then(|days| days.parse().ok()).unwrap_or(DAYS);
    let hours = i64::from(days) * 24;
    let from = now
        .saturating_sub(SignedDuration::from_hours(hours))
        .unwrap_or(Timestamp::MIN);
    let until = now
        .saturating_add(SignedDuration::from_secs(60))
        .unwrap_or(now);
    let mut database = open(&hub).await?;
    let rows = database.incidents(Which::Between(from, until)).await;
    rows.map(Json).map_err(|error| unavailable(&error))
}

async fn incident(State(hub): State<Hub>, Path(id): Path<String>) -> Result<Json<Whole>, Response> {
    let id = IncidentId::parse(&id).ok_or_else(|| StatusCode::NOT_FOUND.into_response())?;
    let mut database = open(&hub).await?;
    let found = database
        .incident(id)
        .await
        .map_err(|error| unavailable(&error))?;
    let incident = found.ok_or_else(|| StatusCode::NOT_FOUND.into_response())?;
    let timeline = database
        .timeline(id)
        .await
        .map_err(|error| unavailable(&error))?;
    Ok(Json(Whole { incident, timeline }))
}

async fn open(hub: &Hub) -> Result<Database, Response> {
    let opened = Database::existing(&hub.config.load().state_dir).await;
    opened.map_err(|error| unavailable(&error))
}

fn unavailable(error: &crate::database::Error) -> Response {
    tracing::warn!(%error, "a page of the API cannot be answered");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// The incident and the contact behind a link.
fn behind(hub: &Hub, incident: &str, token: &str) -> Result<(Incident, String), BadLink> {
    let snapshot = hub.snapshot.load();
    let id = IncidentId::parse(incident).ok_or(BadLink::Forged)?;
    let found = snapshot.incidents.iter().find(|it| it.id == id);
    let links = hub.links.as_ref().ok_or(BadLink::Forged)?;
    let contact = links.verify(&id.to_string(), token, found.is_some())?;
    found.map(|it| (it.clone(), contact)).ok_or(BadLink::Closed)
}

async fn show(State(hub): State<Hub>, Path((incident, token)): Path<(String, String)>) -> Response {
    let config = hub.config.load();
    match behind(&hub, &incident, &token) {
        Ok((incident, contact)) => {
            let language = language_of(&hub, &contact);
            guarded(
                StatusCode::OK,
                page::ask(&config, &incident, language, Timestamp::now()),
            )
        }
        Err(bad) => refused(&hub, bad),
    }
}

async fn acknowledge(
    State(hub): State<Hub>,
    Path((incident, token)): Path<(String, String)>,
) -> Response {
    let (incident, contact) = match behind(&hub, &incident, &token) {
        Ok(found) => found,
        Err(bad) => return refused(&hub, bad),
    };
    let (answer, answered) = oneshot::channel();
    let word = Word::Ask {
        ask: Ask::Acknowledge {
            incident: incident.id,
        },
        who: contact.clone(),
        answer,
    };
    let language = language_of(&hub, &contact);
    let config = hub.config.load();
    let sent = hub.words.send(word).await.is_ok();
    match answered.await {
        Ok(Ok(())) if sent => guarded(StatusCode::OK, page::done(&config, &incident, language)),
        _ => refused(&hub, BadLink::Closed),
    }
}

fn refused(hub: &Hub, bad: BadLink) -> Response {
    let status = match bad {
        BadLink::Forged => StatusCode::NOT_FOUND,
        BadLink::Closed => StatusCode::GONE,
    };
    guarded(status, page::refused(hub.config.load().language, bad))
}

/// A page that loads nothing, is kept nowhere, and tells nobody where it was.
fn guarded(status: StatusCode, html: String) -> Response {
    let mut response = (status, Html(html)).into_response();
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn language_of(hub: &Hub, address: &str) -> notify::Language {
    let config = hub.config.load();
    let mut contacts = config.levels.iter().flat_map(|level| &level.to);
    let known = contacts.find(|contact| contact.to.address() == address);
    known.map_or(config.language, |contact| contact.language)
}
