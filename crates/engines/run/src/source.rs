//! A folder or file of the host that a container is shown. It is opened once; what is checked and what is copied is what is open,
//! for whoever owns a folder above it can put something else under its name at any time (`RENAME_EXCHANGE`, rename(2)).

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};
use rustix::mount::MountAttrFlags;

use nicdock_core::lease::STATE;
use nicdock_core::lifecycle::LaunchError;
use nicdock_sys::closing::Closing;
use nicdock_sys::mountinfo;
use nicdock_sys::walk::{self, Passed};
use nicdock_sys::{child, mount};

/// File systems that show the host's devices and processes (include/uapi/linux/magic.h).
const FORBIDDEN: [(i64, &str); 10] = [
    (0x6265_6572, "sysfs"),
    (0x9fa0, "proc"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x6e73_6673, "nsfs"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x1cd1, "devpts"),
];

/// What is open, and the names of it.
#[derive(Debug)]
pub struct Source {
    handle: OwnedFd,
    /// As the user or the bundle names it.
    named: PathBuf,
    /// Where it was when it was opened.
    real: PathBuf,
}

impl Source {
    /// Opens what a command line names, as [`handle`] does.
    pub fn open(path: &Path) -> Result<Self, LaunchError> {
        Self::of(handle(path)?, path)
    }

    /// What is open as `handle`, if it may be shown. The caller is in the host's mount namespace.
    pub fn of(handle: OwnedFd, named: &Path) -> Result<Self, LaunchError> {
        let real = fs::read_link(child::proc_path(&handle)).map_err(|e| LaunchError::path(named, e))?;
        let source = Self { handle, named: named.to_owned(), real };
        source.check_place()?;
        Ok(source)
    }

    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Refuses what can be no root.
    pub fn into_root(self) -> Result<Self, LaunchError> {
        if self.kind()?.is_dir() {
            Ok(self)
        } else {
            Err(self.refused("is no directory: a root is an unpacked file system"))
        }
    }

    /// Refuses what is not shown in a container.
    pub fn into_volume(self) -> Result<Self, LaunchError> {
        match self.kind()? {
            FileType::Directory | FileType::RegularFile => Ok(self),
            _ => {
                Err(self
                    .refused("is neither a folder nor a regular file: sockets and devices are not shared"))
            }
        }
    }

    /// A copy of the mount, mounted nowhere, without the mounts inside it. The caller is still in the mount namespace in which this
    /// was opened: the kernel copies no mount of another (`check_mnt()` in `__do_loopback()`, fs/namespace.c).
    pub fn copy_as_root(&self, attributes: MountAttrFlags) -> Result<OwnedFd, LaunchError> {
        self.check_mount_points()?;
        self.copy(attributes)
    }

    /// The same for a volume.
    pub fn copy_as_volume(&self, read_only: bool) -> Result<OwnedFd, LaunchError> {
        let access = if read_only { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
        self.copy(MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID | access)
    }

    fn copy(&self, attributes: MountAttrFlags) -> Result<OwnedFd, LaunchError> {
        let fail = |e: io::Error| self.refused(e);
        let by_name = Closing::OpenedOnce.is_left_open().then(|| mount::open_host_path(&self.real));
        let by_name = by_name.transpose().map_err(fail)?;
        let copy = mount::copy(by_name.as_ref().unwrap_or(&self.handle), "").map_err(fail)?;
        mount::restrict(copy.as_fd(), attributes).map_err(fail)?;
        Ok(copy)
    }

    fn kind(&self) -> Result<FileType, LaunchError> {
        let mode = rustix::fs::fstat(&self.handle).map_err(|e| self.refused(e))?.st_mode;
        Ok(FileType::from_raw_mode(mode))
    }

    /// Refuses what shows the host's devices and processes, or holds nicdock's state.
    fn check_place(&self) -> Result<(), LaunchError> {
        if Closing::Places.is_left_open() {
            return Ok(());
        }
        let kind = rustix::fs::fstatfs(&self.handle).map_err(|e| self.refused(e))?.f_type;
        let place = Place::of(&self.handle).map_err(|e| self.refused(e))?;
        let forbidden = FORBIDDEN.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name);
        // A devtmpfs has tmpfs's number.
        if let Some(name) = forbidden.or((place.kind == "devtmpfs").then_some("devtmpfs")) {
            let reason = format!("lies on {name}, which shows the host's devices: it is not shared");
            return Err(self.refused(reason));
        }
        let holds = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
        let state = Place::of_state().map_err(|e| LaunchError::path(STATE, e))?;
        // By name also where something else is mounted between: it could be unmounted.
        if holds(&self.real, Path::new(STATE)) || state.is_some_and(|state| state.overlaps(&place)) {
            return Err(self.refused(format!("holds nicdock's state ({STATE}): it is not shared")));
        }
        Ok(())
    }

