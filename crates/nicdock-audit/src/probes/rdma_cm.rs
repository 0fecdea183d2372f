//! `rdma_cm.*`: the connection manager, which is one for all devices. It looks addresses up in the caller's network namespace.

use std::net::{IpAddr, Ipv6Addr};

use crate::kernel::rdma_cm::Connection;
use crate::probe::{Context, Finding, Probe};
use crate::target::Things;

const NODE: &str = "/dev/infiniband/rdma_cm";

pub fn probes(_: &Context) -> Vec<Probe> {
    vec![
        Probe::new("rdma_cm.open", |context| {
            let is_own = context.target.own.nodes.iter().any(|node| node.name == "rdma_cm");
            match Connection::open(NODE) {
                Ok(_) if is_own => Finding::closed("it was given to the container"),
                result => Finding::of(&format!("open({NODE}) and CREATE_ID"), result),
            }
        }),
        Probe::new("rdma_cm.bind_foreign", |context| on_foreign(context, "BIND_IP", Connection::bind)),
        Probe::new("rdma_cm.resolve_foreign", |context| {
            on_foreign(context, "RESOLVE_IP", Connection::resolve_from)
        }),
        Probe::new("rdma_cm.bind_infiniband", |context| {
            let (own, foreign) = (&context.target.own, &context.target.foreign);
            let own: Vec<Ipv6Addr> = ports(own).collect();
            bind_infiniband(ports(foreign).filter(|gid| !own.contains(gid)))
        }),
    ]
}

/// By an InfiniBand address the kernel looks at every device that the namespace may use (`cma_acquire_dev_by_src_ip()`).
fn bind_infiniband(gids: impl Iterator<Item = Ipv6Addr>) -> Finding {
    let mut last = None;
    for gid in gids {
        match Connection::open(NODE).and_then(|connection| connection.bind_infiniband(gid)) {
            Ok(()) => return Finding::open(format!("BIND AF_IB {gid}: succeeded")),
            Err(errno) => last = Some(format!("BIND AF_IB {gid}: {errno}")),
        }
    }
    last.map_or_else(|| Finding::not_applicable("no foreign InfiniBand port is known"), Finding::closed)
}

/// The GIDs that InfiniBand ports may have: what ends the link-layer address of `IPoIB`, and GUIDs in the subnet that is the default.
fn ports(things: &Things) -> impl Iterator<Item = Ipv6Addr> {
    let of_address = |text: &String| {
        let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        let gid: [u8; 16] = bytes?.get(4..)?.try_into().ok()?;
        Some(Ipv6Addr::from(gid))
    };
    let of_guid = |text: &String| format!("fe80::{text}").parse().ok();
    things.addresses.iter().filter_map(of_address).chain(things.serials.iter().filter_map(of_guid))
}

fn on_foreign(
    context: &Context,
    name: &str,
    attempt: impl Fn(&Connection, IpAddr) -> Result<(), crate::kernel::errno::Errno>,
) -> Finding {
    let own = &context.target.own.addresses;
    let foreign = context.target.foreign.addresses.iter().filter(|address| !own.contains(address));
    // Link-local ones need an interface too, and the own one has such a network.
    let is_wanted = |address: &IpAddr| !matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let addresses: Vec<IpAddr> =
        foreign.filter_map(|address| address.parse().ok()).filter(is_wanted).collect();
    if addresses.is_empty() {
        return Finding::not_applicable("no foreign IP address is known");
    }
    let mut last = String::new();
    for address in addresses {
        let result = Connection::open(NODE).and_then(|connection| attempt(&connection, address));
        match result {
            Ok(()) => return Finding::open(format!("{name} {address}: succeeded")),
            Err(errno) => last = format!("{name} {address}: {errno}"),
        }
    }
    Finding::closed(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gids_of_ports_are_found_in_addresses_and_guids() {
        let things = Things {
            addresses: vec![
                "80:00:00:11:fe:80:00:00:00:00:00:01:50:54:00:ff:fe:4e:49:01".into(),
                "52:54:00:4e:49:01".into(),
                "10.77.1.1".into(),
            ],
            serials: vec!["5054:00ff:fe4e:4903".into(), "no GUID".into()],
            ..Things::default()
        };
        let found: Vec<String> = ports(&things).map(|gid| gid.to_string()).collect();
        assert_eq!(found, ["fe80::1:5054:ff:fe4e:4901", "fe80::5054:ff:fe4e:4903"]);
    }
}
