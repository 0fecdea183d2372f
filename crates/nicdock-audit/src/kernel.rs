//! The doors to the kernel: the only places with unsafe code.

pub mod call;
pub mod capability;
pub mod entry;
pub mod errno;
pub mod fork;
pub mod handle;
pub mod interface;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod netlink;
pub mod node;
pub mod passed;
pub mod rdma_cm;
pub mod seccomp;
pub mod socket;
pub mod trace;
