//! Netdevs, RDMA devices and PCI functions become NICs.

use std::collections::BTreeMap;

use super::kind;
use super::netdevs::FoundNetdev;
use super::pci::Functions;
use super::rdma::{FoundRdmaDevice, Place};
use super::sysfs::Sysfs;
use crate::model::{Isolation, IsolationMethod, LinkLayer, Netdev, Nic, PciAddress, PciFunction, RdmaDevice};

/// What makes one NIC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Function(PciAddress),
    /// A virtual netdev with a software RDMA device on it.
    Netdev(String),
    /// An RDMA device on another bus.
    Rdma(String),
}

#[derive(Default)]
struct Parts {
    netdevs: Vec<Netdev>,
    rdma_devices: Vec<RdmaDevice>,
}

/// One NIC for each PCI function that has netdevs or RDMA devices or is a network adapter by its class, and for each
/// virtual netdev with a software RDMA device. Sorted by PCI address (those without first), then name.
pub fn nics(
    sysfs: &Sysfs,
    functions: &mut Functions,
    netdevs: Vec<FoundNetdev>,
    rdma: Vec<FoundRdmaDevice>,
) -> Vec<Nic> {
    let mut parts = BTreeMap::<Key, Parts>::new();
    for address in functions.network_class() {
        if functions.get(sysfs, address).is_some_and(|function| !function.is_usnic_vf()) {
            parts.entry(Key::Function(address)).or_default();
        }
    }
    let functions_of: BTreeMap<String, Option<PciAddress>> =
        netdevs.iter().map(|found| (found.netdev.name.clone(), found.function)).collect();
    for found in rdma {
        if let Some(key) = key_of(sysfs, &found, &functions_of) {
            parts.entry(key).or_default().rdma_devices.push(found.device);
        }
    }
    for FoundNetdev { function, netdev } in netdevs {
        match function {
            Some(function) => parts.entry(Key::Function(function)).or_default().netdevs.push(netdev),
            None => {
                if let Some(parts) = parts.get_mut(&Key::Netdev(netdev.name.clone())) {
                    parts.netdevs.push(netdev);
                }
            }
        }
    }
    let mut nics: Vec<Nic> =
        parts.into_iter().map(|(key, parts)| nic(sysfs, functions, &key, parts)).collect();
    nics.sort_by(|a, b| (a.pci, &a.name).cmp(&(b.pci, &b.name)));
    nics
}

/// A hardware device belongs to its function, a software one to whatever its netdev belongs to.
fn key_of(
    sysfs: &Sysfs,
    found: &FoundRdmaDevice,
    functions_of: &BTreeMap<String, Option<PciAddress>>,
) -> Option<Key> {
    let name = &found.device.name;
    match &found.place {
        Place::Function(function) => Some(Key::Function(*function)),
        Place::OtherBus => Some(Key::Rdma(name.clone())),
        Place::OtherNamespace => None,
        Place::Netdev(netdev) => match functions_of.get(netdev) {
            Some(Some(function)) => Some(Key::Function(*function)),
            Some(None) => Some(Key::Netdev(netdev.clone())),
            None => {
                sysfs.warn(format!("{name} stands on {netdev}, which is no NIC's netdev, and is left out"));
                None
            }
        },
    }
}

fn nic(sysfs: &Sysfs, functions: &mut Functions, key: &Key, parts: Parts) -> Nic {
    let Parts { mut netdevs, mut rdma_devices } = parts;
    let pci = if let Key::Function(address) = key { Some(*address) } else { None };
    let function = pci.and_then(|address| functions.get(sysfs, address));
    netdevs.sort_by(|a, b| (a.dev_port, &a.name).cmp(&(b.dev_port, &b.name)));
    rdma_devices.sort_by(|a, b| a.name.cmp(&b.name));
    for device in &mut rdma_devices {
        if device.driver.is_none() {
            device.driver = function.and_then(|function| function.driver.clone());
        }
        name_netdevs(device, &netdevs);
    }
    let name = name(pci, &netdevs, &rdma_devices);
    let kind = kind::of(function, &netdevs, &rdma_devices);
    let numa_node = function.and_then(|function: &PciFunction| function.numa_node);
    // Both are filled in once every NIC is known.
    let isolation = Isolation { method: IsolationMethod::View, reason: String::new() };
    Nic { name, kind, pci, numa_node, netdevs, rdma_devices, isolation, in_use: Vec::new() }
}

fn name(pci: Option<PciAddress>, netdevs: &[Netdev], rdma_devices: &[RdmaDevice]) -> String {
    let rdma = rdma_devices.first().map(|device| device.name.clone());
    let netdev = || netdevs.first().map(|netdev| netdev.name.clone());
    rdma.or_else(netdev).or_else(|| pci.map(|address| address.to_string())).unwrap_or_default()
}

/// Netlink names no netdev for InfiniBand ports: `IPoIB` numbers its netdevs like the ports, from 0
/// (`ipoib_add_port()`).
fn name_netdevs(device: &mut RdmaDevice, netdevs: &[Netdev]) {
    for port in &mut device.ports {
        let by_name = netdevs.iter().find(|netdev| port.netdev.as_ref() == Some(&netdev.name));
        let by_port = || {
            let is_ipoib = port.link_layer == LinkLayer::InfiniBand && port.netdev.is_none();
            netdevs.iter().find(|netdev| is_ipoib && netdev.dev_port.checked_add(1) == Some(port.number))
        };
        if let Some(netdev) = by_name.or_else(by_port) {
            port.netdev = Some(netdev.name.clone());
            port.netdev_mac.clone_from(&netdev.mac);
        }
    }
}
