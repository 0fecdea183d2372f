//! A NIC that is back on the host, while somebody can still reach it through a descriptor that left the container.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProcessId;

/// One that still reaches the NIC's RDMA device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Draining {
    /// A process outside of the container has the node open.
    Process { process: ProcessId, command: String, node: String },
    /// The kernel counts user contexts, and no process has the node open: its descriptor is on its way in a socket.
    Contexts { device: String, count: u64 },
}

impl fmt::Display for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { process, command, node } => {
                write!(f, "process {} ({command}) has {node} open", process.pid)
            }
            Self::Contexts { device, count } => {
                write!(f, "{count} contexts of {device} are open by a descriptor that no process has now")
            }
        }
    }
}
