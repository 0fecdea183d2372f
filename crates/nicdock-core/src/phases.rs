//! The phases that change the machine, the same under every engine: enter, verify, return.

pub mod allow;
mod aside;
mod away;
pub mod cgroup;
pub mod devices;
pub mod draining;
pub mod enter;
pub mod filters;
pub mod freeze;
pub mod give_back;
pub mod gone;
pub mod host_nodes;
mod ipoib;
pub mod limits;
mod link;
pub mod movable;
pub mod names;
pub mod narrow;
pub mod network;
mod pins;
pub mod queue_pairs;
pub mod rdma_limits;
pub mod rdma_move;
pub mod refuse;
pub mod remember;
pub mod show;
pub mod sockets;
pub mod soft_rdma;
pub mod soft_roce;
pub mod stale;
pub mod turn;
pub mod verify;

pub use aside::aside;
pub use away::Patience;

pub use crate::doing::{Doing, PhaseError};

use crate::lease::LeaseError;

impl From<LeaseError> for PhaseError {
    fn from(error: LeaseError) -> Self {
        Self::new("noting what is done", std::io::Error::other(error))
    }
}
