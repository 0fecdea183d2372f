//! What is done for a container, each step noted before it is done, so that whoever comes later can undo it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{DeviceNode, ProcessId};
use crate::request::Profile;

/// A step. Undoing one that was not done, or was undone already, does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The lease is written. Undo: it is freed.
    Reserve,
    /// Files below `/run/nicdock/bundles`. Undo: they are unmounted and removed.
    Stage,
    /// The netdev goes into the network namespace with this inode number, a soft RDMA device on it vanishes. Undo: it is fetched,
    /// or awaited, named, configured as it was, and its RDMA device made anew.
    TakeNetdev { netdev: String, netns: u64 },
    /// The netdev is configured inside. Undo: with its return.
    Configure { netdev: String },
    /// A soft RDMA device is made inside. Undo: it goes with its netdev.
    MakeRdma { device: String },
    /// An RDMA device moves into the network namespace. Undo: it is moved back, or awaited.
    TakeRdma { device: String, netns: u64 },
    /// The container and its cgroups are made. Undo: their processes are ended, they are removed.
    Create,
    /// The cgroups are narrowed. Undo: with their removal.
    Restrict,
    /// The container, whose first process this is, may open these nodes. Undo: as `Restrict` and `Allow`.
    Give { container: String, process: ProcessId, nodes: Vec<DeviceNode> },
    /// The devices of these nodes (`DeviceNode::identity`) had gone while the container ran: its rules and nodes were taken away. Nothing
    /// to undo.
    Revoke { container: String, nodes: Vec<u64> },
    /// Its file system is composed. Undo: with its mount namespace.
    Compose,
    /// The program starts. Undo: as `Create`.
    Start,
    /// A container that runs may use the nodes (`rules`, as `devices.allow` has them) from now on. On version 2 of cgroups the device
    /// programs of `group` are replaced, and kept in the folder `pins` of nicdock's bpffs. Undo: the old programs again; the rules are
    /// denied.
    Allow { group: PathBuf, rules: Vec<String>, pins: Option<String> },
    /// A job's processes may open no node of an RDMA device but those that it is given: in each of these groups. Undo: with the groups, which end with the job.
    Narrow { groups: Vec<PathBuf> },
    /// A program that refuses sockets of RDMA netlink comes to a container that runs. Undo: it is taken off.
    Refuse { group: PathBuf, pins: String },
    /// The rdma cgroup `group` lets a container that runs have the device; `before` is the line that was there. Undo: that line.
    Limit { group: PathBuf, before: String },
    /// A container that runs is shown its NICs, in the mount namespace with this inode number, stopped meanwhile by the file
    /// `freezer`. Undo: nodes and view are unmounted, those of the NICs that it keeps mounted; it is let run.
    /// `unpivoted`: where its root is mounted, until its engine makes it the root.
    Show {
        process: ProcessId,
        mounts: u64,
        freezer: Option<PathBuf>,
        view: Profile,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unpivoted: Option<PathBuf>,
    },
    /// A container that runs has the NIC.
    Attach,
    /// The way back has begun.
    Return,
    /// The netdev is moved out of the container.
    FetchNetdev { netdev: String },
    /// The netdev is configured as it was on the host.
    RestoreNetdev { netdev: String },
    /// An RDMA device is moved back.
    FetchRdma { device: String },
    /// A soft RDMA device is made anew on the host.
    RemakeRdma { device: String },
    /// The lease is about to go.
    Free,
}

impl Step {
    /// The nodes that it lets a container have.
    pub fn nodes_given(&self) -> &[DeviceNode] {
        match self {
            Self::Give { nodes, .. } => nodes,
            _ => &[],
        }
    }

    /// Its name, as the ledger has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Stage => "stage",
            Self::TakeNetdev { .. } => "take_netdev",
            Self::Configure { .. } => "configure",
            Self::MakeRdma { .. } => "make_rdma",
            Self::TakeRdma { .. } => "take_rdma",
            Self::Create => "create",
            Self::Restrict => "restrict",
            Self::Give { .. } => "give",
            Self::Revoke { .. } => "revoke",
            Self::Compose => "compose",
            Self::Start => "start",
            Self::Allow { .. } => "allow",
            Self::Narrow { .. } => "narrow",
            Self::Refuse { .. } => "refuse",
            Self::Limit { .. } => "limit",
            Self::Show { .. } => "show",
            Self::Attach => "attach",
            Self::Return => "return",
            Self::FetchNetdev { .. } => "fetch_netdev",
            Self::RestoreNetdev { .. } => "restore_netdev",
            Self::FetchRdma { .. } => "fetch_rdma",
            Self::RemakeRdma { .. } => "remake_rdma",
            Self::Free => "free",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakeNetdev { netdev: part, .. }
            | Self::Configure { netdev: part }
            | Self::FetchNetdev { netdev: part }
            | Self::RestoreNetdev { netdev: part }
            | Self::MakeRdma { device: part }
            | Self::TakeRdma { device: part, .. }
            | Self::FetchRdma { device: part }
            | Self::RemakeRdma { device: part } => write!(f, "{} {part}", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}
