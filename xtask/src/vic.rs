//! The lab's virtual Cisco VIC: QEMU with the device of `lab/vic/` in it, the programs that prove the device, and
//! libfabric with its usnic provider.
//!
//! Everything is built from Debian's source packages in `target/lab/vic` and built again only when its inputs change. What
//! was built finds its parts wherever the directory is, so that a copy of it saves another clone the build.

mod libfabric;
mod machine;
mod programs;
mod qemu;
mod sources;

pub use machine::{MAX_VFS, MAX_VICS, mac, name, vic_args};

use crate::workspace;
use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a lab with VICs needs.
#[derive(Clone, Debug)]
pub struct Built {
    /// A QEMU that knows `-device cisco-vic`.
    pub qemu: PathBuf,
    /// A prefix with `bin/fi_info`, `bin/fi_pingpong` and `lib/libfabric.so`.
    pub libfabric: PathBuf,
    /// The program `vic-test`.
    pub test: PathBuf,
}

/// Builds what is not there or was built from something else than `lab/vic/` holds now. Minutes the first time.
///
/// Fails when Debian's archive cannot be reached, a package cannot be installed, or the device does not compile.
pub fn build() -> Result<Built> {
    let home = workspace::lab_dir().join("vic");
    fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
    let _lock = lock(&home.join("lock"))?;
    Ok(Built {
        qemu: qemu::ensure(&home)?,
        libfabric: libfabric::ensure(&home)?,
        test: programs::ensure(&home)?,
    })
}

/// The script that turns a VIC's knobs from inside the guest.
pub fn knob() -> PathBuf {
    lab_vic().join("knob.sh")
}

/// One build at a time, until the file is dropped.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("vic: waiting for the one who builds it already");
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Where the device, its programs and the list of QEMU's devices are in the repository.
fn lab_vic() -> PathBuf {
    workspace::root().join("lab/vic")
}