    /// /sys, /proc and /dev of a root must be real folders, or missing: nicdock mounts there.
    fn check_mount_points(&self) -> Result<(), LaunchError> {
        for name in ["sys", "proc", "dev"] {
            match mount::open_inside(&self.handle, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY)
            {
                Ok(handle) => drop(handle),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(self.refused(format!(
                        "its /{name} is not a plain folder ({error}): nicdock mounts there and follows no link"
                    )));
                }
            }
        }
        Ok(())
    }

    fn refused(&self, reason: impl std::fmt::Display) -> LaunchError {
        LaunchError::path(&self.named, reason)
    }
}

/// Opens what a command line names, as a handle only. Links are followed, but one that an ordinary user can make only to what is that
/// user's.
pub fn handle(path: &Path) -> Result<OwnedFd, LaunchError> {
    let (handle, passed) = walk::open(path).map_err(|e| LaunchError::path(path, e))?;
    if !Closing::ForeignLinks.is_left_open() {
        check_links(path, &passed)?;
    }
    Ok(handle)
}

/// Whoever can put a link there chooses where it leads: only to what is theirs anyway, then. Root's links are followed anywhere.
fn check_links(path: &Path, passed: &[Passed]) -> Result<(), LaunchError> {
    let Some(target) = passed.last() else { return Ok(()) };
    let own = rustix::process::geteuid().as_raw();
    let trusted = |uid: u32| [0, own, target.owned.uid].contains(&uid);
    let made_by = |link: &Passed| {
        if !trusted(link.owned.uid) {
            Some(format!("a symbolic link of user {}", link.owned.uid))
        } else if !trusted(link.folder.uid) {
            Some(format!("a symbolic link in a folder of user {}", link.folder.uid))
        } else if link.folder.is_writable_by_others(&[]) && !link.folder.is_sticky() {
            Some("a symbolic link in a folder that others can write".to_owned())
        } else {
            None
        }
    };
    let found = passed.iter().filter(|part| part.is_link).find_map(|link| Some((link, made_by(link)?)));
    let Some((link, what)) = found else { return Ok(()) };
    Err(LaunchError::path(
        path,
        format!(
            "{} is {what}, and {}, where it leads, is user {}'s: name that instead, if you mean it",
            link.path.display(),
            target.path.display(),
            target.owned.uid
        ),
    ))
}

/// Where something is, whatever it is called: its file system, and the path in there.
struct Place {
    kind: String,
    device: String,
    path: PathBuf,
}

impl Place {
    fn of(handle: &OwnedFd) -> io::Result<Self> {
        let moved = || io::Error::other("was moved or unmounted while it was looked at: try again");
        let id = mount::id(handle)?;
        let list = fs::read("/proc/self/mountinfo")?;
        let mounted = mountinfo::parse(&list).find(|mounted| mounted.id == id).ok_or_else(moved)?;
        let named = fs::read_link(child::proc_path(handle))?;
        let below = named.strip_prefix(&mounted.point).map_err(|_| moved())?;
        Ok(Self { kind: mounted.kind, device: mounted.device, path: mounted.root.join(below) })
    }

    /// `None` before nicdock has run.
    fn of_state() -> io::Result<Option<Self>> {
        match mount::open_host_path(Path::new(STATE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Self::of(&opened?).map(Some),
        }
    }

    /// Whether one is in the other.
    fn overlaps(&self, other: &Self) -> bool {
        self.device == other.device
            && (self.path.starts_with(&other.path) || other.path.starts_with(&self.path))
    }
}
