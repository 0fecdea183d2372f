//! `nicdock ls --tree`: NUMA node, root port, bridges, function, and what hangs on it.

use std::collections::BTreeMap;

use nicdock_host::model::{Host, Nic, PciAddress, PciFunction};

use super::{Held, Holders, pool, shown};
use nicdock_host::model::Link;

/// What is printed on one line, with what hangs below.
#[derive(Default)]
struct Branch {
    label: String,
    children: BTreeMap<Place, Branch>,
}

/// The order of branches.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Numa(u32),
    UnknownNuma,
    NoPci,
    Bus(PciAddress),
    Name(String),
    /// What a function has, in the order in which it is told.
    Part(usize),
}

/// The tree of the listed NICs.
pub fn tree(host: &Host, holders: &Holders, all: bool) -> String {
    let mut root = Branch::default();
    for nic in shown(host, all) {
        place(&mut root, host, nic, holders);
    }
    let mut lines = Vec::new();
    for branch in root.children.values() {
        lines.push(branch.label.clone());
        print(branch, "", &mut lines);
    }
    if lines.is_empty() {
        lines.push("No fabric NIC was found.".to_owned());
    }
    lines.join("\n") + "\n"
}

fn place(root: &mut Branch, host: &Host, nic: &Nic, holders: &Holders) {
    let (top, top_label) = match (nic.pci, nic.numa_node) {
        (None, _) => (Place::NoPci, "not on PCI".to_owned()),
        (Some(_), Some(node)) => (Place::Numa(node), format!("NUMA node {node}")),
        (Some(_), None) => (Place::UnknownNuma, "NUMA node not known".to_owned()),
    };
    let mut branch = root.child(top, top_label);
    let function = nic.pci.and_then(|address| host.function(address));
    for (depth, bridge) in function.iter().flat_map(|function| &function.bridges).enumerate() {
        branch = branch.child(Place::Bus(*bridge), bridge_label(host, *bridge, depth));
    }
    if let Some(address) = nic.pci.filter(|_| nic.auxiliary.is_some()) {
        branch = branch.child(Place::Bus(address), format!("{address} function"));
    }
    let key = nic.whole_function().map_or_else(|| Place::Name(nic.name.clone()), Place::Bus);
    let branch = branch.child(key, nic_label(nic, function, holders));
    for (at, label) in parts(host, nic, function).into_iter().enumerate() {
        branch.child(Place::Part(at), label);
    }
}

fn bridge_label(host: &Host, address: PciAddress, depth: usize) -> String {
    let what = if depth == 0 { "root port" } else { "bridge" };
    match host.function(address) {
        Some(f) => format!("{address} {what} {:04x}:{:04x}", f.vendor, f.device),
        None => format!("{address} {what}"),
    }
}

fn nic_label(nic: &Nic, function: Option<&PciFunction>, holders: &Holders) -> String {
    let address = nic.pci.map(|_| format!("{} ", nic.key())).unwrap_or_default();
    let identity = function.filter(|_| nic.auxiliary.is_none()).map(|function| {
        let driver = function.driver.as_deref().unwrap_or("(no driver)");
        let of = function.pf.map(|pf| format!(", VF of {pf}")).unwrap_or_default();
        format!(" {:04x}:{:04x} {driver}{of}", function.vendor, function.device)
    });
    let words = |held: &Held| held.words(|holder| holder.container.clone());
    let holder = holders.get(&nic.name).map(|held| format!(", held by {}", words(held)));
    let (identity, holder) = (identity.unwrap_or_default(), holder.unwrap_or_default());
    format!("{address}{} {}{identity}{holder}", nic.name, nic.kind)
}

/// Virtual functions, netdevs, RDMA devices with what usNIC has behind them, nodes.
fn parts(host: &Host, nic: &Nic, function: Option<&PciFunction>) -> Vec<String> {
    let vfs = match function.filter(|_| nic.auxiliary.is_none()).map(|function| function.vfs.as_slice()) {
        Some([only]) => Some(format!("VF {only}")),
        Some([first, .., last]) => Some(format!("VFs {first} to {last}")),
        _ => None,
    };
    let netdevs = nic.netdevs.iter().map(|netdev| {
        let addresses: String =
            netdev.addresses.iter().flat_map(|a| [" ".to_owned(), a.to_string()]).collect();
        format!("netdev {} {}{addresses}", netdev.name, Link::of_netdev(netdev))
    });
    let elsewhere = nic.ports_elsewhere.iter().map(|port| format!("elsewhere: {port}"));
    let devices = nic.rdma_devices.iter().flat_map(|device| {
        let states = device.ports.iter().map(|port| format!(" port {} {}", port.number, port.state));
        let label = format!("RDMA device {}{}", device.name, states.collect::<Vec<_>>().join(","));
        std::iter::once(label).chain(pool::lines(host, nic, device))
    });
    let nodes = nic.nodes().map(|node| format!("node {} {}:{}", node.path, node.major, node.minor));
    vfs.into_iter().chain(netdevs).chain(elsewhere).chain(devices).chain(nodes).collect()
}

impl Branch {
    fn child(&mut self, key: Place, label: String) -> &mut Self {
        self.children.entry(key).or_insert_with(|| Self { label, children: BTreeMap::new() })
    }
}

fn print(branch: &Branch, indent: &str, lines: &mut Vec<String>) {
    let last = branch.children.len().saturating_sub(1);
    for (at, child) in branch.children.values().enumerate() {
        let (corner, below) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{corner}{}", child.label));
        print(child, &format!("{indent}{below}"), lines);
    }
}
