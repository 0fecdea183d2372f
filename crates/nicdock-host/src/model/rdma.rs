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
    /// Whether it can be moved to another network namespace, as found by trying; `None`: not tried.
    #[serde(default)]
    pub moves: Option<bool>,
    /// usNIC's own; `None` for every other driver.
    #[serde(default)]
    pub usnic: Option<UsnicPool>,
}

/// Whether a driver is software on top of a netdev.
pub fn is_soft(driver: &str) -> bool {
    matches!(driver, "rxe" | "siw")
}

impl RdmaDevice {
    /// The first port that is ACTIVE, else the first: what one word about the device is about.
    pub fn active_port(&self) -> Option<&RdmaPort> {
        self.ports.iter().find(|port| port.state == "ACTIVE").or(self.ports.first())
    }
}

/// The VFs behind a usNIC device, which its programs share (`drivers/infiniband/hw/usnic/usnic_ib_sysfs.c`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsnicPool {
    /// VFs that `usnic_verbs` has (`max_vf`): so many protection domains, and so many processes, at once.
    pub vfs: u32,
    /// Queue pairs of one VF (`qp_per_vf`).
    pub queue_pairs_per_vf: u32,
    /// Completion queues of one VF (`cq_per_vf`).
    pub completion_queues_per_vf: u32,
    /// Those that exist now, of every process; by number.
    pub queue_pairs: Vec<UsnicQueuePair>,
}

/// One queue pair (`qpn/N/summary`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsnicQueuePair {
    pub number: u32,
    /// `INIT`, `RTR`, `RTS`, `ERR`, … `ERR` is final: its program must make a new one.
    pub state: String,
    /// The process that made it, by its number on the host.
    pub pid: u32,
    /// Number of the VF that it is on, from 0.
    pub vf: u32,
    pub completion_queues: u32,
}

impl UsnicPool {
    /// How many VFs have queue pairs. One without may be taken all the same, by a protection domain that has none yet.
    pub fn vfs_in_use(&self) -> usize {
        self.queue_pairs.iter().map(|pair| pair.vf).collect::<std::collections::BTreeSet<_>>().len()
    }

    pub fn completion_queues_in_use(&self) -> u32 {
        self.queue_pairs.iter().map(|pair| pair.completion_queues).sum()
    }
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
