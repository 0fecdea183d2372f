//! The container that is given a NIC: which it is, and that it is one.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use nicdock_audit::weakness::Weakness;
use nicdock_sys::processes;

use super::job::Job;
use super::whole::whole;
use crate::kind::Kind;
use crate::lease::{Holder, Lease, ProcessId};
use crate::phases::cgroup::{self, Cgroup};
use nicdock_sys::netns;

/// A container that runs.
pub struct Target {
    pub name: String,
    /// The first process of its process namespace; the one that was named if it has none of its own.
    pub process: ProcessId,
    pub network: OwnedFd,
    /// The inode number of its mount namespace.
    pub mounts: u64,
    /// The first process's.
    pub cgroup: Cgroup,
    /// Those that hold all of its processes.
    pub whole: Cgroup,
    /// Who answers for it in the ledger, if nicdock's launcher made it.
    pub own: Option<Holder>,
    /// It is no container, but processes of a scheduler's job.
    pub job: Option<Job>,
}

#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("process {0} is the host's first one, no container's")]
    First(u32),
    #[error("process {pid}: {error}; name one that runs in the container (ps, podman top, crictl inspect)")]
    Process { pid: u32, error: io::Error },
    #[error(
        "process {pid} is in the host's {kind} namespace: a NIC is given to a container that has its own"
    )]
    Host { pid: u32, kind: &'static str },
    #[error(
        "--container {0}: no container of nicdock's, and none that has a NIC of it, has this name: see nicdock leases, or name a process with --pid"
    )]
    Unknown(String),
    #[error(
        "container {name} shares its network namespace with {others}: a NIC can be attached to one that shares with none"
    )]
    Shared { name: String, others: String },
    #[error(
        "process {pid} shares a process namespace with process {first}, its first one, but no network namespace: name a container that has its own of both"
    )]
    Apart { pid: u32, first: u32 },
    #[error("container {0} does not run yet, or ends: see nicdock leases")]
    NotRunning(String),
    #[error("process {pid} of the job: {why}")]
    Job { pid: u32, why: String },
    #[error(transparent)]
    Phase(#[from] crate::phases::PhaseError),
}

impl TargetError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::First(_) | Self::Host { .. } | Self::Job { .. } => Kind::BadInput,
            Self::Process { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Kind::NoRight,
            Self::Process { .. } | Self::Unknown(_) | Self::NotRunning(_) => Kind::NoMatch,
            Self::Shared { .. } | Self::Apart { .. } => Kind::Unsupported,
            Self::Phase(error) => error.kind,
        }
    }
}

impl Target {
    /// The container that process `pid` is in. `name` is for one that nicdock has not made.
    pub fn of_process(pid: u32, name: Option<&str>, leases: &[Lease]) -> Result<Self, TargetError> {
        let failed = |error: io::Error| TargetError::Process { pid, error };
        if pid == 1 {
            return Err(TargetError::First(pid));
        }
        for (kind, file) in [("network", "net"), ("mount", "mnt")] {
            let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/{file}"));
            if namespace(&pid.to_string()).map_err(failed)? == namespace("self").map_err(failed)? {
                return Err(TargetError::Host { pid, kind });
            }
        }
        let first = first_process(pid).map_err(failed)?;
        // It stands for the container: a pod's processes may share a process namespace and no other.
        for file in ["net", "mnt"] {
            let namespace = |of: u32| fs::read_link(format!("/proc/{of}/ns/{file}"));
            let own = namespace(first).map_err(failed)?;
            let is_hosts = own == fs::read_link(format!("/proc/self/ns/{file}")).map_err(failed)?;
            if is_hosts || (file == "net" && own != namespace(pid).map_err(failed)?) {
                return Err(TargetError::Apart { pid, first });
            }
        }
        let ended = || failed(io::Error::new(io::ErrorKind::NotFound, "it has ended"));
        let process = ProcessId::of(first).ok_or_else(ended)?;
        let own = match cgroup::container_of(first) {
            Some(own) => Some(launched(&own, leases)?),
            None => None,
        };
        let known =
            leases.iter().flat_map(|lease| &lease.holders).find(|holder| holder.supervisor == process);
        let name = match (&own, known, name) {
            (Some(own), ..) => own.container.clone(),
            (None, Some(known), _) => known.container.clone(),
            (None, None, Some(name)) => name.to_owned(),
            (None, None, None) => format!("pid-{first}"),
        };
        let mounts = fs::metadata(format!("/proc/{first}/ns/mnt")).map_err(failed)?;
        let this = Self {
            name,
            process,
            network: netns::of_process(first).map_err(failed)?,
            mounts: std::os::unix::fs::MetadataExt::ino(&mounts),
            cgroup: Cgroup::of_process(first)?,
            whole: whole(first)?,
            own,
            job: None,
        };
        // All of that was read of one process, unless it ended meanwhile.
        if process.is_alive() { Ok(this) } else { Err(ended()) }
    }

    /// A container that the ledger knows by name.
    pub fn of_name(name: &str, leases: &[Lease]) -> Result<Self, TargetError> {
        let holder = leases.iter().find_map(|lease| lease.holder(name));
        let holder = holder.ok_or_else(|| TargetError::Unknown(name.to_owned()))?;
        let pid = if holder.is_launched() { cgroup::process_of(name) } else { Some(holder.supervisor.pid) };
        Self::of_process(pid.ok_or_else(|| TargetError::NotRunning(name.to_owned()))?, None, leases)
    }

    /// Who answers for a NIC that it has.
    pub fn holder(&self, made: &Holder) -> Holder {
        let group = self.job.as_ref().map(|job| job.group.clone());
        let foreign = || Holder { supervisor: self.process, group, ..made.clone() };
        let mut holder = self.own.clone().unwrap_or_else(foreign);
        let is_new = |one: &&Weakness| !holder.weaknesses.contains(one);
        let more: Vec<Weakness> = made.weaknesses.iter().filter(is_new).cloned().collect();
        holder.weaknesses.extend(more);
        holder
    }
}

/// The holder of a container of nicdock's launcher that nobody shares.
fn launched(name: &str, leases: &[Lease]) -> Result<Holder, TargetError> {
    let lease = leases.iter().find(|lease| lease.holder(name).is_some_and(Holder::is_launched));
    let lease = lease.ok_or_else(|| TargetError::NotRunning(name.to_owned()))?;
    let others: Vec<&str> =
        lease.holders.iter().map(|h| &*h.container).filter(|other| *other != name).collect();
    if !others.is_empty() {
        return Err(TargetError::Shared { name: name.to_owned(), others: others.join(" and ") });
    }
    let holder = lease.holder(name).filter(|holder| holder.namespace.is_some() && holder.is_alive());
    holder.cloned().ok_or_else(|| TargetError::NotRunning(name.to_owned()))
}

/// The first process of the process namespace that `pid` is in (`NSpid` of proc_pid_status(5)); `pid` in that of the host.
fn first_process(pid: u32) -> io::Result<u32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let wanted = namespace(&pid.to_string())?;
    if wanted == namespace("self")? {
        return Ok(pid);
    }
    let is_first = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        line.split_whitespace().last() == Some("1") && namespace(pid).is_ok_and(|found| found == wanted)
    };
    let first = processes::all()?.find(|pid| is_first(&pid.to_string()));
    first.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "the first process of its namespace has ended")
    })
}
