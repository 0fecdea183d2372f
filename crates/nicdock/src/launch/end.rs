//! The end of a container, be it told or found out later: what is left of it is ended, and the NICs go back.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{LaunchError, staging};
use crate::lease::{Lease, Ledger, STATE};
use crate::phases::cgroup;
use crate::phases::give_back::{Return, give_back};
use crate::phases::queue_pairs;
use crate::plan::Plan;
use crate::say::notice;

/// Ends what is left of this process's container. NICs that no other container has go back to the host; `namespace` is
/// the container's, if it came to have one.
pub fn end(plan: &Plan, ledger: &Ledger, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    for line in queue_pairs::in_flight(plan, &cgroup::processes(&plan.name)) {
        notice(line);
    }
    clear(&plan.name)?;
    let last = {
        let lock = ledger.lock()?;
        ledger.leave(&lock, &plan.name)?
    };
    let mut first = None;
    for lease in &last {
        if let Err(error) = finish(ledger, lease, namespace) {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Gives back what supervisors that were killed could not, their containers ended first; says what in sentences.
pub fn recover(ledger: &Ledger) -> Result<Vec<String>, LaunchError> {
    if ledger.read()?.iter().all(Lease::is_whole) {
        return Ok(Vec::new());
    }
    let lock = ledger.lock()?;
    let mut told = Vec::new();
    for lease in ledger.read()?.into_iter().filter(|lease| !lease.is_whole()) {
        let (nic, names) = (lease.grant.nic.name.clone(), lease.dead_holders());
        for name in &names {
            clear(name)?;
        }
        if lease.is_live() {
            for name in &names {
                ledger.leave(&lock, name)?;
            }
            told.push(format!("took {nic} from container {}; others still have it", names.join(" and ")));
        } else {
            finish(ledger, &lease, None)?;
            told.push(format!("gave back {nic} of container {}", names.join(" and ")));
        }
    }
    Ok(told)
}

/// Ends every process of a container and removes what was made for it, but for the NICs.
fn clear(name: &str) -> Result<(), LaunchError> {
    cgroup::end(name)?;
    let removed = staging::remove(name);
    let _ = fs::remove_dir_all(Path::new(STATE).join("containers").join(name));
    removed
}

fn finish(ledger: &Ledger, lease: &Lease, namespace: Option<&OwnedFd>) -> Result<(), LaunchError> {
    for line in queue_pairs::left(&lease.grant) {
        notice(format_args!("warning: {line}"));
    }
    if give_back(&lease.grant, namespace)? == Return::Unplugged {
        notice(format_args!(
            "{} was unplugged meanwhile: there is nothing to give back",
            lease.grant.nic.name
        ));
    }
    Ok(ledger.free(lease)?)
}
