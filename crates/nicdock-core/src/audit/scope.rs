//! Which processes a container's are, as far as they can reach one of its process namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::standstill::{first_has_ended, session};
use nicdock_sys::membership;
use nicdock_sys::pidns::lineage;

/// The processes that could name one in the audited process's place, by /proc or by number.
///
/// In a process namespace of its own: those of that namespace, of those below it, which may have brought along a /proc of it, and of those
/// above it up to nicdock's own; of its cgroups those that are in another namespace than nicdock's. What an engine runs on the host for its
/// container, in whatever cgroup, is not the container's.
///
/// In nicdock's own process namespace: those of its cgroup and of its mount namespace.
pub struct Scope {
    process: u32,
    /// From the audited process's namespace up to ours.
    lineage: Vec<u64>,
    /// What was found of other namespaces, by the link that names them.
    known: BTreeMap<PathBuf, bool>,
    groups: Vec<(String, String)>,
    mounts: Option<PathBuf>,
    /// A session whose processes are the audit's own.
    pub spared: Option<u32>,
}

impl Scope {
    pub fn of(pid: u32) -> io::Result<Self> {
        let groups = |pid: u32| -> io::Result<Vec<(String, String)>> {
            let list = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
            let groups = membership::parse(&list);
            Ok(groups.map(|group| (group.controllers.to_owned(), group.path.to_owned())).collect())
        };
        let own = groups(std::process::id())?;
        // A group that nicdock is in is the host's.
        let is_theirs = |(controllers, path): &(String, String)| {
            path != "/" && !own.iter().any(|(other, own)| other == controllers && is_below(own, path))
        };
        let mounts = |of: &str| fs::read_link(format!("/proc/{of}/ns/mnt"));
        let theirs = mounts(&pid.to_string())?;
        Ok(Self {
            process: pid,
            lineage: lineage(pid)?,
            known: BTreeMap::new(),
            groups: groups(pid)?.into_iter().filter(is_theirs).collect(),
            mounts: (theirs != mounts("self")?).then_some(theirs),
            spared: None,
        })
    }

    pub fn has(&mut self, pid: u32) -> bool {
        let Some((session, is_the_kernels)) = session(pid) else { return false };
        let own = [
            std::process::id(),
            rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs()),
        ];
        if is_the_kernels || Some(session) == self.spared || Some(pid) == self.spared || own.contains(&pid) {
            return false;
        }
        let Ok(link) = fs::read_link(format!("/proc/{pid}/ns/pid")) else { return pid == self.process };
        let ours = fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own == link);
        if self.lineage.len() == 1 {
            return pid == self.process || self.has_mounts(pid) || self.has_group(pid);
        }
        if ours {
            return false;
        }
        let related = match self.known.get(&link) {
            Some(related) => *related,
            None => match lineage(pid) {
                Ok(theirs) => {
                    let related = theirs.contains(&self.lineage[0]) || self.lineage.contains(&theirs[0]);
                    self.known.insert(link, related);
                    related
                }
                // It ends.
                Err(_) => false,
            },
        };
        related || self.has_group(pid)
    }

    fn has_mounts(&self, pid: u32) -> bool {
        let is_it = |path: PathBuf| fs::read_link(path).is_ok_and(|link| Some(&link) == self.mounts.as_ref());
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        self.mounts.is_some() && threads.map(|thread| thread.path().join("ns/mnt")).any(is_it)
    }

    /// On version 1 a first thread that has ended is in no group, whatever the others are in (`proc_cgroup_show()`).
    fn has_group(&self, pid: u32) -> bool {
        let is_in = |list: String| {
            membership::parse(&list).any(|group| {
                self.groups
                    .iter()
                    .any(|(controllers, path)| controllers == group.controllers && is_below(group.path, path))
            })
        };
        let list = |path: PathBuf| fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let others = || {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            threads.map(|thread| list(thread.path())).any(is_in)
        };
        is_in(list(format!("/proc/{pid}").into())) || first_has_ended(pid) && others()
    }
}

/// Whether a cgroup is another one or in it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_below_another_by_whole_names() {
        assert!(is_below("/a/b", "/a/b") && is_below("/a/b/c", "/a/b"));
        assert!(!is_below("/a/bc", "/a/b") && !is_below("/a", "/a/b"));
    }
}
