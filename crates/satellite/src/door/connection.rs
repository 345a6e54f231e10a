//! One connection of a terminal, from its first byte to its last.
//!
//! HTTP/1 by hyper with the habits that old firmware needs: header names in title case, no
//! date of hyper's own, lengths always announced. Whatever happens in a request ends that
//! request, never the process.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;
use zkteco_push::{Refusal, Reply};

use super::crowd::Slot;
use super::pace::{Pace, Patience, Phase};
use super::wire::{Framing, Wire};
use super::{HEAD_LIMIT, Origin, edge, hikvision, ingest, zkteco};
use crate::clock;
use crate::hub::Hub;

/// Header lines accepted; the longest terminal seen sends 12.
const HEADERS: usize = 64;

/// What is said of a peer that speaks TLS to the plain door, the commonest mistake in a
/// terminal's menu.
const TLS_HERE: &str =
    "it speaks TLS and this port is plain HTTP; switch HTTPS off in the terminal's server settings";

/// Bytes read ahead. A kept connection keeps its buffer at the size that its largest body
/// made it grow to, so that a thousand devices with pictures would hold 400 MiB for nothing.
const BUFFER: usize = 32 * 1024;

/// What a connection runs over: TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// The other end of a connection.
pub(super) struct Visitor {
    pub(super) hub: Arc<Hub>,
    pub(super) pace: Arc<Pace>,
    pub(super) framing: Arc<Framing>,
    /// Where the connection comes from.
    pub(super) origin: Origin,
    /// Whether that is a trusted proxy, which speaks for others.
    pub(super) is_proxy: bool,
}

/// What is answered, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// Whether the terminal may set its clock from this answer.
    pub(super) dated: bool,
    /// Whether the connection must end with it.
    pub(super) last: bool,
}

impl Answer {
    /// A ZKTeco reply.
    pub(super) fn zkteco(reply: Reply, dated: bool, last: bool) -> Self {
        Self {
            status: reply.status,
            body: Bytes::from(reply.body),
            dated,
            last,
        }
    }

    /// A status with what became of a post.
    pub(super) fn json(status: StatusCode, said: &serde_json::Value, last: bool) -> Self {
        Self {
            status: status.as_u16(),
            body: Bytes::from(said.to_string()),
            dated: false,
            last,
        }
    }

    /// A status without words, which is all that Hikvision devices look at.
    pub(super) fn plain(status: StatusCode, last: bool) -> Self {
        Self {
            status: status.as_u16(),
            body: Bytes::new(),
            dated: false,
            last,
        }
    }
}

/// Why a connection ended.
enum Ended {
    Done(hyper::Result<()>),
    Late,
}

/// Serves a connection to its end.
pub(super) async fn serve<S: Stream>(hub: Arc<Hub>, stream: S, origin: Origin, slot: Slot) {
    let limits = Arc::clone(&hub.config.load()).limits.clone();
    let patience = Patience {
        head: limits.header_time,
        body: limits.body_time,
        idle: limits.idle_time,
    };
    let pace = Arc::new(Pace::new(patience, Instant::now()));
    let framing = Arc::<Framing>::default();
    let visitor = Arc::new(Visitor {
        hub: Arc::clone(&hub),
        pace: Arc::clone(&pace),
        framing: Arc::clone(&framing),
        origin,
        is_proxy: limits.is_trusted(origin.address),
    });
    drop(limits);
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&pace), Arc::clone(&framing)));
    let service = service_fn(move |request| answer(Arc::clone(&visitor), request));
    let mut http = http1::Builder::new();
    http.title_case_headers(true)
        .auto_date_header(false)
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD_LIMIT);
    let connection = pin!(http.serve_connection(wire, service));
    let ended = watch(&hub, &pace, connection).await;
    drop(slot);
    let tls = framing.is_tls();
    report(&hub, &pace, (origin.address, tls), ended);
}

