//! A mounted sysfs, read through a descriptor on its root.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nicdock_netlink::name;
use rustix::fs::{AtFlags, Dir, FileType, OFlags};

use super::tree::Tree;
use nicdock_sys::mount;

/// What is below an open folder. No link is followed on the way to anything.
pub struct Sysfs(pub OwnedFd);

impl Tree for Sysfs {
    fn link(&self, path: &str) -> io::Result<String> {
        let text = rustix::fs::readlinkat(&self.0, name::path(path), Vec::new())?;
        Ok(name::text(text.as_bytes()))
    }

    fn entries(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = match mount::open_inside(&self.0, name::path(path), OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        names(&folder)
    }

    fn exists(&self, path: &str) -> bool {
        rustix::fs::statat(&self.0, name::path(path), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Symlink)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        mount::read_inside(&self.0, name::path(path))
    }
}

/// The names in an open folder, as the texts that stand for them, sorted.
pub fn names(folder: impl AsFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = name::text(entry?.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
