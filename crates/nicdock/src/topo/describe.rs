//! Describes the drawing: boxes of NUMA nodes, in them those of root ports, in these devices.

use std::collections::BTreeMap;

use nicdock_host::environment::Environment;
use nicdock_host::model::{DeviceKind, Distance, Host, Link, Nic, NicKind, PciAddress};
use serde::Serialize;

use crate::listing::Holders;

/// A machine.
#[derive(Debug, PartialEq, Serialize)]
pub struct Drawing {
    pub nodes: Vec<NodeBox>,
    /// What is near to what, in the order of the nodes and devices.
    pub nearest: Vec<Nearest>,
}

/// A NUMA node, or what is on none.
#[derive(Debug, PartialEq, Serialize)]
pub struct NodeBox {
    pub title: String,
    pub root_ports: Vec<PortBox>,
}

/// What is below one root port, or beside all of them.
#[derive(Debug, PartialEq, Serialize)]
pub struct PortBox {
    pub title: String,
    pub devices: Vec<DeviceRow>,
}

/// A NIC, a GPU or a disk.
#[derive(Debug, PartialEq, Serialize)]
pub struct DeviceRow {
    pub kind: &'static str,
    pub pci: Option<PciAddress>,
    /// A NIC's name; of other devices vendor and device.
    pub name: String,
    /// `roce up 100G`; empty for other devices.
    pub network: String,
    /// `32.0 GT/s x16`, with what it could be where that is more; empty where it is not told.
    pub pcie: String,
    /// The container that has it.
    pub held_by: Option<String>,
}

/// The NICs that are nearest to something.
#[derive(Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// As a selector has it: `cpu:0-15`, `0000:17:00.0`.
    pub to: String,
    /// `NUMA node 0`, `GPU`.
    pub what: String,
    pub nics: Vec<String>,
    /// In words.
    pub distance: String,
}

/// Orders what is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Numa(u32),
    Unknown,
    NoPci,
}

/// Every fabric NIC, GPU and disk of a host.
pub fn describe(host: &Host, environment: &Environment, holders: &Holders) -> Drawing {
    let mut boxes: BTreeMap<Node, BTreeMap<Option<PciAddress>, Vec<DeviceRow>>> = BTreeMap::new();
    for node in &host.topology.nodes {
        boxes.entry(Node::Numa(node.number)).or_default();
    }
    let mut put = |node: Option<u32>, bridges: &[PciAddress], row: DeviceRow| {
        let node = match (row.pci, node) {
            (None, _) => Node::NoPci,
            (Some(_), Some(node)) => Node::Numa(node),
            // A machine with one node does not say so of each device.
            (Some(_), None) if host.topology.nodes.len() == 1 => Node::Numa(host.topology.nodes[0].number),
            (Some(_), None) => Node::Unknown,
        };
        boxes.entry(node).or_default().entry(bridges.first().copied()).or_default().push(row);
    };
    for nic in nics(host) {
        let function = nic.pci.and_then(|address| host.function(address));
        let bridges = function.map_or(&[][..], |function| &function.bridges);
        put(nic.numa_node, bridges, nic_row(host, environment, nic, holders));
    }
    for device in &host.topology.devices {
        let row = DeviceRow {
            kind: device.kind.as_str(),
            pci: Some(device.address),
            name: identity(environment, &device.sysfs),
            network: String::new(),
            pcie: pcie(environment, &device.sysfs),
            held_by: None,
        };
        put(device.numa_node, &device.bridges, row);
    }
    let nodes = boxes.into_iter().map(|(node, ports)| node_box(host, node, ports)).collect();
    Drawing { nodes, nearest: nearest(host) }
}

fn nics(host: &Host) -> impl Iterator<Item = &Nic> {
    host.nics.iter().filter(|nic| nic.kind != NicKind::Ethernet)
}

