//! Reaching into other processes.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::errno::Errno;

/// ptrace(2), `PTRACE_SEIZE`, which stops nothing, and off again.
pub fn seize(pid: i32) -> Result<(), Errno> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: neither request reads or writes memory of ours.
    let result = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, none, none) };
    if result < 0 {
        return Err(Errno::last());
    }
    // SAFETY: as above. Refused while the process runs; our end detaches it then.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, none, none) };
    Ok(())
}

/// process_vm_readv(2) of one byte at an address that no process has: `EFAULT` comes after permission.
pub fn read_memory(pid: i32) -> Result<(), Errno> {
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 };
    // SAFETY: the local part is one byte of ours; the remote part is not in our memory.
    let result = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    if result < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// pidfd_open(2) and pidfd_getfd(2) of a process's standard input.
pub fn take_descriptor(pid: i32) -> Result<OwnedFd, Errno> {
    let pid = rustix::process::Pid::from_raw(pid).ok_or(Errno(libc::ESRCH))?;
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), 0, 0) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(Errno::last)?;
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
