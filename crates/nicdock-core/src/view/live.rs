//! A mounted sysfs, read through a descriptor on its root.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, OFlags};

use super::tree::Tree;
use nicdock_sys::mount;

/// What is below an open folder. No link is followed on the way to anything.
pub struct Sysfs(pub OwnedFd);

impl Tree for Sysfs {
    fn link(&self, path: &str) -> io::Result<String> {
        let text = rustix::fs::readlinkat(&self.0, path, Vec::new())?;
        text.into_string().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn entries(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = match mount::open_inside(&self.0, path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        names(&folder)
    }

    fn exists(&self, path: &str) -> bool {
        rustix::fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Symlink)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        mount::read_inside(&self.0, path)
    }
}

/// The names in an open folder, sorted.
pub fn names(folder: impl AsFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
