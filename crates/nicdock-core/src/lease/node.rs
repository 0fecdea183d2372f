//! Device nodes, as a lease notes them.

use serde::{Deserialize, Serialize};

/// A node to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// `uverbs0`, `umad0`, `issm0`, `rdma_cm`.
    pub name: String,
    /// The RDMA device; empty for `rdma_cm`, which is every device's.
    pub device: String,
    pub major: u32,
    pub minor: u32,
    pub mode: u32,
    /// The inode number of its folder in sysfs. The kernel never gives it twice (`__kernfs_new_node()`, fs/kernfs/dir.c), while names
    /// and device numbers go to the next device as soon as one has gone (`ib_uverbs_remove_one()`).
    pub identity: u64,
}

impl DeviceNode {
    /// As the devices controller writes it (Documentation/admin-guide/cgroup-v1/devices.rst).
    pub fn rule(&self) -> String {
        format!("c {}:{} rw", self.major, self.minor)
    }
}
