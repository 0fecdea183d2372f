//! libvirt's containers (`lxc:///`): what a domain says of NICs, and what libvirt has to be told so that nicdock gives them.
//!
//! libvirt 9 calls its hook with `started` when the controller has said that the container is set up; its first program may run by then
//! (src/lxc/lxc_process.c, `virLXCProcessStart()`). So that program is the gate, and the domain's own one is its argument.

mod adopt;
mod by_hand;
mod closings;
mod domain;
mod edits;
#[cfg(test)]
mod fuzz;
mod gate;
pub mod hook;
mod installed;
mod root;
mod virsh;
mod wish;

pub use adopt::{AdoptError, adopt};
pub use closings::Closings;
pub use domain::{Domain, DomainError, Fresh, Said, fresh, said, with};
pub use gate::{Gate, GateError, first_process};
pub use installed::{HostFile, InstallError, files, install, proof, uninstall};
pub use root::{RootError, look_at_root};
pub use virsh::{Virsh, VirshError};
pub use wish::{LINK_TIMEOUT, Wish};

/// Where the gate is, on the host and, read-only, in each container; with the filters that it adds.
pub const FOLDER: &str = "/usr/libexec/nicdock/libvirt";
/// Of the element in a domain's metadata; the schema is `nics.rng` beside this.
pub const NAMESPACE: &str = "https://nicdock.dev/libvirt/1";
