//! Bodies: into memory within limits, or away.
//!
//! A body is kept only when all of it has come and there was room for it; a part of a body is
//! never handed on. What is not kept is read to a bounded length, so that the peer can hear its
//! answer on a connection that still works.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use zkteco_push::{LineCounter, Table};

use super::crowd::{Crowd, Room, SHORT};
use super::pace::Pace;

/// Longest announcement that is believed when memory is set aside; beyond it memory grows with
/// what comes.
const BELIEVED: usize = 256 * 1024;

/// A whole body.
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    /// Given back when the records of the body are settled.
    pub(super) room: Room,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Longer than the limit; it was read to its end.
    TooLarge,
    /// No room at the moment; it was not read.
    Overloaded,
    /// It ended early, or was no proper body.
    Broken,
}

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read(
    body: &mut Incoming,
    limit: usize,
    crowd: &Crowd,
    pace: &Pace,
) -> Result<Kept, Fault> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let announced = body.size_hint().exact();
    if announced.is_some_and(|length| length > most) {
        return Err(read_away(body, pace).await);
    }
    let short = u64::try_from(SHORT).unwrap_or(u64::MAX);
    let at_first = announced.unwrap_or(short).min(short);
    let mut room = crowd.room(at_first).ok_or(Fault::Overloaded)?;
    let mut received = 0_u64;
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(data) = next(body, pace).await? {
        received += length(&data);
        if received > most {
            drop((first, all, room));
            return Err(read_away(body, pace).await);
        }
        let held = usize::try_from(received).unwrap_or(usize::MAX);
        if !crowd.widen(&mut room, held) {
            return Err(Fault::Overloaded);
        }
        if first.is_empty() && all.is_empty() {
            // Most bodies come in one piece and are never copied.
            first = data;
            continue;
        }
        if all.is_empty() {
            let whole = announced.and_then(|length| usize::try_from(length).ok());
            all.reserve(whole.unwrap_or(0).min(BELIEVED).max(held));
            all.extend_from_slice(&first);
            first = Bytes::new();
        }
        all.extend_from_slice(&data);
    }
    let bytes = if all.is_empty() { first } else { all.freeze() };
    Ok(Kept { bytes, room })
}

/// Counts the records of a body that is not kept, however long it is.
pub(super) async fn count(body: &mut Incoming, table: &Table, pace: &Pace) -> Result<u64, Fault> {
    let mut counter = LineCounter::new(table);
    while let Some(data) = next(body, pace).await? {
        counter.feed(&data);
    }
    Ok(counter.records())
}

/// Reads at most about `most` bytes away; true when that was all.
pub(super) async fn discard(body: &mut Incoming, most: u64, pace: &Pace) -> bool {
    if body.size_hint().lower() > most {
        return false;
    }
    let mut received = 0;
    while received <= most {
        match next(body, pace).await {
            Ok(Some(data)) => received += length(&data),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}

async fn read_away(body: &mut Incoming, pace: &Pace) -> Fault {
    loop {
        match next(body, pace).await {
            Ok(Some(_)) => {}
            Ok(None) => return Fault::TooLarge,
            Err(fault) => return fault,
        }
    }
}

/// The next piece of the body; trailers are passed over.
async fn next(body: &mut Incoming, pace: &Pace) -> Result<Option<Bytes>, Fault> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Fault::Broken)?.into_data() {
            pace.body_bytes(data.len());
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn length(data: &Bytes) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}
