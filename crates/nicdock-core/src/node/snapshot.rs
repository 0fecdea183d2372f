//! A host with its leases at one moment, before anything is decided.

use std::collections::BTreeMap;

use nicdock_host::inventory;
use nicdock_host::model::Host;
use nicdock_host::source::Live;

use super::NodeError;
use crate::keeper::Keeper;
use crate::lease::{self, Lease, Ledger};
use crate::phases::{movable, sockets, soft_roce};
use crate::plan::{Facts, Grant};
use crate::request::{NetdevMode, NicRequest};

/// A host and who has its NICs, at one moment.
pub struct HostSnapshot {
    pub host: Host,
    pub leases: Vec<Lease>,
    /// Is it this machine, so that things can be tried on it?
    is_live: bool,
}

impl HostSnapshot {
    pub fn of_machine() -> Result<Self, NodeError> {
        let leases = Ledger::of_machine().read()?;
        let mut host = inventory::read(&Live)?;
        movable::try_all(&mut host).map_err(NodeError::Movable)?;
        lease::show_held(&mut host, &leases);
        Ok(Self { host, leases, is_live: true })
    }

    /// Another machine, of which there is a capture.
    pub fn of_capture(host: Host) -> Self {
        Self { host, leases: Vec::new(), is_live: false }
    }

    /// Containers that hold NICs, by the NIC's name.
    pub fn held(&self) -> BTreeMap<String, Keeper> {
        lease::holders(&self.leases)
    }

    /// What a plan for these requests rests on, beside the host itself.
    pub fn facts(&self, wanted: &[NicRequest], fresh_name: String) -> Facts {
        let moves = wanted.iter().any(|one| one.netdev == NetdevMode::Move);
        let running: BTreeMap<String, Vec<Grant>> = lease::joinable(&self.leases);
        Facts {
            socket_hook: self.is_live && sockets::are_hooked(),
            held: self.held(),
            running,
            soft_roce_in_netns: if self.is_live && moves {
                soft_roce::works_in_netns(&self.host)
            } else {
                None
            },
            fresh_name,
        }
    }
}
