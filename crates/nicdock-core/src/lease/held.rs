//! The NICs that containers have, among those of the host.

use nicdock_host::model::{Host, Nic};

use super::Lease;

/// A NIC that a container holds is shown as it was on the host, for its netdev is out of sight; what can still be seen of
/// it, RDMA devices and who has them open, is shown as it is.
pub fn show_held(host: &mut Host, leases: &[Lease]) {
    for lease in leases {
        let mut held = lease.grant.nic.clone();
        let same = |nic: &Nic| if held.pci.is_some() { nic.pci == held.pci } else { nic.name == held.name };
        if let Some(at) = host.nics.iter().position(same) {
            let seen = host.nics.remove(at);
            if !seen.rdma_devices.is_empty() {
                held.rdma_devices = seen.rdma_devices;
            }
            held.in_use = seen.in_use;
        }
        host.nics.push(held);
    }
    host.nics.sort_by(|a, b| (a.pci, &a.name).cmp(&(b.pci, &b.name)));
}
