//! How much all peers together may use: connections, connections of one address, bytes.
//!
//! Only counting happens here; who is sent away with which words is decided by the callers.
//! What is taken is given back by dropping it, so that no error path can forget to. Room for a body
//! is taken as the body comes, never as it was announced: an announcement costs a peer nothing, and
//! eight of them would keep everybody else out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use event::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bucket::Bucket;
use crate::config::Limits;

/// Addresses whose requests are counted one by one: below 2 MiB in all. Those beyond share one
/// bucket.
const PACED: usize = 16_384;

/// Bytes of bodies are counted in pieces of this size.
const PIECE: usize = 1024;
/// What a body may hold without being called long: an upload of a few hundred punches. The last
/// quarter of all room is kept for such, so that long bodies, however many, delay no punch.
pub(crate) const SHORT: usize = 16 * 1024;

/// The counters.
pub(crate) struct Crowd {
    total: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    /// How fast each address asks.
    paced: Mutex<Paced>,
    budget: ArcSwap<Budget>,
}

/// A bucket for each address that asked of late.
#[derive(Default)]
struct Paced {
    buckets: HashMap<IpAddr, Bucket>,
    /// When quiet addresses were last looked for, which takes a look at every one.
    swept: Option<Millis>,
}

impl Paced {
    /// Whether there is a place for one more address. Quiet ones make room once a second at most.
    fn has_place(&mut self, now: Millis) -> bool {
        let rested = |then: Millis| now.0.abs_diff(then.0) >= 1_000;
        if self.buckets.len() >= PACED && self.swept.is_none_or(rested) {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.swept = Some(now);
        }
        self.buckets.len() < PACED
    }
}

/// Room for bodies, in pieces.
struct Budget {
    /// Those that are free.
    free: Arc<Semaphore>,
    /// How many there are in all.
    total: usize,
    /// Those that no long body gets.
    kept: usize,
}

/// The right to a connection, or to a request that a proxy forwarded.
pub(crate) struct Slot {
    crowd: Arc<Crowd>,
    counted: bool,
    address: Option<IpAddr>,
}

/// The right to keep some bytes in memory.
pub(crate) struct Room(OwnedSemaphorePermit);

impl Crowd {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            total: AtomicUsize::new(0),
            by_address: Mutex::default(),
            paced: Mutex::default(),
            budget: ArcSwap::from_pointee(budget(limits)),
        }
    }

    /// Takes over another limit of bytes. What was taken under the old one is not counted any
    /// more, so that for a moment both together may be in use.
    pub(crate) fn resize(&self, limits: &Limits) {
        let next = budget(limits);
        if self.budget.load().total != next.total {
            self.budget.store(Arc::new(next));
        }
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes that may still be taken.
    pub(crate) fn free_bytes(&self) -> u64 {
        let pieces = self.budget.load().free.available_permits();
        u64::try_from(pieces.saturating_mul(PIECE)).unwrap_or(u64::MAX)
    }

    /// Lets a connection in, or says which limit is reached.
    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Slot, &'static str> {
        if self.total.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.total.fetch_sub(1, Ordering::Relaxed);
            return Err("connections");
        }
        let mut slot = Slot {
            crowd: Arc::clone(self),
            counted: true,
            address: None,
        };
        if !limits.is_trusted(address) {
            slot.address = Some(self.count(address, limits)?);
        }
        Ok(slot)
    }

    /// Lets a request in that a trusted proxy forwarded for `address`.
    pub(crate) fn admit_forwarded(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &Limits,
    ) -> Result<Slot, &'static str> {
        let address = self.count(address, limits)?;
        Ok(Slot {
            crowd: Arc::clone(self),
            counted: false,
            address: Some(address),
        })
    }

    fn count(&self, address: IpAddr, limits: &Limits) -> Result<IpAddr, &'static str> {
        let address = group(address);
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(address).or_insert(0);
        if *count >= limits.connections_per_address {
            return Err("connections_per_address");
        }
        *count += 1;
        Ok(address)
    }

    /// Takes one request of that address; false when it asks faster than it may.
    pub(crate) fn is_paced(&self, address: IpAddr, rate: u32, now: Millis) -> bool {
        let mut paced = self.paced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = group(address);
        if !paced.buckets.contains_key(&key) && !paced.has_place(now) {
            key = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        }
        paced.buckets.entry(key).or_default().take(rate, now)
    }

    /// Room for that many bytes, or `None` when too much is in memory already.
    pub(crate) fn room(&self, bytes: u64) -> Option<Room> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE as u64)).ok()?;
        let semaphore = Arc::clone(&self.budget.load().free);
        let permit = semaphore.try_acquire_many_owned(pieces).ok()?;
        Some(Room(permit))
    }

    /// Makes a room at least that many bytes wide; false when too much is in memory already, or
    /// when it would be a long one and only what is kept for short ones is left.
    pub(crate) fn widen(&self, room: &mut Room, bytes: usize) -> bool {
        let more = bytes.div_ceil(PIECE).saturating_sub(room.0.num_permits());
        let Ok(more) = u32::try_from(more) else {
            return false;
        };
        if more == 0 {
            return true;
        }
        let semaphore = Arc::clone(room.0.semaphore());
        let kept = self.budget.load().kept;
        let left = semaphore.available_permits();
        if bytes > SHORT && left < kept.saturating_add(usize::try_from(more).unwrap_or(left)) {
            return false;
        }
        match semaphore.try_acquire_many_owned(more) {
            Ok(permit) => {
                room.0.merge(permit);
                true
            }
            Err(_) => false,
        }
    }
}

