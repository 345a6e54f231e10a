//! One connection of a terminal, from its first byte to its last.
//!
//! HTTP/1 by hyper with the habits that old firmware needs: header names in title case, no
//! date of hyper's own, lengths always announced. Whatever happens in a request ends that
//! request, never the process.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::Instrument;
use zkteco_push::{Refusal, Reply};

use super::crowd::Slot;
use super::exchange::{self, Ended};
use super::pace::{Pace, Patience, Phase};
use super::wire::{Framing, Wire};
use super::{Origin, edge, hikvision, ingest, zkteco};
use crate::clock;
use crate::hub::Hub;

/// What is said of a peer that speaks TLS to the plain door, the commonest mistake in a
/// terminal's menu.
const TLS_HERE: &str =
    "it speaks TLS and this port is plain HTTP; switch HTTPS off in the terminal's server settings";

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
    /// Whether it bears our time, from which a terminal may set its clock.
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
    let wire = Wire::new(stream, Arc::clone(&pace), Arc::clone(&framing));
    let visitor = Arc::new(Visitor {
        hub,
        pace,
        framing,
        origin,
        is_proxy: limits.is_trusted(origin.address),
    });
    drop(limits);
    let ended = exchange::serve(&visitor, wire, visitor.hub.drain.token()).await;
    drop(slot);
    report(&visitor, ended);
}

/// Counts an end that was not the peer's wish.
fn report(visitor: &Visitor, ended: Ended) {
    let (hub, address) = (&visitor.hub, visitor.origin.address);
    let note = |reason, detail: &str| {
        hub.refusals
            .note(reason, None, address, detail, clock::now())
    };
    match ended {
        Ended::Done => {}
        Ended::Http(_) if visitor.framing.is_tls() => note("tls", TLS_HERE),
        Ended::Http(error) if error.is_parse_too_large() => note("head_too_large", ""),
        Ended::Http(error) if error.is_parse() => note("head_unreadable", &error.to_string()),
        // Terminals drop connections as they like.
        Ended::Http(error) => tracing::debug!(%address, %error, "connection broken off"),
        Ended::Broken(error) => tracing::debug!(%address, %error, "connection broken off"),
        Ended::Late => match visitor.pace.reason() {
            Some(reason) => note(reason, ""),
            None => hub.metrics.idle_closed.inc(),
        },
    }
}

/// Answers a request, whatever happens in it.
pub(super) async fn answer(
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
///
/// Large futures are in boxes of their own, so that a request of a terminal that pushes, which most
/// are, does not take the room of the largest.
async fn route(visitor: Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let target = request.uri().to_string();
    if crate::edge::is_ours(&target) {
        return Box::pin(edge::answer(visitor, request)).await;
    }
    if let Some(token) = hikvision_isapi::token_of(&target) {
        return Box::pin(hikvision::answer(visitor, request, token)).await;
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