/// Drives the connection until it is done or its patience ends.
async fn watch<T, S>(
    hub: &Hub,
    pace: &Pace,
    mut connection: Pin<&mut http1::Connection<TokioIo<Wire<T>>, S>>,
) -> Ended
where
    T: Stream,
    S: hyper::service::HttpService<Incoming, ResBody = Full<Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let token = hub.drain.token();
    let mut end = pin!(token.cancelled());
    let mut ending = false;
    let mut sleep = pin!(sleep_until(pace.deadline()));
    poll_fn(|cx| {
        if let Poll::Ready(done) = connection.as_mut().poll(cx) {
            return Poll::Ready(Ended::Done(done));
        }
        if !ending && end.as_mut().poll(cx).is_ready() {
            ending = true;
            connection.as_mut().graceful_shutdown();
            pace.hurry(Instant::now());
            if let Poll::Ready(done) = connection.as_mut().poll(cx) {
                return Poll::Ready(Ended::Done(done));
            }
        }
        // A later deadline is looked at when the earlier one has passed: moving the timer for
        // each request would cost more than waking up once in a while for nothing.
        let deadline = pace.deadline();
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let deadline = pace.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(Ended::Late);
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await
}

/// Counts an end that was not the peer's wish.
fn report(hub: &Hub, pace: &Pace, (address, tls): (IpAddr, bool), ended: Ended) {
    let note = |reason, detail: &str| {
        hub.refusals
            .note(reason, None, address, detail, clock::now())
    };
    match ended {
        Ended::Done(Err(_)) if tls => note("tls", TLS_HERE),
        Ended::Done(Ok(())) => {}
        Ended::Done(Err(error)) if error.is_parse_too_large() => note("head_too_large", ""),
        Ended::Done(Err(error)) if error.is_parse() => note("head_unreadable", &error.to_string()),
        // Terminals drop connections as they like.
        Ended::Done(Err(error)) => tracing::debug!(%address, %error, "connection broken off"),
        Ended::Late => match pace.reason() {
            Some(reason) => note(reason, ""),
            None => hub.metrics.idle_closed.inc(),
        },
    }
}

async fn answer(
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let hub = Arc::clone(&visitor.hub);
    let pace = Arc::clone(&visitor.pace);
    let phase = if request.body().is_end_stream() {
        Phase::Answer
    } else {
        Phase::Body
    };
    pace.enter(phase, Instant::now());
    let id = hub.next_id();
    let span = tracing::info_span!("request", id = %format_args!("{id:x}"));
    // In a box, because the connection keeps room for this future also while it is idle.
    let work = Box::pin(route(visitor, request).instrument(span));
    let answer = caught(work).await.unwrap_or_else(|| {
        hub.metrics.panics.inc();
        tracing::error!(id = %format_args!("{id:x}"), "a request ended in a fault of this program");
        Answer::zkteco(Reply::refuse(Refusal::Internal), false, true)
    });
    pace.enter(Phase::Flush, Instant::now());
    Ok(response(&hub, answer))
}

/// Hands a request to the vendor whose path it has; every other path is ZKTeco's to refuse.
async fn route(visitor: Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let target = request.uri().to_string();
    if crate::edge::is_ours(&target) {
        return edge::answer(visitor, request).await;
    }
    if let Some(token) = hikvision_isapi::token_of(&target) {
        return hikvision::answer(visitor, request, token).await;
    }
    match other_makes::token_of(&target) {
        Some(token) => ingest::answer(visitor, request, token).await,
        None => zkteco::answer(visitor, request).await,
    }
}

/// The result of the work, or `None` when it panicked.
async fn caught<T>(mut work: Pin<Box<impl Future<Output = T>>>) -> Option<T> {
    poll_fn(move |cx| {
        // The work is dropped after a panic and never looked at again.
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

fn response(hub: &Hub, answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain;charset=UTF-8"),
    );
    if answer.dated {
        headers.insert(DATE, hub.clock.date(clock::now()));
    }
    if answer.last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_request_is_caught_and_ends_only_that_request() {
        let fault = Box::pin(async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "provoked by a test");
            1
        });
        assert_eq!(caught(fault).await, None);
        assert_eq!(caught(Box::pin(async { 2 })).await, Some(2));
    }
}
