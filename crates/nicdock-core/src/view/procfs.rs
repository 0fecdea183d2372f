//! /proc of the container: what programs need stays, the rest is covered by something empty that cannot be written.
//!
//! A procfs cannot be composed as a sysfs can: mounted with `subset=pid` it has not even /proc/cpuinfo, and nothing can be
//! mounted over what it has not. So every entry that is there when the container starts is looked at; what is not named
//! here is covered. An entry that a module loaded later adds to the top folder would be seen.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};

use super::compose::{RESTRICTED, ViewError};
use super::empty::Empty;
use super::live::names;
use nicdock_sys::closing::Closing;
use nicdock_sys::mount;

/// What stays, and why. Processes (numbers) stay too: they are those of the container's process namespace.
const KEPT: [(&str, &str); 18] = [
    ("cgroups", "names of controllers"),
    ("cpuinfo", "hwloc, Open MPI, UCX, OpenMP"),
    ("filesystems", "names of file systems; libc, libselinux"),
    ("loadavg", "getloadavg(3)"),
    ("meminfo", "UCX, Open MPI, free(1)"),
    ("mounts", "a link into the process's own folder"),
    ("net", "a link to the process's own network namespace"),
    ("pressure", "how busy CPU, memory and disks are, in numbers"),
    ("self", "the process's own folder"),
    ("stat", "get_nprocs(3); interrupts are counted there without their names"),
    ("swaps", "free(1)"),
    ("sys", "read-only; sys/net is that of the process's network namespace"),
    ("sysvipc", "that of the process's IPC namespace"),
    ("thread-self", "the thread's own folder"),
    ("uptime", "clocks"),
    ("version", "the kernel's version"),
    ("vmstat", "memory, in numbers"),
    ("zoneinfo", "memory of each NUMA node, in numbers"),
];

/// Folders of /proc/sys that show devices of the host: drivers' own settings, and the kernel's debugging.
const SYS_COVERED: [&str; 2] = ["dev", "debug"];

/// `PROC_SUPER_MAGIC` (include/uapi/linux/magic.h).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// Covers what is not kept.
///
/// The caller must be in the container's mount namespace, and no program may run there yet. With `sys_later` its engine makes /proc/sys read-only, which it
/// writes to before.
pub fn compose(empty: &Empty, sys_later: bool) -> Result<(), ViewError> {
    let at = |path: &str| {
        let path = format!("/proc/{path}");
        move |error: io::Error| ViewError { path, error }
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).map_err(|e| at("")(e.into()))?;
    if rustix::fs::fstatfs(&proc).map_err(|e| at("")(e.into()))?.f_type != PROC_SUPER_MAGIC {
        return Err(at("")(io::Error::other("it is not the procfs that was mounted there")));
    }
    let settings = mount::open_inside(&proc, "sys", OFlags::PATH | OFlags::DIRECTORY).map_err(at("sys"))?;
    let copy = mount::copy(&settings, "").map_err(at("sys"))?;
    if !sys_later && !Closing::ProcSys.is_left_open() {
        mount::restrict(copy.as_fd(), RESTRICTED).map_err(at("sys"))?;
    }
    mount::attach(&copy, &settings).map_err(at("sys"))?;
    if Closing::ProcCovers.is_left_open() {
        return Ok(());
    }
    for name in names(&proc).map_err(at(""))? {
        if !is_kept(&name) {
            empty.cover(&proc, &name).map_err(at(&name))?;
        }
    }
    for name in SYS_COVERED {
        let path = format!("sys/{name}");
        empty.cover(&proc, &path).map_err(at(&path))?;
    }
    Ok(())
}

fn is_kept(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_digit()) || KEPT.iter().any(|(kept, _)| *kept == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_devices_is_covered() {
        let covered = [
            "bus",
            "interrupts",
            "irq",
            "iomem",
            "ioports",
            "modules",
            "devices",
            "misc",
            "kallsyms",
            "kcore",
            "kmsg",
            "cmdline",
            "driver",
            "dynamic_debug",
            "partitions",
            "sysrq-trigger",
            "anything-new",
        ];
        assert!(covered.iter().all(|name| !is_kept(name)));
        assert!(["1", "4711", "self", "cpuinfo", "net"].iter().all(|name| is_kept(name)));
    }
}
