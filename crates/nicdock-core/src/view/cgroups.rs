//! `/sys/fs/cgroup` as the container's cgroup namespace has it: its own groups and those below, read-only. That of version 2 is writable
//! where the container's own mount was, and its root could mount it anyway, as systemd inside needs it (it makes groups for its services).
//!
//! Each is a copy of the group's folder in the host's mount. A fresh mount would show the root of every hierarchy that the
//! container joined after its cgroup namespace was made.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::MountAttrFlags;

use super::compose::RESTRICTED;
use super::empty::Empty;
use nicdock_sys::closing::Closing;
use nicdock_sys::membership::{self, Membership};
use nicdock_sys::{mount, mountinfo};

/// Files that name NICs of others: those of the controller `rdma` list every RDMA device (kernel/cgroup/rdma.c), that of
/// `net_prio` every netdev of the first network namespace (net/core/netprio_cgroup.c, `read_priomap`).
const TELLING_FILES: [&str; 6] =
    ["rdma.max", "rdma.current", "rdma.peak", "rdma.events", "rdma.events.local", "net_prio.ifpriomap"];

/// A control group of the container.
pub struct Hierarchy {
    /// Folder below `fs/cgroup`; empty for version 2 alone.
    pub folder: String,
    group: OwnedFd,
}

impl Hierarchy {
    /// Those of process `pid`, in the mount namespace of the host. A hierarchy of version 1 in whose root the process is shows
    /// every container, and is left out.
    ///
    /// `starts`: the process is its engine's program still, so that neither its capabilities nor its mounts say what the container's may write.
    pub fn of_process(pid: u32, starts: bool) -> io::Result<Vec<Self>> {
        let mount = Path::new("/sys/fs/cgroup");
        let list = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let writable = !starts
            && may_mount(&fs::read_to_string(format!("/proc/{pid}/status"))?)
            && writes_its_own(&fs::read(format!("/proc/{pid}/mountinfo"))?);
        let groups = groups(&list).into_iter().filter(|(folder, _)| mount.join(folder).exists());
        let open = |(folder, group): (String, Membership)| {
            let copy = mount::copy(mount::open_host_path(&group.below(&mount.join(&folder)))?, "")?;
            let keeps = folder.is_empty() && writable;
            let lifted = if keeps { MountAttrFlags::MOUNT_ATTR_RDONLY } else { MountAttrFlags::empty() };
            mount::restrict(copy.as_fd(), RESTRICTED.difference(lifted))?;
            Ok(Self { folder, group: copy })
        };
        groups.map(open).collect()
    }

    /// Mounts it on the skeleton `target`, without what names NICs of the host.
    pub fn mount(&self, target: BorrowedFd<'_>, empty: &Empty) -> io::Result<()> {
        let path = format!("fs/cgroup/{}", self.folder);
        let place = path.trim_end_matches('/');
        mount::attach(&self.group, mount::make_folders(target, place)?)?;
        for file in TELLING_FILES.iter().filter(|_| !Closing::CgroupFiles.is_left_open()) {
            empty.cover(target, &format!("{place}/{file}"))?;
        }
        for controller in self.folder.split(',').filter(|_| self.folder.contains(',')) {
            let folder = mount::make_folders(target, "fs/cgroup")?;
            rustix::fs::symlinkat(self.folder.as_str(), &folder, controller)?;
        }
        Ok(())
    }
}

/// Whether the process with this proc_pid_status(5), or one that comes of it, has CAP_SYS_ADMIN (include/uapi/linux/capability.h).
fn may_mount(status: &str) -> bool {
    let bounds = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    bounds.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|set| set >> 21 & 1 == 1)
}

/// Whether the process with this mountinfo has its groups of version 2 mounted so that they can be written.
fn writes_its_own(mountinfo: &[u8]) -> bool {
    let last =
        mountinfo::parse(mountinfo).filter(|mounted| mounted.point == Path::new("/sys/fs/cgroup")).last();
    last.is_some_and(|mounted| mounted.kind == "cgroup2" && !mounted.read_only)
}

/// Folders below /sys/fs/cgroup with the group in each.
fn groups(list: &str) -> Vec<(String, Membership<'_>)> {
    let all: Vec<Membership> = membership::parse(list).collect();
    let alone = all.iter().all(Membership::is_unified);
    let folder = |controllers: &str| match controllers {
        "" if alone => String::new(),
        "" => "unified".to_owned(),
        named => named.strip_prefix("name=").unwrap_or(named).to_owned(),
    };
    let inside = all.into_iter().filter(|group| !group.is_root());
    inside.map(|group| (folder(group.controllers), group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_hierarchy_but_for_those_whose_root_it_is() {
        let found =
            |list| groups(list).into_iter().map(|(folder, group)| (folder, group.path)).collect::<Vec<_>>();
        assert_eq!(
            found("3:cpu,cpuacct:/a\n2:name=systemd:/\n0::/b\n"),
            [("cpu,cpuacct".into(), "/a"), ("unified".into(), "/b")]
        );
        assert_eq!(found("0::/b:c\n"), [(String::new(), "/b:c")]);
    }

    #[test]
    fn who_may_mount_is_read_from_the_bounding_set() {
        assert!(may_mount("CapEff:\t0\nCapBnd:\t000001ffffffffff\n") && may_mount("CapBnd:\t200000\n"));
        assert!(!may_mount("CapBnd:\t00000000800405fb\nCapEff:\t200000\n") && !may_mount(""));
    }

    #[test]
    fn groups_are_writable_where_the_last_mount_of_them_is() {
        let line = |flags, kind| format!("1 2 0:5 / /sys/fs/cgroup {flags} - {kind} none rw\n");
        let mounted = |lines: &[String]| writes_its_own(lines.concat().as_bytes());
        assert!(mounted(&[line("ro", "tmpfs"), line("rw,nosuid", "cgroup2")]));
        assert!(!mounted(&[line("rw", "cgroup2"), line("ro,nosuid", "cgroup2")]));
        assert!(!mounted(&[line("rw", "tmpfs")]) && !mounted(&[]));
    }
}
