//! The plan as an OCI spec (runtime-spec 1.2, config.md and config-linux.md).

use serde_json::{Value, json};

use super::staging::Staging;
use nicdock_core::phases::{cgroup, limits};
use nicdock_core::plan::{Plan, capabilities};
use nicdock_core::request::Size;
use nicdock_core::seccomp;
use nicdock_sys::closing::Closing;

/// Users and groups of a user namespace; the same numbers inside and outside, so that a root file system needs no change.
const MAPPED_USERS: u32 = 65536;

/// `config.json` for a container in the network namespace of the process that creates it.
pub fn spec(plan: &Plan, staging: &Staging) -> Value {
    let container = &plan.container;
    let memlock = container.memlock.bytes().unwrap_or(u64::MAX);
    let everything = || capabilities::all().map(str::to_owned).collect();
    let capabilities: &Vec<String> =
        &if Closing::Capabilities.is_left_open() { everything() } else { container.capabilities.clone() };
    // A program that is not root starts with none, as in podman; the bounding set is what a set-uid file could give.
    let held: &[String] = if container.user.uid == 0 { capabilities } else { &[] };
    let mut namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind })).to_vec();
    let mut mappings = Vec::new();
    if container.userns {
        namespaces.push(json!({ "type": "user" }));
        mappings.push(json!({ "containerID": 0, "hostID": 0, "size": MAPPED_USERS }));
    }
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "hostname": plan.name,
        "root": { "path": staging.rootfs(), "readonly": false },
        "process": {
            "terminal": container.terminal,
            "user": { "uid": container.user.uid, "gid": container.user.gid },
            "args": container.command,
            "env": environment(plan),
            "cwd": "/",
            "noNewPrivileges": !Closing::NoNewPrivileges.is_left_open(),
            "capabilities": {
                "bounding": capabilities, "effective": held, "permitted": held, "inheritable": [], "ambient": [],
            },
            "rlimits": [{ "type": "RLIMIT_MEMLOCK", "soft": memlock, "hard": memlock }],
        },
        "mounts": mounts(container.limits.shm),
        "linux": {
            "namespaces": namespaces,
            "uidMappings": mappings,
            "gidMappings": mappings,
            "cgroupsPath": cgroup::path(&plan.name),
            "resources": { "devices": [{ "allow": Closing::DeviceCgroup.is_left_open(), "access": "rwm" }] },
            "seccomp": seccomp::profile(capabilities, &container.sockets),
        },
    });
    if Closing::Seccomp.is_left_open() {
        spec["linux"]["seccomp"] = Value::Null;
    }
    spec
}

/// Where programs are looked for unless the user says where.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn environment(plan: &Plan) -> Vec<String> {
    let given = &plan.container.env;
    let missing =
        |key: &str| !given.iter().any(|e| e.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')));
    let mut env = Vec::new();
    if missing("PATH") {
        env.push(format!("PATH={PATH}"));
    }
    if plan.container.terminal && missing("TERM") {
        env.push(format!("TERM={}", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned())));
    }
    env.extend(given.iter().filter(|variable| *variable != "HOME=").cloned());
    // Never left open: libcontainer would look it up inside (getpwuid(3)), which runs code of the container's root, its
    // name service modules, before anything is closed.
    if missing("HOME") || given.iter().any(|variable| variable == "HOME=") {
        env.push(if plan.container.user.uid == 0 { "HOME=/root".to_owned() } else { "HOME=/".to_owned() });
    }
    env
}

/// What libcontainer mounts; the volumes, and what is in /sys, /proc and /dev/infiniband, come later, by descriptor
/// (`phases/enter.rs`).
fn mounts(shm: Option<Size>) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let (size, files) =
        (shm.map(|Size(bytes)| format!("size={bytes}")), format!("nr_inodes={}", limits::files()));
    let shm: Vec<&str> =
        ["nosuid", "noexec", "nodev", "mode=1777", &files].into_iter().chain(size.as_deref()).collect();
    vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=1m", "nr_inodes=1k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &shm),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ]
}
