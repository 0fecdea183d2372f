//! RDMA devices, their ports and their character devices.

use serde::{Deserialize, Serialize};

use super::Mac;

/// `rdma system show netns`: module parameter `ib_core.netns_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RdmaNetnsMode {
    /// Every RDMA device is seen from, and can be opened in, every network namespace (the kernel's default).
    Shared,
    /// A device is in one namespace; some drivers let it be moved.
    Exclusive,
}

/// A character device of an RDMA device (`uverbs0`, `umad0`, `issm0`) or the global `rdma_cm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where programs open it: `/dev/infiniband/uverbs0`.
    pub path: String,
    /// Numbers from sysfs `dev`: they are dynamic, never to be remembered across a driver's reload.
    pub major: u32,
    pub minor: u32,
    /// Path below `/sys`, without links.
    pub sysfs: String,
}

impl Node {
    /// The last part of the path, as in `/sys/class/infiniband_verbs`.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// One RDMA device (`mlx5_0`, `usnic_0`, `rxe0`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RdmaDevice {
    pub name: String,
    /// Index in `NETLINK_RDMA` (`RDMA_NLDEV_ATTR_DEV_INDEX`), where netlink told.
    pub index: Option<u32>,
    /// Driver or link type: `mlx5_core`, `efa`, `rxe`, `siw`, `usnic_verbs`.
    pub driver: Option<String>,
    /// `node_type` as sysfs prints it: `1: CA`, `4: RNIC`, `6: usNIC UDP`.
    pub node_type: String,
    pub node_guid: Option<String>,
    pub firmware: Option<String>,
    pub board_id: Option<String>,
    /// Path below `/sys`, without links.
    pub sysfs: String,
    pub ports: Vec<RdmaPort>,
    pub uverbs: Option<Node>,
    pub umad: Vec<Node>,
    pub issm: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkLayer {
    Ethernet,
    #[serde(rename = "infiniband")]
    InfiniBand,
    Unknown,
}

/// One port, numbered from 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RdmaPort {
    pub number: u32,
    /// `ACTIVE`, `INIT`, `DOWN`, … (`ports/N/state` without its number).
    pub state: String,
    pub link_layer: LinkLayer,
    /// `ports/N/rate` in Mbit/s.
    pub rate_mbps: Option<u32>,
    /// LID and subnet prefix's GID where there are any (InfiniBand).
    pub lid: Option<u16>,
    /// The netdev of this port, by name in the namespace that the host was read from.
    pub netdev: Option<String>,
    /// That netdev's address, if it is known (tells ports apart after renames).
    pub netdev_mac: Option<Mac>,
}
