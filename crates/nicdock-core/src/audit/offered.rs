//! Lists what the running kernel offers, as the host sees it: a container's /proc may be covered, and its filter hides what it refuses.

use std::fs;
use std::io;

use nicdock_audit::target::SystemCall;
use nicdock_sys::system_calls;

use crate::seccomp;

/// The kernel's file systems without a device of their own, those of modules that are loaded included (proc_filesystems(5)). Others show what is on a
/// disk, which is as closed as its node.
pub fn filesystems() -> io::Result<Vec<String>> {
    let text = fs::read_to_string("/proc/filesystems")?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("nodev\t")).map(str::to_owned).collect())
}

/// uretprobe and uprobe of x86-64: no filter of system calls is asked about them (`seccomp_uprobe_exception()`, kernel/seccomp.c, Linux 6.14), and but at a probe of the
/// kernel's own they do nothing.
const PAST_SECCOMP: &[u32] = if cfg!(target_arch = "x86_64") { &[335, 336] } else { &[] };

/// The system calls that the kernel has and that the profile of `nicdock run` lets no program make.
pub fn refused_calls() -> io::Result<Vec<SystemCall>> {
    let refused: Vec<SystemCall> = (0..system_calls::END)
        .filter(|number| !PAST_SECCOMP.contains(number))
        .filter_map(seccomp::refused)
        .collect();
    let numbers: Vec<u32> = refused.iter().map(|call| call.number).collect();
    // A filter of nicdock's own caller would answer for the kernel: then those that a kernel may have are taken for had.
    let had = if is_filtered()? { numbers } else { system_calls::had(&numbers)? };
    Ok(refused.into_iter().filter(|call| had.contains(&call.number)).collect())
}

/// Whether nicdock itself runs under a seccomp filter (proc_pid_status(5)).
fn is_filtered() -> io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    Ok(status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() != "0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_offers_is_asked_of_it() {
        let filesystems = filesystems().unwrap();
        assert!(
            filesystems.iter().any(|name| name == "proc") && !filesystems.iter().any(|name| name == "ext4")
        );
        let calls = refused_calls().unwrap();
        let has = |name: &str| calls.iter().any(|call| call.name == name);
        assert!(has("setns") && has("mount") && !has("read") && !has("socket"), "{calls:?}");
    }
}
