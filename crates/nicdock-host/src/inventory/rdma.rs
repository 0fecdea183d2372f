//! RDMA devices: sysfs has everything but the index, the netdev and the software drivers' names; netlink has those.

use std::collections::BTreeMap;

use nicdock_netlink::rdma::{Device, DriverId, parse_chardev, parse_devices};

use super::netdevs::Home;
use super::pci_path;
use super::sysfs::Sysfs;
use super::{InventoryError, dump, malformed, netns_mode, ports, usnic};
use crate::model::{Node, RdmaDevice, RdmaNetnsMode, is_soft};
use crate::source::{Dump, Source};

/// An RDMA device and where it belongs.
pub struct FoundRdmaDevice {
    pub device: RdmaDevice,
    pub place: Place,
}

/// What an RDMA device stands on.
pub enum Place {
    /// Hardware: a function, a sub-function, or another bus.
    Hardware(Home),
    /// Software: the netdev of this name.
    Netdev(String),
    /// Software: a netdev of another network namespace. In shared mode the device is seen here all the same.
    OtherNamespace,
}

/// Everything that the RDMA core shows.
#[derive(Default)]
pub struct Rdma {
    /// `None` where no RDMA core is loaded.
    pub netns_mode: Option<RdmaNetnsMode>,
    pub devices: Vec<FoundRdmaDevice>,
    pub cm: Option<Node>,
}

pub fn read(source: &dyn Source, sysfs: &Sysfs) -> Result<Rdma, InventoryError> {
    // Without ib_core there is no such directory, and opening its netlink family would only load the module.
    if source.list("sys/class/infiniband").is_err() {
        return Ok(Rdma::default());
    }
    let known = dump(source, Dump::RdmaDevices, "RDMA devices")?;
    let known = parse_devices(&known).map_err(malformed("RDMA devices"))?;
    let known: BTreeMap<String, Device> = known.into_iter().map(|d| (d.name.clone(), d)).collect();
    let mut nodes = nodes(sysfs);
    let mut devices = Vec::new();
    for name in sysfs.list("class/infiniband") {
        let Some(path) = sysfs.target(&format!("class/infiniband/{name}")) else { continue };
        let index = known.get(&name).map(|device| device.index);
        let nodes = nodes.remove(&name).unwrap_or_default();
        devices.push(read_device(source, sysfs, name, path, index, nodes)?);
    }
    let cm = sysfs.target("class/misc/rdma_cm").and_then(|path| node(sysfs, "rdma_cm", path));
    Ok(Rdma { netns_mode: Some(netns_mode(source)?), devices, cm })
}

fn read_device(
    source: &dyn Source,
    sysfs: &Sysfs,
    name: String,
    path: String,
    index: Option<u32>,
    nodes: Nodes,
) -> Result<FoundRdmaDevice, InventoryError> {
    let text = |file: &str| sysfs.text(&format!("{path}/{file}")).filter(|text| !text.is_empty());
    let node_type = text("node_type").unwrap_or_default();
    let driver = driver_name(driver_id(source, index, &nodes), &path, &node_type);
    let ports = ports::read(source, sysfs, &path, index)?;
    let place = if driver.is_some_and(is_soft) {
        // Netlink names the netdev only in its own namespace; `parent_show()` of rxe_verbs.c names any.
        let of_port = ports.iter().find_map(|port| port.netdev.clone());
        let of_sysfs = || {
            index.map_or_else(
                || sysfs.name(&format!("{path}/parent")).filter(|name| !name.is_empty()),
                |_| None,
            )
        };
        of_port.or_else(of_sysfs).map_or(Place::OtherNamespace, Place::Netdev)
    } else {
        Place::Hardware(pci_path::cut(&path).map_or(Home::OtherBus, |on| match on.subfunction() {
            Some(auxiliary) => Home::Subfunction(on.function, auxiliary.to_owned()),
            None => Home::Function(on.function),
        }))
    };
    let device = RdmaDevice {
        index,
        driver: driver.map(str::to_owned),
        node_guid: text("node_guid"),
        firmware: text("fw_ver"),
        board_id: text("board_id"),
        usnic: driver.filter(|driver| *driver == usnic::DRIVER).map(|_| usnic::pool(sysfs, &path)),
        moves: None,
        node_type,
        ports,
        uverbs: nodes.uverbs,
        umad: nodes.umad,
        issm: nodes.issm,
        name,
        sysfs: path,
    };
    Ok(FoundRdmaDevice { device, place })
}

/// The driver's number, for a device with a uverbs node (else the question would load `ib_uverbs`).
fn driver_id(source: &dyn Source, index: Option<u32>, nodes: &Nodes) -> Option<DriverId> {
    nodes.uverbs.as_ref()?;
    let answer = source.dump(Dump::RdmaUverbs(index?)).ok()?;
    parse_chardev(&answer).ok().flatten()?.driver
}

/// Drivers that are not the PCI function's own; for all others that one is named.
fn driver_name(id: Option<DriverId>, path: &str, node_type: &str) -> Option<&'static str> {
    match id {
        Some(DriverId::RXE) => return Some("rxe"),
        Some(DriverId::SIW) => return Some("siw"),
        Some(DriverId::USNIC) => return Some(usnic::DRIVER),
        _ => {}
    }
    // node_type_show() of drivers/infiniband/core/sysfs.c
    let number = node_type.split(':').next().unwrap_or_default();
    match number {
        "5" | "6" => Some(usnic::DRIVER),
        "1" if path.starts_with("devices/virtual/") => Some("rxe"),
        "4" if path.starts_with("devices/virtual/") => Some("siw"),
        _ => None,
    }
}

/// The nodes of one RDMA device.
#[derive(Default)]
struct Nodes {
    uverbs: Option<Node>,
    umad: Vec<Node>,
    issm: Vec<Node>,
}

/// Nodes by RDMA device. The class directories also list those of devices in other namespaces, and `abi_version`.
fn nodes(sysfs: &Sysfs) -> BTreeMap<String, Nodes> {
    let mut nodes = BTreeMap::<String, Nodes>::new();
    for class in ["infiniband_verbs", "infiniband_mad"] {
        for name in sysfs.list(&format!("class/{class}")) {
            if !["uverbs", "umad", "issm"].iter().any(|kind| name.starts_with(kind)) {
                continue;
            }
            let Some(path) = sysfs.target(&format!("class/{class}/{name}")) else { continue };
            let Some(device) = sysfs.name(&format!("{path}/ibdev")) else { continue };
            let Some(node) = node(sysfs, &name, path) else { continue };
            let nodes = nodes.entry(device).or_default();
            match name.as_bytes() {
                [b'u', b'v', ..] => nodes.uverbs = Some(node),
                [b'u', ..] => nodes.umad.push(node),
                _ => nodes.issm.push(node),
            }
        }
    }
    nodes
}

fn node(sysfs: &Sysfs, name: &str, path: String) -> Option<Node> {
    let numbers = |text: &str| {
        let (major, minor) = text.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let (major, minor) = sysfs.value(&format!("{path}/dev"), numbers)?;
    // uverbs_devnode(), umad_devnode(), ucma_misc.nodename: all below infiniband/.
    Some(Node { path: format!("/dev/infiniband/{name}"), major, minor, sysfs: path })
}
