//! Who holds which NIC: one file a NIC under `/run/nicdock/leases`, one authority for every engine, no daemon.

mod process;

pub use process::ProcessId;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::plan::{Grant, Plan};

/// Where nicdock keeps its state: it survives nicdock and not a reboot, nor does an assignment.
pub const STATE: &str = "/run/nicdock";

/// One NIC given away, with the host's state before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Version of this format: 1.
    pub schema: u32,
    /// The container that it was given to and those that joined it, as far as they have not ended.
    pub holders: Vec<Holder>,
    pub grant: Grant,
    /// What was begun, in order; written before it is done, so that it can be undone.
    pub journal: Vec<String>,
}

/// A container that has the NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub container: String,
    /// The process whose end is the container's end.
    pub supervisor: ProcessId,
    /// The supervisor's descriptor of the container's network namespace; `None` until the program is about to start.
    pub namespace: Option<i32>,
}

/// The steps before which nothing of the NIC was touched, and with which its return begins.
pub const ENTER: &str = "enter";
const RETURN: &str = "return";

impl Lease {
    /// Whether a container that has the NIC has a supervisor that lives.
    pub fn is_live(&self) -> bool {
        self.holders.iter().any(|holder| holder.supervisor.is_alive())
    }

    /// The containers whose supervisors were killed.
    pub fn dead_holders(&self) -> Vec<String> {
        let dead = self.holders.iter().filter(|holder| !holder.supervisor.is_alive());
        dead.map(|holder| holder.container.clone()).collect()
    }

    /// Whether a step was begun.
    pub fn has_begun(&self, step: &str) -> bool {
        self.journal.iter().any(|begun| begun == step)
    }

    /// Whether there is nothing to recover.
    fn is_whole(&self) -> bool {
        !self.holders.is_empty() && self.dead_holders().is_empty()
    }

    /// The holder that another container can join: it runs, the NIC is inside, and stays there.
    fn joinable(&self, container: &str) -> Option<&Holder> {
        let runs = |holder: &&Holder| holder.namespace.is_some() && holder.supervisor.is_alive();
        self.holder(container).filter(runs).filter(|_| !self.has_begun(RETURN))
    }

    fn holder(&self, container: &str) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.container == container)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("{path}: {error}; nicdock keeps its leases there: it must be writable by root")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{path} is not a lease that this nicdock can read ({reason}); no NIC is given while it is there: look at it, then move it aside"
    )]
    Broken { path: PathBuf, reason: String },
    #[error("{nic} was taken by container {container} a moment ago: see nicdock ls")]
    Taken { nic: String, container: String },
    #[error("a container named {0} holds a NIC already: choose another --name")]
    Name(String),
    #[error("--join {0}: it has ended, or does not run yet: see nicdock ls")]
    NotJoinable(String),
}

/// The folder of leases.
pub struct Ledger {
    folder: PathBuf,
}

