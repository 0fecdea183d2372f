//! An address with its prefix, and what it has in common with another.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `10.1.0.5/24` or `fd00::5/64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressWithPrefix {
    pub ip: IpAddr,
    pub prefix_len: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address: expected ADDRESS/LENGTH, like 10.1.0.5/24 or fd00::5/64")]
pub struct ParseAddressError(String);

impl FromStr for AddressWithPrefix {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (ip, length) = text.split_once('/')?;
            let (ip, prefix_len) = (ip.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
            (prefix_len <= bits(ip)).then_some(Self { ip, prefix_len })
        };
        parse().ok_or_else(|| ParseAddressError(text.to_owned()))
    }
}

impl fmt::Display for AddressWithPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

const fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl AddressWithPrefix {
    /// Whether `other` lies in this network.
    pub fn contains(&self, other: IpAddr) -> bool {
        let value = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        };
        let host_bits = u32::from(bits(self.ip) - self.prefix_len);
        self.ip.is_ipv4() == other.is_ipv4()
            && (value(self.ip) ^ value(other)).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        let network: AddressWithPrefix = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.255.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        assert!(!network.contains("::ffff:10.1.0.1".parse().unwrap()));
        assert!("::/0".parse::<AddressWithPrefix>().unwrap().contains("fd00::1".parse().unwrap()));
        assert!("10.0.0.1/33".parse::<AddressWithPrefix>().is_err());
    }
}
