//! What each address becomes. One key, drawn anew for each redaction, decides.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::Mac;

/// `INFINIBAND_ALEN`: flags and queue pair number (4), subnet prefix (8), GUID (8).
const INFINIBAND_MAC_LEN: usize = 20;

/// A secret function from each address to another of its kind.
pub struct Replacements {
    /// Keyed `SipHash`, with 128 random bits.
    key: RandomState,
}

impl Replacements {
    pub fn random() -> Self {
        Self { key: RandomState::new() }
    }

    /// Multicast and locally administered stay so; the vendor does not. All zeroes and all ones mean no address.
    pub fn mac(&self, mac: &[u8]) -> Vec<u8> {
        if is_uniform(mac) {
            return mac.to_vec();
        }
        if mac.len() == INFINIBAND_MAC_LEN {
            let (number, prefix, guid) = (&mac[..4], &mac[4..12], &mac[12..]);
            return [number, &self.subnet_prefix(prefix), &self.guid(guid)].concat();
        }
        let mut new = self.bytes("mac", mac);
        if let ([first, ..], [old, ..]) = (new.as_mut_slice(), mac) {
            *first = *first & !0b11 | old & 0b11;
        }
        new
    }

    /// Eight bytes; zero stays zero, since some software stumbles over it.
    pub fn guid(&self, guid: &[u8]) -> Vec<u8> {
        if is_uniform(guid) { guid.to_vec() } else { self.bytes("guid", guid) }
    }

    /// `0002:c903:00a1:b2c3`, as `node_guid_show()` prints it.
    pub fn guid_text(&self, text: &str) -> String {
        let Some(guid) = guid_from_text(text) else { return String::new() };
        let new = self.guid(&guid);
        let groups: Vec<String> =
            new.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
        format!("{}\n", groups.join(":"))
    }

    /// Addresses that share a prefix share one of the same length afterwards. The first byte is kept, so that
    /// loopback, multicast and private addresses stay what they are.
    pub fn ip(&self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => IpAddr::V4(self.ipv4(ip)),
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(v4) => IpAddr::V6(self.ipv4(v4).to_ipv6_mapped()),
                None => IpAddr::V6(self.ipv6(ip)),
            },
        }
    }

    /// A network's address: nothing is set behind its prefix.
    pub fn network(&self, ip: IpAddr, prefix_len: u8) -> IpAddr {
        match self.ip(ip) {
            IpAddr::V4(new) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(new.to_bits() & mask))
            }
            IpAddr::V6(new) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(new.to_bits() & mask))
            }
        }
    }

    fn ipv4(&self, ip: Ipv4Addr) -> Ipv4Addr {
        if ip.is_loopback() || ip.is_unspecified() || ip.is_broadcast() {
            return ip;
        }
        // RFC 1918 and RFC 3927 ranges stay within themselves.
        let kept = match ip.octets() {
            [172, 16..32, ..] => 12,
            [192, 168, ..] | [169, 254, ..] => 16,
            _ => 8,
        };
        let bits = self.keep_prefixes(u128::from(ip.to_bits()) << 96, kept, 32);
        Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or_default())
    }

    fn ipv6(&self, ip: Ipv6Addr) -> Ipv6Addr {
        if ip.is_loopback() || ip.is_unspecified() {
            return ip;
        }
        let kept = if ip.is_unicast_link_local() { 64 } else { 8 };
        Ipv6Addr::from_bits(self.keep_prefixes(ip.to_bits(), kept, 128))
    }

    /// Crypto-PAn: whether a bit is turned depends on the bits before it (Xu et al., Prefix-preserving IP address
    /// anonymization, ICNP 2002). Two addresses that differ first in bit n still do.
    fn keep_prefixes(&self, address: u128, kept: u32, len: u32) -> u128 {
        (kept..len).fold(address, |new, bit| {
            let before = address.checked_shr(128 - bit).unwrap_or(0);
            let turned = u128::from(self.key.hash_one(("ip", len, bit, before)) & 1);
            new ^ (turned << (127 - bit))
        })
    }

    /// The default prefix `fe80::` is everybody's.
    fn subnet_prefix(&self, prefix: &[u8]) -> Vec<u8> {
        if prefix.starts_with(&[0xfe, 0x80]) || is_uniform(prefix) {
            prefix.to_vec()
        } else {
            self.bytes("prefix", prefix)
        }
    }

    fn bytes(&self, what: &str, old: &[u8]) -> Vec<u8> {
        let hash = |block: usize| self.key.hash_one((what, old, block)).to_ne_bytes();
        (0..old.len().div_ceil(8)).flat_map(hash).take(old.len()).collect()
    }
}

