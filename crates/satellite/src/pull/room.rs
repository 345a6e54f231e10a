//! Room in memory for logs that are read at the same time.
//!
//! A log is held whole until its last byte has come, because only then is it known to be whole.
//! A thousand terminals that come back together must not need a thousand logs at once: each
//! waits for as much room as its log will take.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of one share of the room.
const SHARE: u32 = 64 * 1024;
/// Shares in all: 48 MiB, and about twice that while the last pieces are put together.
const SHARES: u32 = 768;
/// What a log of unknown length is taken for.
const UNKNOWN: u32 = 1 << 20;

/// The room.
#[derive(Debug)]
pub(crate) struct Room(Semaphore);

impl Default for Room {
    fn default() -> Self {
        Self(Semaphore::new(usize::try_from(SHARES).unwrap_or(1)))
    }
}

impl Room {
    /// Waits for room for so many bytes; `None` stands for a length that is not known. A log
    /// larger than the whole room gets all of it.
    pub(super) async fn take(&self, bytes: Option<u32>) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.0.acquire_many(shares(bytes)).await.ok()
    }

    /// The same without waiting.
    pub(super) fn try_take(&self, bytes: Option<u32>) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire_many(shares(bytes)).ok()
    }
}

fn shares(bytes: Option<u32>) -> u32 {
    bytes.unwrap_or(UNKNOWN).div_ceil(SHARE).clamp(1, SHARES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_log_fits_alone_and_small_ones_fit_together() {
        let room = Room::default();
        let small: Vec<_> = (0..SHARES).map(|_| room.try_take(Some(100))).collect();
        assert!(small.iter().all(Option::is_some));
        assert!(room.try_take(Some(100)).is_none());
        drop(small);
        let large = room.try_take(Some(u32::MAX));
        assert!(large.is_some() && room.try_take(None).is_none());
    }
}
