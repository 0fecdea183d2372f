//! LXC: what a container's configuration has to say, so that nicdock gives it a NIC before its program starts and takes it back.
//!
//! LXC 5 calls `lxc.hook.start-host` when all is set up (mounts, cgroups, limits, seccomp) and the container's first process waits to
//! execute its program; should the hook fail, that process is killed (src/lxc/start.c, `lxc_spawn()`).

mod fragment;
pub mod hook;
mod installed;
mod policy;

pub use fragment::{Fragment, quote};
pub use installed::{Container, LxcError};
pub use policy::{PolicyError, merge, policy};
