//! What a NIC speaks.

use crate::model::{LinkLayer, Netdev, NicKind, PciFunction, RdmaDevice, RdmaPort, is_soft};

/// `PCI_VENDOR_ID_AMAZON`; EFA's devices are 0xefa0, 0xefa1, … (`drivers/infiniband/hw/efa/efa_main.c`).
const VENDOR_AMAZON: u16 = 0x1d0f;
const EFA_DEVICES: std::ops::RangeInclusive<u16> = 0xefa0..=0xefaf;
/// `PCI_CLASS_NETWORK_INFINIBAND`, `PCI_CLASS_SERIAL_INFINIBAND` of `include/linux/pci_ids.h`.
const INFINIBAND_CLASSES: [u32; 2] = [0x0207, 0x0c06];

/// What the NIC speaks first of all: [`all`]'s first, but of several ports that of the first that is ACTIVE.
pub fn of(function: Option<&PciFunction>, netdevs: &[Netdev], rdma_devices: &[RdmaDevice]) -> NicKind {
    let device = first(rdma_devices).filter(|_| !function.is_some_and(is_efa));
    let port = device.and_then(|device| device.active_port().map(|port| of_port(device, port)));
    port.or_else(|| all(function, netdevs, rdma_devices).first().copied()).unwrap_or(NicKind::Ethernet)
}

/// What its ports speak, each once, by port: from the RDMA devices, hardware before software; without any, from the function's identity.
pub fn all(function: Option<&PciFunction>, netdevs: &[Netdev], rdma_devices: &[RdmaDevice]) -> Vec<NicKind> {
    if function.is_some_and(is_efa) {
        return vec![NicKind::Efa];
    }
    let Some(first) = first(rdma_devices) else {
        let class = function.is_some_and(|f| INFINIBAND_CLASSES.contains(&(f.class >> 8)));
        let ipoib = netdevs.iter().any(Netdev::is_ipoib);
        return vec![if class || ipoib { NicKind::Ib } else { NicKind::Ethernet }];
    };
    let others = rdma_devices.iter().filter(|device| device.name != first.name);
    let hardware = others.filter(|device| is_hardware(device) == is_hardware(first));
    let mut kinds = Vec::new();
    for device in std::iter::once(first).chain(hardware) {
        let of_ports = device.ports.iter().map(|port| of_port(device, port));
        let none = Some(of_layer(device, LinkLayer::Unknown)).filter(|_| device.ports.is_empty());
        for kind in of_ports.chain(none) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    kinds
}

fn is_efa(function: &PciFunction) -> bool {
    function.vendor == VENDOR_AMAZON && EFA_DEVICES.contains(&function.device)
}

fn is_hardware(device: &RdmaDevice) -> bool {
    !device.driver.as_deref().is_some_and(is_soft)
}

fn first(rdma_devices: &[RdmaDevice]) -> Option<&RdmaDevice> {
    rdma_devices.iter().find(|device| is_hardware(device)).or(rdma_devices.first())
}

fn of_port(device: &RdmaDevice, port: &RdmaPort) -> NicKind {
    of_layer(device, port.link_layer)
}

fn of_layer(device: &RdmaDevice, layer: LinkLayer) -> NicKind {
    match device.driver.as_deref() {
        Some("rxe") => return NicKind::SoftRoce,
        Some("siw") => return NicKind::SoftIwarp,
        Some("usnic_verbs") => return NicKind::Usnic,
        Some("efa") => return NicKind::Efa,
        _ => {}
    }
    // node_type_show() of drivers/infiniband/core/sysfs.c
    match (device.node_type.split(':').next(), layer) {
        (Some("4"), _) => NicKind::Iwarp,
        (_, LinkLayer::InfiniBand) => NicKind::Ib,
        _ => NicKind::Roce,
    }
}
