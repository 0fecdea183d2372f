//! What a NIC's `IPoIB` netdevs forbid.

use nicdock_host::model::{InUse, Nic};

use super::{Grant, PlanError};

/// Whether a NIC's netdevs go when its RDMA device is moved, so that it is moved first, and back first.
pub fn come_anew(grant: &Grant) -> bool {
    grant.rdma.iter().any(|rdma| rdma.moves) && grant.netdevs.iter().any(|given| given.host.is_ipoib())
}

/// Refuses what would lose an `IPoIB` netdev's children, or its settings: where RDMA namespaces are exclusive the kernel makes the netdevs
/// of a device that moves anew (see `phases::ipoib`). What stays on the host in the shared mode loses nothing.
pub fn check(nic: &Nic, keep: bool, exclusive: bool) -> Result<(), PlanError> {
    if keep && !exclusive {
        return Ok(());
    }
    let child = nic.in_use.iter().find_map(|sign| match sign {
        InUse::Stacked { netdev, upper, upper_kind: Some(kind) } if kind == "ipoib" => Some((netdev, upper)),
        _ => None,
    });
    if let Some((netdev, child)) = child {
        let (nic, netdev, child) = (nic.name.clone(), netdev.clone(), child.clone());
        return Err(PlanError::IpoibChild { nic, netdev, child, keep });
    }
    match nic.netdevs.iter().find(|netdev| netdev.is_ipoib()).filter(|_| keep) {
        Some(netdev) => Err(PlanError::IpoibKeep { nic: nic.name.clone(), netdev: netdev.name.clone() }),
        None => Ok(()),
    }
}
