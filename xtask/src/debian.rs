//! Debian's archive, of any suite: what the lab's kernels, its QEMU and its libfabric come from. The machine's own apt state
//! is not touched.

mod archive;
mod mirror;
mod root;

pub use archive::{Archive, Lists};
pub use root::Root;
