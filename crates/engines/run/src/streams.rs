//! What the caller's standard streams are, and which of them the program may have.
//!
//! A program that is root opens its streams anew by /proc/self/fd with root's rights: it would make a log on the host a set-user-ID program, write what it may only
//! read, and go from a folder to the rest of the host. So it has pipes and sockets themselves, and nothing else of the host's.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, stdin};
use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, fstatfs, makedev};
use rustix::mount::MountAttrFlags;

use nicdock_sys::{child, mount};

/// `PIPEFS_MAGIC` (include/uapi/linux/magic.h): a pipe without a name.
const PIPEFS: i64 = 0x5049_5045;

/// Whether the program may have this stream itself.
pub fn is_harmless(stream: impl AsFd) -> io::Result<bool> {
    let found = fstat(&stream)?;
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::Socket => true,
        FileType::Fifo => fstatfs(&stream)?.f_type == PIPEFS,
        // Exchanged for the container's own (`launch/executor.rs`).
        _ => is_null(&found),
    })
}

/// Whether it is /dev/null (Documentation/admin-guide/devices.txt).
pub fn is_null(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == makedev(1, 3)
}

/// Whether both are the same file of the host's, so that what is written to them keeps its order.
pub fn are_one(one: impl AsFd, other: impl AsFd) -> bool {
    let place = |found: Stat| (found.st_dev, found.st_ino, found.st_rdev);
    matches!((fstat(one), fstat(other)), (Ok(one), Ok(other)) if place(one) == place(other))
}

/// A file that is standard input, opened once more on a copy of its mount on which nobody can write, at the place to which it was read. `None` for what is no
/// file, or lies on a mount that cannot be copied (a file in memory, another mount namespace's): that is relayed. To be called in the mount namespace in which it was opened.
///
/// Errors: standard input is a folder.
pub fn read_only_input() -> io::Result<Option<File>> {
    match FileType::from_raw_mode(fstat(stdin())?.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => {
            let error = "standard input is a folder: a program gets folders by --volume";
            return Err(io::Error::new(io::ErrorKind::IsADirectory, error));
        }
        _ => return Ok(None),
    }
    let Ok(copy) = mount::copy(stdin(), "") else { return Ok(None) };
    mount::restrict(copy.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    // A file system may refuse root what the caller could open (NFS with root_squash).
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(opened) = rustix::fs::open(child::proc_path(&copy), flags, Mode::empty()) else { return Ok(None) };
    let mut file = File::from(opened);
    let read = File::from(stdin().as_fd().try_clone_to_owned()?).stream_position()?;
    file.seek(SeekFrom::Start(read))?;
    Ok(Some(file))
}

/// Moves the caller's place in its standard input to where the program has read `input` to.
pub fn follow(input: &File) {
    let place = |mut file: &File| file.stream_position();
    let moved = place(input).and_then(|place| {
        let mut own = File::from(stdin().as_fd().try_clone_to_owned()?);
        own.seek(SeekFrom::Start(place))
    });
    // A caller that has closed it has no place any more.
    drop(moved);
}
