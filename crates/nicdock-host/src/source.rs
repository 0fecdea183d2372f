//! Where the inventory reads: the live machine, or a capture of one.
//!
//! Paths are relative to `/` and go through no symbolic link (`sys/devices/…/net/eth0/address`, never
//! `sys/class/net/eth0/address`), so that a tree of files and links can answer as the kernel does.
//! Paths and names are the texts that stand for them ([`nicdock_netlink::name`]), for the kernel's names are bytes.

mod fact;
mod facts;
mod live;
mod recorder;

use std::io;

use serde::{Deserialize, Serialize};

pub use fact::Fact;
pub use live::Live;
pub use recorder::{Entry, Recorder};

/// What can be asked of a machine.
pub trait Source {
    /// A file's content.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The names in a directory, sorted.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
    /// Where a symbolic link points, as it is written.
    fn link(&self, path: &str) -> io::Result<String>;
    /// A netlink list, as raw messages laid end to end.
    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>>;
    /// The processes that have a node open by which programs use NICs: below `/dev/infiniband`, drivers' own, VFIO's.
    fn open_nodes(&self) -> io::Result<OpenNodes>;
    /// What no single file tells, as lines. A source that was not made to tell it does not know.
    fn fact(&self, _fact: Fact) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// One netlink list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dump {
    /// `RTM_GETLINK`.
    Links,
    /// `RTM_GETADDR`, IPv4 and IPv6.
    Addresses,
    /// `RTM_GETROUTE`, IPv4 and IPv6, every table.
    Routes,
    /// `RTM_GETNEXTHOP`: nexthop objects. No such file where the kernel has none (before 5.3), or the capture is older.
    Nexthops,
    /// `RDMA_NLDEV_CMD_GET`.
    RdmaDevices,
    /// `RDMA_NLDEV_CMD_PORT_GET` of the device with this index.
    RdmaPorts(u32),
    /// `RDMA_NLDEV_CMD_GET_CHARDEV` for uverbs of the device with this index.
    RdmaUverbs(u32),
    /// `RDMA_NLDEV_CMD_RES_QP_GET` of the device with this index.
    RdmaQueuePairs(u32),
    /// `RDMA_NLDEV_CMD_SYS_GET`.
    RdmaSystem,
}

impl Dump {
    /// The file in a capture that holds it.
    pub fn file(self) -> String {
        match self {
            Self::Links => "netlink/links".into(),
            Self::Addresses => "netlink/addresses".into(),
            Self::Routes => "netlink/routes".into(),
            Self::Nexthops => "netlink/nexthops".into(),
            Self::RdmaDevices => "netlink/rdma-devices".into(),
            Self::RdmaPorts(index) => format!("netlink/rdma-ports-{index}"),
            Self::RdmaUverbs(index) => format!("netlink/rdma-uverbs-{index}"),
            Self::RdmaQueuePairs(index) => format!("netlink/rdma-queue-pairs-{index}"),
            Self::RdmaSystem => "netlink/rdma-system".into(),
        }
    }
}

/// The processes that have a node open, as far as they may be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenNodes {
    pub nodes: Vec<OpenNode>,
    /// Whether every process could be looked into; without privileges only one's own can.
    pub complete: bool,
}

impl From<Vec<OpenNode>> for OpenNodes {
    fn from(nodes: Vec<OpenNode>) -> Self {
        Self { nodes, complete: true }
    }
}

/// A process that has a character device open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpenNode {
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: String,
    /// The path as the process sees it, `/dev/infiniband/uverbs0`.
    pub node: String,
}
