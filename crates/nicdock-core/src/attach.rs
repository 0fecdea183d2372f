//! Gives a NIC to a container that runs, of whatever engine.

mod apply;
mod openings;
mod target;
mod terms;
mod whole;

pub use apply::{Attached, attach, memlock, openings};
pub use target::{Target, TargetError};
pub use terms::{Created, NETLINK_RDMA, Terms};
