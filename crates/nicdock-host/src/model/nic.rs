//! What nicdock gives away: one PCI function, or one sub-function of it, with all its netdevs and RDMA devices.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CarriedPort, InUse, Netdev, Node, PciAddress, PortElsewhere, RdmaDevice};

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

/// One NIC: one PCI function, or one sub-function, with all its netdevs and RDMA devices (soft-RoCE: the netdev with its rxe).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// The first RDMA device's name, else the first netdev's, else the PCI address.
    pub name: String,
    /// What it speaks: that of the first ACTIVE port, else of port 1.
    pub kind: NicKind,
    /// What its ports speak, each once: more than one on a card with an InfiniBand and an Ethernet port.
    #[serde(default)]
    pub kinds: Vec<NicKind>,
    /// Of a sub-function, the function that it is in. `None` for a netdev that is no PCI device (virtual ones with a soft-RoCE device on top).
    pub pci: Option<PciAddress>,
    /// The auxiliary device of a sub-function (`mlx5_core.sf.2`), which shares its PCI function with other NICs.
    #[serde(default)]
    pub auxiliary: Option<String>,
    pub numa_node: Option<u32>,
    /// Sorted by port.
    pub netdevs: Vec<Netdev>,
    /// Sorted by name.
    pub rdma_devices: Vec<RdmaDevice>,
    /// Ports of its RDMA devices whose netdev is another device's.
    #[serde(default)]
    pub ports_elsewhere: Vec<PortElsewhere>,
    /// Ports of other NICs' RDMA devices whose traffic its netdevs carry.
    #[serde(default)]
    pub carries: Vec<CarriedPort>,
    pub isolation: Isolation,
    /// Why the host needs it now; empty when it is free to take.
    pub in_use: Vec<InUse>,
}

impl Nic {
    /// What identifies it as long as it is plugged in, whatever it is called: its place on the bus, else its name.
    pub fn key(&self) -> String {
        match (self.pci, &self.auxiliary) {
            (Some(address), Some(auxiliary)) => format!("{address}/{auxiliary}"),
            (Some(address), None) => address.to_string(),
            (None, _) => self.name.clone(),
        }
    }

    /// Whether it speaks this, by any of its ports.
    pub fn speaks(&self, kind: NicKind) -> bool {
        self.kind == kind || self.kinds.contains(&kind)
    }

    /// Every character device of the NIC: uverbs, then umad and issm.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.rdma_devices.iter().flat_map(|d| d.uverbs.iter().chain(&d.umad).chain(&d.issm))
    }

    /// The PCI function that it is, if it is a whole one: not that of a sub-function.
    pub fn whole_function(&self) -> Option<PciAddress> {
        self.pci.filter(|_| self.auxiliary.is_none())
    }

    /// The place on the bus, which the order of NICs goes by.
    pub fn place(&self) -> (Option<PciAddress>, Option<(usize, &str)>) {
        // mlx5_core.sf.10 comes behind mlx5_core.sf.9.
        (self.pci, self.auxiliary.as_deref().map(|name| (name.len(), name)))
    }

    /// A physical NIC is given back by the kernel when its namespace dies; a virtual netdev dies with it.
    pub fn is_physical(&self) -> bool {
        self.pci.is_some()
    }
}

/// Whether a device in a PCI function is a sub-function of it: `mlx5_core.sf.2` (drivers/base/auxiliary.c: module, kind, number). Other auxiliary
/// devices (`mana.rdma.0`) are parts of the function.
pub fn is_subfunction(device: &str) -> bool {
    let mut parts = device.split('.');
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let of_three = (parts.next(), parts.next(), parts.next());
    let is_it = matches!(of_three, (Some(module), Some("sf"), Some(number)) if !module.is_empty() && is_number(number));
    is_it && parts.next().is_none()
}
