//! `mounted.*`: the kernel's own file systems, by their types, where no container has them: put there from outside, or by the engine.

use std::path::Path;

use crate::kernel::mountinfo;
use crate::probe::{Finding, Probe};

/// Types of which a container has its own, or a view, below one folder; and those that none has.
const KINDS: [(&str, &str); 14] = [
    ("sysfs", "/sys"),
    ("proc", "/proc"),
    ("cgroup", "/sys/fs/cgroup"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("devtmpfs", ""),
    ("debugfs", ""),
    ("tracefs", ""),
    ("securityfs", ""),
    ("configfs", ""),
    ("efivarfs", ""),
    ("pstore", ""),
    ("bpf", ""),
    ("binfmt_misc", ""),
    ("rpc_pipefs", ""),
];

pub fn probes() -> Vec<Probe> {
    KINDS
        .into_iter()
        .map(|(kind, place)| Probe::new(format!("mounted.{kind}"), move |_| elsewhere(kind, place)))
        .collect()
}

fn elsewhere(kind: &str, place: &str) -> Finding {
    let list = match mountinfo::list() {
        Ok(list) => list,
        Err(error) => return Finding::open(format!("not concluded: reading /proc/self/mountinfo: {error}")),
    };
    let is_elsewhere = |point: &Path| place.is_empty() || !point.starts_with(place);
    // What is below another mount cannot be entered by this path. A single node of devtmpfs is one that an engine shows.
    let is_whole = |point: &Path| kind != "devtmpfs" || point.is_dir();
    let mut points = list.into_iter().filter(|mounted| mounted.kind == kind).map(|mounted| mounted.point);
    let found = points.find(|point| is_elsewhere(point) && is_whole(point) && is_seen(point, kind));
    match found {
        Some(point) => Finding::open(format!("{kind} is mounted on {}", point.display())),
        None if place.is_empty() => Finding::closed(format!("no {kind} is mounted")),
        None => Finding::closed(format!("no {kind} is mounted but below {place}")),
    }
}

/// Whether the path leads to that file system and to nothing mounted over it.
fn is_seen(point: &Path, kind: &str) -> bool {
    let Ok(found) = rustix::fs::statfs(point) else { return false };
    // Types of which the number is known (include/uapi/linux/magic.h); of the others what the list says must do.
    let magic: i64 = match kind {
        "sysfs" => 0x6265_6572,
        "proc" => 0x9fa0,
        "cgroup" => 0x0027_e0eb,
        "cgroup2" => 0x6367_7270,
        "debugfs" => 0x6462_6720,
        "tracefs" => 0x7472_6163,
        "securityfs" => 0x7363_6673,
        "bpf" => 0xcafe_4a11,
        _ => return true,
    };
    found.f_type == magic
}
