//! The NICs that containers have, among those of the host.

use nicdock_host::model::{Host, InUse, Nic};

use super::{Lease, LeaseError};

/// A NIC that a container holds is shown as it was on the host, for its netdev is out of sight; what can still be seen of
/// it, RDMA devices and who has them open, is shown as it is.
pub fn show_held(host: &mut Host, leases: &[Lease]) {
    for lease in leases.iter().filter(|lease| !lease.is_reserved()) {
        let mut held = lease.grant.nic.clone();
        let same = |nic: &Nic| nic.key() == held.key();
        if let Some(at) = host.nics.iter().position(same) {
            let seen = host.nics.remove(at);
            if !seen.rdma_devices.is_empty() {
                held.rdma_devices = seen.rdma_devices;
            }
            held.in_use = seen.in_use;
        }
        host.nics.push(held);
    }
    // That a container has a part of a NIC is no use by the host.
    let parts: Vec<String> = leases.iter().map(|lease| lease.grant.nic.key()).collect();
    for nic in &mut host.nics {
        nic.in_use.retain(|sign| !matches!(sign, InUse::VfInUse { vf, .. } if parts.contains(vf)));
    }
    host.nics.sort_by(|a, b| (a.place(), &a.name).cmp(&(b.place(), &b.name)));
}

/// What leases are ordered by; those that cannot be read come first.
pub fn place(lease: &Result<Lease, LeaseError>) -> Option<(impl Ord, &str)> {
    let nic = &lease.as_ref().ok()?.grant.nic;
    Some((nic.place(), nic.name.as_str()))
}
