//! What nicdock gives away: one PCI function with all its netdevs and RDMA devices.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InUse, Netdev, Node, PciAddress, RdmaDevice};

/// What a NIC speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NicKind {
    Usnic,
    Roce,
    Ib,
    Iwarp,
    Efa,
    SoftRoce,
    SoftIwarp,
    /// A physical netdev without RDMA.
    Ethernet,
}

impl NicKind {
    pub const ALL: [Self; 8] = [
        Self::Usnic,
        Self::Roce,
        Self::Ib,
        Self::Iwarp,
        Self::Efa,
        Self::SoftRoce,
        Self::SoftIwarp,
        Self::Ethernet,
    ];

    /// The word used in listings, selectors and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usnic => "usnic",
            Self::Roce => "roce",
            Self::Ib => "ib",
            Self::Iwarp => "iwarp",
            Self::Efa => "efa",
            Self::SoftRoce => "soft-roce",
            Self::SoftIwarp => "soft-iwarp",
            Self::Ethernet => "ethernet",
        }
    }
}

impl fmt::Display for NicKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a container can be kept from the other NICs' RDMA devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationMethod {
    /// The RDMA device moves into the container's network namespace (exclusive mode).
    RdmaNetns,
    /// The device stays where it is; nodes, device cgroup, the view of /sys and seccomp close the rest.
    View,
    /// No RDMA device: the network namespace alone isolates the netdev.
    Netns,
}

/// The method with the reason for it, in a sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isolation {
    pub method: IsolationMethod,
    pub reason: String,
}

/// One NIC: one PCI function with all its netdevs and RDMA devices (soft-RoCE: the netdev with its rxe).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// The first RDMA device's name, else the first netdev's, else the PCI address.
    pub name: String,
    pub kind: NicKind,
    /// `None` for a netdev that is no PCI device (virtual ones with a soft-RoCE device on top).
    pub pci: Option<PciAddress>,
    pub numa_node: Option<u32>,
    /// Sorted by port.
    pub netdevs: Vec<Netdev>,
    /// Sorted by name.
    pub rdma_devices: Vec<RdmaDevice>,
    pub isolation: Isolation,
    /// Why the host needs it now; empty when it is free to take.
    pub in_use: Vec<InUse>,
}

impl Nic {
    /// What identifies it as long as it is plugged in, whatever it is called: its place on the bus, else its name.
    pub fn key(&self) -> String {
        self.pci.map_or_else(|| self.name.clone(), |address| address.to_string())
    }

    /// Every character device of the NIC: uverbs, then umad and issm.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.rdma_devices.iter().flat_map(|d| d.uverbs.iter().chain(&d.umad).chain(&d.issm))
    }

    /// A physical NIC is given back by the kernel when its namespace dies; a virtual netdev dies with it.
    pub fn is_physical(&self) -> bool {
        self.pci.is_some()
    }
}
