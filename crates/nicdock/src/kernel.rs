//! The doors to the kernel: few, typed, and the only places with unsafe code.

pub mod bpf;
pub mod btf;
pub mod child;
pub mod events;
pub mod mount;
pub mod netns;
pub mod pidfd;
pub mod rtnl;
pub mod signals;
pub mod terminal;
pub mod uverbs;
