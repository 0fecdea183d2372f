//! What a plan leaves open because its user, or the site, has chosen so; and which findings that explains.

use serde::{Deserialize, Serialize};

/// Something that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weakness {
    /// Stable, and a key of the table in docs/security/audit.md: `netlink.generic`, `family.smc`, `capability.sys_admin`.
    pub id: String,
    /// What it opens, in a sentence.
    pub what: String,
}

impl Weakness {
    pub fn new(id: impl Into<String>, what: impl Into<String>) -> Self {
        Self { id: id.into(), what: what.into() }
    }

    /// Whether it explains that the probe `probe` is open: that names of other NICs are seen, or that a general system call is allowed.
    pub fn explains(&self, probe: &str) -> bool {
        let parts = EXPLAINED.iter().filter(|(id, _)| *id == self.id).flat_map(|(_, parts)| *parts);
        let begins = |part: &str| {
            probe
                .strip_prefix(part)
                .is_some_and(|rest| rest.is_empty() || part.ends_with('.') || rest.starts_with('.'))
        };
        let own = match self.id.split_once('.') {
            Some(("capability", _)) => begins(&self.id),
            Some(("family", name)) => begins(&format!("socket.family.{name}")),
            _ => false,
        };
        let never = NEVER.iter().any(|part| begins(part));
        !never && (own || parts.into_iter().any(|part| begins(part)))
    }
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (weakness {})", self.what, self.id)
    }
}

/// The calls of the native entry and of the machine's others.
const CALLS: [&str; 3] = ["syscall.", "i386.", "x32."];

/// What each explains beside the probe of its own name: probes, and families of them with a dot at the end.
const EXPLAINED: &[(&str, &[&str])] = &[
    (
        "view.open",
        &[
            "sys.bus.pci.devices",
            "sys.devices.pci",
            "sys.rest",
            "sys.words.pci",
            "proc.words.self",
            "proc.words.kind.pci",
        ],
    ),
    ("view.off", &["sys."]),
    ("engine.paths", &["proc.self.mountinfo.engine"]),
    ("engine.cgroups", &["proc.self.cgroup.host"]),
    ("netlink.generic", &["netlink.generic", "generic."]),
    (
        "netlink.rdma",
        &[
            "netlink.rdma",
            "netlink.kobject_uevent",
            "uevent.listen.",
            "rdma.list",
            "rdma.get",
            "rdma.port_list",
            "rdma.resources",
            "rdma.counters",
            "rdma.queue_pairs",
            "rdma.chardev",
            "rdma.netns_mode_get",
        ],
    ),
    ("seccomp.none", &CALLS),
    ("capability.sys_admin", &["syscall.", "i386.", "x32.", "mount.", "filesystem.", "process.setns.user"]),
    ("capability.sys_module", &["syscall.init_module", "syscall.finit_module", "syscall.delete_module"]),
    ("capability.sys_boot", &["syscall.reboot", "syscall.kexec_load", "syscall.kexec_file_load"]),
    ("capability.sys_pacct", &["syscall.acct"]),
    ("capability.sys_rawio", &["syscall.iopl", "syscall.ioperm"]),
    ("capability.bpf", &["syscall.bpf"]),
    ("capability.perfmon", &["syscall.perf_event_open"]),
    ("capability.syslog", &["syscall.syslog.", "i386.syslog.", "x32.syslog.", "log."]),
];

/// That another NIC's node is opened, or its device renamed, moved or used, nothing explains.
const NEVER: &[&str] = &[
    "device.",
    "rdma.add",
    "rdma.delete",
    "rdma.rename",
    "rdma.netns_set",
    "rdma.netns_mode_set",
    "rdma.sub_device",
    "rdma_cm.",
    "route.not_own",
    "route.give_away",
    "pci.",
    "cgroup.",
    "filesystem.cgroup_devices.",
    "filesystem.devtmpfs.",
    "escape.",
    "process.ptrace",
    "process.vm_readv",
    "process.pidfd_getfd",
    "process.signal",
    "process.file.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn explains(id: &str, probe: &str) -> bool {
        Weakness::new(id, "").explains(probe)
    }

    #[test]
    fn a_weakness_explains_what_is_its_own() {
        assert!(
            explains("netlink.generic", "netlink.generic.high_all")
                && explains("netlink.generic", "generic.list")
        );
        assert!(
            !explains("netlink.generic", "netlink.rdma") && !explains("netlink.generic", "netlink.generics")
        );
        assert!(
            explains("family.smc", "socket.family.smc.high") && !explains("family.smc", "socket.family.rds")
        );
        assert!(explains("capability.sys_admin", "mount.detach.sys.mounts"));
        assert!(
            explains("capability.mknod", "capability.mknod") && !explains("capability.mknod", "syscall.bpf")
        );
        assert!(!explains("registers", "pci.own.config"));
    }

    #[test]
    fn nothing_explains_that_anothers_nic_is_used() {
        let ids = EXPLAINED.iter().map(|(id, _)| *id);
        for id in ids.chain(["capability.net_admin", "umad", "rdma_cm", "gids"]) {
            for probe in [
                "device.open.uverbs0.existing",
                "rdma.rename",
                "rdma.delete",
                "rdma_cm.bind_foreign",
                "route.not_own",
                "pci.foreign.config",
            ] {
                assert!(!explains(id, probe), "{id} explains {probe}");
            }
        }
    }
}
