//! Undoes what was done for a container that runs, or ran, from what the lease says.

use std::os::unix::fs::MetadataExt;

use super::siblings::{Siblings, turn};
use crate::lease::{Holder, Lease, Ledger, Step};
use crate::phases::show::{Showing, show};
use crate::phases::{PhaseError, allow, freeze, rdma_limits, refuse};
use crate::request::Profile;
use crate::say::notice;

/// What comes before the NIC's return. Errors: it could still be opened.
pub fn undo(lease: &Lease, ledger: &Ledger) -> Result<(), PhaseError> {
    undo_steps(lease, lease.steps().rev(), ledger)
}

/// What was done for one container that joined others, which go on to have the NIC.
pub fn undo_joined(lease: &Lease, joined: &Holder, ledger: &Ledger) -> Result<(), PhaseError> {
    undo_steps(lease, joined.journal.iter().flatten().rev(), ledger)
}

fn undo_steps<'a>(
    lease: &Lease,
    steps: impl Iterator<Item = &'a Step>,
    ledger: &Ledger,
) -> Result<(), PhaseError> {
    for step in steps {
        match step {
            Step::Show { freezer, .. } => {
                if let Err(error) = hide(lease, ledger, step) {
                    notice(format_args!(
                        "warning: {error}; the container goes on to be shown {}, which it cannot open",
                        lease.grant.nic.name
                    ));
                }
                freezer.as_deref().map_or(Ok(()), freeze::thaw)?;
            }
            Step::Allow { group, rules, pins } => allow::undo(group, rules, pins.as_deref())?,
            Step::Refuse { group, pins } => refuse::undo(group, pins)?,
            // After the return: `undo_late()`.
            Step::Limit { .. }
            // By the return itself: `give_back()`.
            | Step::TakeNetdev { .. }
            | Step::Configure { .. }
            | Step::MakeRdma { .. }
            | Step::TakeRdma { .. }
            | Step::Return
            | Step::FetchNetdev { .. }
            | Step::RestoreNetdev { .. }
            | Step::FetchRdma { .. }
            | Step::RemakeRdma { .. }
            // With the container or the job and its cgroups.
            | Step::Stage
            | Step::Create
            | Step::Restrict
            | Step::Narrow { .. }
            | Step::Give { .. }
            | Step::Compose
            | Step::Start
            // Nothing was changed but the lease, or it was taken away for good.
            | Step::Reserve
            | Step::Attach
            | Step::Revoke { .. }
            | Step::Free => {}
        }
    }
    Ok(())
}

/// What comes after it: a soft RDMA device that was made anew has no limits.
pub fn undo_late(lease: &Lease) -> Result<(), PhaseError> {
    for step in lease.journal.iter().rev() {
        if let Step::Limit { group, before } = step {
            rdma_limits::put_back(group, before)?;
        }
    }
    Ok(())
}

/// Shows the container what it keeps, where `step` has shown it more.
fn hide(lease: &Lease, ledger: &Ledger, step: &Step) -> Result<(), PhaseError> {
    let Step::Show { process, mounts, freezer, unpivoted, .. } = step else { return Ok(()) };
    let (process, unpivoted, freezer) = (*process, unpivoted.as_deref(), freezer.clone());
    let there = std::fs::metadata(format!("/proc/{}/ns/mnt", process.pid));
    if !process.is_alive() || there.map_or(0, |of| of.ino()) != *mounts {
        return Ok(());
    }
    let _turn = turn()?;
    let siblings = Siblings::of(ledger, process, lease.generation)?;
    let attached = siblings.view.is_some();
    let grants = if attached { &siblings.grants[..] } else { &[] };
    let view = siblings.view.unwrap_or(Profile::Off);
    show(&Showing {
        process,
        grants,
        view,
        freezer,
        cover_proc: false,
        sys_later: false,
        unpivoted,
        starts_as: None,
    })
}
