//! Handles leases that cannot be read any more, and what killed writers left.

use std::fs;
use std::path::{Path, PathBuf};

use super::ledger::{lease, now};
use super::{Lease, LeaseError, Ledger, Lock, Step, Token, file};
use crate::plan::Grant;

impl Ledger {
    /// The leases of a container, by what it was given, whose files cannot be read any more: recreated as if every step had
    /// been begun.
    pub fn lost(&self, token: &Token, grants: &[Grant]) -> Result<Vec<(PathBuf, Lease)>, LeaseError> {
        let mut lost = Vec::new();
        for grant in grants {
            let mut lease = lease(token, grant);
            let path = self.path(grant);
            match file::read(&path) {
                Err(LeaseError::Broken { .. }) => {}
                Err(error) if !error.is_absent() => return Err(error),
                _ => continue,
            }
            let netdevs = grant.netdevs.iter().map(|given| given.host.name.clone());
            lease.journal.extend(netdevs.map(|netdev| Step::TakeNetdev { netdev, netns: 0 }));
            let moved = grant.rdma.iter().filter(|rdma| rdma.moves).map(|rdma| rdma.device.name.clone());
            lease.journal.extend(moved.map(|device| Step::TakeRdma { device, netns: 0 }));
            lost.push((path, lease));
        }
        Ok(lost)
    }

    /// Removes what killed writers left in the folder of leases.
    pub fn tidy(&self) -> Result<(), LeaseError> {
        if self.files("tmp")?.is_empty() {
            return Ok(());
        }
        // Nobody writes now: what is still there nobody will rename.
        let _lock = self.lock()?;
        for path in self.files("tmp")? {
            fs::remove_file(&path).map_err(|error| LeaseError::io(&path, error))?;
        }
        Ok(())
    }

    /// Moves a lease that cannot be read out of the way, to be looked at; gives where it is now.
    pub fn put_aside(&self, _lock: &Lock, broken: &Path) -> Result<PathBuf, LeaseError> {
        let folder = self.folder.with_file_name("broken");
        let name = broken.file_name().unwrap_or_default().to_string_lossy();
        let target = folder.join(format!("{name}.{}", now()));
        let moved = fs::create_dir_all(&folder).and_then(|()| fs::rename(broken, &target));
        moved.map_err(|error| LeaseError::io(broken, error))?;
        Ok(target)
    }
}
