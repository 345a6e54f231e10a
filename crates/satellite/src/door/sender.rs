//! Where a request really comes from: the peer, or whom a trusted proxy speaks for.
//!
//! Nobody but a proxy that the configuration names is believed about another address, and what
//! such a proxy forwards counts against the limits of that address.

use std::net::IpAddr;

use hyper::header::HeaderMap;

use super::Transport;
use super::connection::Visitor;
use super::crowd::Slot;
use crate::clock;

/// The sender of one request.
pub(super) struct Sender {
    /// Its address.
    pub(super) address: IpAddr,
    /// How it spoke, at the door or at the proxy.
    pub(super) transport: Transport,
    /// Its place among those of its address, when a proxy forwarded the request.
    place: Result<Option<Slot>, &'static str>,
}

impl Sender {
    /// Looks at the headers of a request.
    pub(super) fn of(visitor: &Visitor, headers: &HeaderMap) -> Self {
        if !visitor.is_proxy {
            let address = visitor.origin.address;
            return Self {
                address,
                transport: visitor.origin.transport,
                place: paced(visitor, address).map(|()| None),
            };
        }
        let named = headers.get_all("x-forwarded-for").iter().next_back();
        let last =
            named.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        let address = last.map_or(visitor.origin.address, |address: IpAddr| {
            address.to_canonical()
        });
        let limits = &visitor.hub.config.load().limits;
        let admit = || visitor.hub.crowd.admit_forwarded(address, limits).map(Some);
        let place = paced(visitor, address).and_then(|()| admit());
        let spoken = headers.get("x-forwarded-proto");
        let transport = match spoken.map(|word| word.as_bytes()) {
            Some(b"https") => Transport::Tls,
            Some(_) => Transport::Plain,
            None => visitor.origin.transport,
        };
        Self {
            address,
            transport,
            place,
        }
    }

    /// The limit that this sender has reached, if it has. While the value lives, its place is
    /// taken.
    pub(super) fn is_too_many(&self) -> Option<&'static str> {
        self.place.as_ref().err().copied()
    }
}

/// Whether an address asks no faster than it may.
fn paced(visitor: &Visitor, address: IpAddr) -> Result<(), &'static str> {
    let rate = visitor.hub.config.load().limits.requests_per_address;
    if visitor.hub.crowd.is_paced(address, rate, clock::now()) {
        Ok(())
    } else {
        Err("requests_per_address")
    }
}
