//! The plan: a pure function of the host, what is leased, and the request. Every engine applies the same one.

pub mod capabilities;
mod explain;
mod exposure;
mod grant;
mod ipoib;
mod movable;
mod related;
mod select;
mod usnic;

pub use capabilities::CapabilityError;
pub use explain::PhaseSteps;
use exposure::of_gids;
pub use exposure::{GIDS, of_grants, of_netlink, of_nodes, of_view};
pub use grant::{Grant, NetdevGrant, RdmaGrant, SoftRdma};
pub use ipoib::come_anew;
pub use related::RelatedError;
pub use select::{SelectError, check_chosen, representor};

use std::collections::BTreeMap;

use nicdock_audit::weakness::Weakness;
use nicdock_host::model::{Host, Nic};
use nicdock_netlink::name;
use serde::{Deserialize, Serialize};

use crate::keeper::Keeper;
use crate::kind::Kind;
use crate::request::Profile;
use crate::request::{
    Limits, Memlock, NetdevMode, NicRequest, RdmaLimits, Request, Root, Sockets, User, Volume,
};

/// What is to be done, complete enough to be applied by another process later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this format: 1.
    pub schema: u32,
    /// The container's name and the id of its leases.
    pub name: String,
    /// The running container whose network namespace and NICs this one shares; `None` takes the NICs from the host.
    pub join: Option<String>,
    pub container: Container,
    /// What is taken from the host, in the order in which it is taken.
    pub grants: Vec<Grant>,
    pub phases: Vec<PhaseSteps>,
    pub warnings: Vec<String>,
    /// What it leaves open because the request says so.
    #[serde(default)]
    pub weaknesses: Vec<Weakness>,
}

/// The container as its program will see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Container {
    pub nics: Vec<ContainerNic>,
    pub root: Root,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub user: User,
    pub terminal: bool,
    pub memlock: Memlock,
    /// For each of its RDMA devices.
    pub rdma_limits: RdmaLimits,
    #[serde(default)]
    pub limits: Limits,
    pub capabilities: Vec<String>,
    /// Whether they count in a user namespace of the container's own only.
    pub userns: bool,
    pub view: Profile,
    pub registers: bool,
    #[serde(flatten)]
    pub sockets: Sockets,
    /// A BPF program on the cgroup decides that too, below seccomp.
    pub socket_program: bool,
    pub volumes: Vec<Volume>,
    /// Netlink families and system calls that seccomp refuses beyond the default profile.
    pub refused: Vec<String>,
}

/// One NIC as it will be inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerNic {
    /// The first netdev's name; `None` with `--netdev keep`.
    pub netdev: Option<String>,
    /// The first RDMA device's name.
    pub rdma_device: Option<String>,
    /// Paths of the character devices. One that is made anew in the container may get another number.
    pub nodes: Vec<String>,
    /// `ADDRESS/LENGTH` of every netdev, link-local ones left out.
    pub addresses: Vec<String>,
    /// The first netdev's.
    pub mtu: Option<u32>,
    /// The first netdev's.
    pub mac: Option<String>,
    pub pci: Option<String>,
    /// The auxiliary device of a sub-function.
    #[serde(default)]
    pub auxiliary: Option<String>,
    /// Every netdev, by port.
    #[serde(default)]
    pub netdevs: Vec<ContainerNetdev>,
    /// Every RDMA device, by name.
    #[serde(default)]
    pub rdma_devices: Vec<String>,
}

/// One netdev as it will be inside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerNetdev {
    pub name: String,
    /// `ADDRESS/LENGTH`, link-local ones left out.
    pub addresses: Vec<String>,
    pub mtu: u32,
    pub mac: Option<String>,
}

