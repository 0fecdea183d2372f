//! The container's root and volumes, mounted where only this process and the container see them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::LaunchError;
use super::opened::{Copies, root_attributes};
use crate::kernel::mount;
use crate::lease::{PRIVATE, ProcessId, STATE, make_folder};
use crate::phases::enter::Prepared;
use crate::phases::limits;
use crate::plan::{Plan, check_name};

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

/// Unmounts and removes what was staged for a container, without ever going into a folder: a mount that is still
/// there makes this fail, not delete what is mounted.
pub fn remove(name: &str) -> Result<(), LaunchError> {
    let folder = &folder(name);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LaunchError::path(folder, error)),
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        unmount(&path);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder { fs::remove_dir(&path) } else { fs::remove_file(&path) }
            .map_err(|e| LaunchError::path(&path, e))?;
    }
    fs::remove_dir(folder).map_err(|e| LaunchError::path(folder, e))
}

/// Who answers for the container, should its lease be unreadable one day.
fn note_supervisor(folder: &Path) -> Result<(), LaunchError> {
    let path = folder.join(SUPERVISOR);
    let text = serde_json::to_string(&ProcessId::current()).map_err(|e| LaunchError::path(&path, e))?;
    fs::write(&path, text).map_err(|e| LaunchError::path(&path, e))
}

/// Whether the container's nicdock has ended. Of one of which nothing is noted that is not known.
pub fn is_left_behind(name: &str) -> bool {
    let text = fs::read_to_string(folder(name).join(SUPERVISOR)).ok();
    let noted = text.and_then(|text| serde_json::from_str::<ProcessId>(&text).ok());
    noted.is_some_and(|supervisor| !supervisor.is_alive())
}

const SUPERVISOR: &str = "supervisor";

/// The containers for which something is staged. The folder is nicdock's alone, and is made before anything else for a container.
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(folder("")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| check_name(name).is_ok()).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(STATE).join("bundles").join(name)
}

fn unmount(path: &Path) {
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}
