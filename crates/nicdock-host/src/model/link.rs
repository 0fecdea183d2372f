//! One word for a NIC's link, and its speed.

use std::fmt;

use serde::Serialize;

use super::{Netdev, Nic, RdmaDevice, RdmaPort, Speed};

/// The link of a NIC's first port that is up, else of its first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `up`: programs can use it. `down`, `init`, `armed`: the RDMA port's state, where there is one. `no-carrier`:
    /// the netdev is up without a cable. `unknown`: there is neither port nor netdev here.
    pub state: String,
    /// In Mbit/s, as the netdev's driver says, else the RDMA port's rate; null where nobody tells.
    pub speed_mbps: Option<u32>,
}

impl Link {
    /// The first ACTIVE RDMA port decides, else port 1, if there is one: `IPoIB` may be down while verbs work.
    pub fn of(nic: &Nic) -> Self {
        let port = nic.rdma_devices.first().and_then(RdmaDevice::active_port);
        match (port, nic.netdevs.first()) {
            (Some(port), _) => Self::of_port(nic, port),
            (None, Some(netdev)) => Self::of_netdev(netdev),
            (None, None) => Self { state: "unknown".to_owned(), speed_mbps: None },
        }
    }

    /// Of one port of the NIC, with its netdev's speed.
    pub fn of_port(nic: &Nic, port: &RdmaPort) -> Self {
        let state = if port.state == "ACTIVE" { "up".to_owned() } else { port.state.to_ascii_lowercase() };
        let is_its = |netdev: &&Netdev| port.netdev.as_ref() == Some(&netdev.name);
        let elsewhere = nic.ports_elsewhere.iter().map(|port| &port.netdev);
        let only = || nic.netdevs.first().filter(|_| nic.netdevs.len() == 1 && port.netdev.is_none());
        let netdev = nic.netdevs.iter().chain(elsewhere).find(is_its).or_else(only);
        Self { state, speed_mbps: netdev.and_then(|netdev| netdev.speed_mbps).or(port.rate_mbps) }
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
