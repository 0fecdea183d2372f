//! The container's root and volumes, mounted where only this process and the container see them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::opened::{Copies, root_attributes};
use nicdock_core::lease::{PRIVATE, STATE, make_folder};
use nicdock_core::lifecycle::LaunchError;
use nicdock_core::lifecycle::staged::{folder, note_supervisor};
use nicdock_core::phases::enter::Prepared;
use nicdock_core::phases::limits;
use nicdock_core::plan::Plan;
use nicdock_sys::mount;

/// `/run/nicdock/bundles/NAME`: config.json, and an empty root in which libcontainer makes /proc and /dev. It works by path, so
/// it never sees the container's own root, which others may be able to write: that is exchanged for the empty one later, by
/// descriptor (`phases/enter.rs`).
pub struct Staging {
    pub folder: PathBuf,
    pub prepared: Prepared,
}

impl Staging {
    /// Mounts what must be below a folder of its own. The caller is in a private mount namespace: the kernel unmounts
    /// it all when the last process in there ends.
    pub fn prepare(plan: &Plan, copies: Copies) -> Result<Self, LaunchError> {
        let folder = folder(&plan.name);
        for path in [folder.parent().unwrap_or(&folder), &Path::new(STATE).join("containers")] {
            make_folder(path, PRIVATE).map_err(|e| LaunchError::path(path, e))?;
        }
        for path in [folder.join("rootfs"), folder.join("memory")] {
            fs::create_dir_all(&path).map_err(|e| LaunchError::path(&path, e))?;
        }
        note_supervisor(&folder)?;
        let empty = mount::detached("tmpfs", &[("mode", Some("755")), ("size", Some("64k"))], NO_PROGRAMS)
            .and_then(|empty| attach(&empty, &folder.join("rootfs")));
        empty.map_err(|e| LaunchError::path(folder.join("rootfs"), e))?;
        let root = copies.root.map_or_else(|| host_root(&folder.join("memory")), Ok)?;
        Ok(Self { folder, prepared: Prepared { root, volumes: copies.volumes } })
    }

    pub fn rootfs(&self) -> PathBuf {
        self.folder.join("rootfs")
    }
}

/// The host's `/` below a writable layer in memory, mounted nowhere. An overlay shows no mounts of its lower layer, so the
/// host's /run, /proc, /sys and /dev are not in it.
fn host_root(memory: &Path) -> Result<OwnedFd, LaunchError> {
    let fail = |e: io::Error| LaunchError::path(memory, format!("making a writable layer over /: {e}"));
    let (attrs, files) = (root_attributes(), limits::files());
    let layer =
        mount::detached("tmpfs", &limits::options("755", limits::LAYER, &files), attrs).map_err(fail)?;
    for name in ["upper", "work"] {
        rustix::fs::mkdirat(&layer, name, Mode::from_raw_mode(0o755)).map_err(|e| fail(e.into()))?;
    }
    attach(&layer, memory).map_err(fail)?;
    // By names in the current folder: the kernel shows them to the container as they are given (mountinfo).
    let options = [("lowerdir", Some("/")), ("upperdir", Some("upper")), ("workdir", Some("work"))];
    in_folder(memory, || mount::detached("overlay", &options, attrs)).map_err(fail)
}

fn attach(detached: &OwnedFd, place: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    mount::attach(detached, rustix::fs::open(place, flags, Mode::empty())?)
}

const NO_PROGRAMS: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Does `work` with `folder` as the current one, and comes back.
fn in_folder<T>(folder: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let here = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir(folder)?;
    let result = work();
    rustix::process::fchdir(here)?;
    result
}
