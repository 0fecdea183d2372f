//! `cgroup.*`: control files that can be opened for writing. Nothing is written.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::probe::{Finding, Probe};

/// Files by which a container frees itself, and whether only version 1 has them.
const FILES: [(&str, bool); 18] = [
    ("cgroup.procs", false),
    ("cgroup.threads", false),
    ("cgroup.subtree_control", false),
    ("cgroup.freeze", false),
    ("cgroup.kill", false),
    ("cgroup.clone_children", true),
    ("tasks", true),
    ("release_agent", true),
    ("notify_on_release", true),
    ("devices.allow", true),
    ("devices.deny", true),
    ("rdma.max", false),
    ("memory.max", false),
    ("memory.limit_in_bytes", true),
    ("pids.max", false),
    ("cpu.max", false),
    ("cpuset.cpus", false),
    ("io.max", false),
];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = FILES
        .into_iter()
        .map(|(file, is_old)| {
            Probe::new(format!("cgroup.write.{}", file.replace('.', "_")), move |_| {
                if is_old && !has_version_1() {
                    return Finding::not_applicable(
                        "no hierarchy of cgroup version 1 is in use (by /proc/self/cgroup)",
                    );
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
