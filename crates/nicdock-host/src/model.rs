//! The host as a value: what was found, with no opinion about it.
//!
//! A [`Host`] is read once, from `/` or from a capture, and is not changed afterwards. Everything that decides
//! (selectors, the plan, the listing) is a function of it.

mod in_use;
mod link;
mod netdev;
mod nic;
mod pci;
mod rdma;
mod speed;

pub use in_use::InUse;
pub use link::Link;
pub use netdev::{Address, Lifetime, Mac, Netdev, Route, hex};
pub use nic::{Isolation, IsolationMethod, Nic, NicKind};
pub use pci::{ParsePciAddressError, PciAddress, PciFunction};
pub use rdma::{LinkLayer, Node, RdmaDevice, RdmaNetnsMode, RdmaPort, UsnicPool, UsnicQueuePair};
pub use speed::Speed;

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
    /// The global `rdma_cm` node (misc 10:dynamic), if the module is loaded.
    pub rdma_cm: Option<Node>,
    /// `RLIMIT_MEMLOCK` of whoever looked, in bytes (`u64::MAX` is unlimited): what a program started beside could pin.
    /// `None` where there is no RDMA device, or it was not told.
    #[serde(default)]
    pub memlock: Option<u64>,
    /// What could not be read and what follows from it: never silently dropped.
    pub warnings: Vec<String>,
}

impl Host {
    /// The PCI function at `address`, if it is among those that matter here.
    pub fn function(&self, address: PciAddress) -> Option<&PciFunction> {
        self.pci.binary_search_by_key(&address, |f| f.address).ok().map(|i| &self.pci[i])
    }
}
