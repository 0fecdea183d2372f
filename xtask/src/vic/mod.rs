//! The lab's virtual Cisco VIC: QEMU with the device of `lab/vic/` in it, the programs that prove the device, and
//! libfabric with its usnic provider.
//!
//! Everything is built from Debian's source packages under `<cache>/vic/` and built again only when its inputs change.
//! The rest of xtask calls the `ensure_*` functions and gives QEMU the arguments of [`qemu_args`].

mod debian;
mod libfabric;
mod machine;
mod packages;
mod programs;
mod qemu;
mod sources;
mod stamp;
mod tool;

pub use libfabric::ensure_libfabric;
pub use machine::{MAX_VFS, MAX_VICS, mac, qemu_args, qmp_port_args};
pub use programs::ensure_programs;
pub use qemu::{VicQemu, ensure_qemu};

use std::path::{Path, PathBuf};

/// Where the device, its programs and the list of QEMU's devices are in the repository.
fn lab_vic() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/vic")
}
