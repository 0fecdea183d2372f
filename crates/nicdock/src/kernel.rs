//! The doors to the kernel: few, typed, and the only places with unsafe code.

pub mod bpf;
pub mod btf;
pub mod cgroupns;
pub mod child;
pub mod ethtool;
pub mod events;
pub mod fsuser;
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
pub mod rtnl;
pub mod secluded;
pub mod signals;
pub mod tables;
pub mod terminal;
pub mod tracee;
pub mod uverbs;
pub mod walk;