/// The right to change the ledger; others wait until it is dropped.
pub struct Lock(#[allow(dead_code, reason = "held, not read")] OwnedFd);

impl Ledger {
    /// The ledger below `state`; nothing is made before it is needed.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("leases") }
    }

    /// Serialises changes (flock(2)): released by the kernel if its holder is killed.
    pub fn lock(&self) -> Result<Lock, LeaseError> {
        fs::create_dir_all(&self.folder).map_err(|error| failed(&self.folder, error))?;
        let path = self.folder.join(".lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file =
            rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(&path, e.into()))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(&path, e.into()))?;
        Ok(Lock(file))
    }

    /// Every lease, in the order in which NICs are taken. Errors: one that cannot be read, since what it holds is not
    /// known.
    pub fn read(&self) -> Result<Vec<Lease>, LeaseError> {
        self.each()?.into_iter().collect()
    }

    /// The leases of container `name`. Others' that cannot be read are no reason to leave these as they are.
    fn of(&self, name: &str) -> Result<Vec<Lease>, LeaseError> {
        let leases = self.each()?.into_iter().filter_map(Result::ok);
        Ok(leases.filter(|lease| lease.holder(name).is_some()).collect())
    }

    fn each(&self) -> Result<Vec<Result<Lease, LeaseError>>, LeaseError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder, error)),
        };
        let mut leases = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(&self.folder, error))?.path();
            if path.extension().is_some_and(|e| e == "json") {
                match Self::read_one(path) {
                    // Freed since the folder was listed.
                    Err(LeaseError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
                    lease => leases.push(lease),
                }
            }
        }
        let place = |lease: &Result<Lease, _>| {
            lease.as_ref().ok().map(|lease: &Lease| (lease.grant.nic.pci, lease.grant.nic.name.clone()))
        };
        leases.sort_by_key(place);
        Ok(leases)
    }

    fn read_one(path: PathBuf) -> Result<Lease, LeaseError> {
        let bytes = fs::read(&path).map_err(|error| failed(&path, error))?;
        match serde_json::from_slice::<Lease>(&bytes) {
            Ok(lease) if lease.schema == 1 => Ok(lease),
            Ok(lease) => Err(LeaseError::Broken { path, reason: format!("schema {}", lease.schema) }),
            Err(error) => Err(LeaseError::Broken { path, reason: error.to_string() }),
        }
    }

    /// Writes a lease for each NIC of the plan, all or none.
    pub fn reserve(&self, lock: &Lock, plan: &Plan) -> Result<(), LeaseError> {
        let held = self.read()?;
        for grant in &plan.grants {
            if let Some(lease) = held.iter().find(|l| key(&l.grant) == key(grant)) {
                let container = lease.holders.first().map(|holder| holder.container.clone());
                let (nic, container) = (grant.nic.name.clone(), container.unwrap_or_default());
                return Err(LeaseError::Taken { nic, container });
            }
        }
        check_name(&held, &plan.name)?;
        let holder =
            Holder { container: plan.name.clone(), supervisor: ProcessId::current(), namespace: None };
        let make = |grant: &Grant| Lease {
            schema: 1,
            holders: vec![holder.clone()],
            grant: grant.clone(),
            journal: vec!["reserve".to_owned()],
        };
        let leases: Vec<Lease> = plan.grants.iter().map(make).collect();
        for (done, lease) in leases.iter().enumerate() {
            if let Err(error) = self.write(lease) {
                leases[..done].iter().for_each(|lease| drop(self.free(lock, lease)));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Adds a container to every lease of container `other`; gives that one's holder, whose network namespace it is.
    pub fn join(&self, _lock: &Lock, plan: &Plan, other: &str) -> Result<Holder, LeaseError> {
        let held = self.read()?;
        check_name(&held, &plan.name)?;
        let leases: Vec<&Lease> = held.iter().filter(|lease| lease.joinable(other).is_some()).collect();
        let absent = || LeaseError::NotJoinable(other.to_owned());
        let host = leases.first().and_then(|lease| lease.joinable(other)).cloned().ok_or_else(absent)?;
        for (done, lease) in leases.iter().enumerate() {
            let mut joined = (*lease).clone();
            let (container, supervisor) = (plan.name.clone(), ProcessId::current());
            joined.holders.push(Holder { container, supervisor, namespace: None });
            if let Err(error) = self.write(&joined) {
                leases[..done].iter().for_each(|lease| drop(self.write(lease)));
                return Err(error);
            }
        }
        Ok(host)
    }

    /// Notes in every lease of container `name` what is about to be done, and by which descriptor its supervisor has the
    /// network namespace.
    pub fn journal(&self, name: &str, step: &str, namespace: Option<i32>) -> Result<(), LeaseError> {
        let _lock = self.lock()?;
        for mut lease in self.of(name)? {
            lease.journal.push(step.to_owned());
            for holder in lease.holders.iter_mut().filter(|holder| holder.container == name) {
                holder.namespace = namespace;
            }
            self.write(&lease)?;
        }
        Ok(())
    }

    /// Takes a container out of its leases; gives those that it was the last holder of, to be given back and then freed.
    ///
    /// Such a lease keeps its last holder until then: should that be killed, the next command finds what is left to do.
    /// What cannot be written down is done all the same.
    pub fn leave(&self, _lock: &Lock, name: &str) -> Result<Vec<Lease>, LeaseError> {
        let mut last = Vec::new();
        for mut lease in self.of(name)? {
            let others = lease.holders.iter().any(|h| h.container != name && h.supervisor.is_alive());
            if others {
                lease.holders.retain(|holder| holder.container != name);
            } else {
                lease.journal.push(RETURN.to_owned());
                last.push(lease.clone());
            }
            let _ = self.write(&lease);
        }
        Ok(last)
    }

    fn write(&self, lease: &Lease) -> Result<(), LeaseError> {
        let path = self.path(lease);
        let temporary = path.with_extension("tmp");
        let text = serde_json::to_vec(lease).map_err(|e| failed(&path, e.into()))?;
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &path)).map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed(&path, error)
        })
    }

    /// The leases with holders whose supervisors were killed.
    pub fn broken(&self) -> Result<Vec<Lease>, LeaseError> {
        Ok(self.read()?.into_iter().filter(|lease| !lease.is_whole()).collect())
    }

    /// Makes what killed supervisors left behind this process's to end; `None` if another has done so since `seen` was
    /// read.
    ///
    /// Gives the lease as it was found. If every supervisor is dead, this process takes their place until it frees the
    /// lease.
    pub fn claim(&self, _lock: &Lock, seen: &Lease) -> Result<Option<Lease>, LeaseError> {
        let found = match Self::read_one(self.path(seen)) {
            Err(LeaseError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        if found.is_whole() {
            return Ok(None);
        }
        let mut claimed = found.clone();
        if found.is_live() {
            claimed.holders.retain(|holder| holder.supervisor.is_alive());
        } else {
            claimed.journal.push(RETURN.to_owned());
            for holder in &mut claimed.holders {
                holder.supervisor = ProcessId::current();
            }
        }
        self.write(&claimed)?;
        Ok(Some(found))
    }

    /// The NIC can be given again.
    pub fn free(&self, _lock: &Lock, lease: &Lease) -> Result<(), LeaseError> {
        let path = self.path(lease);
        fs::remove_file(&path).map_err(|error| failed(&path, error))
    }

    fn path(&self, lease: &Lease) -> PathBuf {
        self.folder.join(format!("{}.json", key(&lease.grant)))
    }
}

fn failed(path: &Path, error: io::Error) -> LeaseError {
    LeaseError::Io { path: path.to_owned(), error }
}

/// What a NIC is remembered by: its place on the bus, else its name.
fn key(grant: &Grant) -> String {
    grant.nic.pci.map_or_else(|| grant.nic.name.clone(), |address| address.to_string())
}

/// A name is a container's alone.
fn check_name(held: &[Lease], name: &str) -> Result<(), LeaseError> {
    if held.iter().any(|lease| lease.holder(name).is_some()) {
        return Err(LeaseError::Name(name.to_owned()));
    }
    Ok(())
}

/// Containers by the name of the NIC they hold.
pub fn holders(leases: &[Lease]) -> BTreeMap<String, String> {
    let names = |lease: &Lease| {
        lease.holders.iter().map(|holder| holder.container.clone()).collect::<Vec<_>>().join(" and ")
    };
    leases.iter().map(|lease| (lease.grant.nic.name.clone(), names(lease))).collect()
}

/// What each container that can be joined was given, in the order in which it was taken.
pub fn joinable(leases: &[Lease]) -> BTreeMap<String, Vec<Grant>> {
    let mut grants = BTreeMap::<String, Vec<Grant>>::new();
    for lease in leases {
        for Holder { container, .. } in
            lease.holders.iter().filter(|h| lease.joinable(&h.container).is_some())
        {
            grants.entry(container.clone()).or_default().push(lease.grant.clone());
        }
    }
    grants
}
