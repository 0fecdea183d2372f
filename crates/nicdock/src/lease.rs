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

/// One NIC given to one container, with the host's state before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Version of this format: 1.
    pub schema: u32,
    pub container: String,
    /// The process whose end is the container's end.
    pub supervisor: ProcessId,
    pub grant: Grant,
    /// What was begun, in order; written before it is done, so that it can be undone.
    pub journal: Vec<String>,
}

impl Lease {
    /// Whether the container's supervisor still lives.
    pub fn is_live(&self) -> bool {
        self.supervisor.is_alive()
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

    /// Every lease. Errors: one that cannot be read, since what it holds is not known.
    pub fn read(&self) -> Result<Vec<Lease>, LeaseError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.folder, error)),
        };
        let mut leases = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| failed(&self.folder, error))?.path();
            if path.extension().is_some_and(|e| e == "json") {
                leases.push(Self::read_one(path)?);
            }
        }
        leases.sort_by(|a, b| a.grant.nic.name.cmp(&b.grant.nic.name));
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
    pub fn reserve(&self, _lock: &Lock, plan: &Plan) -> Result<Vec<Lease>, LeaseError> {
        let held = self.read()?;
        for grant in &plan.grants {
            if let Some(lease) = held.iter().find(|l| key(&l.grant) == key(grant)) {
                let (nic, container) = (grant.nic.name.clone(), lease.container.clone());
                return Err(LeaseError::Taken { nic, container });
            }
        }
        if held.iter().any(|lease| lease.container == plan.name) {
            return Err(LeaseError::Name(plan.name.clone()));
        }
        let supervisor = ProcessId::current();
        let make = |grant: &Grant| Lease {
            schema: 1,
            container: plan.name.clone(),
            supervisor,
            grant: grant.clone(),
            journal: vec!["reserve".to_owned()],
        };
        let leases: Vec<Lease> = plan.grants.iter().map(make).collect();
        for (done, lease) in leases.iter().enumerate() {
            if let Err(error) = self.write(lease) {
                leases[..done].iter().for_each(|lease| drop(self.free(lease)));
                return Err(error);
            }
        }
        Ok(leases)
    }

    /// Notes in every lease what is about to be done.
    pub fn journal(&self, leases: &mut [Lease], step: &str) -> Result<(), LeaseError> {
        for lease in leases {
            lease.journal.push(step.to_owned());
            self.write(lease)?;
        }
        Ok(())
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

    /// The NIC can be given again.
    pub fn free(&self, lease: &Lease) -> Result<(), LeaseError> {
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

/// Containers by the name of the NIC they hold.
pub fn holders(leases: &[Lease]) -> BTreeMap<String, String> {
    leases.iter().map(|lease| (lease.grant.nic.name.clone(), lease.container.clone())).collect()
}
