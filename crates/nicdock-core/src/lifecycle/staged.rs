//! What the launcher keeps on the host for a container: who answers for it, and its removal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::LaunchError;
use crate::lease::{ProcessId, STATE};
use crate::plan::check_name;

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
pub fn note_supervisor(folder: &Path) -> Result<(), LaunchError> {
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

/// Where a container's is; of an empty name, where all are.
pub fn folder(name: &str) -> PathBuf {
    Path::new(STATE).join("bundles").join(name)
}

fn unmount(path: &Path) {
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}
