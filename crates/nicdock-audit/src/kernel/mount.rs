//! Mount system calls, by their numbers: several have no wrapper.
#![allow(unsafe_code)]
#![allow(clippy::cast_sign_loss, reason = "constants as registers have them")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::call::call;
use super::errno::Errno;

const AT_FDCWD: usize = libc::AT_FDCWD as usize;

fn text(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno(libc::EINVAL))
}

fn owned(fd: usize) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// mount(2).
pub fn mount(source: &str, target: &str, kind: &str, flags: u64) -> Result<(), Errno> {
    mount_with(source, target, kind, flags, "")
}

/// The same with the file system's options.
pub fn mount_with(source: &str, target: &str, kind: &str, flags: u64, options: &str) -> Result<(), Errno> {
    let texts = [text(source)?, text(target)?, text(kind)?, text(options)?];
    let [source, target, kind, options] = texts.each_ref().map(|text| text.as_ptr() as usize);
    let flags = usize::try_from(flags).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: four C strings that live until the call returns.
    unsafe { call(libc::SYS_mount, [source, target, kind, flags, options, 0]) }.map(drop)
}

/// umount2(2).
pub fn unmount(target: &str, flags: i32) -> Result<(), Errno> {
    let target = text(target)?;
    let flags = usize::try_from(flags).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: a C string that lives until the call returns.
    unsafe { call(libc::SYS_umount2, [target.as_ptr() as usize, flags, 0, 0, 0, 0]) }.map(drop)
}

/// fsopen(2), fsconfig(2) `FSCONFIG_CMD_CREATE`, fsmount(2): a file system that is nowhere yet.
pub fn detached(kind: &str) -> Result<OwnedFd, Errno> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    let kind = text(kind)?;
    // SAFETY: a C string that lives until the call returns.
    let context = owned(unsafe { call(libc::SYS_fsopen, [kind.as_ptr() as usize, 1, 0, 0, 0, 0]) }?)?;
    let fd = usize::try_from(context.as_raw_fd()).map_err(|_| Errno(libc::EBADF))?;
    super::call::with_numbers(libc::SYS_fsconfig, &[fd, FSCONFIG_CMD_CREATE])?;
    owned(super::call::with_numbers(libc::SYS_fsmount, &[fd, 1, 0])?)
}

/// open_tree(2): a copy of one mount, without those on it unless `recursive`.
pub fn copy(path: &str, recursive: bool) -> Result<OwnedFd, Errno> {
    const OPEN_TREE_CLONE: usize = 1;
    let path = text(path)?;
    let flags =
        OPEN_TREE_CLONE | libc::O_CLOEXEC as usize | if recursive { libc::AT_RECURSIVE as usize } else { 0 };
    // SAFETY: a C string that lives until the call returns.
    owned(unsafe { call(libc::SYS_open_tree, [AT_FDCWD, path.as_ptr() as usize, flags, 0, 0, 0]) }?)
}

/// move_mount(2), of a mount that is somewhere.
pub fn shift(from: &str, to: &str) -> Result<(), Errno> {
    let (from, to) = (text(from)?, text(to)?);
    // SAFETY: two C strings that live until the call returns.
    unsafe {
        call(libc::SYS_move_mount, [AT_FDCWD, from.as_ptr() as usize, AT_FDCWD, to.as_ptr() as usize, 0, 0])
    }
    .map(drop)
}

/// move_mount(2), of a mount that is nowhere yet.
pub fn attach(mount: &OwnedFd, to: &str) -> Result<(), Errno> {
    const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
    let (empty, to) = (text("")?, text(to)?);
    let fd = usize::try_from(mount.as_raw_fd()).map_err(|_| Errno(libc::EBADF))?;
    // SAFETY: two C strings that live until the call returns.
    unsafe {
        call(
            libc::SYS_move_mount,
            [fd, empty.as_ptr() as usize, AT_FDCWD, to.as_ptr() as usize, MOVE_MOUNT_F_EMPTY_PATH, 0],
        )
    }
    .map(drop)
}

/// mount_setattr(2) that sets and clears `MOUNT_ATTR_*`; with neither the kernel checks permission and changes nothing.
pub fn attributes(path: &str, set: u64, clear: u64) -> Result<(), Errno> {
    let path = text(path)?;
    let attr: [u64; 4] = [set, clear, 0, 0];
    // SAFETY: a C string and a struct mount_attr of version 0 (32 bytes) that live until the call returns.
    unsafe {
        call(libc::SYS_mount_setattr, [AT_FDCWD, path.as_ptr() as usize, 0, attr.as_ptr() as usize, 32, 0])
    }
    .map(drop)
}