/// Reads `0002:c903:00a1:b2c3`.
pub fn guid_from_text(text: &str) -> Option<[u8; 8]> {
    let digits = text.trim().replace(':', "");
    Some(u64::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}

/// A link-layer address as udev writes it into names: twelve digits, or a GUID's sixteen.
pub fn digits(bytes: &[u8]) -> String {
    Mac(bytes.to_vec()).to_string().replace(':', "")
}

fn is_uniform(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0) || bytes.iter().all(|b| *b == 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Leading bits that two addresses have in common.
    fn common(a: IpAddr, b: IpAddr) -> u32 {
        match (a, b) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        }
    }

    #[test]
    fn addresses_share_exactly_the_prefix_that_they_shared() {
        let new = Replacements::random();
        let pairs = [
            ("10.1.0.5", "10.1.0.6"),
            ("10.1.0.5", "10.1.64.5"),
            ("10.1.0.5", "10.200.0.5"),
            ("192.168.7.1", "192.168.8.1"),
            ("2001:db8::1", "2001:db8::2"),
            ("2001:db8:1::1", "2001:db8:2::1"),
            ("fe80::1", "fe80::9:1"),
        ];
        for (a, b) in pairs {
            assert_eq!(common(new.ip(ip(a)), new.ip(ip(b))), common(ip(a), ip(b)), "{a} {b}");
        }
    }

    #[test]
    fn what_an_address_means_stays() {
        let new = Replacements::random();
        for kept in ["127.0.0.1", "0.0.0.0", "::", "::1", "255.255.255.255"] {
            assert_eq!(new.ip(ip(kept)), ip(kept));
        }
        assert!(common(new.ip(ip("fe80::a00:1")), ip("fe80::")) >= 64);
        assert!(new.ip(ip("ff02::1:ff00:1")).is_multicast());
        let IpAddr::V4(private) = new.ip(ip("172.17.3.4")) else { panic!() };
        assert!(private.is_private());
        let IpAddr::V6(mapped) = new.ip(ip("::ffff:10.1.0.5")) else { panic!() };
        assert_eq!(mapped.to_ipv4_mapped().map(IpAddr::V4), Some(new.ip(ip("10.1.0.5"))));
    }

    #[test]
    fn a_networks_address_is_the_prefix_of_its_members() {
        let new = Replacements::random();
        let IpAddr::V4(member) = new.ip(ip("10.1.2.3")) else { panic!() };
        let network = new.network(ip("10.1.0.0"), 16);
        assert_eq!(network, IpAddr::V4(Ipv4Addr::from_bits(member.to_bits() & 0xffff_0000)));
        assert_eq!(new.network(ip("10.0.0.0"), 0), ip("0.0.0.0"));
    }

    #[test]
    fn the_bits_of_a_mac_that_mean_something_stay() {
        let new = Replacements::random();
        let mac = new.mac(&[0x02, 0xfc, 0, 0, 0, 1]);
        assert_eq!(mac[0] & 3, 2);
        assert_ne!(mac[..3], [0x02, 0xfc, 0]);
        assert_eq!(new.mac(&[0; 6]), [0; 6]);
        assert_eq!(new.mac(&[0xff; 6]), [0xff; 6]);
        let ipoib = [0, 0, 1, 7, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 2, 0xc9, 3, 0, 1, 2, 3];
        let redacted = new.mac(&ipoib);
        assert_eq!(redacted[..12], ipoib[..12]);
        assert_eq!(redacted[12..], new.guid(&ipoib[12..]));
    }

    #[test]
    fn a_guid_is_printed_as_the_kernel_does() {
        let new = Replacements::random();
        assert_eq!(new.guid_text("0000:0000:0000:0000\n"), "0000:0000:0000:0000\n");
        let text = new.guid_text("0002:c903:00a1:b2c3\n");
        assert_eq!(text.len(), 20);
        assert_eq!(text.trim().replace(':', ""), digits(&new.guid(&[0, 2, 0xc9, 3, 0, 0xa1, 0xb2, 0xc3])));
    }
}
