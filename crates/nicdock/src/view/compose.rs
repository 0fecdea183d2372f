//! Puts a view together in the container's mount namespace, on the empty file system that is its /sys.
//!
//! Every step works on descriptors: a sysfs of the container's network namespace is copied piece by piece
//! (`open_tree(OPEN_TREE_CLONE)`) onto a skeleton of folders and links, which is then made read-only.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::View;
use super::spec::BRIDGE_FILES;
use crate::kernel::mount;

#[derive(Debug, thiserror::Error)]
#[error("/sys of the container: {path}: {error}")]
pub struct ViewError {
    pub path: String,
    pub error: io::Error,
}

const RESTRICTED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Fills `target`, the mounted root of an empty tmpfs, and makes it read-only.
///
/// The caller must be in the container's mount and network namespaces, and no program may run there yet.
pub fn compose(target: BorrowedFd<'_>, view: &View) -> Result<(), ViewError> {
    let at = |path: &str| {
        let path = path.to_owned();
        move |error: io::Error| ViewError { path, error }
    };
    let sysfs = whole_sysfs(target).map_err(at("/"))?;
    let mut subtrees: BTreeSet<String> = view.subtrees.iter().cloned().collect();
    for folder in &view.folders {
        make_folders(target, folder).map_err(at(folder))?;
    }
    for path in &view.links {
        let destination = link(target, &sysfs, path).map_err(at(path))?;
        subtrees.insert(destination);
    }
    for path in &view.bridges {
        let bridge = link(target, &sysfs, path).map_err(at(path))?;
        make_folders(target, &bridge).map_err(at(&bridge))?;
        for name in BRIDGE_FILES {
            copy_file(target, &sysfs, &format!("{bridge}/{name}"), true).map_err(at(&bridge))?;
        }
    }
    for path in &view.files {
        copy_file(target, &sysfs, path, false).map_err(at(path))?;
    }
    for path in outermost(&subtrees) {
        graft(target, &sysfs, path).map_err(at(path))?;
    }
    drop(sysfs);
    hide_whole_sysfs(target).map_err(at("/"))?;
    mount::restrict(target, RESTRICTED).map_err(at("/"))
}

/// Where the whole sysfs is while parts of it are copied: a copy can be made of an attached mount only (before
/// Linux 6.15; fs/namespace.c, `__do_loopback`).
const WHOLE: &str = ".whole";

fn whole_sysfs(target: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let sysfs = mount::detached("sysfs", &[], RESTRICTED)?;
    mount::attach(&sysfs, make_folders(target, WHOLE)?)?;
    Ok(sysfs)
}

fn hide_whole_sysfs(target: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(target)?;
    rustix::mount::unmount(WHOLE, rustix::mount::UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(rustix::fs::unlinkat(target, WHOLE, rustix::fs::AtFlags::REMOVEDIR)?)
}

/// Those that lie in no other of them.
fn outermost(paths: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let inside = |path: &str, other: &String| {
        path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    paths.iter().map(String::as_str).filter(move |path| !paths.iter().any(|other| inside(path, other)))
}

/// Makes the same link in the skeleton as in sysfs; gives the path that it leads to.
fn link(target: BorrowedFd<'_>, sysfs: &OwnedFd, path: &str) -> io::Result<String> {
    let (folder, name) = path.rsplit_once('/').ok_or(io::ErrorKind::InvalidInput)?;
    let text = rustix::fs::readlinkat(sysfs, path, Vec::new())?;
    let text = text.to_str().map_err(|_| io::ErrorKind::InvalidData)?;
    let folder_handle = make_folders(target, folder)?;
    rustix::fs::symlinkat(text, &folder_handle, name)?;
    resolve(folder, text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `../../devices/x` seen from `class/net` is `devices/x`.
fn resolve(folder: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "" => return None,
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

fn graft(target: BorrowedFd<'_>, sysfs: &OwnedFd, path: &str) -> io::Result<()> {
    let copy = mount::copy(sysfs, path)?;
    let place = make_folders(target, path)?;
    mount::attach(&copy, &place)
}

/// Copies what a file says now; one that the kernel does not have or cannot read is left out when `optional`.
fn copy_file(target: BorrowedFd<'_>, sysfs: &OwnedFd, path: &str, optional: bool) -> io::Result<()> {
    let content = match mount::open_inside(sysfs, path, OFlags::RDONLY).and_then(read_all) {
        Ok(content) => content,
        Err(_) if optional => return Ok(()),
        Err(error) => return Err(error),
    };
    let (folder, name) = path.rsplit_once('/').ok_or(io::ErrorKind::InvalidInput)?;
    let folder = make_folders(target, folder)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o444))?;
    io::Write::write_all(&mut std::fs::File::from(file), &content)
}

fn read_all(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    io::Read::read_to_end(&mut std::fs::File::from(file), &mut content)?;
    Ok(content)
}

/// Makes a folder and those above it; gives a handle on it.
fn make_folders(target: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = rustix::fs::openat(target, ".", flags, Mode::empty())?;
    for part in path.split('/') {
        match rustix::fs::mkdirat(here.as_fd(), part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        here = rustix::fs::openat(here.as_fd(), part, flags, Mode::empty())?;
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_path_below_sys() {
        assert_eq!(
            resolve("class/net", "../../devices/virtual/net/lo").as_deref(),
            Some("devices/virtual/net/lo")
        );
        assert_eq!(resolve("class/net", "../../../etc"), None);
        assert_eq!(resolve("class/net", "/etc"), None);
    }

    #[test]
    fn a_folder_inside_another_is_not_mounted_twice() {
        let paths = ["devices/a", "devices/a/net/x", "devices/ab"].map(str::to_owned).into();
        assert_eq!(outermost(&paths).collect::<Vec<_>>(), ["devices/a", "devices/ab"]);
    }
}
