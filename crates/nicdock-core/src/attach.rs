//! Gives a NIC to a container that runs, of whatever engine, or to the processes of a job.

mod admit;
mod apply;
mod job;
mod openings;
mod target;
mod terms;
mod whole;

pub use apply::{Attached, attach, join, memlock, openings};
pub use job::Job;
pub use target::{Target, TargetError};
pub use terms::{Created, NETLINK_RDMA, Terms};
