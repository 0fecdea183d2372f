//! GIDs, the addresses of an RDMA port (`ports/N/gids`, `drivers/infiniband/core/sysfs.c`).

use std::net::Ipv6Addr;

/// A GID as sysfs prints it: `fe80:0000:0000:0000:0202:c9ff:fe0a:0b0c`, which is an IPv6 address's form.
pub fn parse(text: &str) -> Option<Ipv6Addr> {
    text.trim().parse().ok()
}

/// As people write it: IPv4 addresses in RoCE's GIDs are mapped ones.
pub fn show(gid: Ipv6Addr) -> String {
    gid.to_ipv4_mapped().map_or_else(|| gid.to_string(), |ip| format!("::ffff:{ip}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roce_gids_are_shown_with_the_address_in_them() {
        assert_eq!(show(parse("0000:0000:0000:0000:0000:ffff:0a4d:0201").unwrap()), "::ffff:10.77.2.1");
        assert_eq!(
            show(parse("fe80:0000:0000:0000:5054:00ff:fe4e:4902").unwrap()),
            "fe80::5054:ff:fe4e:4902"
        );
    }
}
