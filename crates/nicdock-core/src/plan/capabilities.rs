//! Linux capabilities of the program: podman's default set, and what any other one would open.

use crate::kind::Kind;
use nicdock_audit::weakness::Weakness;
use rustix::thread::CapabilitySet;

/// What podman 4.3 gives by default (containers-common, `default_capabilities`).
pub const DEFAULT: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Those that open no way to another NIC or out of the container.
const HARMLESS: [&str; 7] = [
    "CAP_IPC_LOCK",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_AUDIT_WRITE",
    "CAP_LEASE",
    "CAP_IPC_OWNER",
    "CAP_NET_BROADCAST",
];

/// One that opens a way.
struct Opening {
    name: &'static str,
    /// In any container (capabilities(7)).
    opens: &'static str,
    /// What is left of that in a container of nicdock's own, under its filter of system calls and its device cgroup.
    here: Option<&'static str>,
}

const fn opening(name: &'static str, opens: &'static str, here: Option<&'static str>) -> Opening {
    Opening { name, opens, here }
}

/// The lab tries each of them (`tests/lab/capabilities.rs`), all together, but for those of mandatory access control, of power and of chattr.
const OPENS: [Opening; 23] = [
    opening("CAP_SYS_ADMIN", "mounting a fresh /sys over the view, and namespaces of the host", None),
    opening(
        "CAP_NET_ADMIN",
        "changing the NIC's MAC address, filters, VFs and names (bytes of any kind, which the host has until nicdock takes them away), and giving it to another network namespace that a process has a descriptor of",
        None,
    ),
    opening("CAP_NET_RAW", "forged packets and listening to all that the NIC receives", None),
    opening(
        "CAP_MKNOD",
        "making nodes of other devices",
        Some("opening them is refused by the device cgroup, the host's console as well"),
    ),
    opening(
        "CAP_DAC_READ_SEARCH",
        "opening files of the host by handle (open_by_handle_at)",
        Some("that call is refused, and files of the container's are read whatever their mode"),
    ),
    opening("CAP_SYS_PTRACE", "reading the memory and descriptors of every process it can see", None),
    opening(
        "CAP_SYS_MODULE",
        "loading code into the kernel",
        Some(
            "init_module and finit_module are refused, and modules that the host has are loaded by their names",
        ),
    ),
    opening(
        "CAP_SYS_RAWIO",
        "I/O ports, PCI configuration space and /dev/mem",
        Some("iopl is refused, and none of their files can be opened; page 0 can be mapped"),
    ),
    opening(
        "CAP_SYS_BOOT",
        "rebooting the host, by another kernel",
        Some("kexec_load and kexec_file_load are refused, and reboot ends the container alone"),
    ),
    opening(
        "CAP_SYS_TIME",
        "setting the host's clock",
        Some("adjtimex and clock_adjtime set it, and the other calls are refused"),
    ),
    opening(
        "CAP_SYS_TTY_CONFIG",
        "the host's virtual consoles",
        Some("vhangup is refused, and it has none of them"),
    ),
    opening("CAP_SYS_PACCT", "process accounting of the host", Some("acct is refused")),
    opening("CAP_SYSLOG", "the kernel log, which names every NIC", None),
    opening("CAP_BPF", "loading BPF programs", Some("bpf is refused")),
    opening("CAP_PERFMON", "tracing the kernel", Some("perf_event_open is refused")),
    opening(
        "CAP_CHECKPOINT_RESTORE",
        "/proc/PID/map_files and chosen process numbers",
        Some("numbers cannot be chosen: clone3 is refused"),
    ),
    opening("CAP_MAC_ADMIN", "the host's mandatory access control", None),
    opening("CAP_MAC_OVERRIDE", "passing by the host's mandatory access control", None),
    opening(
        "CAP_AUDIT_CONTROL",
        "the host's audit rules and the login's user that it records",
        Some("netlink's audit is refused, and /proc/self/loginuid can be set"),
    ),
    opening("CAP_AUDIT_READ", "the host's audit log", Some("netlink's audit is refused")),
    opening("CAP_WAKE_ALARM", "waking the host", None),
    opening("CAP_BLOCK_SUSPEND", "keeping the host awake", None),
    opening(
        "CAP_LINUX_IMMUTABLE",
        "files of its root and volumes that nobody can change or remove (chattr)",
        None,
    ),
];

/// Those that open something in a user namespace of the container's own too: with this one a program may mount and nest
/// namespaces, and the kernel behind those calls is large.
const OPENS_EVEN_SO: [&str; 1] = ["CAP_SYS_ADMIN"];

