//! One after the other: a lock file in nicdock's state folder, for work that the ledger's lock is not for.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};

use super::{Doing, PhaseError};
use crate::lease::{PUBLIC, STATE, make_folder};

/// Held while the work is done (flock(2)); the kernel releases it.
pub struct Turn(#[allow(dead_code, reason = "held, not read")] OwnedFd);

impl Turn {
    /// Waits for the lock on the file `name`.
    pub fn wait(name: &str) -> Result<Self, PhaseError> {
        let path = Path::new(STATE).join(name);
        let what = || format!("locking {}", path.display());
        make_folder(Path::new(STATE), PUBLIC).doing(what)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).doing(what)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).doing(what)?;
        Ok(Self(file))
    }
}
