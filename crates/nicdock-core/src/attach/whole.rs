//! The control groups that hold the whole of a container: its first process may be in a part of it, as systemd is in its `init.scope`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nicdock_sys::processes;

use crate::kind::Kind;
use crate::phases::cgroup::Cgroup;
use crate::phases::{Doing, PhaseError};
use nicdock_sys::closing::Closing;
use nicdock_sys::pidns::lineage;
use nicdock_sys::{cgroupns, membership};

/// Those of the container with this first process: in each hierarchy the group that every process of its process namespace, and of those
/// below that, is in; and that groups of its own are in, if it has a cgroup namespace (cgroup_namespaces(7)). A process without a process namespace
/// of its own has its own groups.
///
/// Errors: nothing holds all of them but what holds others' processes, too.
pub fn whole(first: u32) -> Result<Cgroup, PhaseError> {
    let read = |file: &str| fs::read_to_string(file).doing(|| format!("reading {file}"));
    let path = format!("/proc/{first}/cgroup");
    let own = read(&path)?;
    let hybrid = Path::new("/sys/fs/cgroup/unified").exists();
    let namespaces = lineage(first).doing(|| format!("looking at the namespaces of process {first}"))?;
    if namespaces.len() == 1 || Closing::WholeContainer.is_left_open() {
        return Ok(Cgroup::parse(&own, hybrid));
    }
    let below =
        cgroupns::memberships(first).doing(|| format!("entering the cgroup namespace of process {first}"))?;
    let mut groups: Vec<Group> = membership::parse(&own)
        .filter(|group| group.has("devices") || group.has("freezer") || group.is_unified())
        .map(|group| Group {
            controllers: group.controllers.to_owned(),
            own: group.path.into(),
            whole: group.path.into(),
        })
        .collect();
    for below in membership::parse(&below.unwrap_or_default()) {
        groups
            .iter_mut()
            .filter(|it| it.controllers == below.controllers)
            .for_each(|it| it.rise_by(below.path));
    }
    let mut others = Vec::new();
    for pid in processes::all().doing(|| "listing processes".into())? {
        // One that has ended meanwhile is in no group.
        let Ok(list) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
        if lineage(pid).is_ok_and(|theirs| theirs.contains(&namespaces[0])) {
            for member in membership::parse(&list) {
                groups
                    .iter_mut()
                    .filter(|it| it.controllers == member.controllers)
                    .for_each(|it| it.rise(Path::new(member.path)));
            }
        } else {
            others.push((pid, list));
        }
    }
    for (pid, list) in &others {
        let is_in = |member: membership::Membership| {
            groups.iter().any(|group| group.controllers == member.controllers && group.holds_too(member.path))
        };
        if membership::parse(list).any(is_in) {
            let error = io::Error::other(format!(
                "its processes are in several, and what holds all of them holds process {pid} of others', too"
            ));
            return Err(PhaseError::new(format!("finding the control group of the container of process {first}"), error)
                .of_kind(Kind::NotClosed)
                .with_advice("end its processes that were put into groups outside of its own (nsenter), or move them there"));
        }
    }
    let line = |group: &Group| format!("0:{}:{}", group.controllers, group.whole.display());
    let list: Vec<String> = groups.iter().map(line).collect();
    Ok(Cgroup::parse(&list.join("\n"), hybrid))
}

/// One hierarchy's.
struct Group {
    controllers: String,
    /// The first process's.
    own: PathBuf,
    whole: PathBuf,
}

impl Group {
    /// Up to what holds `other`, too.
    fn rise(&mut self, other: &Path) {
        while !other.starts_with(&self.whole) && self.whole.pop() {}
    }

    /// Up to the group below which the first process's own is called `below`.
    fn rise_by(&mut self, below: &str) {
        let parts = Path::new(below.trim_start_matches('/'));
        if self.own.ends_with(parts) {
            let root: PathBuf =
                self.own.ancestors().nth(parts.components().count()).unwrap_or(&self.own).into();
            self.rise(&root);
        }
    }

    /// Whether the whole has a process in this group that the first process's own has not.
    fn holds_too(&self, group: &str) -> bool {
        let group = Path::new(group);
        self.whole != self.own && group.starts_with(&self.whole) && !group.starts_with(&self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_is_what_holds_every_process_and_the_namespaces_root() {
        let mut group = Group {
            controllers: String::new(),
            own: "/c/a/init.scope".into(),
            whole: "/c/a/init.scope".into(),
        };
        group.rise_by("/init.scope");
        assert_eq!(group.whole, Path::new("/c/a"));
        group.rise(Path::new("/c/a/system.slice/x"));
        assert_eq!(group.whole, Path::new("/c/a"));
        assert!(
            group.holds_too("/c/a/system.slice")
                && !group.holds_too("/c/a/init.scope/b")
                && !group.holds_too("/c/ab")
        );
        group.rise(Path::new("/c/b"));
        assert_eq!(group.whole, Path::new("/c"));
        group.rise(Path::new("/"));
        assert_eq!(group.whole, Path::new("/"));
        // A process that was put elsewhere than where its namespace begins.
        let mut group = Group { controllers: String::new(), own: "/c".into(), whole: "/c".into() };
        group.rise_by("/d");
        group.rise_by("/");
        assert_eq!(group.whole, Path::new("/c"));
    }
}