/// Every capability there is.
pub fn all() -> impl Iterator<Item = &'static str> {
    DEFAULT.into_iter().chain(HARMLESS).chain(OPENS.iter().map(|opening| opening.name))
}

/// The number of a capability, by its name (include/uapi/linux/capability.h).
pub fn number(name: &str) -> Option<u32> {
    let name = name.strip_prefix("CAP_")?;
    let set = CapabilitySet::from_name(name)?;
    Some(set.bits().trailing_zeros())
}

/// Those of a set, as proc_pid_status(5) shows it, that open something, with what. `userns`: they count in a user namespace of the
/// container's own only.
pub fn opened_by(set: u64, userns: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    let counts = move |opening: &&Opening| {
        (!userns || OPENS_EVEN_SO.contains(&opening.name))
            && number(opening.name).is_some_and(|number| set >> number & 1 == 1)
    };
    OPENS.iter().filter(counts).map(|opening| (opening.name, opening.opens))
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    #[error("--cap-add {0}: no such capability (capabilities(7))")]
    Unknown(String),
    #[error("--cap-add {name} opens {opens}: add --weaken if that is meant")]
    Opens { name: String, opens: &'static str },
}

impl CapabilityError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unknown(_) => Kind::BadInput,
            Self::Opens { .. } => Kind::NotClosed,
        }
    }
}

/// That a container has this capability.
pub fn weakness(name: &str, what: String) -> Weakness {
    let name = name.trim_start_matches("CAP_").to_ascii_lowercase();
    Weakness::new(format!("capability.{name}"), what)
}

/// The default set and the extra ones (`NET_RAW`, `cap_net_raw` or `CAP_NET_RAW`), sorted.
///
/// One that opens a way around the isolation is refused unless `weaken`, and then `weaknesses` has what it opens.
///
/// With a user namespace of the container's own they count for what that namespace owns, and its network namespace is not
/// among it: only the few of [`OPENS_EVEN_SO`] open anything.
pub fn choose(
    extra: &[String],
    weaken: bool,
    userns: bool,
    weaknesses: &mut Vec<Weakness>,
) -> Result<Vec<String>, CapabilityError> {
    let mut chosen: Vec<String> = DEFAULT.map(str::to_owned).to_vec();
    for given in extra {
        let upper = given.to_ascii_uppercase();
        let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let opens = OPENS.iter().find(|opening| opening.name == name);
        let opens_even_so = OPENS_EVEN_SO.contains(&name.as_str());
        if let Some(Opening { opens, here, .. }) = opens.filter(|_| !userns || opens_even_so) {
            if !weaken {
                return Err(CapabilityError::Opens { name, opens });
            }
            let here = here.map(|here| format!("; here {here}")).unwrap_or_default();
            weaknesses.push(weakness(&name, format!("{name} opens {opens}{here}")));
        } else if opens.is_none() && !HARMLESS.contains(&name.as_str()) && !DEFAULT.contains(&name.as_str()) {
            return Err(CapabilityError::Unknown(given.clone()));
        }
        chosen.push(name);
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_capability_has_a_number() {
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(number("CAP_SYS_ADMIN"), Some(21));
        assert_eq!(number("CAP_NONSENSE"), None);
    }

    #[test]
    fn what_opens_a_way_around_needs_weaken_and_is_named() {
        let mut warnings = Vec::new();
        assert!(matches!(
            choose(&["sys_admin".into()], false, false, &mut warnings),
            Err(CapabilityError::Opens { .. })
        ));
        let chosen = choose(&["mknod".into(), "IPC_LOCK".into()], true, false, &mut warnings).unwrap();
        assert!(chosen.contains(&"CAP_MKNOD".to_owned()) && chosen.contains(&"CAP_IPC_LOCK".to_owned()));
        assert_eq!(warnings.len(), 1);
        assert!(choose(&["ALL".into()], true, false, &mut warnings).is_err());
        let numbers: std::collections::BTreeSet<u32> = all().filter_map(number).collect();
        assert_eq!(numbers.len(), 41, "every capability of linux/capability.h is in one of the lists");
    }

    #[test]
    fn in_a_user_namespace_of_its_own_most_open_nothing() {
        let mut warnings = Vec::new();
        let chosen = choose(&["NET_ADMIN".into(), "MKNOD".into()], false, true, &mut warnings).unwrap();
        assert!(chosen.contains(&"CAP_NET_ADMIN".to_owned()) && warnings.is_empty());
        assert!(choose(&["SYS_ADMIN".into()], false, true, &mut warnings).is_err());
    }
}
