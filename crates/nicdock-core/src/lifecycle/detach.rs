//! Takes a NIC from a container that runs on.

use std::time::{Duration, Instant};

use super::{LaunchError, finish};
use crate::kind::Kind;
use crate::lease::{Draining, Journal, Lease, Ledger};
use crate::phases::draining;

/// How often is looked whether the node is closed.
const LOOK: Duration = Duration::from_millis(100);

/// Takes the NIC of a lease back. A node that is open is waited for, for at most `wait`, and then refused, unless `force`. Gives what
/// was done, in sentences.
pub fn detach(
    ledger: &Ledger,
    lease: &Lease,
    wait: Duration,
    force: bool,
) -> Result<Option<String>, LaunchError> {
    let (nic, container) = (&lease.grant.nic.name, container(lease));
    if lease.holders.len() > 1 {
        return Err(LaunchError::refused(
            Kind::InUse,
            format!(
                "{nic} is shared by the containers {container}: end those that have joined the first one, then detach it"
            ),
        ));
    }
    let begin = Instant::now();
    let open = loop {
        let open = draining::now(lease);
        if open.is_empty() || begin.elapsed() >= wait {
            break open;
        }
        std::thread::sleep(LOOK);
    };
    let users = open.iter().map(Draining::to_string).collect::<Vec<_>>().join("; ");
    // The kernel takes such a device away when the last user has closed it (ib_uverbs_remove_one() waits: the soft drivers cannot cut
    // off a user), so it could not be made anew on the host.
    let remade = lease.grant.rdma.iter().any(|rdma| rdma.remake.is_some());
    if !open.is_empty() && (!force || remade) {
        let advice = if remade {
            "its soft RDMA device goes with the netdev, and not before it is closed: end that process, or --wait for it; --force does not help"
        } else {
            "end that process, --wait until it closes it, or --force"
        };
        return Err(LaunchError::refused(
            Kind::InUse,
            format!("{nic} is in use in container {container}: {users}; {advice}"),
        ));
    }
    let seized = {
        let lock = ledger.lock()?;
        ledger.seize(&lock, lease)?
    };
    let Some((token, lease)) = seized else { return Ok(None) };
    finish(Journal { ledger, token: &token, grants: std::slice::from_ref(&lease.grant) }, &lease, None)?;
    Ok(Some(told(&lease, &container, &users)))
}

/// What was done, and what the kernel makes of a node that stays open.
fn told(lease: &Lease, container: &str, users: &str) -> String {
    let nic = &lease.grant.nic.name;
    let done = format!("took {nic} from container {container}, which runs on");
    if users.is_empty() {
        return done;
    }
    let netdev =
        if lease.grant.netdevs.is_empty() { "" } else { ", its netdev and addresses are the host's again" };
    format!(
        "{done}; {users}: the kernel leaves what is open as it is{netdev}, and the NIC is not given to anybody until it is closed"
    )
}

fn container(lease: &Lease) -> String {
    lease.holders.iter().map(|holder| holder.container.as_str()).collect::<Vec<_>>().join(" and ")
}
