use std::fs;
use std::io::{self, Read};

use nicdock_sys::mount;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

/// `lsm_read()` of security/inode.c; from a securityfs that is mounted nowhere, where the host has none.
pub fn line() -> io::Result<String> {
    if let Ok(list) = fs::read_to_string("/sys/kernel/security/lsm") {
        return Ok(format!("{}\n", list.trim()));
    }
    let securityfs = mount::detached("securityfs", &[], MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let file = rustix::fs::openat(&securityfs, "lsm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut list = String::new();
    fs::File::from(file).read_to_string(&mut list)?;
    Ok(format!("{}\n", list.trim()))
}
