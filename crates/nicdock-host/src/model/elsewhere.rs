//! Netdevs and RDMA devices that belong together and are not of one device, and netdevs that are no NIC's.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Netdev, PciAddress};

/// A port of an RDMA device whose netdev is not its NIC's: a bond of two NICs (RoCE LAG), or the netdev of another function (eRDMA).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortElsewhere {
    /// The RDMA device.
    pub device: String,
    /// Counted from 1.
    pub port: u32,
    /// Without its routes.
    pub netdev: Netdev,
    /// The NIC that has the netdev, by its key; `None` for one that is no NIC's.
    pub nic: Option<String>,
}

impl fmt::Display for PortElsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.netdev.virtual_kind.as_ref().map(|kind| format!("{kind} ")).unwrap_or_default();
        write!(f, "port {} of {} has the netdev {kind}{}", self.port, self.device, self.netdev.name)
    }
}

/// The other end of a [`PortElsewhere`], with the NIC whose netdev, or whose bond's leg, it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedPort {
    /// The RDMA device.
    pub device: String,
    /// Counted from 1.
    pub port: u32,
    /// The port's netdev.
    pub netdev: String,
    /// The NIC that has the RDMA device, by its key.
    pub nic: String,
    /// The NIC's netdev is a leg of the port's, a bond: the port is one of several NICs together.
    pub is_leg: bool,
}

/// A netdev that stands for something else on a card's own switch: a virtual function, a sub-function, the host's function seen
/// from a DPU. What is sent on it comes out there (Documentation/networking/representors.rst).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Representor {
    pub netdev: String,
    pub altnames: Vec<String>,
    /// The function whose switch it is on.
    pub function: PciAddress,
    /// What it stands for, as the driver says (`phys_port_name`: `pf0vf3`, `pf0sf88`); `None` where none of the function's RDMA ports has the
    /// netdev and nothing more is known.
    pub port: Option<String>,
}

impl fmt::Display for Representor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { netdev, function, .. } = self;
        match &self.port {
            Some(port) => write!(f, "{netdev} represents {port} on the switch of {function}"),
            None => write!(
                f,
                "{netdev} is a netdev in {function} that no port of its RDMA device has, as a representor on its switch is"
            ),
        }
    }
}
