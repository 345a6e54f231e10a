//! From which networks a terminal has spoken, and whether one is new.
//!
//! Addresses change with every line and every day; the network of a provider seldom does. Eight
//! are remembered for each terminal (an IPv4 /16, an IPv6 /32), over restarts too. The first one
//! is learned without a word. A new one is served like any other and people are told, because
//! a stranger with a copied serial looks just so, and so does a site with a new provider.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::devices::Known;
use crate::hub::Hub;

/// The cursor that keeps them, in the mirror only.
const ORIGINS: &str = "origins";
/// Networks remembered.
const MOST: usize = 8;

/// Notes where an approved terminal speaks from.
pub(crate) fn note(hub: &Hub, known: &Known, address: IpAddr) {
    if known.enrolment.canary {
        // It knocks from everywhere on purpose.
        return;
    }
    let mut facts = known.facts();
    if facts.heard_from == Some(address) {
        return;
    }
    let before = facts.kept(ORIGINS).cloned();
    let network = network(address);
    let Some(list) = learned(before.as_deref(), &network) else {
        return;
    };
    facts.keep_cursor(ORIGINS, &list);
    drop(facts);
    if let Some(before) = before {
        let usual = before.rsplit(',').next().unwrap_or_default().to_owned();
        let detail = Says::NewNetwork.with(&[&address, &usual]);
        conditions::raise(hub, known, Condition::NewNetwork, detail);
    }
}

/// The list with a network that is not in it, the oldest left out; `None` when it is in it.
fn learned(list: Option<&str>, network: &str) -> Option<String> {
    let known: Vec<&str> = list
        .map(|list| list.split(',').collect())
        .unwrap_or_default();
    if known.contains(&network) {
        return None;
    }
    let kept = known.len().saturating_sub(MOST - 1);
    let kept = known.into_iter().skip(kept).chain([network]);
    Some(kept.collect::<Vec<_>>().join(","))
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            format!("{}/16", Ipv4Addr::new(a, b, 0, 0))
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            format!("{}/32", Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_new_once_and_the_oldest_of_eight_gives_way() {
        let at = |text: &str| network(text.parse().unwrap());
        assert_eq!(at("189.203.7.9"), "189.203.0.0/16");
        assert_eq!(at("::ffff:189.203.7.9"), "189.203.0.0/16");
        assert_eq!(at("2806:2f0:1::7"), "2806:2f0::/32");
        let first = learned(None, "a").unwrap();
        assert_eq!(learned(Some(&first), "a"), None);
        let mut list = first;
        for next in ["b", "c", "d", "e", "f", "g", "h", "i"] {
            list = learned(Some(&list), next).unwrap();
        }
        assert_eq!(list, "b,c,d,e,f,g,h,i");
    }
}