/// What the plan must know beyond the host itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Containers that hold NICs, by the NIC's name.
    pub held: BTreeMap<String, Keeper>,
    /// Running containers and what they were given.
    pub running: BTreeMap<String, Vec<Grant>>,
    /// Whether the kernel lets a BPF program decide which sockets the container makes.
    pub socket_hook: bool,
    /// Whether this kernel can make a working soft-RoCE device inside a network namespace; `None`: not tried.
    pub soft_roce_in_netns: Option<bool>,
    /// Name for a container whose user gave none.
    pub fresh_name: String,
}

/// Why there is no plan. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    #[error(
        "container name '{0}' is invalid: 1 to 64 letters, digits, '_', '-' or '.', not beginning with '.' or '-'"
    )]
    Name(String),
    #[error(
        "interface name '{0}' is invalid: 1 to 15 characters without '/', ':' or blanks (dev_valid_name in the kernel)"
    )]
    NetdevName(String),
    #[error(
        "{option} speaks of one netdev, and the selected NICs have {count}: run one container a NIC, or leave it out"
    )]
    OneNetdev { option: &'static str, count: usize },
    #[error("{nic}: its netdev {netdev} cannot be moved: {reason}; use --netdev keep")]
    CannotMove { nic: String, netdev: String, reason: String },
    #[error(transparent)]
    Unmovable(#[from] Box<movable::Unmovable>),
    #[error("{nic}: --netdev keep gives only an RDMA device, and this NIC has none: leave --netdev out")]
    NothingToKeep { nic: String },
    #[error(
        "{nic} is a usNIC: its programs need the interface and its IPv4 address in their own namespace, so --netdev keep is refused"
    )]
    UsnicKeep { nic: String },
    #[error(
        "{nic} is a usNIC and would have no IPv4 address: its driver makes no queue pair without one; give it with --ip ADDR/LEN"
    )]
    UsnicAddress { nic: String },
    #[error("--join {name}: no such container is running{}", list(.running))]
    Join { name: String, running: Vec<String> },
    #[error(
        "--hca-handles and --hca-objects limit RDMA devices, and the selected NICs have none: leave them out"
    )]
    NothingToLimit,
    #[error(
        "{nic}: the RDMA network namespace mode is exclusive and {driver} cannot be moved; set `rdma system set netns shared` with no other namespace alive"
    )]
    Exclusive { nic: String, driver: String },
    #[error(
        "{nic}: where RDMA network namespaces are exclusive the kernel destroys {netdev} and its children when {nic} is moved, so --netdev keep would lose what the host has set on it: leave it out, and {netdev} goes along and comes back as it was"
    )]
    IpoibKeep { nic: String, netdev: String },
    #[error(
        "{nic}: {child} is an IPoIB child of {netdev}, and would be lost or left behind: delete it first (ip link delete {child}){}", if *.keep { "" } else { ", or use --netdev keep in the shared mode" }
    )]
    IpoibChild { nic: String, netdev: String, child: String, keep: bool },
    #[error("{nic}: --rdma-cm {}", if *.loaded { "needs an RDMA device that knows it (no usNIC) with its netdev inside: it resolves addresses in the container's own network namespace (cma.c)" } else { "needs the module rdma_ucm: modprobe rdma_ucm" })]
    RdmaCm { nic: String, loaded: bool },
    #[error(transparent)]
    Related(#[from] Box<RelatedError>),
    #[error("no command: add it after --, like nicdock run … -- ibv_devices")]
    NoCommand,
    #[error(
        "no root for the program: add --host-root, --rootfs DIR or --bundle DIR; or ask without a program for the NICs' part of the plan"
    )]
    NoRoot,
}

