//! What a NIC speaks.

use super::rdma::is_soft;
use crate::model::{LinkLayer, Netdev, NicKind, PciFunction, RdmaDevice};

/// `PCI_VENDOR_ID_AMAZON`; EFA's devices are 0xefa0, 0xefa1, … (`drivers/infiniband/hw/efa/efa_main.c`).
const VENDOR_AMAZON: u16 = 0x1d0f;
const EFA_DEVICES: std::ops::RangeInclusive<u16> = 0xefa0..=0xefaf;
/// `PCI_CLASS_NETWORK_INFINIBAND`, `PCI_CLASS_SERIAL_INFINIBAND` of `include/linux/pci_ids.h`.
const INFINIBAND_CLASSES: [u32; 2] = [0x0207, 0x0c06];

/// From the RDMA devices, hardware before software; without any, from the function's identity.
pub fn of(function: Option<&PciFunction>, netdevs: &[Netdev], rdma_devices: &[RdmaDevice]) -> NicKind {
    let hardware = |device: &&RdmaDevice| !device.driver.as_deref().is_some_and(is_soft);
    let efa = function.is_some_and(|f| f.vendor == VENDOR_AMAZON && EFA_DEVICES.contains(&f.device));
    if efa {
        return NicKind::Efa;
    }
    if let Some(device) = rdma_devices.iter().find(hardware).or(rdma_devices.first()) {
        return of_device(device);
    }
    let class = function.is_some_and(|f| INFINIBAND_CLASSES.contains(&(f.class >> 8)));
    let ipoib = netdevs.iter().any(Netdev::is_ipoib);
    if class || ipoib { NicKind::Ib } else { NicKind::Ethernet }
}

fn of_device(device: &RdmaDevice) -> NicKind {
    match device.driver.as_deref() {
        Some("rxe") => return NicKind::SoftRoce,
        Some("siw") => return NicKind::SoftIwarp,
        Some("usnic_verbs") => return NicKind::Usnic,
        Some("efa") => return NicKind::Efa,
        _ => {}
    }
    let is_infiniband = device.ports.iter().any(|port| port.link_layer == LinkLayer::InfiniBand);
    // node_type_show() of drivers/infiniband/core/sysfs.c
    match device.node_type.split(':').next() {
        Some("4") => NicKind::Iwarp,
        _ if is_infiniband => NicKind::Ib,
        _ => NicKind::Roce,
    }
}
