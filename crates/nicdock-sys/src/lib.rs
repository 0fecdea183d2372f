//! The doors to the kernel: few, typed, and the only places with unsafe code.

pub mod bpf;
pub mod btf;
pub mod cgroupns;
pub mod child;
pub mod closing;
pub mod ethtool;
pub mod events;
pub mod failpoint;
pub mod fsuser;
#[cfg(test)]
mod fuzz;
pub mod guard;
pub mod membership;
pub mod memfd;
pub mod mount;
pub mod mountinfo;
pub mod netns;
pub mod passing;
pub mod pidfd;
pub mod pidns;
pub mod place;
pub mod processes;
pub mod secluded;
pub mod signals;
pub mod system_calls;
pub mod tables;
pub mod terminal;
pub mod tracee;
pub mod umask;
pub mod uverbs;
pub mod walk;
