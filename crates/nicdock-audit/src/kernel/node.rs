//! Making and opening device nodes.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::errno::Errno;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Char,
    Block,
}

/// mknod(2).
pub fn make(path: &str, kind: Kind, major: u32, minor: u32) -> Result<(), Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let mode = if kind == Kind::Char { libc::S_IFCHR } else { libc::S_IFBLK } | 0o600;
    // SAFETY: the path is a C string.
    let result = unsafe { libc::mknod(path.as_ptr(), mode, libc::makedev(major, minor)) };
    if result < 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Opens without waiting and without making a terminal the controlling one.
pub fn open(path: &str, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens by a descriptor that only names the node (`O_PATH`) and its link in /proc.
pub fn open_by_path_descriptor(path: &str) -> Result<OwnedFd, Errno> {
    let named = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    open(&format!("/proc/self/fd/{}", named.as_raw_fd()), OFlags::RDWR)
}
