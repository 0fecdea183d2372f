//! The host that a command looks at: this machine, or a capture of another.

use std::collections::BTreeMap;
use std::path::Path;

use nicdock_host::capture::Capture;
use nicdock_host::inventory;
use nicdock_host::model::Host;

use super::Failure;
use nicdock_core::lease::{self, Lease, Ledger};
use nicdock_core::phases::movable;
use nicdock_core::plan::Grant;
use nicdock_host::source::Live;

/// What is known of a host before anything is decided.
pub struct Known {
    pub host: Host,
    pub leases: Vec<Lease>,
}

impl Known {
    /// Reads a capture, or this machine with the leases on it.
    pub fn read(capture: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = capture {
            return Ok(Self { host: inventory::read(&Capture::open(path)?)?, leases: Vec::new() });
        }
        let leases = Ledger::of_machine().read()?;
        let mut host = inventory::read(&Live)?;
        movable::try_all(&mut host).map_err(|e| format!("trying which RDMA devices can be moved: {e}"))?;
        lease::show_held(&mut host, &leases);
        Ok(Self { host, leases })
    }

    pub fn held(&self) -> BTreeMap<String, String> {
        lease::holders(&self.leases)
    }

    pub fn running(&self) -> BTreeMap<String, Vec<Grant>> {
        lease::joinable(&self.leases)
    }
}
