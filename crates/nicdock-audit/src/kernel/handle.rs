//! File handles (open_by_handle_at(2)): with `CAP_DAC_READ_SEARCH` they name any file of a file system, whatever part of it is
//! mounted.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::errno::Errno;

/// `MAX_HANDLE_SZ`.
const SPACE: usize = 128;

/// `struct file_handle` with its place.
#[repr(C)]
pub struct Handle {
    length: u32,
    kind: i32,
    bytes: [u8; SPACE],
}

/// name_to_handle_at(2).
pub fn of(path: &str) -> Result<Handle, Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let mut handle = Handle { length: 128, kind: 0, bytes: [0; SPACE] };
    let mut mount = 0_i32;
    // SAFETY: a C string, a file_handle with as much room as it says, and a number, that live until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    if result < 0 { Err(Errno::last()) } else { Ok(handle) }
}

/// `FILEID_INO32_GEN` (include/linux/exportfs.h) of an inode, generation 0.
pub fn guessed(inode: u32) -> Handle {
    let mut bytes = [0; SPACE];
    bytes[..4].copy_from_slice(&inode.to_ne_bytes());
    Handle { length: 8, kind: 1, bytes }
}

impl Handle {
    /// Opens what the handle names, on the file system of /.
    pub fn open(&self) -> Result<OwnedFd, Errno> {
        let root = rustix::fs::open("/", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        // SAFETY: the handle lives until the call returns and has the length that it says.
        let fd = unsafe {
            libc::syscall(libc::SYS_open_by_handle_at, root.as_raw_fd(), std::ptr::from_ref(self), flags)
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(Errno::last)?;
        // SAFETY: the kernel has just given this descriptor to us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}
