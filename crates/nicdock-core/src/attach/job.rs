//! A scheduler's job: processes of the host that are in no container, and wait for nicdock before they execute the job's program.
//!
//! They share the host's network and process namespaces, and have a mount namespace and control groups of their own, which their scheduler has made.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nicdock_audit::weakness::Weakness;
use nicdock_sys::pidns::lineage;
use nicdock_sys::{membership, netns, processes as running};

use super::{Target, TargetError};
use crate::lease::{Lease, ProcessId};
use crate::phases::cgroup::Cgroup;

/// What of a target is a job's.
pub struct Job {
    /// All of its processes here.
    pub processes: Vec<ProcessId>,
    /// Their control groups, each once.
    pub groups: Vec<Cgroup>,
    /// The group that holds all of them and nobody else's: with the last process in it the job ends.
    pub group: PathBuf,
}

impl Target {
    /// The job, or a step of it, that these processes are. Errors: one is in a network namespace of its own, or in the host's mounts; they are in several mount
    /// namespaces; or what holds them holds others, too.
    pub fn of_job(processes: &[ProcessId], name: &str, leases: &[Lease]) -> Result<Self, TargetError> {
        let Some(first) = processes.first().copied() else {
            return Err(TargetError::Job { pid: 0, why: "none is named".to_owned() });
        };
        let mut groups: Vec<Cgroup> = Vec::new();
        let mounts = inode(first.pid, "mnt")?;
        for process in processes {
            check(*process, mounts)?;
            let group = Cgroup::of_process(process.pid)?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        let whole = Cgroup::holding(&groups);
        let group = whole.freezer().or_else(|| whole.unified()).map(PathBuf::from);
        let wrong = |why: String| TargetError::Job { pid: first.pid, why };
        let group = group.ok_or_else(|| {
            wrong("it is in no control group of its own, by which the end of the job could be told (Slurm: ProctrackType=proctrack/cgroup)".to_owned())
        })?;
        let is_named = |pid: &u32| processes.iter().any(|process| process.pid == *pid);
        let found = membership::processes_below(&group)
            .map_err(|error| wrong(format!("listing {}: {error}", group.display())))?;
        let all = running::all().map_err(|error| wrong(format!("listing processes: {error}")))?;
        // One that ends meanwhile is in none.
        let sees = |pid: &u32| inode(*pid, "mnt").is_ok_and(|inode| inode == mounts);
        if let Some(other) = found.into_iter().chain(all.filter(sees)).find(|pid| !is_named(pid)) {
            return Err(wrong(format!(
                "process {other}, which was not named, is in its mount namespace or in its control group {}, too: name all that wait, before one runs",
                group.display()
            )));
        }
        let known = leases.iter().flat_map(|lease| &lease.holders).find(|holder| holder.supervisor == first);
        let name = known.map_or_else(|| name.to_owned(), |known| known.container.clone());
        let this = Self {
            name,
            process: first,
            network: netns::of_process(first.pid)
                .map_err(|error| TargetError::Process { pid: first.pid, error })?,
            mounts,
            cgroup: Cgroup::of_process(first.pid)?,
            whole,
            own: None,
            job: Some(Job { processes: processes.to_vec(), groups, group }),
        };
        // All of that was read of these processes, unless one ended meanwhile.
        match processes.iter().find(|process| !process.is_alive()) {
            Some(process) => Err(ended(*process)),
            None => Ok(this),
        }
    }
}

fn ended(process: ProcessId) -> TargetError {
    let why = format!("it has ended, or is not the one that started at tick {}", process.start);
    TargetError::Process { pid: process.pid, error: io::Error::new(io::ErrorKind::NotFound, why) }
}

fn check(process: ProcessId, mounts: u64) -> Result<(), TargetError> {
    let pid = process.pid;
    let wrong = |why: &str| Err(TargetError::Job { pid, why: why.to_owned() });
    if !process.is_alive() {
        return Err(ended(process));
    }
    if pid == 1 {
        return Err(TargetError::First(pid));
    }
    let own = std::process::id();
    if inode(pid, "net")? != inode(own, "net")? {
        return wrong(
            "it is in a network namespace of its own: give that by its process ('net'), and not 'host'",
        );
    }
    if lineage(pid).map_err(|error| TargetError::Process { pid, error })?.len() != 1 {
        return wrong("it is in a process namespace of its own, as a container is");
    }
    let own = inode(own, "mnt")?;
    if mounts == own || inode(pid, "mnt")? != mounts {
        return wrong(
            "it has to be in one mount namespace with the others, and not in the host's: what it is shown is mounted there (unshare --mount)",
        );
    }
    Ok(())
}

fn inode(pid: u32, namespace: &str) -> Result<u64, TargetError> {
    let found = fs::metadata(format!("/proc/{pid}/ns/{namespace}"));
    found.map(|found| found.ino()).map_err(|error| TargetError::Process { pid, error })
}

/// What a job shares with the host, whatever is closed in its processes.
pub fn weaknesses() -> Vec<Weakness> {
    vec![
        Weakness::new(
            "namespace.net",
            "it is in the host's network namespace: its processes see every interface of the host with its addresses, and send by each; of RDMA devices only its own",
        ),
        Weakness::new(
            "namespace.pid",
            "it is in the host's process namespace: its processes see the host's and, by /proc/PID/root, may reach the files of its own user's",
        ),
    ]
}