impl PlanError {
    /// The NIC that could not be had, and the container that has it.
    pub fn about(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Select(error) => {
                error.obstacle().map_or((None, None), |(candidate, why)| (Some(&candidate.nic), why.holder()))
            }
            Self::Related(error) => error.about(),
            _ => (None, None),
        }
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Select(error) => error.kind(),
            Self::Capability(error) => error.kind(),
            Self::Related(_) => Kind::Held,
            Self::Join { .. } => Kind::NoMatch,
            Self::IpoibKeep { .. }
            | Self::IpoibChild { .. }
            | Self::CannotMove { .. }
            | Self::Unmovable(_)
            | Self::UsnicKeep { .. }
            | Self::Exclusive { .. }
            | Self::RdmaCm { .. } => Kind::Unsupported,
            Self::Name(_)
            | Self::NetdevName(_)
            | Self::OneNetdev { .. }
            | Self::NothingToKeep { .. }
            | Self::UsnicAddress { .. }
            | Self::NothingToLimit
            | Self::NoCommand
            | Self::NoRoot => Kind::BadInput,
        }
    }
}

/// Decides what to do. Errors leave everything as it is.
pub fn plan(host: &Host, facts: &Facts, request: &Request) -> Result<Plan, PlanError> {
    let name = request.name.clone().unwrap_or_else(|| facts.fresh_name.clone());
    check_name(&name)?;
    match (&request.root, request.command.is_empty()) {
        (Root::Unnamed, false) => return Err(PlanError::NoRoot),
        (Root::Host | Root::Directory(_), true) => return Err(PlanError::NoCommand),
        _ => {}
    }
    let (mut warnings, mut weaknesses) = (host.warnings.clone(), Vec::new());
    let capabilities =
        capabilities::choose(&request.extra_capabilities, request.weaken, request.userns, &mut weaknesses)?;
    weaknesses.extend(exposure::weaknesses(request));
    let grants = match &request.join {
        Some(other) => shared(facts, other)?,
        None => taken(host, facts, &request.nics, &mut warnings)?,
    };
    weaknesses.extend(grants.iter().filter_map(of_gids));
    if !request.rdma_limits.is_none() && grants.iter().all(|grant| grant.rdma.is_empty()) {
        return Err(PlanError::NothingToLimit);
    }
    warnings.extend(usnic::warnings(&host.kernel, &grants, request));
    let container = Container {
        nics: grants.iter().map(Grant::inside).collect(),
        root: request.root.clone(),
        command: request.command.clone(),
        env: request.env.clone(),
        workdir: request.workdir.clone(),
        user: request.user,
        terminal: request.terminal,
        memlock: request.memlock,
        rdma_limits: request.rdma_limits,
        limits: request.limits,
        capabilities,
        userns: request.userns,
        view: request.view,
        registers: request.registers,
        sockets: Sockets::with(&request.families, &request.netlink),
        socket_program: facts.socket_hook,
        volumes: request.volumes.clone(),
        refused: vec![
            "socket(AF_NETLINK, …, NETLINK_RDMA)".into(),
            "socket(AF_NETLINK, …, NETLINK_KOBJECT_UEVENT)".into(),
            "setsockopt(…, IPPROTO_TCP, TCP_ULP)".into(),
            "io_uring_setup".into(),
            "new namespaces and mounts (without CAP_SYS_ADMIN), the kernel's log (without CAP_SYSLOG)".into(),
        ],
    };
    let join = request.join.clone();
    let phases = explain::explain(&container, &grants, join.as_deref());
    Ok(Plan { schema: 1, name, join, container, grants, phases, warnings, weaknesses })
}

/// What is taken from the host.
pub fn taken(
    host: &Host,
    facts: &Facts,
    request: &NicRequest,
    warnings: &mut Vec<String>,
) -> Result<Vec<Grant>, PlanError> {
    check_wish(request)?;
    let nics = select::select(host, facts, request)?;
    granted(host, facts, request, nics, warnings)
}

