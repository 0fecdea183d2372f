//! Netdevs, RDMA devices and PCI functions become NICs.

use std::collections::BTreeMap;

use super::netdevs::{FoundNetdev, Home};
use super::pci::Functions;
use super::rdma::{FoundRdmaDevice, Place};
use super::representors::{self, Named};
use super::sysfs::Sysfs;
use super::{elsewhere, kind};
use crate::model::{
    Isolation, IsolationMethod, LinkLayer, Netdev, Nic, PciAddress, PciFunction, RdmaDevice, Representor,
};

/// What makes one NIC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Function(PciAddress),
    /// A sub-function, by its auxiliary device.
    Subfunction(PciAddress, String),
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

/// One NIC for each PCI function and sub-function that has netdevs or RDMA devices, or is a network adapter by its class, and for each
/// virtual netdev with a software RDMA device, in the order of their places ([`Nic::place`]), then by name; with the netdevs that are no NIC's.
pub fn nics(
    sysfs: &Sysfs,
    functions: &mut Functions,
    mut netdevs: Vec<FoundNetdev>,
    rdma: Vec<FoundRdmaDevice>,
) -> (Vec<Nic>, Vec<Representor>) {
    let mut parts = BTreeMap::<Key, Parts>::new();
    for address in functions.network_class() {
        if functions.get(sysfs, address).is_some_and(|function| !function.is_usnic_vf()) {
            parts.entry(Key::Function(address)).or_default();
        }
    }
    let mut named = Named::default();
    for found in &rdma {
        if let Place::Hardware(home) = &found.place {
            named.add(home, &found.device);
        }
    }
    let representors = representors::take_out(&mut netdevs, &named);
    let homes: BTreeMap<&str, &Home> =
        netdevs.iter().map(|found| (found.netdev.name.as_str(), &found.home)).collect();
    for found in rdma {
        if let Some(key) = key_of(sysfs, &found, &homes) {
            parts.entry(key).or_default().rdma_devices.push(found.device);
        }
    }
    let keys: BTreeMap<u32, Key> = netdevs
        .iter()
        .filter_map(|found| {
            let key = match &found.home {
                Home::Function(_) | Home::Subfunction(..) => Key::of_home(&found.home)?,
                Home::Virtual => {
                    Some(Key::Netdev(found.netdev.name.clone())).filter(|key| parts.contains_key(key))?
                }
                // An RDMA device there says which netdevs are with it.
                Home::OtherBus => {
                    let has = |(_, parts): &(&Key, &Parts)| names(parts, &found.netdev);
                    let mut others = parts.iter().filter(|(key, _)| matches!(key, Key::Rdma(_)));
                    others.find(has)?.0.clone()
                }
            };
            Some((found.netdev.ifindex, key))
        })
        .collect();
    for found in &netdevs {
        if let Some(key) = keys.get(&found.netdev.ifindex) {
            parts.entry(key.clone()).or_default().netdevs.push(found.netdev.clone());
        }
    }
    let mut nics: Vec<Nic> =
        parts.into_iter().map(|(key, parts)| nic(sysfs, functions, &key, parts)).collect();
    nics.sort_by(|a, b| (a.place(), &a.name).cmp(&(b.place(), &b.name)));
    elsewhere::find(&mut nics, &netdevs);
    (nics, representors)
}

fn names(parts: &Parts, netdev: &Netdev) -> bool {
    let mut named = parts.rdma_devices.iter().flat_map(|device| &device.ports).map(|port| &port.netdev);
    named.any(|name| name.as_ref() == Some(&netdev.name))
}

impl Key {
    /// `None` where what is there is no part of a PCI device.
    fn of_home(home: &Home) -> Option<Self> {
        match home {
            Home::Function(address) => Some(Self::Function(*address)),
            Home::Subfunction(address, auxiliary) => Some(Self::Subfunction(*address, auxiliary.clone())),
            Home::Virtual | Home::OtherBus => None,
        }
    }
}

/// A hardware device belongs to its function, a software one to whatever its netdev belongs to.
fn key_of(sysfs: &Sysfs, found: &FoundRdmaDevice, homes: &BTreeMap<&str, &Home>) -> Option<Key> {
    let name = &found.device.name;
    match &found.place {
        Place::Hardware(home) => Key::of_home(home).or_else(|| Some(Key::Rdma(name.clone()))),
        Place::OtherNamespace => None,
        Place::Netdev(netdev) => match homes.get(netdev.as_str()) {
            Some(Home::Virtual) => Some(Key::Netdev(netdev.clone())),
            home => home.and_then(|home| Key::of_home(home)).or_else(|| {
                sysfs.warn(format!("{name} stands on {netdev}, which is no NIC's netdev, and is left out"));
                None
            }),
        },
    }
}

fn nic(sysfs: &Sysfs, functions: &mut Functions, key: &Key, parts: Parts) -> Nic {
    let Parts { mut netdevs, mut rdma_devices } = parts;
    let (pci, auxiliary) = match key {
        Key::Function(address) => (Some(*address), None),
        Key::Subfunction(address, auxiliary) => (Some(*address), Some(auxiliary.clone())),
        Key::Netdev(_) | Key::Rdma(_) => (None, None),
    };
    let function = pci.and_then(|address| functions.get(sysfs, address));
    netdevs.sort_by(|a, b| (a.dev_port, &a.name).cmp(&(b.dev_port, &b.name)));
    rdma_devices.sort_by(|a, b| a.name.cmp(&b.name));
    for device in &mut rdma_devices {
        if device.driver.is_none() {
            device.driver = function.and_then(|function| function.driver.clone());
        }
        name_netdevs(device, &netdevs);
    }
    let name = name(key, &netdevs, &rdma_devices);
    let kinds = kind::all(function, &netdevs, &rdma_devices);
    let kind = kind::of(function, &netdevs, &rdma_devices);
    let numa_node = function.and_then(|function: &PciFunction| function.numa_node);
    // Isolation and use are filled in once every NIC is known, and so is what is elsewhere.
    let isolation = Isolation { method: IsolationMethod::View, reason: String::new() };
    Nic {
        name,
        kind,
        kinds,
        pci,
        auxiliary,
        numa_node,
        netdevs,
        rdma_devices,
        ports_elsewhere: Vec::new(),
        carries: Vec::new(),
        isolation,
        in_use: Vec::new(),
    }
}

fn name(key: &Key, netdevs: &[Netdev], rdma_devices: &[RdmaDevice]) -> String {
    let rdma = rdma_devices.first().map(|device| device.name.clone());
    let netdev = || netdevs.first().map(|netdev| netdev.name.clone());
    let place = || match key {
        Key::Function(address) => address.to_string(),
        Key::Subfunction(address, auxiliary) => format!("{address}/{auxiliary}"),
        Key::Netdev(name) | Key::Rdma(name) => name.clone(),
    };
    rdma.or_else(netdev).unwrap_or_else(place)
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
