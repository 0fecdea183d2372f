//! The suite where containers see it: one over the host's root has a `/tmp` of its own, which hides a clone below `/tmp`.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the guest's layer of memory, gone with the lab.
const SEEN: &str = "/usr/local/libexec/nicdock-lab";

/// In the lab, and below `/tmp`: copies nicdock, this program and what tests start in containers, and goes on from there.
pub fn move_to_where_containers_see() -> io::Result<()> {
    let this = std::env::current_exe()?;
    if std::env::var_os("NICDOCK_LAB").is_none() || !this.starts_with("/tmp") {
        return Ok(());
    }
    std::fs::create_dir_all(SEEN)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let programs = folders
        .iter()
        .find(|folder| folder.join("nicdock").is_file())
        .ok_or_else(|| io::Error::other("no folder of PATH has nicdock"))?;
    for name in ["nicdock", "nicdock-audit", "nicdock-gate", "nicdock-runtime", "nicdock-starter"] {
        copy(&programs.join(name))?;
    }
    let new_path =
        std::env::join_paths([PathBuf::from(SEEN)].iter().chain(&folders)).map_err(io::Error::other)?;
    let mut moved = Command::new(copy(&this)?);
    moved.args(std::env::args_os().skip(1)).env("PATH", new_path);
    for name in ["NICDOCK_LAB_LIBFABRIC", "NICDOCK_LAB_VIC_TEST"] {
        if let Some(from) = std::env::var_os(name) {
            moved.env(name, copy(Path::new(&from))?);
        }
    }
    Err(moved.exec())
}

/// A file, or a folder with all that is in it; gives its new place.
fn copy(from: &Path) -> io::Result<PathBuf> {
    let status = Command::new("cp").arg("-a").arg(from).arg(SEEN).status()?;
    let name = from.file_name().unwrap_or_default();
    if status.success() {
        Ok(Path::new(SEEN).join(name))
    } else {
        Err(io::Error::other(format!("cannot copy {} to {SEEN}", from.display())))
    }
}
