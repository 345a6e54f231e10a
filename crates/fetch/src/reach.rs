//! Which addresses belong to the open internet.
//!
//! For requests whose target somebody wrote into a configuration or a name server: such a request
//! must not become a key to this machine's own doors or to its neighbours. The list is IANA's of
//! special-purpose addresses. An IPv6 address that carries an IPv4 one counts as that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// True for an address that anybody on the internet could reach.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match carried(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 | 224.. => true,
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        192 => b == 168 || b == 0 && (c == 0 || c == 2) || b == 88 && c == 99,
        198 => b & 0xfe == 18 || b == 51 && c == 100,
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// Global unicast is 2000::/3; of it 2001::/23 and 2001:db8::/32 are set aside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && a != 0x3fff
}

/// The IPv4 address inside a mapped, translated or 6to4 one.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let made = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] if high != 0 => Some(made(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(made(high, low)),
        [0x2002, high, low, ..] => Some(made(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_in_every_disguise_are_told_from_those_of_the_internet() {
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.7",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.0.1",
            "200.57.1.1",
            "::ffff:1.1.1.1",
            "2606:4700::1111",
            "2806:2f0::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
