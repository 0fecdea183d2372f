//! Folders and files of the host that a container is shown, checked by file system type, never by name.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::FileType;
use rustix::mount::MountAttrFlags;

use super::LaunchError;
use crate::kernel::mount;
use crate::kernel::mountinfo::{self, Mounted};
use crate::lease::STATE;
use crate::request::Volume;

/// File systems that show the host's devices and processes (include/uapi/linux/magic.h).
const FORBIDDEN: [(i64, &str); 10] = [
    (0x6265_6572, "sysfs"),
    (0x9fa0, "proc"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6e73_6673, "nsfs"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x1cd1, "devpts"),
];

/// A copy of the volume's source, mounted nowhere yet: what was checked is what the container gets.
pub fn copy(volume: &Volume) -> Result<OwnedFd, LaunchError> {
    let path = &volume.source;
    let fail = |e: io::Error| LaunchError::path(path, e);
    let source = mount::open_host_path(path).map_err(fail)?;
    check_kind(&source, path)?;
    check_contents(&source, path)?;
    let mode = rustix::fs::fstat(&source).map_err(|e| fail(e.into()))?.st_mode;
    if !matches!(FileType::from_raw_mode(mode), FileType::Directory | FileType::RegularFile) {
        return Err(LaunchError::path(
            path,
            "is neither a folder nor a regular file: sockets and devices are not shared",
        ));
    }
    let copy = mount::copy(&source, "").map_err(fail)?;
    let read_only =
        if volume.read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
    mount::restrict(
        copy.as_fd(),
        MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID | read_only,
    )
    .map_err(fail)?;
    Ok(copy)
}

/// Refuses what lies on a file system that shows the host's devices.
pub fn check_kind(handle: &OwnedFd, path: &Path) -> Result<(), LaunchError> {
    let kind = rustix::fs::fstatfs(handle).map_err(|e| LaunchError::path(path, io::Error::from(e)))?.f_type;
    match FORBIDDEN.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(LaunchError::path(
            path,
            format!("lies on {name}, which shows the host's devices: it is not shared"),
        )),
        None => Ok(()),
    }
}

/// Refuses what holds nicdock's state; gives where it really is.
pub fn check_state(handle: &OwnedFd, path: &Path) -> Result<std::path::PathBuf, LaunchError> {
    let real =
        fs::read_link(crate::kernel::child::proc_path(handle)).map_err(|e| LaunchError::path(path, e))?;
    if Path::new(STATE).starts_with(&real) || real.starts_with(STATE) {
        return Err(LaunchError::path(path, format!("holds nicdock's state ({STATE}): it is not shared")));
    }
    Ok(real)
}

/// Refuses what holds nicdock's state, or mounts of the host's devices and processes.
fn check_contents(handle: &OwnedFd, path: &Path) -> Result<(), LaunchError> {
    let fail = |e: io::Error| LaunchError::path(path, e);
    let real = check_state(handle, path)?;
    let mounts = fs::read("/proc/self/mountinfo").map_err(fail)?;
    let bad = |kind: &str| kind == "devtmpfs" || FORBIDDEN.iter().any(|(_, name)| *name == kind);
    for Mounted { point, kind, .. } in mountinfo::parse(&mounts) {
        if bad(&kind) && (point.starts_with(&real) || (kind == "devtmpfs" && real.starts_with(&point))) {
            let point = point.display();
            return Err(LaunchError::path(
                path,
                format!("holds {point} ({kind}), which shows the host's devices: share a folder below it"),
            ));
        }
    }
    Ok(())
}
