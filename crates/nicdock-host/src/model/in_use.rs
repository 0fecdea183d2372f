//! Signs that a NIC is needed by the host right now.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One reason not to take a NIC away from the host without being told to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum InUse {
    /// A default route leaves by the netdev, or a part of one that was split (`destination`: `0.0.0.0/1`).
    DefaultRoute {
        netdev: String,
        gateway: Option<std::net::IpAddr>,
        table: u32,
        #[serde(default)]
        destination: Option<String>,
    },
    /// An established TCP connection has an address of the netdev (`/proc/net/tcp`, `/proc/net/tcp6`).
    TcpConnection { netdev: String, local: SocketAddr, remote: SocketAddr },
    /// An established TCP connection, whose local address is elsewhere, leaves by the netdev.
    RoutedTcp { netdev: String, local: SocketAddr, remote: SocketAddr },
    /// The netdev is a member of a bond, bridge or team.
    Member { netdev: String, master: String, master_kind: Option<String> },
    /// A VLAN, macvlan or the like is stacked on the netdev.
    Stacked { netdev: String, upper: String, upper_kind: Option<String> },
    /// An XDP program of the host is on the netdev: it would go along, and nobody could bring it back.
    Xdp { netdev: String, program: u32 },
    /// A process has a character device of the NIC open (`/proc/PID/fd`).
    OpenNode { node: String, pid: u32, command: String },
    /// A process has a node open that is the driver's own (`/dev/hfi1_0`), or a VFIO one.
    DriverNode { node: String, pid: u32, command: String },
    /// A part of the kernel has queue pairs of the RDMA device (`rdma resource show qp`).
    KernelUser { device: String, module: String, queue_pairs: u32 },
    /// The port of an RDMA device has another device's netdev, which the host uses or is no NIC's; or such a device has the netdev.
    PortElsewhere { device: String, port: u32, netdev: String },
    /// A virtual function or sub-function of it is in use.
    VfInUse { vf: String, why: String },
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |kind: &Option<String>| kind.as_ref().map(|k| format!("{k} ")).unwrap_or_default();
        match self {
            Self::DefaultRoute { netdev, gateway, destination, .. } => {
                write!(f, "{netdev} carries the default route")?;
                if let Some(part) = destination {
                    write!(f, " for {part}")?;
                }
                gateway.map_or(Ok(()), |gateway| write!(f, " (via {gateway})"))
            }
            Self::RoutedTcp { netdev, local, remote } => {
                write!(f, "the TCP connection {local} - {remote} leaves by {netdev}")
            }
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
            Self::KernelUser { device, module, queue_pairs } => {
                write!(f, "the kernel's {module} has {queue_pairs} queue pairs of {device}")
            }
            Self::PortElsewhere { device, port, netdev } => {
                write!(f, "port {port} of {device} has the netdev {netdev}")
            }
            Self::VfInUse { vf, why } => write!(f, "its part {vf} is in use ({why})"),
            Self::OpenNode { node, pid, command } | Self::DriverNode { node, pid, command } => {
                write!(f, "process {pid} ({command}) has {node} open")
            }
        }
    }
}
