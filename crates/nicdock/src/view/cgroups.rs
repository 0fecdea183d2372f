//! `/sys/fs/cgroup` as the container's cgroup namespace has it: its own groups and those below, read-only.
//!
//! Each is a copy of the group's folder in the host's mount. A fresh mount would show the root of every hierarchy that the
//! container joined after its cgroup namespace was made.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::compose::RESTRICTED;
use super::empty::Empty;
use crate::closing::Closing;
use crate::kernel::mount;

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
    pub fn of_process(pid: u32) -> io::Result<Vec<Self>> {
        let mount = Path::new("/sys/fs/cgroup");
        let open = |(folder, path): (String, String)| {
            let place = mount.join(&folder).join(path.trim_start_matches('/'));
            let group = mount::copy(mount::open_host_path(&place)?, "")?;
            mount::restrict(group.as_fd(), RESTRICTED)?;
            Ok(Self { folder, group })
        };
        let lines = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        groups(&lines).into_iter().filter(|(folder, _)| mount.join(folder).exists()).map(open).collect()
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

/// Folders below /sys/fs/cgroup with the group in each, from the lines of `/proc/PID/cgroup` (cgroups(7)).
fn groups(lines: &str) -> Vec<(String, String)> {
    let fields = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1).map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    };
    let all: Vec<(String, String)> = lines.lines().filter_map(fields).collect();
    let alone = all.iter().all(|(controllers, _)| controllers.is_empty());
    let folder = |controllers: &str| match controllers {
        "" if alone => String::new(),
        "" => "unified".to_owned(),
        named => named.strip_prefix("name=").unwrap_or(named).to_owned(),
    };
    let inside = all.iter().filter(|(_, path)| path != "/");
    inside.map(|(controllers, path)| (folder(controllers), path.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_hierarchy_but_for_those_whose_root_it_is() {
        let found = groups("3:cpu,cpuacct:/a\n2:name=systemd:/\n0::/b\n");
        assert_eq!(found, [("cpu,cpuacct".into(), "/a".into()), ("unified".into(), "/b".into())]);
        assert_eq!(groups("0::/b:c\n"), [(String::new(), "/b:c".into())]);
    }
}
