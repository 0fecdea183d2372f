//! Which process namespaces a process can be seen from (pid_namespaces(7)).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::netns::inode;

/// `NS_GET_PARENT` (include/uapi/linux/nsfs.h).
const GET_PARENT: libc::c_ulong = 0xb702;

/// The numbers of a process's namespace and of those above it, up to the caller's own.
pub fn lineage(pid: u32) -> io::Result<Vec<u64>> {
    let mut namespace = OwnedFd::from(File::open(format!("/proc/{pid}/ns/pid"))?);
    let mut found = vec![inode(&namespace)?];
    loop {
        // SAFETY: the request takes no argument, and gives a new descriptor or an error.
        let parent = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_PARENT) };
        if parent < 0 {
            let error = io::Error::last_os_error();
            // What is above the caller's own namespace is not told.
            return if error.raw_os_error() == Some(libc::EPERM) { Ok(found) } else { Err(error) };
        }
        // SAFETY: the kernel has just given this descriptor to us.
        namespace = unsafe { OwnedFd::from_raw_fd(parent) };
        found.push(inode(&namespace)?);
    }
}
