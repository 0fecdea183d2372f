//! How far a NIC is from processors and devices.

use std::fmt;

use super::{CpuSet, Host, Nic, PciAddress};

/// The smaller the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// Below one root port: so many bridges are between them.
    Bridges(usize),
    /// Over the root complex: as the firmware says of their NUMA nodes, 10 on one and the same.
    Nodes(u32),
}

/// What a machine says of two things on one NUMA node (ACPI, "System Locality Information Table").
const SAME_NODE: u32 = 10;

impl Host {
    /// From a NIC to the farthest of some processors; `None` where it is not known.
    pub fn distance_to_cpus(&self, nic: &Nic, cpus: &CpuSet) -> Option<Distance> {
        nic.pci?;
        if self.topology.nodes.len() <= 1 {
            return Some(Distance::Nodes(SAME_NODE));
        }
        let of = |node: &super::NumaNode| self.topology.distance(nic.numa_node?, node.number);
        let all: Option<Vec<u32>> = self.topology.nodes_of(cpus).map(of).collect();
        all?.into_iter().max().map(Distance::Nodes)
    }

    /// From a NIC to the PCI function at `address`: a GPU, a disk, another NIC or a bridge; `None` where it is not known.
    pub fn distance_to_device(&self, nic: &Nic, address: PciAddress) -> Option<Distance> {
        let own = self.function(nic.pci?)?;
        let (bridges, node) = self.place(address)?;
        if own.address == address || own.bridges.contains(&address) {
            let above = own.bridges.iter().rev().take_while(|bridge| **bridge != address).count();
            return Some(Distance::Bridges(if own.address == address { 0 } else { above }));
        }
        let shared = own.bridges.iter().zip(bridges).take_while(|(own, its)| own == its).count();
        if shared > 0 {
            // The last shared bridge is between them, and those below it on either side.
            return Some(Distance::Bridges(own.bridges.len() + bridges.len() - 2 * shared + 1));
        }
        if self.topology.nodes.len() <= 1 {
            return Some(Distance::Nodes(SAME_NODE));
        }
        self.topology.distance(nic.numa_node?, node?).map(Distance::Nodes)
    }

    /// The bridges above a function, and its NUMA node.
    fn place(&self, address: PciAddress) -> Option<(&[PciAddress], Option<u32>)> {
        let device = self.topology.devices.iter().find(|device| device.address == address);
        let device = device.map(|device| (device.bridges.as_slice(), device.numa_node));
        device.or_else(|| self.function(address).map(|one| (one.bridges.as_slice(), one.numa_node)))
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridges(0) => f.write_str("itself"),
            Self::Bridges(1) => f.write_str("1 bridge between"),
            Self::Bridges(count) => write!(f, "{count} bridges between"),
            Self::Nodes(SAME_NODE) => f.write_str("same NUMA node"),
            Self::Nodes(distance) => write!(f, "NUMA distance {distance}"),
        }
    }
}
