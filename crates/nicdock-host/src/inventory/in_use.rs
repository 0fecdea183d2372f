//! Signs that the host needs a NIC.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::links::Link;
use super::netdevs::FoundNetdev;
use super::routing::{Routing, is_default};
use super::sysfs::Sysfs;
use super::{ByIndex, driver_nodes, tcp};
use crate::model::{InUse, Netdev, Nic, PciFunction};
use crate::source::{OpenNode, OpenNodes, Source};

/// A veth's `IFLA_LINK` is its other end, not something below it.
const PEERED_KINDS: [&str; 2] = ["veth", "netkit"];

/// That a NIC is in use is said by one connection as well as by a hundred thousand.
const MAX_CONNECTIONS: usize = 100_000;

/// What was found on the host as a whole.
pub struct Signs<'a> {
    links: &'a ByIndex<Link>,
    connections: HashMap<IpAddr, Vec<(SocketAddr, SocketAddr)>>,
    /// How many more may be reported: an address may be on many interfaces, and every connection is reported for each.
    connections_left: Cell<usize>,
    /// Interfaces stacked on the one with this index.
    uppers: HashMap<u32, Vec<&'a Link>>,
    /// By the node's name.
    open: HashMap<String, Vec<OpenNode>>,
    /// Connections by the index of an interface that they leave by, without those whose local address is on it.
    routed: HashMap<u32, Vec<(SocketAddr, SocketAddr)>>,
}

impl<'a> Signs<'a> {
    /// Looks for open nodes only where there are any (`has_nodes`): that means a look at every process.
    pub fn read(
        source: &dyn Source,
        sysfs: &Sysfs,
        links: &'a ByIndex<Link>,
        ways: &Ways,
        has_nodes: bool,
    ) -> Self {
        let mut connections = HashMap::<_, Vec<_>>::new();
        for path in ["proc/net/tcp", "proc/net/tcp6"] {
            for (local, remote) in read_connections(source, sysfs, path) {
                connections.entry(local.ip()).or_default().push((local, remote));
            }
        }
        let routed = ways.routed(&connections);
        let mut uppers = HashMap::<_, Vec<_>>::new();
        for link in links.values() {
            let peered = link.kind.as_deref().is_some_and(|kind| PEERED_KINDS.contains(&kind));
            if let Some(lower) = link.lower.filter(|_| !peered) {
                uppers.entry(lower).or_default().push(link);
            }
        }
        let mut open = HashMap::<_, Vec<_>>::new();
        if has_nodes {
            let processes = source.open_nodes().unwrap_or_else(|error| {
                sysfs.warn(format!("cannot read /proc: {error}"));
                OpenNodes { nodes: Vec::new(), complete: false }
            });
            if !processes.complete {
                sysfs.warn(
                    "not every process could be looked into: whether another user's has an RDMA node open is not \
                     known (run as root)"
                        .to_owned(),
                );
            }
            for process in processes.nodes {
                let name = process.node.rsplit('/').next().unwrap_or_default().to_owned();
                open.entry(name).or_default().push(process);
            }
        }
        Self { links, connections, connections_left: Cell::new(MAX_CONNECTIONS), uppers, open, routed }
    }

    pub fn of(&self, nic: &Nic, function: Option<&PciFunction>) -> Vec<InUse> {
        let mut found: Vec<InUse> = nic.netdevs.iter().flat_map(|netdev| self.of_netdev(netdev)).collect();
        for node in nic.nodes() {
            let processes = self.open.get(node.name()).into_iter().flatten();
            found.extend(processes.map(|process| InUse::OpenNode {
                node: node.path.clone(),
                pid: process.pid,
                command: process.command.clone(),
            }));
        }
        let all = self.open.values().flatten();
        let own = all.filter(|process| driver_nodes::is_of(nic, function, &process.node));
        let mut own: Vec<&OpenNode> = own.collect();
        own.sort_unstable();
        found.extend(own.into_iter().map(|process| InUse::DriverNode {
            node: process.node.clone(),
            pid: process.pid,
            command: process.command.clone(),
        }));
        found
    }

