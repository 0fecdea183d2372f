//! `capability.*`: what the program holds, judged by the user namespace that it is held in (capabilities(7)).

use crate::kernel::capability::{NAMES, Sets};
use crate::probe::{Context, Finding, Probe};

/// Those that open a way around the isolation, as `nicdock run --cap-add` refuses without `--weaken`.
const OPENING: [&str; 23] = [
    "SYS_ADMIN",
    "NET_ADMIN",
    "NET_RAW",
    "MKNOD",
    "DAC_READ_SEARCH",
    "SYS_PTRACE",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_BOOT",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYS_PACCT",
    "SYSLOG",
    "BPF",
    "PERFMON",
    "CHECKPOINT_RESTORE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "LINUX_IMMUTABLE",
];

pub fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = OPENING
        .into_iter()
        .map(|name| Probe::new(format!("capability.{}", name.to_lowercase()), move |_| held(name)))
        .collect();
    probes.push(Probe::new("capability.no_new_privs", no_new_privs));
    probes
}

fn held(name: &str) -> Finding {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (Some(sets), Some(bit)) = (Sets::of_status(&status), NAMES.iter().position(|known| *known == name))
    else {
        return Finding::open("not concluded: no capability sets in /proc/self/status");
    };
    let in_sets: Vec<&str> = [
        ("permitted", sets.permitted),
        ("bounding", sets.bounding),
        ("inheritable", sets.inheritable),
        ("ambient", sets.ambient),
    ]
    .into_iter()
    .filter(|(_, mask)| mask >> bit & 1 == 1)
    .map(|(set, _)| set)
    .collect();
    if in_sets.is_empty() {
        return Finding::closed(format!("CAP_{name} is in no set"));
    }
    let sets = in_sets.join(", ");
    if is_initial_user_namespace() {
        Finding::open(format!("CAP_{name} in the {sets} set, in the initial user namespace"))
    } else {
        Finding::closed(format!("CAP_{name} in the {sets} set, in a user namespace of the container's own"))
    }
}

/// The initial one maps every number to itself (user_namespaces(7)).
fn is_initial_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

/// Without it a set-uid program of the container's root gives what the bounding set has.
fn no_new_privs(_: &Context) -> Finding {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:")).map(str::trim) {
        Some("1") => Finding::closed("no_new_privs is set"),
        answer => Finding::open(format!("NoNewPrivs of /proc/self/status: {answer:?}")),
    }
}
