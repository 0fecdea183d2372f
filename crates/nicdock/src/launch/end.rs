//! The end of a container, be it told or found out later: what is left of it is ended, and the NICs go back.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{LaunchError, staging};
use crate::lease::{ENTER, Lease, Ledger, STATE};
use crate::phases::give_back::give_back;
use crate::phases::{cgroup, queue_pairs};
use crate::plan::Plan;
use crate::say::notice;

/// Ends what is left of this process's container. NICs that no other container has go back to the host; `namespace` is
/// the container's, if it came to have one.
pub fn end(plan: &Plan, ledger: &Ledger, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    clear(&plan.name)?;
    let last = {
        let lock = ledger.lock()?;
        ledger.leave(&lock, &plan.name)?
    };
    let mut first = None;
    for lease in &last {
        // Containers that shared it and whose supervisors were killed.
        let cleared = lease.dead_holders().iter().try_for_each(|name| clear(name));
        if let Err(error) = cleared.and_then(|()| finish(ledger, lease, namespace)) {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// What recovery did, in sentences, and what it could not do.
#[derive(Default)]
pub struct Recovered {
    pub done: Vec<String>,
    pub failed: Vec<LaunchError>,
}

/// Gives back what supervisors that were killed could not, their containers ended first. One NIC that cannot be given
/// back does not keep the others; its lease stays.
pub fn recover(ledger: &Ledger) -> Result<Recovered, LaunchError> {
    let mut recovered = Recovered::default();
    for seen in ledger.broken()? {
        let claimed = {
            let lock = ledger.lock()?;
            ledger.claim(&lock, &seen)?
        };
        match claimed.map(|lease| recover_one(ledger, &lease)) {
            Some(Ok(line)) => recovered.done.push(line),
            Some(Err(error)) => recovered.failed.push(error),
            None => {}
        }
    }
    Ok(recovered)
}

/// The ledger is not locked: ending processes and waiting for the kernel take time, and the lease is claimed.
fn recover_one(ledger: &Ledger, lease: &Lease) -> Result<String, LaunchError> {
    let (nic, names) = (&lease.grant.nic.name, lease.dead_holders());
    let containers = names.join(" and ");
    let was_live = lease.is_live();
    for name in &names {
        clear(name)?;
    }
    if was_live {
        return Ok(format!("took {nic} from container {containers}; others still have it"));
    }
    finish(ledger, lease, None)?;
    Ok(format!("gave back {nic} of container {containers}"))
}

/// Ends every process of a container and removes what was made for it, but for the NICs.
fn clear(name: &str) -> Result<(), LaunchError> {
    cgroup::end(name)?;
    let removed = staging::remove(name);
    let _ = fs::remove_dir_all(Path::new(STATE).join("containers").join(name));
    removed
}

/// Gives back a NIC that nobody has any more. One that never left is not touched.
fn finish(ledger: &Ledger, lease: &Lease, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    if lease.has_begun(ENTER) {
        for line in queue_pairs::left(&lease.grant) {
            notice(format_args!("warning: {line}"));
        }
        give_back(&lease.grant, namespace)?.iter().for_each(notice);
    }
    let lock = ledger.lock()?;
    Ok(ledger.free(&lock, lease)?)
}