    pub fn of_netdev(&self, netdev: &Netdev) -> Vec<InUse> {
        let name = || netdev.name.clone();
        let mut found = Vec::new();
        for route in netdev.routes.iter().filter(|route| is_default(route)) {
            let destination = route.destination.map(|(ip, length)| format!("{ip}/{length}"));
            let (gateway, table) = (route.gateway, route.table);
            found.push(InUse::DefaultRoute { netdev: name(), gateway, table, destination });
        }
        // One address may be there with several prefix lengths.
        let own: BTreeSet<IpAddr> = netdev.addresses.iter().map(|address| address.ip).collect();
        let connections = own.iter().filter_map(|ip| self.connections.get(ip)).flatten();
        for (local, remote) in connections.take(self.connections_left.get()) {
            self.connections_left.set(self.connections_left.get() - 1);
            found.push(InUse::TcpConnection { netdev: name(), local: *local, remote: *remote });
        }
        let routed = self.routed.get(&netdev.ifindex).into_iter().flatten();
        for (local, remote) in routed.take(self.connections_left.get()) {
            self.connections_left.set(self.connections_left.get() - 1);
            found.push(InUse::RoutedTcp { netdev: name(), local: *local, remote: *remote });
        }
        let link = self.links.get(&netdev.ifindex);
        found.extend(link.and_then(|l| l.xdp).map(|program| InUse::Xdp { netdev: name(), program }));
        let master = link.and_then(|link| link.master);
        if let Some(index) = master {
            let master = self.links.get(&index);
            found.push(InUse::Member {
                netdev: name(),
                master: master.map_or_else(|| format!("interface {index}"), |link| link.name.clone()),
                master_kind: master.and_then(|link| link.kind.clone()),
            });
        }
        let mut uppers: BTreeSet<&str> = BTreeSet::new();
        for upper in self.uppers.get(&netdev.ifindex).into_iter().flatten() {
            uppers.insert(&upper.name);
            let upper_kind = upper.kind.clone();
            found.push(InUse::Stacked { netdev: name(), upper: upper.name.clone(), upper_kind });
        }
        let master = master.and_then(|index| self.links.get(&index)).map(|master| master.name.as_str());
        for upper in netdev.uppers.iter().filter(|upper| !uppers.contains(&***upper) && master != Some(upper))
        {
            let upper_kind =
                self.links.values().find(|link| link.name == *upper).and_then(|link| link.kind.clone());
            found.push(InUse::Stacked { netdev: name(), upper: upper.clone(), upper_kind });
        }
        found
    }
}

/// By which interfaces the host's connections may leave.
pub struct Ways {
    routing: Routing,
    /// The host's own addresses; the interface of each that is on one other than the loopback.
    own: HashMap<IpAddr, Option<u32>>,
}

impl Ways {
    pub fn of(netdevs: &[FoundNetdev], own: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut own: HashMap<IpAddr, Option<u32>> = own.into_iter().map(|ip| (ip, None)).collect();
        for found in netdevs {
            own.extend(found.netdev.addresses.iter().map(|address| (address.ip, Some(found.netdev.ifindex))));
        }
        Self { routing: Routing::of(netdevs), own }
    }

    fn routed(
        &self,
        connections: &HashMap<IpAddr, Vec<(SocketAddr, SocketAddr)>>,
    ) -> HashMap<u32, Vec<(SocketAddr, SocketAddr)>> {
        let mut routed = HashMap::<u32, Vec<_>>::new();
        let all = connections.values().flatten();
        let leaves = |remote: &IpAddr| !remote.is_loopback() && !self.own.contains_key(remote);
        for (local, remote) in all.filter(|(_, remote)| leaves(&remote.ip())).take(MAX_CONNECTIONS) {
            let from = self.own.get(&local.ip()).copied().flatten();
            for interface in self.routing.leaves_by(remote.ip(), from) {
                if from != Some(interface) {
                    routed.entry(interface).or_default().push((*local, *remote));
                }
            }
        }
        for connections in routed.values_mut() {
            connections.sort_unstable();
        }
        routed
    }
}

fn read_connections(source: &dyn Source, sysfs: &Sysfs, path: &str) -> Vec<(SocketAddr, SocketAddr)> {
    // A kernel without IPv6 has no tcp6.
    let text = match source.read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            sysfs.warn(format!("cannot read /{path}: {error}; established connections are not known"));
            return Vec::new();
        }
    };
    tcp::established(&String::from_utf8_lossy(&text)).unwrap_or_else(|line| {
        sysfs
            .warn(format!("line {line} of /{path} is not understood; established connections are not known"));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constructed::hosts::mlx5_sriov;

    #[test]
    fn a_program_on_a_leg_of_a_bond_is_told_once() {
        let host = crate::inventory::read(&mlx5_sriov().capture()).unwrap();
        let netdev =
            host.nics.iter().flat_map(|nic| &nic.netdevs).find(|netdev| netdev.name == "eno1").unwrap();
        let leg = Link { xdp: Some(42), master: Some(1), ..Link::default() };
        let links = ByIndex::from([(netdev.ifindex, leg)]);
        let (connections, uppers, open, routed) = Default::default();
        let connections_left = Cell::new(0);
        let signs = Signs { links: &links, connections, connections_left, uppers, open, routed };
        let found: Vec<String> = signs.of_netdev(netdev).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["XDP program 42 is on eno1", "eno1 is a member of interface 1"]);
    }
}
