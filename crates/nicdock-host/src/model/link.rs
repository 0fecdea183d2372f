//! One word for a NIC's link, and its speed.

use std::fmt;

use serde::Serialize;

use super::{Netdev, Nic, Speed};

/// The link of a NIC's first port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `up`: programs can use it. `down`, `init`, `armed`: the RDMA port's state, where there is one. `no-carrier`:
    /// the netdev is up without a cable. `unknown`: there is neither port nor netdev here.
    pub state: String,
    /// In Mbit/s, as the netdev's driver says, else the RDMA port's rate; null where nobody tells.
    pub speed_mbps: Option<u32>,
}

impl Link {
    /// The RDMA port decides, if there is one: `IPoIB` may be down while verbs work.
    pub fn of(nic: &Nic) -> Self {
        let port = nic.rdma_devices.first().and_then(|device| device.ports.first());
        let netdev = nic.netdevs.first();
        let state = match (port, netdev) {
            (Some(port), _) if port.state == "ACTIVE" => "up".to_owned(),
            (Some(port), _) => port.state.to_ascii_lowercase(),
            (None, Some(netdev)) => Self::of_netdev(netdev).state,
            (None, None) => "unknown".to_owned(),
        };
        let speed_mbps = netdev.and_then(|n| n.speed_mbps).or_else(|| port.and_then(|p| p.rate_mbps));
        Self { state, speed_mbps }
    }

    pub fn of_netdev(netdev: &Netdev) -> Self {
        let state = match (netdev.up, netdev.carrier) {
            (false, _) => "down",
            (true, Some(false)) => "no-carrier",
            (true, _) => "up",
        };
        Self { state: state.to_owned(), speed_mbps: netdev.speed_mbps }
    }
}

impl fmt::Display for Link {
    /// `up 100G`, `up 2.5G`, `down`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.state)?;
        self.speed_mbps.map_or(Ok(()), |mbps| write!(f, " {}", Speed { mbps }))
    }
}
