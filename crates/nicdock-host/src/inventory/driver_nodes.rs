//! Character devices beside the RDMA core's by which programs use a NIC.

use crate::model::{Nic, PciFunction, own_nodes};

/// Whether the node at `path` leads to the NIC. In doubt it does: of two adapters of one driver it is not always known whose number is whose.
pub fn is_of(nic: &Nic, function: Option<&PciFunction>, path: &str) -> bool {
    let drivers = nic.rdma_devices.iter().filter_map(|device| device.driver.as_deref());
    let mut drivers = drivers.chain(function.and_then(|function| function.driver.as_deref()));
    drivers.any(|driver| match own_nodes(driver) {
        Some(prefix) => path.strip_prefix(prefix).is_some_and(|number| is_number_of(nic, prefix, number)),
        None => driver.contains("vfio") && function.is_some_and(|function| is_vfio_group(function, path)),
    })
}

/// The driver gives node and RDMA device the same number (`hfi1_0`), unless the device was renamed since.
fn is_number_of(nic: &Nic, prefix: &str, number: &str) -> bool {
    let stem = prefix.rsplit('/').next().unwrap_or_default();
    let mut numbers = nic.rdma_devices.iter().filter_map(|device| device.name.strip_prefix(stem)).peekable();
    numbers.peek().is_none() || numbers.any(|own| own == number)
}

fn is_vfio_group(function: &PciFunction, path: &str) -> bool {
    let is_device = path.starts_with("/dev/vfio/devices/");
    let group = function.iommu_group.map(|group| format!("/dev/vfio/{group}"));
    is_device || group.is_some_and(|group| group == path)
}
