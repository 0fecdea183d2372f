//! `cgroup.*`: control files that can be opened for writing. Nothing is written.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::probe::{Finding, Probe};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
    Both,
}

/// Files by which a container frees itself, and which version has them.
const FILES: [(&str, Version); 18] = [
    ("cgroup.procs", Version::Both),
    ("cgroup.threads", Version::Two),
    ("cgroup.subtree_control", Version::Two),
    ("cgroup.freeze", Version::Two),
    ("cgroup.kill", Version::Two),
    ("cgroup.clone_children", Version::One),
    ("tasks", Version::One),
    ("release_agent", Version::One),
    ("notify_on_release", Version::One),
    ("devices.allow", Version::One),
    ("devices.deny", Version::One),
    ("rdma.max", Version::Both),
    ("memory.max", Version::Two),
    ("memory.limit_in_bytes", Version::One),
    ("pids.max", Version::Both),
    ("cpu.max", Version::Two),
    ("cpuset.cpus", Version::Both),
    ("io.max", Version::Two),
];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = FILES
        .into_iter()
        .map(|(file, version)| {
            Probe::new(format!("cgroup.write.{}", file.replace('.', "_")), move |_| {
                match (version, has_version_1()) {
                    (Version::One, false) => {
                        return Finding::not_applicable(
                            "no hierarchy of cgroup version 1 is in use (by /proc/self/cgroup)",
                        );
                    }
                    (Version::Two, true) => {
                        return Finding::not_applicable(
                            "the controllers are in hierarchies of cgroup version 1 (by /proc/self/cgroup)",
                        );
                    }
                    _ => {}
                }
                let found = find(file);
                let writable = found.iter().find(|path| OpenOptions::new().write(true).open(path).is_ok());
                match writable {
                    Some(path) => Finding::open(format!("{} can be opened for writing", path.display())),
                    None => Finding::closed(format!("{} files {file}, none writable", found.len())),
                }
            })
        })
        .collect();
    probes.push(Probe::new("cgroup.make", |_| {
        let folders = folders();
        let name = format!("nicdock-audit-{}", std::process::id());
        for folder in &folders {
            let path = folder.join(&name);
            if fs::create_dir(&path).is_ok() {
                let _ = fs::remove_dir(&path);
                return Finding::open(format!("a cgroup can be made in {}", folder.display()));
            }
        }
        Finding::closed(format!("no cgroup can be made in {} folders", folders.len()))
    }));
    probes.push(Probe::new("cgroup.rdma.foreign", |context| {
        let own = &context.target.own.rdma_devices;
        for file in ["rdma.max", "rdma.current"] {
            for path in find(file) {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let mut names = text.lines().filter_map(|line| line.split(' ').next());
                if let Some(name) = names.find(|name| !own.iter().any(|own| own == name)) {
                    return Finding::open(format!("{} names {name}", path.display()));
                }
            }
        }
        Finding::closed("no rdma.max or rdma.current names a foreign device")
    }));
    probes
}

fn find(file: &str) -> Vec<PathBuf> {
    folders().into_iter().map(|folder| folder.join(file)).filter(|path| path.exists()).collect()
}

/// The folders of every visible hierarchy, two levels deep: a container's own is the root of its view.
fn folders() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut begin = 0;
    for _ in 0..3 {
        let end = found.len();
        for at in begin..end {
            let below = folders_in(&found[at].clone());
            found.extend(below);
        }
        begin = end;
        if found.len() > 500 {
            break;
        }
    }
    found
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Its hierarchies have numbers other than 0 (cgroups(7)).
fn has_version_1() -> bool {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    text.is_empty() || text.lines().any(|line| !line.starts_with("0:"))
}
