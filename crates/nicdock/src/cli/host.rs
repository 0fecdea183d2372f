//! The host that a command looks at: this machine, or a capture of another.

use std::collections::BTreeMap;
use std::path::Path;

use nicdock_host::capture::Capture;
use nicdock_host::inventory;
use nicdock_host::model::Host;
use nicdock_host::source::Live;

use super::Failure;
use crate::lease::{self, Lease, Ledger, STATE};
use crate::plan::Grant;

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
        let leases = Ledger::new(Path::new(STATE)).read()?;
        let mut host = inventory::read(&Live::new())?;
        remember(&mut host, &leases);
        Ok(Self { host, leases })
    }

    pub fn held(&self) -> BTreeMap<String, String> {
        lease::holders(&self.leases)
    }

    pub fn running(&self) -> BTreeMap<String, Vec<Grant>> {
        lease::joinable(&self.leases)
    }
}

/// A NIC that a container holds is shown as it was on the host: its netdev is out of sight.
fn remember(host: &mut Host, leases: &[Lease]) {
    for lease in leases {
        let held = &lease.grant.nic;
        let same = |nic: &nicdock_host::model::Nic| {
            if held.pci.is_some() { nic.pci == held.pci } else { nic.name == held.name }
        };
        host.nics.retain(|nic| !same(nic));
        host.nics.push(held.clone());
    }
    host.nics.sort_by(|a, b| (a.pci, &a.name).cmp(&(b.pci, &b.name)));
}
