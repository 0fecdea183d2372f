//! What closes a container, by name, so that the lab can leave one out and prove that the audit finds the hole.
//!
//! Only with the feature `leave-open`, which no release has, does the environment have a say; else every closing is made.

/// One closing. The places that make it ask [`Closing::is_left_open`] just there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// /sys is composed, not mounted whole
    View,
    /// /proc shows what is kept only
    ProcCovers,
    /// /proc/sys is read-only
    ProcSys,
    /// the cgroup's lists of RDMA devices are covered
    CgroupFiles,
    /// /dev/infiniband has the container's own nodes only
    Nodes,
    /// The device cgroup refuses every other device
    DeviceCgroup,
    /// the root file system has no device nodes
    RootNodev,
    /// seccomp looks at the family and protocol of sockets
    SeccompSockets,
    /// seccomp refuses io_uring
    SeccompIoUring,
    /// seccomp refuses new namespaces and mounts
    SeccompNamespaces,
    /// seccomp refuses the kernel's log
    SeccompLog,
    /// seccomp knows no system calls but the machine's own
    SeccompArchitectures,
    /// seccomp altogether
    Seccomp,
    /// a BPF program decides about sockets
    SocketProgram,
    /// the rdma cgroup gives nothing of foreign devices
    RdmaCgroup,
    /// the program has podman's capabilities only
    Capabilities,
    /// set-user-ID files give nothing
    NoNewPrivileges,
    /// root and volumes are opened once
    OpenedOnce,
    /// an ordinary user's link leads to that user's own files only
    ForeignLinks,
    /// nothing of a bundle is reached over a link
    BundleLinks,
    /// what shows the host's devices and processes, or nicdock's state, is no root and no volume, whatever it is called
    Places,
    /// the rule and the node of a device that has gone are taken from its container
    DeviceNumbers,
    /// the program has pipes, not the caller's terminal or files
    TerminalStreams,
    /// nothing that is read from a program or written for it can make nicdock wait
    NeverWaits,
    /// the program has none of the caller's supplementary groups
    CallersGroups,
    /// what was promised is compared with what there is
    Verify,
    /// the container's program is executed by a static program in memory, not by nicdock
    Starter,
    /// `audit --pid`: the container stands still
    AuditStillness,
    /// its cgroups are frozen while its threads are seized
    AuditFreeze,
    /// The audit has no terminal, and no descriptor that leads out of the container
    AuditDescriptors,
    /// its memory cannot be read by processes of the same user
    AuditMemory,
    /// its filters are those of the whole container, and tell nothing that only its program knows
    AuditFilters,
    /// it enters the process namespace last
    AuditOrder,
    /// a process that comes into the container meanwhile is told
    AuditNewcomers,
    /// every table of descriptors of a process is looked at
    ThreadTables,
    /// who keeps a network namespace is also found by a socket
    SocketHolders,
    /// what is looked at for that cannot make nicdock wait
    HolderSearch,
    /// an RDMA device that is made anew is one that is there afterwards
    RemadeDevice,
    /// a device is known by its identity, whatever it is called by now
    RenamedDevices,
    /// the folder of the nodes is empty when its container has ended
    RemovedNodes,
    /// a container is attached with all its control groups, not with its first process's
    WholeContainer,
    /// names that others have given, to groups and devices, are checked before they are used
    Names,
    /// the host's own nodes of a NIC that a container has are root's alone
    HostNodes,
    /// what nicdock makes has modes of its own, whatever the caller's umask
    Modes,
}

/// Every closing by its name in `NICDOCK_LEAVE_OPEN`, a list with commas.
const NAMES: &[(&str, Closing)] = &[
    ("view", Closing::View),
    ("proc-covers", Closing::ProcCovers),
    ("proc-sys", Closing::ProcSys),
    ("cgroup-files", Closing::CgroupFiles),
    ("nodes", Closing::Nodes),
    ("device-cgroup", Closing::DeviceCgroup),
    ("root-nodev", Closing::RootNodev),
    ("seccomp-sockets", Closing::SeccompSockets),
    ("seccomp-io-uring", Closing::SeccompIoUring),
    ("seccomp-namespaces", Closing::SeccompNamespaces),
    ("seccomp-log", Closing::SeccompLog),
    ("seccomp-architectures", Closing::SeccompArchitectures),
    ("seccomp", Closing::Seccomp),
    ("socket-program", Closing::SocketProgram),
    ("rdma-cgroup", Closing::RdmaCgroup),
    ("capabilities", Closing::Capabilities),
    ("no-new-privileges", Closing::NoNewPrivileges),
    ("opened-once", Closing::OpenedOnce),
    ("foreign-links", Closing::ForeignLinks),
    ("bundle-links", Closing::BundleLinks),
    ("places", Closing::Places),
    ("device-numbers", Closing::DeviceNumbers),
    ("terminal-streams", Closing::TerminalStreams),
    ("never-waits", Closing::NeverWaits),
    ("callers-groups", Closing::CallersGroups),
    ("verify", Closing::Verify),
    ("starter", Closing::Starter),
    ("audit-stillness", Closing::AuditStillness),
    ("audit-freeze", Closing::AuditFreeze),
    ("audit-descriptors", Closing::AuditDescriptors),
    ("audit-memory", Closing::AuditMemory),
    ("audit-filters", Closing::AuditFilters),
    ("audit-order", Closing::AuditOrder),
    ("audit-newcomers", Closing::AuditNewcomers),
    ("thread-tables", Closing::ThreadTables),
    ("socket-holders", Closing::SocketHolders),
    ("holder-search", Closing::HolderSearch),
    ("remade-device", Closing::RemadeDevice),
    ("renamed-devices", Closing::RenamedDevices),
    ("removed-nodes", Closing::RemovedNodes),
    ("whole-container", Closing::WholeContainer),
    ("names", Closing::Names),
    ("host-nodes", Closing::HostNodes),
    ("modes", Closing::Modes),
];

impl Closing {
    /// Whether the environment names it; never in a release.
    pub fn is_left_open(self) -> bool {
        cfg!(feature = "leave-open") && listed().split(',').any(|name| NAMES.contains(&(name, self)))
    }
}

fn listed() -> String {
    std::env::var("NICDOCK_LEAVE_OPEN").unwrap_or_default()
}
