//! Puts /proc and /sys together in the container's mount namespace, the latter on the empty file system that is there.
//!
//! Every step works on descriptors: a sysfs of the container's network namespace is copied piece by piece
//! (`open_tree(OPEN_TREE_CLONE)`) onto a skeleton of folders and links, which is then made read-only.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use nicdock_netlink::name;
use rustix::mount::MountAttrFlags;

use super::cgroups::Hierarchy;
use super::empty::Empty;
use super::live::Sysfs;
use super::shown::Shown;
use super::tree::{Tree, split};
use super::{Omission, View, nic, open, procfs};
use crate::request::Profile;
use nicdock_sys::closing::Closing;
use nicdock_sys::mount::{self, make_file, make_folders};

#[derive(Debug, thiserror::Error)]
#[error("{path} of the container: {error}")]
pub struct ViewError {
    pub path: String,
    pub error: io::Error,
}

impl From<Omission> for ViewError {
    fn from(Omission { path, error }: Omission) -> Self {
        Self { path: format!("/sys/{path}"), error }
    }
}

pub const RESTRICTED: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// As much of a file as is copied: configuration space of a bridge beyond its header is root's.
const LONGEST: usize = 4096;
const CONFIG_HEADER: usize = 64;

/// What is made on the host and mounted in the container: in a user namespace's mount namespace no sysfs can be made
/// (`mount_too_revealing()`, fs/namespace.c).
pub struct Brought {
    sysfs: OwnedFd,
    groups: Vec<Hierarchy>,
}

impl Brought {
    /// For the container whose first process is `init`. The caller is in its network namespace and in the host's mount
    /// namespace.
    ///
    /// `starts`: it is its engine's program still.
    pub fn for_process(init: u32, starts: bool) -> io::Result<Self> {
        Ok(Self {
            sysfs: mount::detached("sysfs", &[], RESTRICTED)?,
            groups: Hierarchy::of_process(init, starts)?,
        })
    }
}

/// Covers what is not to be seen in /proc, fills `target`, the mounted root of an empty tmpfs on /sys, and makes it
/// read-only.
///
/// The caller must be in the container's mount namespace, and no program may run there yet.
pub fn compose(
    target: BorrowedFd<'_>,
    brought: Brought,
    profile: Profile,
    shown: &Shown,
) -> Result<(), ViewError> {
    let empty = Empty::mount(target).map_err(at("/proc"))?;
    procfs::compose(&empty, false)?;
    fill(target, &empty, brought, profile, shown)
}

/// Covers what is not to be seen in /proc, by way of `scratch`, the mounted root of an empty tmpfs, which is to be unmounted afterwards.
///
/// As for [`compose`], the caller must be in the container's mount namespace, and no program may run there yet.
pub fn cover_proc(scratch: BorrowedFd<'_>, sys_later: bool) -> Result<(), ViewError> {
    procfs::compose(&Empty::mount(scratch).map_err(at("/proc"))?, sys_later)
}

/// The /sys of a container that runs, on an empty tmpfs that is mounted where nobody but the caller sees it.
pub fn compose_aside(
    target: BorrowedFd<'_>,
    brought: Brought,
    profile: Profile,
    shown: &Shown,
) -> Result<(), ViewError> {
    let empty = Empty::mount(target).map_err(at("/sys"))?;
    fill(target, &empty, brought, profile, shown)
}

fn fill(
    target: BorrowedFd<'_>,
    empty: &Empty,
    Brought { sysfs, groups }: Brought,
    profile: Profile,
    shown: &Shown,
) -> Result<(), ViewError> {
    let sysfs = Sysfs(sysfs);
    let view = match if Closing::View.is_left_open() { Profile::Off } else { profile } {
        Profile::Nic => nic::nic(&sysfs, shown),
        Profile::Open => open::open(&sysfs, shown),
        Profile::Off => open::all(&sysfs),
    }?;
    let whole = make_folders(target, WHOLE).map_err(at("/sys"))?;
    mount::attach(&sysfs.0, whole).map_err(at("/sys"))?;
    apply(target, &sysfs, &view)?;
    drop(sysfs);
    mount::take_away(target, WHOLE).map_err(at("/sys"))?;
    for group in &groups {
        group.mount(target, empty).map_err(at(&format!("/sys/fs/cgroup/{}", group.folder)))?;
    }
    Empty::take_away(target).map_err(at("/proc"))?;
    mount::restrict(target, RESTRICTED).map_err(at("/sys"))
}

fn at(path: &str) -> impl Fn(io::Error) -> ViewError + use<> {
    let path = path.to_owned();
    move |error| ViewError { path: path.clone(), error }
}

/// Makes what the view says of the attached tree `source`.
pub fn apply(target: BorrowedFd<'_>, source: &Sysfs, view: &View) -> Result<(), ViewError> {
    let at = |path: &str| at(&format!("/sys/{path}"));
    let skeleton = |path: &&str| !view.is_below_a_mount(path);
    for folder in view.folders.iter().map(String::as_str).filter(skeleton) {
        make_folders(target, name::path(folder)).map_err(at(folder))?;
    }
    for (path, text) in view.links.iter().filter(|(path, _)| skeleton(&path.as_str())) {
        let (folder, last) = split(path);
        let folder = make_folders(target, name::path(folder)).map_err(at(path))?;
        rustix::fs::symlinkat(name::path(text), &folder, name::path(last))
            .map_err(|errno| at(path)(errno.into()))?;
    }
    for path in view.files.iter().map(String::as_str).filter(skeleton) {
        copy_file(target, source, path).map_err(at(path))?;
    }
    for path in view.outermost() {
        graft(target, source, path).map_err(at(path))?;
    }
    Ok(())
}

/// Where the whole sysfs is while parts of it are copied: a copy can be made of an attached mount only (before
/// Linux 6.15; fs/namespace.c, `__do_loopback`).
const WHOLE: &str = ".whole";

fn graft(target: BorrowedFd<'_>, source: &Sysfs, path: &str) -> io::Result<()> {
    let path = &name::path(path);
    let copy = mount::copy(&source.0, path)?;
    let place = match rustix::fs::statat(&source.0, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?.st_mode {
        mode if rustix::fs::FileType::from_raw_mode(mode).is_dir() => make_folders(target, path)?,
        _ => make_file(target, path)?,
    };
    mount::attach(&copy, &place)
}

/// Copies what a file says now; one that the kernel does not have or cannot read is left out.
fn copy_file(target: BorrowedFd<'_>, source: &Sysfs, path: &str) -> io::Result<()> {
    let Ok(mut content) = source.read(path) else { return Ok(()) };
    content.truncate(if split(path).1 == "config" { CONFIG_HEADER } else { LONGEST });
    let file = make_file(target, name::path(path))?;
    io::Write::write_all(&mut std::fs::File::from(file), &content)
}
