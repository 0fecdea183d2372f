//! Signs that a NIC is needed by the host right now.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One reason not to take a NIC away from the host without being told to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum InUse {
    /// A default route leaves by the netdev.
    DefaultRoute { netdev: String, gateway: Option<std::net::IpAddr>, table: u32 },
    /// An established TCP connection has an address of the netdev (`/proc/net/tcp`, `/proc/net/tcp6`).
    TcpConnection { netdev: String, local: SocketAddr, remote: SocketAddr },
    /// The netdev is a member of a bond, bridge or team.
    Member { netdev: String, master: String, master_kind: Option<String> },
    /// A VLAN, macvlan or the like is stacked on the netdev.
    Stacked { netdev: String, upper: String, upper_kind: Option<String> },
    /// An XDP program of the host is on the netdev: it would go along, and nobody could bring it back.
    Xdp { netdev: String, program: u32 },
    /// A process has a character device of the NIC open (`/proc/PID/fd`).
    OpenNode { node: String, pid: u32, command: String },
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |kind: &Option<String>| kind.as_ref().map(|k| format!("{k} ")).unwrap_or_default();
        match self {
            Self::DefaultRoute { netdev, gateway: Some(gateway), .. } => {
                write!(f, "{netdev} carries the default route (via {gateway})")
            }
            Self::DefaultRoute { netdev, .. } => write!(f, "{netdev} carries the default route"),
            Self::TcpConnection { netdev, local, remote } => {
                write!(f, "{netdev} carries the TCP connection {local} - {remote}")
            }
            Self::Member { netdev, master, master_kind } => {
                write!(f, "{netdev} is a member of {}{master}", kind(master_kind))
            }
            Self::Stacked { netdev, upper, upper_kind } => {
                write!(f, "{}{upper} is stacked on {netdev}", kind(upper_kind))
            }
            Self::Xdp { netdev, program } => write!(f, "XDP program {program} is on {netdev}"),
            Self::OpenNode { node, pid, command } => {
                write!(f, "process {pid} ({command}) has {node} open")
            }
        }
    }
}
