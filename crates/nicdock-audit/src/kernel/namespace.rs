//! Namespaces of a probe's own: they end with its process.
#![allow(unsafe_code)]

use std::fs;

use super::call;
use super::capability::prctl;
use super::errno::Errno;

pub const NEWNS: i32 = libc::CLONE_NEWNS;
pub const NEWNET: i32 = libc::CLONE_NEWNET;
pub const NEWPID: i32 = libc::CLONE_NEWPID;
pub const NEWCGROUP: i32 = libc::CLONE_NEWCGROUP;

/// unshare(2).
pub fn unshare(flags: i32) -> Result<(), Errno> {
    let flags = usize::try_from(flags).map_err(|_| Errno(libc::EINVAL))?;
    call::with_numbers(libc::SYS_unshare, &[flags]).map(drop)
}

/// A mount namespace of its own, out of which nothing gets: what is unmounted in it stays where it is elsewhere.
pub fn own_mounts() -> Result<(), Errno> {
    unshare(NEWNS)?;
    // Without this a mount would propagate to where it came from (mount_namespaces(7)).
    let flags = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}

/// A user namespace in which the caller is root, with a mount namespace and `more` of its own.
pub fn own_user(more: i32) -> Result<(), Errno> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(libc::CLONE_NEWUSER | NEWNS | more)?;
    // The files are the caller's own only while it is dumpable, as an attacker would be (`task_dump_owner()`, fs/proc/base.c).
    let was_dumpable = prctl(libc::PR_GET_DUMPABLE, [0, 0]);
    let _ = prctl(libc::PR_SET_DUMPABLE, [1, 0]);
    // Best effort: a new user namespace gives every capability in it also without a mapping.
    let _ = fs::write("/proc/self/setgroups", "deny");
    let _ = fs::write("/proc/self/gid_map", format!("0 {gid} 1"));
    let _ = fs::write("/proc/self/uid_map", format!("0 {uid} 1"));
    if was_dumpable == Ok(0) {
        let _ = prctl(libc::PR_SET_DUMPABLE, [0, 0]);
    }
    Ok(())
}

/// Forks the caller into its new process namespace (`NEWPID` concerns children only): the child runs `work`, the caller gives
/// its answer back.
pub fn in_child<T: serde::Serialize + serde::de::DeserializeOwned>(
    work: impl FnOnce() -> T,
) -> Result<T, Errno> {
    match super::fork::run(std::time::Duration::from_secs(8), work)? {
        super::fork::End::Said(answer) => Ok(answer),
        _ => Err(Errno(libc::ECHILD)),
    }
}

/// Joins the namespace behind `path` (setns(2)).
pub fn join(path: &str) -> Result<(), Errno> {
    let file = fs::File::open(path)?;
    // SAFETY: the call takes a descriptor and a number; this process has one thread.
    let result = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&file), 0) };
    if result < 0 { Err(Errno::last()) } else { Ok(()) }
}
