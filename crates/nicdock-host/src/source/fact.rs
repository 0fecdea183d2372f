//! Names the facts that a check of the machine needs and no single file tells, each as lines of text.
//!
//! It holds only what is needed, so that a capture can have it too: not a whole configuration, but which NIC it names.

/// One such fact. [`Fact`]'s variants say what a line of it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// `1`: whoever recorded knew of these facts, so that what is not there was not on the machine either.
    Version,
    /// The words of `/proc/cmdline` that are about IOMMU, PCI, control groups and security modules.
    KernelArguments,
    /// `MODE UID GID MAJOR:MINOR NAME` of each character device in `/dev/infiniband`; of a process's root, where one is named.
    Nodes(Option<u32>),
    /// `TOTAL FREE` in bytes of `/dev/shm`; of a process's root, where one is named.
    SharedMemory(Option<u32>),
    /// The processors on which the caller, or this process, may run: `0-15,32-47`.
    Cpus(Option<u32>),
    /// `NETDEV SUPPORTED`: the fastest link, in Mbit/s, that the netdev's port can have.
    LinkModes,
    /// `NETDEV MASK`: the priorities with priority flow control, hexadecimal; `NETDEV -` where the driver has no such thing.
    FlowControl,
    /// `NAME MEMLOCK` of each daemon that starts containers or manages the network, with its `RLIMIT_MEMLOCK`.
    Daemons,
    /// `NAME VERSION…` of each engine or runtime that is installed; `cdi FOLDER COUNT` of each folder of CDI specifications.
    Engines,
    /// `MANAGER NETDEV STATE` of each netdev that a manager of networks knows.
    Managers,
    /// `TABLE CHAIN NETDEV` of each rule of nftables that compares an interface's name; `iptables NAME` of each older table.
    Firewall,
    /// How many network namespaces processes are in, and `all` or `some`: whether every process could be looked at.
    Namespaces,
    /// `default LIMIT FILE` and `UNIT LIMIT FILE`: what systemd was told of `RLIMIT_MEMLOCK`; absent without systemd.
    ServiceLimits,
    /// The active security modules, with commas.
    SecurityModules,
}

impl Fact {
    /// The file in a capture that holds it.
    pub fn file(self) -> String {
        let (name, process) = match self {
            Self::Version => ("version", None),
            Self::KernelArguments => ("kernel-arguments", None),
            Self::Nodes(process) => ("nodes", process),
            Self::SharedMemory(process) => ("shared-memory", process),
            Self::Cpus(process) => ("cpus", process),
            Self::LinkModes => ("link-modes", None),
            Self::FlowControl => ("flow-control", None),
            Self::Daemons => ("daemons", None),
            Self::Engines => ("engines", None),
            Self::Managers => ("managers", None),
            Self::Firewall => ("firewall", None),
            Self::Namespaces => ("namespaces", None),
            Self::ServiceLimits => ("service-limits", None),
            Self::SecurityModules => ("security-modules", None),
        };
        process.map_or_else(|| format!("facts/{name}"), |pid| format!("facts/{name}-{pid}"))
    }

    /// Where it is found on a live machine, for people.
    pub fn place(self) -> String {
        let of = |path: &str, process: Option<u32>| {
            process.map_or_else(|| path.to_owned(), |pid| format!("/proc/{pid}/root{path}"))
        };
        match self {
            Self::Version => "the record".to_owned(),
            Self::KernelArguments => "/proc/cmdline".to_owned(),
            Self::Nodes(process) => of("/dev/infiniband", process),
            Self::SharedMemory(process) => of("/dev/shm", process),
            Self::Cpus(process) => process.map_or_else(
                || "the caller's processors".to_owned(),
                |pid| format!("the processors of process {pid}"),
            ),
            Self::LinkModes => "ethtool's link modes".to_owned(),
            Self::FlowControl => "DCB's priority flow control".to_owned(),
            Self::Daemons => "the running daemons".to_owned(),
            Self::Engines => "the installed engines".to_owned(),
            Self::Managers => "the managers of networks".to_owned(),
            Self::Firewall => "the firewall's rules".to_owned(),
            Self::Namespaces => "the network namespaces of all processes".to_owned(),
            Self::ServiceLimits => "systemd's configuration".to_owned(),
            Self::SecurityModules => "/sys/kernel/security/lsm".to_owned(),
        }
    }
}
