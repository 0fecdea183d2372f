//! The host as a value: what was found, with no opinion about it.
//!
//! A [`Host`] is read once, from `/` or from a capture, and is not changed afterwards. Everything that decides
//! (selectors, the plan, the listing) is a function of it.

mod cpu_set;
mod distance;
mod elsewhere;
mod in_use;
mod link;
mod netdev;
mod nic;
mod own_nodes;
mod pci;
mod rdma;
mod speed;
mod topology;

pub use cpu_set::CpuSet;
pub use distance::Distance;
pub use elsewhere::{CarriedPort, PortElsewhere, Representor};
pub use in_use::InUse;
pub use link::Link;
pub use netdev::{Address, Lifetime, Mac, Netdev, Route, hex};
pub use nic::{Isolation, IsolationMethod, Nic, NicKind, is_subfunction};
pub use own_nodes::own_nodes;
pub use pci::{ParsePciAddressError, PciAddress, PciFunction};
pub use rdma::{LinkLayer, Node, RdmaDevice, RdmaNetnsMode, RdmaPort, UsnicPool, UsnicQueuePair, is_soft};
pub use speed::Speed;
pub use topology::{Device, DeviceKind, NumaNode, Topology};

use serde::{Deserialize, Serialize};

/// One machine, as far as its fabric NICs are concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release as `uname -r` gives it (`/proc/sys/kernel/osrelease`).
    pub kernel: String,
    /// How the RDMA core shares devices among network namespaces; `None` where no RDMA core is loaded.
    pub rdma_netns_mode: Option<RdmaNetnsMode>,
    /// Every NIC, in the one fixed order in which several are taken: PCI address, then name.
    pub nics: Vec<Nic>,
    /// Every PCI function that is a NIC, a VF or PF of one, or a bridge above one; sorted by address.
    pub pci: Vec<PciFunction>,
    /// Netdevs that are ports of a card's own switch, and no NIC's; by name.
    #[serde(default)]
    pub representors: Vec<Representor>,
    /// The global `rdma_cm` node (misc 10:dynamic), if the module is loaded.
    pub rdma_cm: Option<Node>,
    /// `RLIMIT_MEMLOCK` of whoever looked, in bytes (`u64::MAX` is unlimited): what a program started beside could pin.
    /// `None` where there is no RDMA device, or it was not told.
    #[serde(default)]
    pub memlock: Option<u64>,
    /// The NUMA nodes, and what else NICs work with.
    #[serde(default)]
    pub topology: Topology,
    /// What could not be read and what follows from it: never silently dropped.
    pub warnings: Vec<String>,
}

impl Host {
    /// The PCI function at `address`, if it is among those that matter here.
    pub fn function(&self, address: PciAddress) -> Option<&PciFunction> {
        self.pci.binary_search_by_key(&address, |f| f.address).ok().map(|i| &self.pci[i])
    }
}