/// The same of NICs that were chosen, and can be taken ([`check_chosen`]).
pub fn granted(
    host: &Host,
    facts: &Facts,
    request: &NicRequest,
    nics: Vec<Nic>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Grant>, PlanError> {
    if request.take_in_use {
        let notes = nics.iter().flat_map(|nic| {
            nic.in_use.iter().map(move |sign| format!("{} is taken although {sign}", nic.name))
        });
        warnings.extend(notes);
    }
    related::check(host, facts, &nics).map_err(Box::new)?;
    for nic in &nics {
        movable::check(host, &nics, nic, request.netdev).map_err(Box::new)?;
    }
    warnings.extend(nics.iter().filter_map(subfunction_note));
    warnings.extend(nics.iter().filter_map(|nic| switch_note(host, nic)));
    let grants =
        nics.into_iter().map(|nic| grant::grant(host, facts, request, nic)).collect::<Result<Vec<_>, _>>()?;
    one_netdev(request, grants.iter().map(|grant| grant.netdevs.len()).sum())?;
    Ok(grants)
}

/// What a sub-function's container sees of the card.
fn subfunction_note(nic: &nicdock_host::model::Nic) -> Option<String> {
    let (function, auxiliary) = (nic.pci?, nic.auxiliary.as_ref()?);
    Some(format!(
        "{} is the sub-function {auxiliary}: its container sees the address of the function {function}, as those of the card's other sub-functions do",
        nic.name
    ))
}

/// What the RDMA device of a function in switchdev mode reaches.
fn switch_note(host: &Host, nic: &nicdock_host::model::Nic) -> Option<String> {
    let ports =
        nic.rdma_devices.iter().flat_map(|device| device.ports.iter().map(move |port| (device, port)));
    let is_foreign = |netdev: &String| host.representors.iter().any(|one| one.netdev == *netdev);
    let mut foreign = ports.filter(|(_, port)| port.netdev.as_ref().is_some_and(is_foreign));
    let (device, first) = foreign.next()?;
    let last = foreign.next_back().map_or(first.number, |(_, port)| port.number);
    Some(format!(
        "{}: ports {} to {last} of {} are those of representors: who has the device reaches what they stand for",
        nic.name, first.number, device.name
    ))
}

/// What another container was given and shares.
fn shared(facts: &Facts, other: &str) -> Result<Vec<Grant>, PlanError> {
    let found = facts.running.get(other).cloned();
    found.ok_or_else(|| PlanError::Join {
        name: other.to_owned(),
        running: facts.running.keys().cloned().collect(),
    })
}

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
}

/// A name becomes a file, a cgroup and a container id.
pub fn check_name(name: &str) -> Result<(), PlanError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let valid = (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['.', '-']);
    if valid { Ok(()) } else { Err(PlanError::Name(name.to_owned())) }
}

fn check_netdev_name(name: &str) -> Result<(), PlanError> {
    let bytes = name::bytes(name);
    // 0xa0 is a blank for the kernel (lib/ctype.c).
    let is_bad = |byte: &u8| matches!(byte, b'/' | b':' | b'%' | ..=b' ' | 0x7f | 0xa0);
    let taken: [&[u8]; 3] = [b".", b"..", b"lo"];
    let valid = (1..=15).contains(&bytes.len()) && !taken.contains(&&bytes[..]) && !bytes.iter().any(is_bad);
    if valid { Ok(()) } else { Err(PlanError::NetdevName(name.to_owned())) }
}

/// What can be said of a wish on any host.
pub fn check_wish(request: &NicRequest) -> Result<(), PlanError> {
    if let Some(netdev) = &request.netdev_name {
        check_netdev_name(netdev)?;
    }
    let moved = |count: usize| if request.netdev == NetdevMode::Move { count } else { 0 };
    one_netdev(request, moved(request.selectors.iter().map(|selector| selector.count).sum()))
}

fn one_netdev(request: &NicRequest, count: usize) -> Result<(), PlanError> {
    let option = match (request.addresses.is_empty(), &request.netdev_name) {
        (false, _) => "--ip",
        (true, Some(_)) => "--as",
        (true, None) => return Ok(()),
    };
    if count == 1 { Ok(()) } else { Err(PlanError::OneNetdev { option, count }) }
}
