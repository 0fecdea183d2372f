//! GIDs, the addresses of an RDMA port (`ports/N/gids`, `drivers/infiniband/core/sysfs.c`).

use std::net::{Ipv4Addr, Ipv6Addr};

/// A GID as sysfs prints it: `fe80:0000:0000:0000:0202:c9ff:fe0a:0b0c`, which is an IPv6 address's form.
pub fn parse(text: &str) -> Option<Ipv6Addr> {
    text.trim().parse().ok()
}

/// The IPv4 address in GID 0 of usNIC, `fe80:0000:<IPv4>:<EUI-64>` (`usnic_mac_ip_to_gid()`, usnic_common_util.h).
pub fn usnic_address(gid: Ipv6Addr) -> Ipv4Addr {
    let octets = gid.octets();
    Ipv4Addr::new(octets[4], octets[5], octets[6], octets[7])
}

/// As people write it: IPv4 addresses in RoCE's GIDs are mapped ones.
pub fn show(gid: Ipv6Addr) -> String {
    gid.to_ipv4_mapped().map_or_else(|| gid.to_string(), |ip| format!("::ffff:{ip}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usnics_gid_tells_its_address() {
        let gid = parse("fe80:0000:0a4e:0102:5054:00ff:fe56:4901\n").unwrap();
        assert_eq!(usnic_address(gid), Ipv4Addr::new(10, 78, 1, 2));
        assert_eq!(
            usnic_address(parse("0000:0000:0000:0000:0000:0000:0000:0000").unwrap()),
            Ipv4Addr::UNSPECIFIED
        );
    }

    #[test]
    fn roce_gids_are_shown_with_the_address_in_them() {
        assert_eq!(show(parse("0000:0000:0000:0000:0000:ffff:0a4d:0201").unwrap()), "::ffff:10.77.2.1");
        assert_eq!(
            show(parse("fe80:0000:0000:0000:5054:00ff:fe4e:4902").unwrap()),
            "fe80::5054:ff:fe4e:4902"
        );
    }
}
