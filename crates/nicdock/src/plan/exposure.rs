//! What a user asked for that shows or reaches more than the NIC: each is named in the plan.

use nicdock_host::model::NicKind;

use super::Grant;
use crate::request::{Family, NetdevMode, Netlink, Request};
use crate::view::Profile;

/// The table of GIDs belongs to the RDMA device and knows no namespaces: whatever stands on its netdev adds to it, wherever it is
/// (`enum_all_gids_of_dev_cb()`, drivers/infiniband/core/roce_gid_mgmt.c).
pub fn of_gids(grant: &Grant, netdev: NetdevMode) -> Option<String> {
    let kept = netdev == NetdevMode::Keep && matches!(grant.nic.kind, NicKind::Roce | NicKind::SoftRoce);
    kept.then(|| {
        format!(
            "{}: with --netdev keep its GIDs show the addresses of every VLAN and macvlan on its netdev, also of those in other containers",
            grant.nic.name
        )
    })
}

pub fn warnings(request: &Request) -> Vec<String> {
    let mut warnings = Vec::new();
    match request.view {
        Profile::Nic => {}
        Profile::Open => warnings.push(
            "--view open shows the host's other devices (disks, accelerators, firmware), though no other NIC".to_owned(),
        ),
        Profile::Off => warnings.push(
            "--view off shows every NIC of the host in /sys: names, addresses, PCI functions, RDMA devices; a library that \
             finds one it cannot open may give up"
                .to_owned(),
        ),
    }
    if request.registers {
        warnings.push(
            "--registers shows the PCI configuration and the registers' sizes of the NIC's function, read-only".to_owned(),
        );
    }
    if request.nics.umad {
        warnings.push(
            "--umad lets the container send management datagrams: on InfiniBand it sees the whole fabric and, where no \
             management key is set, changes it; issm makes its port a subnet manager's"
                .to_owned(),
        );
    }
    if request.nics.rdma_cm {
        warnings.push(
            "--rdma-cm gives the one node that all RDMA devices share: bound to the loopback address it chooses any device of \
             the host and tells its GUID (cma_bind_loopback), and bound to an InfiniBand address (AF_IB) any port that has it"
                .to_owned(),
        );
    }
    let reaches = |family: &Family| {
        family.reaches().map(|what| format!("--allow-family {} reaches {what}", family.name))
    };
    warnings.extend(request.families.iter().filter_map(reaches));
    let offers = |netlink: &Netlink| {
        netlink.reaches().map(|what| format!("--allow-netlink {} reaches {what}", netlink.name()))
    };
    warnings.extend(request.netlink.iter().filter_map(offers));
    warnings
}
