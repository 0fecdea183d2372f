//! Control groups, as systemd would leave them.

use crate::lab::job::Cgroup;
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount as mount_fs};
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;

const ROOT: &str = "/sys/fs/cgroup";

/// Enabled for the root's children. `io` and `cpuset` too: engines expect them.
const V2_CONTROLLERS: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "rdma"];

const V1_HIERARCHIES: [&str; 11] = [
    "blkio",
    "cpu,cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls,net_prio",
    "perf_event",
    "pids",
    "rdma",
];

pub fn mount(version: Cgroup) -> Result<()> {
    match version {
        Cgroup::V2 => mount_v2(),
        Cgroup::V1 => mount_v1(),
    }
}

fn mount_v2() -> Result<()> {
    mount_one("cgroup2", "cgroup2", ROOT, "nsdelegate").context("cgroup v2")?;
    let control = format!("{ROOT}/cgroup.subtree_control");
    for controller in V2_CONTROLLERS {
        fs::write(&control, format!("+{controller}"))
            .with_context(|| format!("cannot enable the cgroup controller {controller}"))?;
    }
    Ok(())
}

fn mount_v1() -> Result<()> {
    mount_one("tmpfs", "tmpfs", ROOT, "mode=0755").context("cgroup v1")?;
    mount_hierarchy("systemd", "none,name=systemd").context("cgroup v1 hierarchy systemd")?;
    for controllers in V1_HIERARCHIES {
        match mount_hierarchy(controllers, controllers) {
            Ok(()) => link_each(controllers)?,
            // Newer kernels are built without some of v1's controllers.
            Err(Errno::INVAL | Errno::NOENT) => fs::remove_dir(format!("{ROOT}/{controllers}"))?,
            Err(errno) => {
                return Err(errno).with_context(|| format!("cannot mount cgroup v1 hierarchy {controllers}"));
            }
        }
    }
    Ok(())
}

/// `cpu` and `cpuacct` lead to `cpu,cpuacct`.
fn link_each(controllers: &str) -> Result<()> {
    if controllers.contains(',') {
        for controller in controllers.split(',') {
            symlink(controllers, format!("{ROOT}/{controller}"))?;
        }
    }
    Ok(())
}

fn mount_hierarchy(name: &str, options: &str) -> Result<(), Errno> {
    let place = format!("{ROOT}/{name}");
    fs::create_dir(&place).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    mount_one("cgroup", "cgroup", &place, options)
}

fn mount_one(source: &str, kind: &str, place: &str, options: &str) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_fs(source, place, kind, flags, CString::new(options).map_err(|_| Errno::INVAL)?.as_c_str())
}
