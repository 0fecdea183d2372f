//! All that a container has, and the right to exchange what it is shown of it.

use crate::lease::{Lease, LeaseError, Ledger, ProcessId, Step};
use crate::phases::turn::Turn;
use crate::phases::{PhaseError, cgroup};
use crate::plan::Grant;
use crate::request::Profile;

/// Held while a container is shown its NICs anew: two at once would each leave out the other's.
pub fn turn() -> Result<Turn, PhaseError> {
    Turn::wait("attach.lock")
}

/// What the container of `process` has but for the lease `but`: given at its start, and attached.
pub struct Siblings {
    pub grants: Vec<Grant>,
    /// How much it is shown, if something was attached.
    pub view: Option<Profile>,
}

impl Siblings {
    pub fn of(ledger: &Ledger, process: ProcessId, but: u64) -> Result<Self, LeaseError> {
        let name = cgroup::container_of(process.pid);
        let started = |lease: &Lease| {
            let holder = name.as_ref().and_then(|name| lease.holder(name));
            holder.is_some_and(|holder| holder.is_launched() && holder.is_alive())
        };
        let leases = ledger.each()?.into_iter().filter_map(Result::ok);
        let mut this = Self { grants: Vec::new(), view: None };
        for lease in leases.filter(|lease| lease.generation != but && !lease.has_begun(&Step::Return)) {
            let shown = lease.steps().rev().find_map(|step| match step {
                Step::Show { process: to, view, .. } if *to == process => Some(*view),
                _ => None,
            });
            if shown.is_some() || started(&lease) {
                this.grants.push(lease.left());
            }
            // The narrower one holds.
            this.view = match (this.view, shown) {
                (Some(Profile::Nic), _) | (_, Some(Profile::Nic)) => Some(Profile::Nic),
                (before, shown) => shown.or(before),
            };
        }
        Ok(this)
    }
}
