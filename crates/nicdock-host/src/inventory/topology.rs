//! NUMA nodes, and the devices that NICs move data to and from.

use super::pci::{Functions, numa_node};
use super::pci_path::bridges;
use super::sysfs::Sysfs;
use crate::model::{CpuSet, Device, DeviceKind, NumaNode, Topology};

/// `PCI_BASE_CLASS_DISPLAY`, processing accelerators (0x12), and `PCI_CLASS_STORAGE_EXPRESS` of `include/linux/pci_ids.h`. What a
/// server shows its console on is a display, too, but a VGA one.
const CLASS_DISPLAY: u32 = 0x03;
const CLASS_DISPLAY_VGA: u32 = 0x0300;
const CLASS_ACCELERATOR: u32 = 0x12;
const CLASS_NVME: u32 = 0x0108;
/// `PCI_VENDOR_ID_NVIDIA` and `PCI_VENDOR_ID_ATI`, whose GPUs for computing may be VGA controllers as well.
const GPU_VENDORS: [&str; 2] = ["0x10de", "0x1002"];

/// drivers/base/node.c.
pub fn read(sysfs: &Sysfs, functions: &Functions) -> Topology {
    let number = |name: &String| name.strip_prefix("node")?.parse().ok();
    let mut numbers: Vec<u32> = sysfs.list("devices/system/node").iter().filter_map(number).collect();
    numbers.sort_unstable();
    let nodes = numbers.into_iter().map(|number| node(sysfs, number)).collect();
    let device = |(address, path, class): (_, &str, u32)| {
        let kind = kind(sysfs, path, class)?;
        let (sysfs_path, bridges) = (path.to_owned(), bridges(path));
        Some(Device { address, kind, sysfs: sysfs_path, numa_node: numa_node(sysfs, path), bridges })
    };
    Topology { nodes, devices: functions.classes().filter_map(device).collect() }
}

fn node(sysfs: &Sysfs, number: u32) -> NumaNode {
    let path = format!("devices/system/node/node{number}");
    let cpus: CpuSet = sysfs.value(&format!("{path}/cpulist"), |text| text.parse().ok()).unwrap_or_default();
    let distances = sysfs
        .value(&format!("{path}/distance"), |text| {
            text.split_whitespace().map(|word| word.parse().ok()).collect()
        })
        .unwrap_or_default();
    NumaNode { number, cpus, distances }
}

fn kind(sysfs: &Sysfs, path: &str, class: u32) -> Option<DeviceKind> {
    let is_gpu =
        || sysfs.text(&format!("{path}/vendor")).is_some_and(|vendor| GPU_VENDORS.contains(&vendor.as_str()));
    match class {
        _ if class >> 8 == CLASS_NVME => Some(DeviceKind::Nvme),
        _ if class >> 8 == CLASS_DISPLAY_VGA => is_gpu().then_some(DeviceKind::Gpu),
        _ if class >> 16 == CLASS_DISPLAY || class >> 16 == CLASS_ACCELERATOR => Some(DeviceKind::Gpu),
        _ => None,
    }
}
