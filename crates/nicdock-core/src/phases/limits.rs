//! How much of the host's processes and memory the container may use up (Documentation/admin-guide/cgroup-v2.rst, "PID", "Memory"; on
//! version 1 cgroup-v1/pids.rst and cgroup-v1/memory.rst).

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Doing, PhaseError, cgroup};
use crate::plan::Plan;
use crate::request::{PROCESSES, Processes};
use crate::say::notice;

/// How large the files may become that a container keeps in memory where its root is the host's, of the host's memory. With half of it for
/// /dev/shm, and with [`files`], they leave it some: what a file system in memory holds, no end of a process frees.
pub const TMP: &str = "20%";
pub const RUN: &str = "5%";
pub const LAYER: &str = "10%";

/// A file in memory without content takes so much of the host's, with a long name in a folder of its own (an inode and a dentry).
const BYTES_A_FILE: u64 = 1 << 11;

/// How many files one of these file systems may have, /dev/shm as well: `size` counts their content alone (tmpfs(5), `nr_inodes`). Each has a
/// thirty-second of the memory for them, so that 512 MiB allow 8,192.
pub fn files() -> String {
    let found = rustix::system::sysinfo();
    let memory = found.totalram.saturating_mul(found.mem_unit.into());
    (memory / 32 / BYTES_A_FILE).max(1024).to_string()
}

/// The options of a file system in memory, of so much of the host's (tmpfs(5)); `files` is from [`files`].
pub fn options<'a>(mode: &'a str, size: &'a str, files: &'a str) -> [(&'static str, Option<&'a str>); 3] {
    [("mode", Some(mode)), ("size", Some(size)), ("nr_inodes", Some(files))]
}

/// Sets the limits of the container, before its program runs.
///
/// Errors: what was asked for cannot be had. The number of processes that nobody asked for is left out where the host has no controller,
/// and that is said.
pub fn set(plan: &Plan) -> Result<(), PhaseError> {
    let limits = plan.container.limits;
    match limits.processes {
        Some(Processes::Unlimited) => {}
        Some(Processes::AtMost(most)) => group("pids", &plan.name)?.limit("pids.max", u64::from(most))?,
        None if cgroup::has_controller("pids") => {
            group("pids", &plan.name)?.limit("pids.max", u64::from(PROCESSES))?;
        }
        None => notice(
            "warning: the container may have any number of processes: this host does not have, or does not hand down, the cgroup controller pids",
        ),
    }
    let Some(memory) = limits.memory else { return Ok(()) };
    let group = group("memory", &plan.name)?;
    if cgroup::is_unified() {
        group.limit("memory.max", memory.0)?;
        return group.limit_if_there("memory.swap.max", 0);
    }
    group.limit("memory.limit_in_bytes", memory.0)?;
    group.limit_if_there("memory.memsw.limit_in_bytes", memory.0)
}

/// The container's group in the hierarchy of one controller.
struct Group {
    folder: PathBuf,
}

/// Errors: the host has no such controller, or does not let containers have it.
fn group(controller: &'static str, name: &str) -> Result<Group, PhaseError> {
    if !cgroup::has_controller(controller) {
        let what = format!("finding the cgroup controller {controller}");
        let advice = if controller == "pids" {
            "the limit needs it: leave --pids-limit out"
        } else {
            "the limit needs it: leave --memory out"
        };
        return Err(PhaseError::new(what, io::Error::from(io::ErrorKind::NotFound)).with_advice(advice));
    }
    if cgroup::is_unified() {
        cgroup::hand_down(controller, name)?;
    }
    Ok(Group { folder: cgroup::folder(controller, name) })
}

impl Group {
    /// The kernel may round down to whole pages.
    fn limit(&self, file: &str, most: u64) -> Result<(), PhaseError> {
        let path = self.folder.join(file);
        let what = || format!("writing {most} to {}", path.display());
        fs::write(&path, most.to_string()).doing(what)?;
        let set = fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))?;
        match set.trim().parse::<u64>() {
            Ok(number) if number <= most => Ok(()),
            _ => Err(PhaseError::new(what(), io::Error::other(format!("the kernel made of it: {set}")))),
        }
    }

    /// A kernel that counts no swap has no such file.
    fn limit_if_there(&self, file: &str, most: u64) -> Result<(), PhaseError> {
        if self.folder.join(file).exists() { self.limit(file, most) } else { Ok(()) }
    }
}
