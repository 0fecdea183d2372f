use std::fs;
use std::io;

use nicdock_sys::processes;

/// What starts containers, and what manages netdevs. A name in `/proc/PID/comm` has at most 15 characters (`TASK_COMM_LEN`).
const DAEMONS: [&str; 15] = [
    "systemd",
    "dockerd",
    "containerd",
    "crio",
    "libvirtd",
    "virtlxcd",
    "incusd",
    "lxd",
    "slurmd",
    "NetworkManager",
    "systemd-network",
    "zebra",
    "wickedd",
    "connmand",
    "opensm",
];

/// Of several of one name (a user's systemd) the first one counts, which is the machine's.
pub fn lines() -> io::Result<String> {
    let mut pids: Vec<u32> = processes::all()?.collect();
    pids.sort_unstable();
    let mut found: Vec<(&str, String)> = Vec::new();
    for pid in pids {
        let command = processes::command(pid);
        let Some(name) = DAEMONS.iter().find(|name| **name == command) else { continue };
        if found.iter().any(|(other, _)| other == name) {
            continue;
        }
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        found.push((name, memlock(&limits).unwrap_or("?").to_owned()));
    }
    found.sort_unstable();
    Ok(found.iter().map(|(name, limit)| format!("{name} {limit}\n")).collect::<Vec<_>>().concat())
}

/// The hard limit, which what it starts can be given: the second column of `proc_pid_limits()` (fs/proc/base.c).
fn memlock(limits: &str) -> Option<&str> {
    limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?.split_whitespace().nth(1)
}
