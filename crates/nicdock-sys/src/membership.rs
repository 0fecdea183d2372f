//! `/proc/PID/cgroup`: the group of each hierarchy that a process is in (cgroups(7)).

use std::fs;
use std::io;
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

/// The processes of the group in `folder` and of those below it, in no order; none of a group that has gone.
pub fn processes_below(folder: &Path) -> io::Result<Vec<u32>> {
    let is_gone = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV));
    let list = match fs::read_to_string(folder.join("cgroup.procs")) {
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        list => list?,
    };
    let mut found: Vec<u32> = list.lines().filter_map(|line| line.parse().ok()).collect();
    let entries = match fs::read_dir(folder) {
        Err(error) if is_gone(&error) => return Ok(found),
        entries => entries?,
    };
    for entry in
        entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        found.extend(processes_below(&entry.path())?);
    }
    Ok(found)
}

/// Whether a process is in the group in `folder` or below. What cannot be read counts as one.
pub fn is_populated(folder: &Path) -> bool {
    processes_below(folder).map_or(true, |found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_populated_by_what_is_below_it_and_by_what_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_populated(&folder.path().join("gone")));
        let below = folder.path().join("task_0");
        fs::create_dir(&below).unwrap();
        fs::write(folder.path().join("cgroup.procs"), "").unwrap();
        fs::write(below.join("cgroup.procs"), "").unwrap();
        assert!(!is_populated(folder.path()));
        fs::write(below.join("cgroup.procs"), "7\n8\n").unwrap();
        assert_eq!(processes_below(folder.path()).unwrap(), [7, 8]);
        fs::remove_file(below.join("cgroup.procs")).unwrap();
        fs::create_dir(below.join("cgroup.procs")).unwrap();
        assert!(is_populated(folder.path()));
    }

    #[test]
    fn a_path_may_have_colons_and_commas() {
        let found: Vec<_> = parse("3:cpu,cpuacct:/a:b,c\n2:rdma:/../a\n0::/\nnonsense\n").collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].has("cpuacct") && !found[0].is_unified() && !found[0].is_root());
        assert_eq!(found[0].below(Path::new("/x")), Path::new("/x/a:b,c"));
        assert!(found[1].is_unified() && found[1].is_root());
    }
}
