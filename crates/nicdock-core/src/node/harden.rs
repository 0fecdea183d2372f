//! Closes in processes what their engine cannot be told to close: they wait, and will execute programs that others chose.

use std::fs;
use std::io;

use rustix::process::{Pid, Resource, Rlimit};

use super::NodeError;
use crate::attach::Target;
use crate::kind::Kind;
use crate::phases::filters;
use crate::plan::capabilities;
use crate::request::{Memlock, Netlink};

/// Takes the capabilities `dropped`, by their numbers, from a container's first process, adds nicdock's seccomp profile to it, and sets its limit of locked memory. Errors: it is
/// not as closed afterwards as it was to be.
pub fn harden(
    target: &Target,
    netlink: &[Netlink],
    dropped: &[u32],
    memlock: Memlock,
) -> Result<(), NodeError> {
    let what = format!("container {}", target.name);
    harden_process(target.process.pid, &what, netlink, dropped, memlock)
}

/// The same for every process of a job. Of capabilities none is left that opens a way.
pub fn harden_job(target: &Target, netlink: &[Netlink], memlock: Memlock) -> Result<(), NodeError> {
    let what = format!("job {}", target.name);
    for process in target.job.iter().flat_map(|job| &job.processes) {
        let dropped = opening_capabilities(process.pid);
        harden_process(process.pid, &what, netlink, &dropped, memlock)?;
        let left = opening_capabilities(process.pid);
        if !left.is_empty() {
            let why =
                format!("{what}: process {} keeps capabilities {left:?} in its bounding set", process.pid);
            return Err(NodeError::refused(Kind::NotClosed, why));
        }
    }
    Ok(())
}

/// Those of its bounding set that open a way, by their numbers: of what programs it executes have by set-user-ID files, or as root.
fn opening_capabilities(pid: u32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let set = bound.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(u64::MAX);
    capabilities::opened_by(set, false).filter_map(|(name, _)| capabilities::number(name)).collect()
}

fn harden_process(
    pid: u32,
    whose: &str,
    netlink: &[Netlink],
    dropped: &[u32],
    memlock: Memlock,
) -> Result<(), NodeError> {
    let failed = |what: &str, error: &io::Error| {
        let why = format!("{whose}: {what} of process {pid}: {error}");
        NodeError::refused(Kind::NotClosed, why)
    };
    filters::drop_capabilities(pid, dropped).map_err(|error| failed("narrowing the capabilities", &error))?;
    filters::add_profile(pid, netlink).map_err(|error| failed("adding to the seccomp filters", &error))?;
    let open = filters::lets_through(pid, netlink);
    if let Some(opening) = open.map_err(|error| failed("reading the seccomp filters", &error))? {
        let why = format!("{whose}: the filters of process {pid} let {opening}");
        return Err(NodeError::refused(Kind::NotClosed, why));
    }
    let bytes = memlock.bytes();
    let limit = Rlimit { current: bytes, maximum: bytes };
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    rustix::process::prlimit(process, Resource::Memlock, limit)
        .map(drop)
        .map_err(|error| failed("setting RLIMIT_MEMLOCK", &error.into()))
}
