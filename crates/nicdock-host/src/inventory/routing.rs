//! By which interfaces packets leave: what the routing tables say, without the rules that choose among them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::addresses::network;
use super::netdevs::FoundNetdev;
use crate::model::Route;

/// `RT_TABLE_DEFAULT`, `RT_TABLE_MAIN`.
const ALWAYS_ASKED: std::ops::RangeInclusive<u32> = 253..=254;
/// No network has a shorter prefix: the largest that were ever assigned are IPv4's /8, and all of IPv6's global addresses are one /3.
const SHORTEST_IPV4: u8 = 8;
const SHORTEST_IPV6: u8 = 4;

/// Whether a route is a default one, or a part of one that was split (`0.0.0.0/1` with `128.0.0.0/1`, `2000::/3`).
pub fn is_default(route: &Route) -> bool {
    match route.destination {
        None => true,
        // 224.0.0.0/4 and ff00::/8 are multicast's, which programs are given routes for.
        Some((ip, _)) if ip.is_multicast() => false,
        Some((IpAddr::V4(_), length)) => length < SHORTEST_IPV4,
        Some((IpAddr::V6(_), length)) => length < SHORTEST_IPV6,
    }
}

/// The best route to a network: its metric, and the interfaces that it leaves by.
#[derive(Default)]
struct Best {
    metric: u32,
    interfaces: BTreeSet<u32>,
}

/// The routes of one table, by family (is it IPv6's?) and prefix length, longest first.
type Table = BTreeMap<(bool, Reverse<u8>), HashMap<IpAddr, Best>>;

/// Every routing table.
#[derive(Default)]
pub struct Routing {
    tables: BTreeMap<u32, Table>,
}

impl Routing {
    pub fn of(netdevs: &[FoundNetdev]) -> Self {
        let mut routing = Self::default();
        for found in netdevs {
            for route in &found.netdev.routes {
                routing.add(route, found.netdev.ifindex);
            }
        }
        routing
    }

    fn add(&mut self, route: &Route, ifindex: u32) {
        let any: IpAddr = if route.ipv6 { [0; 16].into() } else { [0; 4].into() };
        let (ip, length) = route.destination.unwrap_or((any, 0));
        let table = self.tables.entry(route.table).or_default();
        let networks = table.entry((route.ipv6, Reverse(length))).or_default();
        let metric = route.metric.unwrap_or(0);
        let best = networks.entry(network(ip, length)).or_insert(Best { metric, ..Best::default() });
        if metric < best.metric {
            *best = Best { metric, ..Best::default() };
        }
        if metric == best.metric {
            best.interfaces.insert(ifindex);
        }
    }

    /// The interfaces by which packets to `remote` may leave. A table of its own counts only where the interface that has the local address
    /// (`from`) has no way there itself: it is commonly for what comes from another one.
    pub fn leaves_by(&self, remote: IpAddr, from: Option<u32>) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let best = |table| Self::best(table, remote);
        for (_, table) in self.tables.range(ALWAYS_ASKED) {
            found.extend(best(table).into_iter().flat_map(|best| &best.interfaces));
        }
        // Of several that are as good it is the one with the address.
        if let Some(from) = from.filter(|from| found.contains(from)) {
            return BTreeSet::from([from]);
        }
        let others = self.tables.iter().filter(|(number, _)| !ALWAYS_ASKED.contains(number));
        let of_others: BTreeSet<u32> =
            others.filter_map(|(_, table)| best(table)).flat_map(|best| &best.interfaces).copied().collect();
        let is_covered = from.is_some_and(|from| of_others.contains(&from));
        if !is_covered {
            found.extend(of_others);
        }
        found
    }

    fn best(table: &Table, remote: IpAddr) -> Option<&Best> {
        let mut of_family = table.iter().filter(|((ipv6, _), _)| *ipv6 == remote.is_ipv6());
        of_family.find_map(|((_, length), networks)| networks.get(&network(remote, length.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(to: &str, length: u8, table: u32, metric: Option<u32>) -> Route {
        let ip: IpAddr = to.parse().unwrap();
        let destination = Some((ip, length)).filter(|(_, length)| *length != 0);
        Route { destination, ipv6: ip.is_ipv6(), gateway: None, table, protocol: 4, metric, raw: Vec::new() }
    }

    fn routing(routes: &[(Route, u32)]) -> Routing {
        let mut routing = Routing::default();
        for (route, ifindex) in routes {
            routing.add(route, *ifindex);
        }
        routing
    }

    fn leaves_by(routing: &Routing, remote: &str, from: Option<u32>) -> Vec<u32> {
        routing.leaves_by(remote.parse().unwrap(), from).into_iter().collect()
    }

    #[test]
    fn parts_of_a_split_default_route_are_default_routes_and_networks_are_not() {
        for (to, length) in
            [("0.0.0.0", 0), ("0.0.0.0", 1), ("128.0.0.0", 1), ("64.0.0.0", 2), ("2000::", 3), ("8000::", 1)]
        {
            assert!(is_default(&route(to, length, 254, None)), "{to}/{length}");
        }
        for (to, length) in [("10.0.0.0", 8), ("224.0.0.0", 4), ("fc00::", 7), ("ff00::", 8), ("fe80::", 10)]
        {
            assert!(!is_default(&route(to, length, 254, None)), "{to}/{length}");
        }
    }

    #[test]
    fn the_longest_prefix_and_then_the_lowest_metric_decide() {
        let routing = routing(&[
            (route("0.0.0.0", 0, 254, None), 1),
            (route("10.0.0.0", 8, 254, Some(20)), 2),
            (route("10.0.0.0", 8, 254, Some(20)), 3),
            (route("10.0.0.0", 8, 254, Some(30)), 4),
            (route("10.1.0.0", 16, 254, Some(90)), 5),
        ]);
        assert_eq!(leaves_by(&routing, "10.1.2.3", None), [5]);
        assert_eq!(leaves_by(&routing, "10.2.2.3", None), [2, 3]);
        assert_eq!(leaves_by(&routing, "192.0.2.1", None), [1]);
        assert!(leaves_by(&routing, "2001:db8::1", None).is_empty());
    }

    #[test]
    fn a_table_of_its_own_counts_unless_the_addresss_interface_has_a_way() {
        let routing = routing(&[(route("0.0.0.0", 0, 254, None), 1), (route("0.0.0.0", 0, 1041, None), 2)]);
        assert_eq!(leaves_by(&routing, "192.0.2.1", None), [1, 2]);
        assert_eq!(leaves_by(&routing, "192.0.2.1", Some(1)), [1]);
        assert_eq!(leaves_by(&routing, "192.0.2.1", Some(7)), [1, 2]);
    }
}
