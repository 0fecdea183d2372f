//! Network namespaces, held by descriptors only: a mount would keep the kernel from giving a NIC back.
#![allow(unsafe_code)]

mod keeper;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::{child, mount};

pub use keeper::{Keepers, find, with_unread_descriptors};

/// A handle on the caller's network namespace.
pub fn current() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/self/ns/net")?.into())
}

/// A handle on the network namespace of process `pid`.
pub fn of_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{pid}/ns/net"))?.into())
}

/// A handle on the network namespace that process `pid` has open as descriptor `fd`. That it is one shows when it is
/// entered.
pub fn of_descriptor(pid: u32, fd: i32) -> io::Result<OwnedFd> {
    let path = mount::open_host_path(Path::new(&format!("/proc/{pid}/fd/{fd}")))?;
    behind(&path, inode(&path)?)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The number by which a namespace is known as long as it lives (`/proc/PID/ns/net`, namespaces(7)); a later one may get it again.
pub fn inode(handle: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(handle)?.st_ino)
}

/// A handle on the network namespace with this number, if that is what `path` leads to, a descriptor of the kind that opens nothing
/// (`O_PATH`): whoever owns the name that it was opened by cannot make this wait.
fn behind(path: &OwnedFd, number: u64) -> io::Result<Option<OwnedFd>> {
    if rustix::fs::fstatfs(path)?.f_type != libc::NSFS_MAGIC || inode(path)? != number {
        return Ok(None);
    }
    let handle = rustix::fs::open(child::proc_path(path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Some(handle))
}

/// Puts the caller into a new, empty network namespace (unshare(2), `CLONE_NEWNET`).
pub fn enter_new() -> io::Result<()> {
    // SAFETY: CLONE_NEWNET changes no memory or descriptor table that other code relies on.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}

/// Gives the caller a mount namespace of its own in which mounts of the host arrive and none leave (`MS_SLAVE`).
pub fn enter_private_mounts() -> io::Result<()> {
    // SAFETY: CLONE_NEWNS (with the CLONE_FS it implies) changes no memory or descriptor table.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// Moves the caller into the mount namespace of process `pid` (setns(2); the caller must be single-threaded).
pub fn enter_mounts_of(pid: u32) -> io::Result<()> {
    enter_mounts(File::open(format!("/proc/{pid}/ns/mnt"))?)
}

/// Moves the caller into the mount namespace behind `handle`.
pub fn enter_mounts(handle: impl AsFd) -> io::Result<()> {
    move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Mount))?;
    Ok(())
}

/// Moves the caller into the network namespace behind `handle`.
pub fn enter(handle: impl AsFd) -> io::Result<()> {
    move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}

/// Runs `work` in a new, empty network namespace, which then dies, and comes back.
pub fn within_new<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let home = current()?;
    enter_new()?;
    let result = work();
    enter(home)?;
    result
}

/// Runs `work` in the network namespace behind `handle` and comes back. Sockets that it makes stay there.
pub fn within<T>(handle: impl AsFd, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let home = current()?;
    enter(handle)?;
    let result = work();
    enter(home)?;
    result
}
