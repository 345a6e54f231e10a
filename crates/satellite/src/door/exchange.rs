//! The two states of a connection: it waits for a request, or has one.
//!
//! HTTP keeps 16 KiB of buffers for a connection, and terminals are silent for ten seconds
//! between two polls. So HTTP has a connection only from the whole head of a request until its
//! answer is out; while nothing moves, the stream and its clock are all that is kept. Who sends
//! half a head takes no more than that half.
//!
//! What must never happen here: to take a connection away from HTTP that has not said all, or
//! that it wants to close.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::HEAD_LIMIT;
use super::connection::{Stream, Visitor, answer};
use super::pace::{Pace, Phase};
use super::wire::Wire;

/// Header lines accepted; the longest terminal seen sends 12.
const HEADERS: usize = 64;

/// Bytes read ahead of a long body.
const BUFFER: usize = 32 * 1024;

/// Why a connection ended.
pub(super) enum Ended {
    /// The peer is done, or was told that this was the last answer.
    Done,
    /// Nothing could be read or written any more.
    Broken(io::Error),
    /// HTTP could not go on.
    Http(hyper::Error),
    /// Patience ended.
    Late,
}

/// Serves requests one after the other, until the connection ends.
pub(super) async fn serve<S: Stream>(
    visitor: &Arc<Visitor>,
    mut wire: Wire<S>,
    end: CancellationToken,
) -> Ended {
    let pace = &visitor.pace;
    let end = pin!(end.cancelled());
    let sleep = pin!(sleep_until(pace.deadline()));
    let mut watch = Watch {
        pace,
        end,
        is_ending: false,
        sleep,
    };
    loop {
        if let Some(ended) = next_request(&mut wire, &mut watch).await {
            return ended;
        }
        // In a box, because it is large and most of the time nobody asks for anything.
        match Box::pin(exchange(visitor, wire, &mut watch)).await {
            Ok(back) => wire = back,
            Err(ended) => return ended,
        }
    }
}

/// What ends a connection that would go on: the end of the process, and the end of patience.
struct Watch<'a, 'end> {
    pace: &'a Pace,
    end: Pin<&'a mut WaitForCancellationFuture<'end>>,
    is_ending: bool,
    sleep: Pin<&'a mut Sleep>,
}

impl Watch<'_, '_> {
    /// True once, when the end of the process has begun.
    fn ends_now(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_ending || self.end.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.is_ending = true;
        self.pace.hurry(Instant::now());
        true
    }

    /// True when the peer took too long. A later deadline is looked at when the earlier one has
    /// passed: moving the timer for each request would cost more than waking up once in a while
    /// for nothing.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.pace.deadline();
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            let deadline = self.pace.deadline();
            if deadline <= Instant::now() {
                return true;
            }
            self.sleep.as_mut().reset(deadline);
        }
        false
    }
}

/// Waits for a request; answers why there will be none.
async fn next_request<S: Stream>(wire: &mut Wire<S>, watch: &mut Watch<'_, '_>) -> Option<Ended> {
    let ended = poll_fn(|cx| {
        match wire.poll_request(cx) {
            Poll::Ready(Ok(true)) => return Poll::Ready(None),
            Poll::Ready(Ok(false)) => return Poll::Ready(Some(Ended::Done)),
            Poll::Ready(Err(error)) => return Poll::Ready(Some(Ended::Broken(error))),
            Poll::Pending => {}
        }
        watch.ends_now(cx);
        if watch.is_ending && watch.pace.phase() == Phase::Idle {
            return Poll::Ready(Some(Ended::Done));
        }
        match watch.is_late(cx) {
            true => Poll::Ready(Some(Ended::Late)),
            false => Poll::Pending,
        }
    })
    .await;
    if matches!(ended, Some(Ended::Done)) {
        wire.say_goodbye().await;
    }
    ended
}

/// One request and its answer, or several when they come without a pause; then the stream again.
async fn exchange<S: Stream>(
    visitor: &Arc<Visitor>,
    wire: Wire<S>,
    watch: &mut Watch<'_, '_>,
) -> Result<Wire<S>, Ended> {
    let asked = Arc::clone(visitor);
    let service = service_fn(move |request| answer(Arc::clone(&asked), request));
    let mut http = http1::Builder::new();
    http.title_case_headers(true)
        .auto_date_header(false)
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD_LIMIT);
    let mut connection = http.serve_connection(TokioIo::new(wire), service);
    if watch.is_ending {
        Pin::new(&mut connection).graceful_shutdown();
    }
    let before = watch.pace.answers();
    poll_fn(|cx| {
        if let Poll::Ready(done) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(Err(done.map_or_else(Ended::Http, |()| Ended::Done)));
        }
        if watch.ends_now(cx) {
            Pin::new(&mut connection).graceful_shutdown();
            if let Poll::Ready(done) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Err(done.map_or_else(Ended::Http, |()| Ended::Done)));
            }
        }
        if watch.pace.phase() == Phase::Idle && watch.pace.answers() != before {
            return Poll::Ready(Ok(()));
        }
        match watch.is_late(cx) {
            true => Poll::Ready(Err(Ended::Late)),
            false => Poll::Pending,
        }
    })
    .await?;
    let parts = connection.into_parts();
    let mut wire = parts.io.into_inner();
    // The start of a request that came before the answer to the last one was out.
    wire.unread(&parts.read_buf);
    Ok(wire)
}
