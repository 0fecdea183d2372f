//! A further container of those that share a network namespace, as a pod's do: it uses the NICs that the first has brought there.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::{HostSnapshot, NodeError, Wanted};
use crate::attach::Target;
use crate::kind::Kind;
use crate::lease::{Lease, reserved_by};
use crate::request::{NetdevMode, NicRequest};

/// The leases that the container is to share: every NIC that it names is held by containers in its own network namespace. `None` if one is not, or if it
/// names none and leaves the choice to nicdock.
///
/// Errors: it asks for another NIC than it would share, or for more than the first container was given of it.
pub fn shared<'a>(
    snapshot: &'a HostSnapshot,
    wanted: Wanted<'_>,
    target: &Target,
) -> Result<Option<Vec<&'a Lease>>, NodeError> {
    let leases: Vec<&Lease> = match wanted {
        Wanted::ReservedBy(owner) => {
            let reserved = reserved_by(&snapshot.leases, owner);
            reserved.into_iter().flat_map(|(_, leases)| leases).collect()
        }
        Wanted::Asked(requests) => {
            let mut named = Vec::new();
            for request in requests {
                let Some(lease) = named_by(snapshot, request) else { return Ok(None) };
                named.push(lease);
            }
            named
        }
    };
    // The host's network namespace is everybody's: only what one owner has reserved is shared there.
    let is_shared = |lease: &&Lease| match &target.job {
        Some(_) => lease.grant.of_host_network && is_joinable(lease),
        None => is_in(lease, &target.network),
    };
    if leases.is_empty()
        || target.job.is_some() && matches!(wanted, Wanted::Asked(_))
        || !leases.iter().all(is_shared)
    {
        return Ok(None);
    }
    if let Wanted::Asked(requests) = wanted {
        for (request, lease) in requests.iter().zip(&leases) {
            check_same(request, lease)?;
        }
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = leases.iter().map(|lease| &lease.grant.nic).find(|nic| !seen.insert(nic.key())) {
        let why = format!("container {} names {} twice", target.name, twice.name);
        return Err(NodeError::refused(Kind::BadInput, why));
    }
    Ok(Some(leases))
}

/// The lease of the one NIC that a request names.
fn named_by<'a>(snapshot: &'a HostSnapshot, request: &NicRequest) -> Option<&'a Lease> {
    let [selector] = &request.selectors[..] else { return None };
    if selector.count != 1 || selector.takes_any() || selector.names().next().is_none() {
        return None;
    }
    let host = &snapshot.host;
    let mut matching = host.nics.iter().filter(|nic| selector.matches(host, nic));
    let nic = matching.next().filter(|_| matching.next().is_none())?;
    snapshot.leases.iter().find(|lease| lease.grant.nic.key() == nic.key())
}

/// Whether a container that has the NIC runs in this network namespace.
fn is_in(lease: &Lease, network: &OwnedFd) -> bool {
    let Ok(here) = rustix::fs::fstat(network.as_fd()) else { return false };
    lease.holders.iter().any(|holder| {
        let there = holder.network().and_then(|path| fs::metadata(path).ok());
        there.is_some_and(|there| (there.dev(), there.ino()) == (here.st_dev, here.st_ino))
            // After the look: its number may be another process's since.
            && lease.joinable(&holder.container).is_some()
    })
}

fn is_joinable(lease: &Lease) -> bool {
    lease.holders.iter().any(|holder| lease.joinable(&holder.container).is_some())
}

/// What a request says of the NIC was decided for the first container.
fn check_same(request: &NicRequest, lease: &Lease) -> Result<(), NodeError> {
    let grant = &lease.grant;
    let keeps = request.netdev != NetdevMode::Move;
    let is_named = |name: &String| grant.netdevs.iter().any(|given| given.name == *name);
    let differs = [
        ("umad", request.umad != grant.umad),
        ("rdma-cm", request.rdma_cm != grant.rdma_cm),
        ("netdev", keeps != grant.netdevs.is_empty() && !grant.nic.netdevs.is_empty()),
        ("ifname", request.netdev_name.as_ref().is_some_and(|name| !is_named(name))),
        ("ip", !request.addresses.is_empty()),
    ];
    let Some((option, _)) = differs.into_iter().find(|(_, differs)| *differs) else { return Ok(()) };
    let why = format!(
        "{} is in this network namespace already, with container {}, and is shared as it is: give both the same {option}",
        grant.nic.name,
        lease.kept_for().unwrap_or_default()
    );
    Err(NodeError::refused(Kind::Held, why))
}
