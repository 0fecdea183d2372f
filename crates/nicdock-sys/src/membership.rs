//! `/proc/PID/cgroup`: the group of each hierarchy that a process is in (cgroups(7)).

use std::path::{Path, PathBuf};

/// One line: `number:controllers:path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    /// With commas, or `name=NAME`; empty for version 2.
    pub controllers: &'a str,
    /// Below the hierarchy's root.
    pub path: &'a str,
}

/// Every membership of a list; lines that are none are passed over, and so are groups above the caller's cgroup namespace, which the kernel
/// writes as `/..` (`cgroup_path_ns()`) and no path below a mount leads to.
pub fn parse(list: &str) -> impl Iterator<Item = Membership<'_>> {
    list.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let found = Membership { controllers: fields.next()?, path: fields.next()? };
        (!found.path.split('/').any(|part| part == "..")).then_some(found)
    })
}

impl Membership<'_> {
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|one| one == controller)
    }

    pub fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    /// Whether the process is in the root of the hierarchy.
    pub fn is_root(&self) -> bool {
        self.path == "/"
    }

    /// The group's folder where its hierarchy is mounted at `point`.
    pub fn below(&self, point: &Path) -> PathBuf {
        point.join(self.path.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_have_colons_and_commas() {
        let found: Vec<_> = parse("3:cpu,cpuacct:/a:b,c\n2:rdma:/../a\n0::/\nnonsense\n").collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].has("cpuacct") && !found[0].is_unified() && !found[0].is_root());
        assert_eq!(found[0].below(Path::new("/x")), Path::new("/x/a:b,c"));
        assert!(found[1].is_unified() && found[1].is_root());
    }
}
