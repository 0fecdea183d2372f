//! The mount calls that work on descriptors (Linux 5.2, `mount_setattr` 5.12): no path is looked up twice.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// Makes a file system instance that is not mounted anywhere yet (fsopen(2), fsmount(2)).
///
/// `options` are `key=value` or flags. A sysfs shows the network namespace of the process that calls this.
pub fn detached(kind: &str, options: &[(&str, Option<&str>)], attrs: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
            None => fsconfig_set_flag(context.as_fd(), *key)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attrs)?)
}

/// A detached copy of the mount at `path` below `directory`, without the mounts inside it (open_tree(2)).
pub fn copy(directory: impl AsFd, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | if path.as_os_str().is_empty() {
            OpenTreeFlags::AT_EMPTY_PATH
        } else {
            OpenTreeFlags::AT_SYMLINK_NOFOLLOW
        };
    Ok(open_tree(directory, path, flags)?)
}

/// The same with every mount inside it. The mount must be attached in the caller's mount namespace.
pub fn copy_tree(root: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(root, "", flags)?)
}

/// The number that mountinfo has for the mount that `file` is on (statx(2), `STATX_MNT_ID`; Linux 5.8).
pub fn id(file: impl AsFd) -> io::Result<u64> {
    let mask = rustix::fs::StatxFlags::from_bits_retain(libc::STATX_MNT_ID);
    Ok(rustix::fs::statx(file, "", rustix::fs::AtFlags::EMPTY_PATH, mask)?.stx_mnt_id)
}

/// Whether this is the root of a mount (`STATX_ATTR_MOUNT_ROOT` of statx(2)).
pub fn is_root(file: impl AsFd) -> io::Result<bool> {
    let found =
        rustix::fs::statx(file, "", rustix::fs::AtFlags::EMPTY_PATH, rustix::fs::StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

/// Unmounts the mount whose root is open as `root`, whatever path leads there by now, with all that is mounted in it. The caller's
/// working directory is then its root.
pub fn unmount(root: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// Mounts a detached mount, or moves one that is mounted elsewhere in this mount namespace, on the directory or file open as `target` (move_mount(2)).
pub fn attach(detached: &OwnedFd, target: impl AsFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(detached, "", target, "", flags)?)
}

/// Makes the mount open as `root` the root of this mount namespace, for every process in it, and unmounts the one before, open
/// as `old` (pivot_root(2), with both names the same folder).
pub fn pivot(root: &OwnedFd, old: &OwnedFd) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::process::fchdir(old)?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// `struct mount_attr` (include/uapi/linux/mount.h).
#[derive(Default)]
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds attributes (`MOUNT_ATTR_RDONLY`, …) to the mount open as `mount` and makes it private.
pub fn restrict(mount: BorrowedFd<'_>, attrs: MountAttrFlags) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: u64::from(attrs.bits()),
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    set_attributes(mount, &attr)
}

fn set_attributes(mount: BorrowedFd<'_>, attr: &MountAttr) -> io::Result<()> {
    let empty: &CStr = c"";
    // SAFETY: `attr` has the kernel's layout and the size passed is its own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            empty.as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the mount open as `mount` be written to, which must not be one that anybody sees: a copy.
pub fn allow_writing(mount: BorrowedFd<'_>) -> io::Result<()> {
    set_attributes(
        mount,
        &MountAttr { attr_clr: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..MountAttr::default() },
    )
}

/// Opens `path` below `root` without ever leaving it and without following any link (openat2(2)).
///
/// Errors: `ELOOP` when a part of the path is a link, `EXDEV` when it would leave `root`.
pub fn open_inside(root: impl AsFd, path: impl AsRef<Path>, flags: OFlags) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    let path = path.strip_prefix("/").unwrap_or(path);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// The content of the file at `path` below `root`; see [`open_inside`].
pub fn read_inside(root: impl AsFd, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = std::fs::File::from(open_inside(root, path, OFlags::RDONLY)?);
    io::Read::read_to_end(&mut &file, &mut content)?;
    Ok(content)
}

/// Unmounts what is mounted on the folder `name` of `folder`, and removes the folder.
pub fn take_away(folder: impl AsFd, name: &str) -> io::Result<()> {
    rustix::process::fchdir(&folder)?;
    rustix::mount::unmount(name, rustix::mount::UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(rustix::fs::unlinkat(&folder, name, rustix::fs::AtFlags::REMOVEDIR)?)
}

/// Opens a directory or file of the host for use as a handle only (`O_PATH`), following links.
pub fn open_host_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Makes a file that is not there yet, with the folders above it, below `root`; opens it for writing. No link is followed.
pub fn make_file(root: impl AsFd, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = make_folders(root, path.parent().unwrap_or(Path::new("")))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o444))?)
}

/// A handle on the file at `path` below `root`, which is made if nothing is there. No link is followed.
pub fn file_to_mount_on(root: impl AsFd, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    match open_inside(&root, &path, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_file(root, path),
        found => found,
    }
}

/// Makes a folder and those above it, below `root`; gives a handle on it. No link is followed.
pub fn make_folders(root: impl AsFd, path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let path = path.as_ref();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(there) = open_inside(&root, path, flags) {
        return Ok(there);
    }
    let mut here = rustix::fs::openat(&root, ".", flags, Mode::empty())?;
    for part in path.components() {
        let part = match part {
            Component::Normal(part) => part,
            Component::RootDir | Component::CurDir => continue,
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        match rustix::fs::mkdirat(here.as_fd(), part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        here = rustix::fs::openat(here.as_fd(), part, flags, Mode::empty())?;
    }
    Ok(here)
}
