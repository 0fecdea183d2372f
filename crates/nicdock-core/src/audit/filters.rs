//! Whether the filters of the audited process tell what its container may do.

use std::fs;

use nicdock_sys::tracee::Instruction;

use super::standstill::processes;
use crate::phases::filters::secret;
use nicdock_sys::pidns::lineage;
use nicdock_sys::tracee;

/// An error if the process, another thread, or another process of its namespace may do what its filters refuse to the audit, which has the same
/// ones. The container stands still.
pub fn tell_all(pid: u32, filters: &[Vec<Instruction>]) -> Result<(), String> {
    if let Some(why) = secret(filters) {
        return Err(format!(
            "a seccomp filter of process {pid} {why}: it refuses to others what it may let the process do"
        ));
    }
    let own = lineage(pid).map_err(|error| format!("looking at the process namespace of {pid}: {error}"))?;
    let is_apart = own.len() > 1;
    for other in processes()? {
        let is_theirs = || is_apart && lineage(other).is_ok_and(|theirs| theirs.contains(&own[0]));
        if other != pid && !is_theirs() {
            continue;
        }
        let threads = fs::read_dir(format!("/proc/{other}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let name = thread.file_name();
            let read =
                name.to_str().and_then(|name| name.parse().ok()).map(tracee::seccomp_filters_of_stopped);
            let has_all = match read {
                // Those from before a fork or a clone come first.
                Some(Ok(theirs)) => theirs.starts_with(filters),
                // One that waits in the kernel is not stopped. Kernels before 5.9 do not count them.
                _ => counted(&status).is_none_or(|count| count >= filters.len()),
            };
            if !has_all && !has_ended(&status) {
                return Err(format!(
                    "thread {} of process {other} does not have every seccomp filter of process {pid}, and may do what they refuse: name process {other}",
                    name.display()
                ));
            }
        }
    }
    Ok(())
}

/// By proc_pid_status(5).
fn counted(status: &str) -> Option<usize> {
    status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"))?.trim().parse().ok()
}

/// A thread that has ended has none left (`seccomp_filter_release()`, kernel/seccomp.c).
fn has_ended(status: &str) -> bool {
    status
        .lines()
        .any(|line| line.strip_prefix("State:").is_some_and(|state| state.trim().starts_with(['Z', 'X'])))
}
