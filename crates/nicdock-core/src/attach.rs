//! Gives a NIC to a container that runs, of whatever engine.

mod admit;
mod apply;
mod openings;
mod target;
mod terms;
mod whole;

pub use apply::{Attached, attach, join, memlock, openings};
pub use target::{Target, TargetError};
pub use terms::{Created, NETLINK_RDMA, Terms};