fn node_box(host: &Host, node: Node, ports: BTreeMap<Option<PciAddress>, Vec<DeviceRow>>) -> NodeBox {
    let cpus = |number: u32| {
        let node = host.topology.nodes.iter().find(|one| one.number == number);
        let cpus = node.filter(|node| !node.cpus.is_empty());
        cpus.map(|node| format!(", CPUs {}", node.cpus)).unwrap_or_default()
    };
    let title = match node {
        Node::Numa(number) => format!("NUMA node {number}{}", cpus(number)),
        Node::Unknown => "NUMA node not known".to_owned(),
        Node::NoPci => "not on PCI".to_owned(),
    };
    let port = |(root, mut devices): (Option<PciAddress>, Vec<DeviceRow>)| {
        // NICs first, then what they work with.
        devices.sort_by_key(|row| (row.kind != "NIC", row.kind, row.pci, row.name.clone()));
        let title = match (root, node) {
            (Some(root), _) => format!("root port {root}"),
            (None, Node::NoPci) => "virtual".to_owned(),
            (None, _) => "root complex".to_owned(),
        };
        PortBox { title, devices }
    };
    NodeBox { title, root_ports: ports.into_iter().map(port).collect() }
}

fn nic_row(host: &Host, environment: &Environment, nic: &Nic, holders: &Holders) -> DeviceRow {
    let netdev = nic.netdevs.first().filter(|netdev| netdev.name != nic.name);
    let netdev = netdev.map(|netdev| format!("{} ", netdev.name)).unwrap_or_default();
    let function = nic.pci.and_then(|address| host.function(address));
    let held = holders.get(&nic.name);
    DeviceRow {
        kind: "NIC",
        pci: nic.pci,
        name: nic.name.clone(),
        network: format!("{netdev}{} {}", nic.kind, Link::of(nic)),
        pcie: function.map(|function| pcie(environment, &function.sysfs)).unwrap_or_default(),
        held_by: held.and_then(|held| held.containers.first()).map(|holder| holder.container.clone()),
    }
}

/// `10de:2330`.
fn identity(environment: &Environment, sysfs: &str) -> String {
    let number = |name: &str| {
        let text = environment.text(&format!("sys/{sysfs}/{name}")).known()?;
        Some(text.trim_start_matches("0x").to_owned())
    };
    number("vendor")
        .zip(number("device"))
        .map(|(vendor, device)| format!("{vendor}:{device}"))
        .unwrap_or_default()
}

/// Speed and width as the kernel has them, shorter.
fn pcie(environment: &Environment, sysfs: &str) -> String {
    let link = |which: &str| {
        let text = |what: &str| environment.text(&format!("sys/{sysfs}/{which}_link_{what}")).known();
        // A function in the root complex itself has no link.
        let (speed, width) = (text("speed")?, text("width").filter(|width| width != "0")?);
        Some(format!("{} x{width}", speed.trim_end_matches(" PCIe")))
    };
    match (link("current"), link("max")) {
        (Some(now), Some(max)) if now != max => format!("{now} of {max}"),
        (Some(now), _) => now,
        (None, _) => String::new(),
    }
}

fn nearest(host: &Host) -> Vec<Nearest> {
    let of = |to: String, what: String, distance: &dyn Fn(&Nic) -> Option<Distance>| {
        let all: Vec<(&Nic, Distance)> = nics(host).filter_map(|nic| Some((nic, distance(nic)?))).collect();
        let least = all.iter().map(|(_, distance)| *distance).min()?;
        let nics = all.iter().filter(|(_, distance)| *distance == least).map(|(nic, _)| nic.name.clone());
        Some(Nearest { to, what, nics: nics.collect(), distance: least.to_string() })
    };
    let with_cpus = host.topology.nodes.iter().filter(|node| !node.cpus.is_empty());
    let nodes = with_cpus.filter_map(|node| {
        let to = format!("cpu:{}", node.cpus.to_string().replace(',', "+"));
        of(to, format!("NUMA node {}", node.number), &|nic| host.distance_to_cpus(nic, &node.cpus))
    });
    let devices = host.topology.devices.iter().filter_map(|device| {
        let kind = match device.kind {
            DeviceKind::Gpu => "GPU",
            DeviceKind::Nvme => "NVMe",
        };
        of(device.address.to_string(), kind.to_owned(), &|nic| host.distance_to_device(nic, device.address))
    });
    nodes.chain(devices).collect()
}