fn budget(limits: &Limits) -> Budget {
    let total = (limits.in_flight / PIECE).clamp(1, Semaphore::MAX_PERMITS);
    // The longest body that is allowed at all can come in, whatever the limits.
    let longest = limits.body.div_ceil(PIECE);
    Budget {
        free: Arc::new(Semaphore::new(total)),
        total,
        kept: (total / 4).min(total.saturating_sub(longest)),
    }
}

/// What counts as one address: for IPv6 the /64 that one peer usually has to itself.
pub(crate) fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.counted {
            self.crowd.total.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(address) = self.address else { return };
        let by_address = &self.crowd.by_address;
        let mut by_address = by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 3,
            connections_per_address: 2,
            in_flight: 10 * PIECE,
            body: 10 * PIECE,
            trusted_proxies: vec![IpAddr::from([10, 0, 0, 9]).into()],
            ..Limits::default()
        }
    }

    #[test]
    fn each_limit_of_connections_is_told_by_its_name_and_places_come_back() {
        let limits = limits();
        let crowd = Arc::new(Crowd::new(&limits));
        let one = IpAddr::from([192, 0, 2, 1]);
        let first = crowd.admit(one, &limits).unwrap_or_else(|_| panic!());
        let _second = crowd.admit(one, &limits);
        assert_eq!(
            crowd.admit(one, &limits).err(),
            Some("connections_per_address")
        );
        assert_eq!(crowd.connections(), 2);
        let _other = crowd.admit(IpAddr::from([192, 0, 2, 2]), &limits);
        assert_eq!(
            crowd.admit(IpAddr::from([192, 0, 2, 3]), &limits).err(),
            Some("connections")
        );
        drop(first);
        assert!(crowd.admit(one, &limits).is_ok());
    }

    #[test]
    fn a_trusted_proxy_is_exempt_and_those_behind_it_are_not() {
        let limits = Limits {
            connections: 100,
            ..limits()
        };
        let crowd = Arc::new(Crowd::new(&limits));
        let proxy = IpAddr::from([10, 0, 0, 9]);
        let slots: Vec<_> = (0..5).map(|_| crowd.admit(proxy, &limits)).collect();
        assert!(slots.iter().all(Result::is_ok));
        let behind = IpAddr::from([198, 51, 100, 1]);
        let _held = [
            crowd.admit_forwarded(behind, &limits),
            crowd.admit_forwarded(behind, &limits),
        ];
        assert_eq!(
            crowd.admit_forwarded(behind, &limits).err(),
            Some("connections_per_address")
        );
    }

    #[test]
    fn an_address_that_floods_is_held_back_alone_and_memory_stays_bounded() {
        let crowd = Crowd::new(&limits());
        let now = Millis(1_795_273_200_000);
        let loud = IpAddr::from([203, 0, 113, 1]);
        let taken = (0..1_000).filter(|_| crowd.is_paced(loud, 10, now)).count();
        assert_eq!(taken, 100);
        assert!(crowd.is_paced(IpAddr::from([203, 0, 113, 2]), 10, now));
        for n in 0..100_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            crowd.is_paced(IpAddr::from([198, a, b, c]), 10, now);
        }
        assert!(crowd.paced.lock().unwrap().buckets.len() <= PACED + 1);
        assert!(
            !crowd.is_paced(loud, 10, now),
            "the loud one is not forgotten"
        );
        let later = Millis(now.0 + 20_000);
        assert!(crowd.is_paced(IpAddr::from([192, 0, 2, 1]), 10, later));
        assert!(
            crowd.paced.lock().unwrap().buckets.len() <= 2,
            "quiet ones are"
        );
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one_address() {
        let at = |text: &str| group(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), IpAddr::from([192, 0, 2, 1]));
    }

    #[test]
    fn bytes_are_given_out_until_they_are_used_up_and_come_back() {
        let crowd = Crowd::new(&limits());
        let most = crowd.room(9 * PIECE as u64 + 1);
        assert!(most.is_some());
        assert!(crowd.room(1).is_none());
        drop(most);
        assert!(crowd.room(1).is_some());
    }

    #[test]
    fn however_many_long_bodies_there_are_short_ones_find_room() {
        let limits = Limits {
            in_flight: 400 * PIECE,
            body: 100 * PIECE,
            ..limits()
        };
        let crowd = Crowd::new(&limits);
        let mut long: Vec<Room> = (0..50).filter_map(|_| crowd.room(1)).collect();
        let grown = long.iter_mut().map(|room| crowd.widen(room, 50 * PIECE));
        let grown = grown.filter(|grown| *grown).count();
        assert_eq!(grown, 5, "300 pieces for long ones");
        let mut short: Vec<Room> = (0..6).filter_map(|_| crowd.room(1)).collect();
        assert!(short.iter_mut().all(|room| crowd.widen(room, SHORT / 2)));
    }

    #[test]
    fn a_room_grows_only_while_there_is_memory_and_gives_all_of_it_back() {
        let crowd = Crowd::new(&limits());
        let mut room = crowd.room(1).unwrap();
        assert!(crowd.widen(&mut room, 8 * PIECE));
        assert!(crowd.widen(&mut room, 3 * PIECE));
        assert!(crowd.room(2 * PIECE as u64 + 1).is_none());
        assert!(!crowd.widen(&mut room, 11 * PIECE));
        drop(room);
        assert!(crowd.room(10 * PIECE as u64).is_some());
    }
}
