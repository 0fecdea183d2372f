//! BPF programs that must outlive nicdock are kept by names in a file system of nicdock's own, which is there as long as one is.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::{Doing, PhaseError};
use crate::lease::{PRIVATE, PUBLIC, STATE, make_folder};
use nicdock_sys::{bpf, mount, mountinfo};

/// The names of one lease's programs. The caller is in the host's mount namespace.
pub struct Pins {
    folder: PathBuf,
}

fn place() -> PathBuf {
    Path::new(STATE).join("bpf")
}

/// Whoever mounts the file system, makes a folder in it or unmounts it waits for the others: two that come at once would mount it twice, or one unmount
/// what the other has just filled. The lock is the folder of nicdock's state (flock(2)), and not the ledger's, which a caller may hold.
fn lock() -> io::Result<OwnedFd> {
    make_folder(Path::new(STATE), PUBLIC)?;
    let lock = rustix::fs::open(STATE, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn is_mounted() -> Result<bool, PhaseError> {
    let list = fs::read("/proc/self/mountinfo").doing(|| "reading /proc/self/mountinfo".into())?;
    Ok(mountinfo::parse(&list).any(|mounted| mounted.kind == "bpf" && mounted.point == place()))
}

impl Pins {
    /// Those called `name`, there or not.
    pub fn of(name: &str) -> Self {
        Self { folder: place().join(name) }
    }

    pub fn make(&self) -> Result<(), PhaseError> {
        let place = place();
        let what = || format!("mounting a bpffs on {}", place.display());
        let _lock = lock().doing(what)?;
        make_folder(&place, PRIVATE).doing(what)?;
        if !is_mounted()? {
            let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let bpffs = mount::detached("bpf", &[("mode", Some("700"))], attributes).doing(what)?;
            mount::attach(&bpffs, mount::open_host_path(&place).doing(what)?).doing(what)?;
        }
        fs::create_dir_all(&self.folder).doing(|| format!("making {}", self.folder.display()))
    }

    pub fn keep(&self, name: &str, object: &OwnedFd) -> Result<(), PhaseError> {
        let path = self.folder.join(name);
        bpf::pin(object, &path).doing(|| format!("keeping a BPF object as {}", path.display()))
    }

    pub fn get(&self, name: &str) -> Result<Option<OwnedFd>, PhaseError> {
        let path = self.folder.join(name);
        bpf::pinned(&path).doing(|| format!("opening the BPF object {}", path.display()))
    }

    /// Every array of every lease.
    pub fn arrays() -> Result<Vec<OwnedFd>, PhaseError> {
        let listed =
            |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut arrays = Vec::new();
        for path in listed(&place()).flat_map(|folder| listed(&folder).collect::<Vec<_>>()) {
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"array")) {
                let object = bpf::pinned(&path).doing(|| format!("opening {}", path.display()))?;
                arrays.extend(object);
            }
        }
        Ok(arrays)
    }

    /// Removes the names; the last of all takes the file system along.
    pub fn remove(&self) -> Result<(), PhaseError> {
        let what = || format!("removing {}", self.folder.display());
        let _lock = lock().doing(what)?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PhaseError::new(what(), error));
            }
            _ => {}
        }
        let place = place();
        if is_mounted()? && fs::read_dir(&place).is_ok_and(|mut entries| entries.next().is_none()) {
            let what = || format!("unmounting {}", place.display());
            rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).doing(what)?;
        }
        // Others' state may be there: only an empty folder goes.
        let _ = fs::remove_dir(&place);
        Ok(())
    }
}
