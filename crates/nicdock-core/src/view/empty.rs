//! What covers that which is not to be seen.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::compose::RESTRICTED;
use nicdock_sys::mount;

/// An empty folder and an empty file, read-only, of which any number can be mounted.
pub struct Empty {
    folder: OwnedFd,
    file: OwnedFd,
}

/// Where they are meanwhile: a copy can be made of an attached mount only.
const PLACE: &str = ".empty";

impl Empty {
    /// `scratch` is a writable folder in this mount namespace; it is empty again after [`Empty::take_away`].
    pub fn mount(scratch: BorrowedFd<'_>) -> io::Result<Self> {
        let memory = mount::detached("tmpfs", &[("mode", Some("555"))], MountAttrFlags::empty())?;
        rustix::fs::mkdirat(&memory, "folder", Mode::from_raw_mode(0o555))?;
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        drop(rustix::fs::openat(&memory, "file", create, Mode::from_raw_mode(0o444))?);
        mount::restrict(memory.as_fd(), RESTRICTED)?;
        rustix::fs::mkdirat(scratch, PLACE, Mode::from_raw_mode(0o700))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        mount::attach(&memory, rustix::fs::openat(scratch, PLACE, flags, Mode::empty())?)?;
        let open =
            |name: &str| rustix::fs::openat(&memory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { folder: open("folder")?, file: open("file")? })
    }

    /// Covers the file or folder at `path` in `folder`. Nothing to do where there is no such entry.
    pub fn cover(&self, folder: impl AsFd, path: &str) -> io::Result<()> {
        let target = match mount::open_inside(folder, path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let what = match FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) {
            FileType::Directory => &self.folder,
            FileType::RegularFile => &self.file,
            other => return Err(io::Error::other(format!("a {other:?}, which nothing can be mounted on"))),
        };
        mount::attach(&mount::copy(what, "")?, &target)
    }

    pub fn take_away(scratch: BorrowedFd<'_>) -> io::Result<()> {
        mount::take_away(scratch, PLACE)
    }
}
