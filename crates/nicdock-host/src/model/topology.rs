//! Where processors, memory and devices are.

use serde::{Deserialize, Serialize};

use super::{CpuSet, PciAddress};

/// What a NIC may be near to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// By number.
    pub nodes: Vec<NumaNode>,
    /// GPUs and disks, by address.
    pub devices: Vec<Device>,
}

/// A NUMA node (`/sys/devices/system/node/nodeN`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumaNode {
    pub number: u32,
    pub cpus: CpuSet,
    /// To each node, in their order; 10 is to itself (ACPI SLIT).
    pub distances: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    Gpu,
    Nvme,
}

impl DeviceKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpu => "GPU",
            Self::Nvme => "NVMe",
        }
    }
}

/// A PCI function that NICs move data to and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    pub address: PciAddress,
    pub kind: DeviceKind,
    /// Path below `/sys`, without links.
    pub sysfs: String,
    pub numa_node: Option<u32>,
    /// Bridges above it, root port first.
    pub bridges: Vec<PciAddress>,
}

impl Topology {
    /// The nodes that have one of these processors.
    pub fn nodes_of(&self, cpus: &CpuSet) -> impl Iterator<Item = &NumaNode> {
        self.nodes.iter().filter(move |node| node.cpus.overlaps(cpus))
    }

    /// How far a node is from another, as the firmware says.
    pub fn distance(&self, from: u32, to: u32) -> Option<u32> {
        let at = self.nodes.iter().position(|node| node.number == to)?;
        self.nodes.iter().find(|node| node.number == from)?.distances.get(at).copied()
    }
}
