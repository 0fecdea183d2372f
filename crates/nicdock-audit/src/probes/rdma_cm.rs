//! `rdma_cm.*`: the connection manager, which is one for all devices. It looks addresses up in the caller's network namespace.

use std::net::IpAddr;

use crate::kernel::rdma_cm::Connection;
use crate::probe::{Context, Finding, Probe};

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
    ]
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
