//! Finds what a host would lose for good if an interface went to another network namespace and came back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::ByIndex;
use super::routes::{Routes, Sourced};
use crate::model::Address;

/// By the interface's index, in sentences.
pub fn with_each(
    routes: &Routes,
    nexthops: &ByIndex<Vec<u32>>,
    addresses: &ByIndex<Vec<Address>>,
) -> ByIndex<Vec<String>> {
    let mut lost = routes.lost.clone();
    for (interface, ids) in nexthops {
        let told = ids.iter().map(|id| {
            format!(
                "nexthop object {id} leaves by it, and the kernel would remove that with every route through it: ip nexthop del id {id}, and \
                 routes by gateway instead"
            )
        });
        lost.entry(*interface).or_default().extend(told);
    }
    let own = |interface: &u32| addresses.get(interface).into_iter().flatten().map(|address| address.ip);
    for (interface, ips) in
        addresses.keys().map(|interface| (interface, own(interface).collect::<BTreeSet<IpAddr>>()))
    {
        let elsewhere = |ip: &IpAddr| {
            addresses.keys().any(|other| other != interface && own(other).any(|own| own == *ip))
        };
        let goes = |route: &&Sourced| {
            ips.contains(&route.source)
                && route.interfaces.iter().any(|other| other != interface)
                && !elsewhere(&route.source)
        };
        for Sourced { source, what, .. } in routes.sourced.iter().filter(goes) {
            lost.entry(*interface).or_default().push(format!(
                "{what} leaves by another interface with its address {source} as the source, and the kernel would remove that from it"
            ));
        }
    }
    lost
}
