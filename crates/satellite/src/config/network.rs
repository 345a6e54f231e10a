//! Networks as a configuration names them: an address, or an address with the bits that count.

use std::net::IpAddr;
use std::str::FromStr;

/// A network: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// What is written is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoNetwork;

impl Network {
    /// Whether the address is in it. An IPv4 address that was carried inside IPv6 is one.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, width) = number(address.to_canonical());
        let (own, own_width) = number(self.address);
        let free = own_width - self.bits;
        width == own_width && bits.checked_shr(free) == own.checked_shr(free)
    }
}

/// The bits of an address, and how many there are.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let bits = number(address).1;
        Self { address, bits }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let Some(bits) = bits else {
            return Ok(Self::from(address));
        };
        let bits: u32 = bits.parse().map_err(|_| NoNetwork)?;
        if bits > number(address).1 {
            return Err(NoNetwork);
        }
        Ok(Self { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_whose_bits_it_shares() {
        let within = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(within("203.0.113.0/24", "203.0.113.255"));
        assert!(!within("203.0.113.0/24", "203.0.114.1"));
        assert!(within("203.0.113.7", "203.0.113.7") && !within("203.0.113.7", "203.0.113.8"));
        assert!(within("10.0.0.0/8", "::ffff:10.9.9.9"));
        assert!(within("0.0.0.0/0", "8.8.8.8") && !within("0.0.0.0/0", "2001:db8::1"));
        assert!(within("2001:db8::/32", "2001:db8:1::1") && within("::/0", "2001:db8::1"));
        for wrong in [
            "",
            "x",
            "203.0.113.0/33",
            "203.0.113.0/",
            "::/129",
            "203.0.113.0/-1",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
