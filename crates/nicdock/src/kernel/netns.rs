//! Network namespaces, held by descriptors only: a mount would keep the kernel from giving a NIC back.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::mountinfo;

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
    Ok(File::open(format!("/proc/{pid}/fd/{fd}"))?.into())
}

/// The number by which a namespace is known as long as it lives (`/proc/PID/ns/net`, namespaces(7)); a later one may get it again.
pub fn inode(handle: impl AsFd) -> io::Result<u64> {
    Ok(rustix::fs::fstat(handle)?.st_ino)
}

/// A handle on the network namespace with this number, should a thread, a descriptor or a mount of any process keep it.
pub fn find(inode: u64) -> io::Result<Option<OwnedFd>> {
    let link = format!("net:[{inode}]");
    let is_it = |path: &Path| fs::read_link(path).is_ok_and(|target| target.as_os_str() == link.as_str());
    let listed = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut seen = BTreeSet::new();
    for process in listed("/proc".into()).filter(|path| path.join("ns").exists()) {
        let threads = listed(process.join("task")).map(|thread| thread.join("ns/net"));
        let kept = threads.chain(listed(process.join("fd"))).find(|path| is_it(path));
        if let Some(handle) = kept.and_then(|path| File::open(path).ok()) {
            return Ok(Some(handle.into()));
        }
        // Processes of one mount namespace have the same mounts.
        if !fs::read_link(process.join("ns/mnt")).is_ok_and(|namespace| seen.insert(namespace)) {
            continue;
        }
        let mounts = fs::read(process.join("mountinfo")).unwrap_or_default();
        let mounted = mountinfo::parse(&mounts)
            .find(|mounted| mounted.kind == "nsfs" && mounted.root.as_os_str() == link.as_str());
        if let Some(mounted) = mounted {
            // The way to it is the container's: no link is followed out of its root.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let root = rustix::fs::open(process.join("root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let handle = super::mount::open_inside(&root, &mounted.point.to_string_lossy(), flags)?;
            if self::inode(&handle)? == inode {
                return Ok(Some(handle));
            }
        }
    }
    Ok(None)
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
