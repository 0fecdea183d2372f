//! Takes nodes from the file system of a container that runs.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags};

use super::Gone;
use crate::lease::{DeviceNode, ProcessId};
use crate::phases::aside::aside_at_most;
use crate::phases::enter::TMPFS_MAGIC;
use crate::phases::{Doing, PhaseError};
use nicdock_sys::{membership, mount, netns};

/// A container's file system may be such that it never answers.
const LIMIT: Duration = Duration::from_secs(5);

/// Removes them from the /dev/infiniband that is mounted there. That mount is read-only, and stays so; its file system can be written
/// by a copy of the mount.
pub fn take(gone: &Gone) -> Result<(), PhaseError> {
    let mut processes = vec![gone.process];
    // Those of a job are in one mount namespace: any of them does.
    let others = gone.group.as_deref().map(membership::processes_below).transpose();
    processes.extend(others.unwrap_or_default().into_iter().flatten().filter_map(ProcessId::of));
    processes
        .into_iter()
        .find(|process| process.is_alive())
        .map_or(Ok(()), |process| take_from(gone, process))
}

fn take_from(gone: &Gone, process: ProcessId) -> Result<(), PhaseError> {
    let what = || format!("taking nodes from container {}", gone.container);
    let done = aside_at_most(LIMIT, || {
        let pid = process.pid;
        let root = mount::open_host_path(Path::new(&format!("/proc/{pid}/root"))).doing(what)?;
        let mounts = fs::File::open(format!("/proc/{pid}/ns/mnt")).doing(what)?;
        // Both are its own, unless the number was another process's by then.
        if !process.is_alive() {
            return Ok(());
        }
        netns::enter_mounts(&mounts).doing(what)?;
        let found = mount::open_inside(&root, "dev/infiniband", OFlags::PATH | OFlags::DIRECTORY);
        let Ok(folder) = found else { return Ok(()) };
        gone.nodes.iter().try_for_each(|node| remove(&folder, node)).doing(what)
    });
    if process.is_alive() { done } else { Ok(()) }
}

fn remove(folder: &OwnedFd, node: &DeviceNode) -> std::io::Result<()> {
    let name = node.name.as_str();
    let Ok(found) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let is_it = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
        && found.st_rdev == rustix::fs::makedev(node.major, node.minor);
    if !is_it || !is_of_nicdock(folder)? {
        return Ok(());
    }
    let copy = mount::copy(folder, "")?;
    mount::allow_writing(copy.as_fd())?;
    let inside =
        rustix::fs::openat(&copy, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::fs::unlinkat(&inside, name, AtFlags::empty())?)
}

/// nicdock mounts a file system of its own just there, read-only. Anything else is the container's own affair, or the host's: a container that shares
/// the host's /dev shows its devtmpfs, where the number may be another device's node by now.
fn is_of_nicdock(folder: &OwnedFd) -> std::io::Result<bool> {
    let is = rustix::fs::statx(folder, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    let is_mount = is.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    let is_read_only = rustix::fs::fstatvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(is_mount && is_read_only && rustix::fs::fstatfs(folder)?.f_type == TMPFS_MAGIC)
}
