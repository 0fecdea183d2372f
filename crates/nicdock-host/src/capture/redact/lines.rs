//! Facts and GIDs with nobody's names and addresses.

use std::net::{IpAddr, Ipv6Addr};

use super::addresses::Replacements;

/// Names that everybody has: base chains by custom, and what nft(8)'s own examples and iptables-nft use.
const COMMON: [&str; 12] = [
    "filter",
    "nat",
    "mangle",
    "raw",
    "input",
    "output",
    "forward",
    "prerouting",
    "postrouting",
    "INPUT",
    "OUTPUT",
    "FORWARD",
];

/// `TABLE CHAIN NETDEV`: tables and chains may be named after a site or a container.
pub fn firewall(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let mut name = |word: &str| {
        if COMMON.contains(&word) || word == "iptables" {
            return word.to_owned();
        }
        let at = seen.iter().position(|other| other == word).unwrap_or_else(|| {
            seen.push(word.to_owned());
            seen.len() - 1
        });
        format!("name-{at}")
    };
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [table, chain, netdev] => Some(format!("{} {} {netdev}\n", name(table), name(chain))),
            ["iptables", table] => Some(format!("iptables {table}\n")),
            _ => None,
        }
    };
    text.lines().filter_map(line).collect()
}

/// A GID as sysfs prints it: an IPv4 or IPv6 address (RoCE), a subnet prefix with a GUID, or usNIC's `fe80:0:ADDRESS:GUID`
/// (`usnic_ib_query_gid()` of drivers/infiniband/hw/usnic/usnic_ib_verbs.c). What is none of these is left out.
pub fn gid(text: &str, new: &Replacements) -> String {
    let Ok(gid) = text.trim().parse::<Ipv6Addr>() else { return String::new() };
    let old = gid.octets();
    let replaced = match (gid.to_ipv4_mapped(), &old[..4], &old[4..8]) {
        _ if gid.is_unspecified() => gid,
        (Some(_), ..) => match new.ip(IpAddr::V6(gid)) {
            IpAddr::V6(ip) => ip,
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        },
        (None, [0xfe, 0x80, 0, 0], [a, b, c, d]) => {
            let address = if [a, b, c, d] == [&0; 4] {
                vec![0; 4]
            } else {
                match new.ip(IpAddr::from([*a, *b, *c, *d])) {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(_) => vec![0; 4],
                }
            };
            from_parts(&[&old[..4], &address, &new.guid(&old[8..])])
        }
        _ => match new.ip(IpAddr::V6(gid)) {
            // The last half may be a GUID: made anew as one, so that it is the device's everywhere.
            IpAddr::V6(ip) => from_parts(&[&ip.octets()[..8], &new.guid(&old[8..])]),
            IpAddr::V4(_) => return String::new(),
        },
    };
    let groups = replaced.segments().map(|group| format!("{group:04x}"));
    format!("{}\n", groups.join(":"))
}

fn from_parts(parts: &[&[u8]]) -> Ipv6Addr {
    let bytes: [u8; 16] = parts.concat().try_into().unwrap_or_default();
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_chains_of_a_site_get_numbers() {
        let text = "filter input eth1\nacme-prod web eth1\nacme-prod web eth2\niptables nat\n";
        let expected = "filter input eth1\nname-0 name-1 eth1\nname-0 name-1 eth2\niptables nat\n";
        assert_eq!(firewall(text), expected);
    }

    #[test]
    fn no_address_of_a_gid_stays() {
        let new = Replacements::random();
        assert_eq!(
            gid("0000:0000:0000:0000:0000:0000:0000:0000\n", &new),
            "0000:0000:0000:0000:0000:0000:0000:0000\n"
        );
        let mapped = gid("0000:0000:0000:0000:0000:ffff:c000:0205\n", &new);
        assert!(mapped.starts_with("0000:0000:0000:0000:0000:ffff:c0") && !mapped.contains("c000:0205"));
        let usnic = gid("fe80:0000:0a0a:0005:0200:5eff:fe00:5306\n", &new);
        assert!(usnic.starts_with("fe80:0000:0a"), "{usnic}");
        assert!(!usnic.contains("0a0a:0005") && !usnic.contains("5eff:fe00:5306"), "{usnic}");
        let guid = new.guid(&[2, 0, 0x5e, 0xff, 0xfe, 0, 0x53, 6]);
        let link_local = gid("fe80:0000:0000:0000:0200:5eff:fe00:5306", &new);
        let digits = link_local.trim()[20..].replace(':', "");
        assert_eq!(digits, super::super::addresses::digits(&guid));
    }
}
