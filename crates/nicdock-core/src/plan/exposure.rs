//! What a user asked for that shows or reaches more than the NIC: each is named in the plan.

use nicdock_audit::weakness::Weakness;
use nicdock_host::model::NicKind;

use super::Grant;
use crate::request::Profile;
use crate::request::{Netlink, Request};

/// The weakness of a device whose netdev stays on the host: [`of_gids`].
pub const GIDS: &str = "gids";

/// The table of GIDs belongs to the RDMA device and knows no namespaces: whatever stands on its netdev adds to it, wherever it is
/// (`enum_all_gids_of_dev_cb()`, drivers/infiniband/core/roce_gid_mgmt.c).
pub fn of_gids(grant: &Grant) -> Option<Weakness> {
    let kept = grant.netdevs.is_empty() && matches!(grant.nic.kind, NicKind::Roce | NicKind::SoftRoce);
    kept.then(|| {
        let what = format!(
            "{}: with --netdev keep its GIDs show the addresses of every VLAN and macvlan on its netdev, also of those in other containers, and its \
             programs can send from them",
            grant.nic.name
        );
        Weakness::new(GIDS, what)
    })
}

/// What was asked for beside the NICs.
pub fn weaknesses(request: &Request) -> Vec<Weakness> {
    let mut found = of_view(request.view);
    let mut push = |id: &str, what: &str| found.push(Weakness::new(id, what));
    if request.registers {
        push(
            "registers",
            "--registers shows the PCI configuration and the registers' sizes of the NIC's function, read-only",
        );
    }
    for (family, reaches) in request.families.iter().filter_map(|family| Some((family, family.reaches()?))) {
        push(
            &format!("family.{}", family.name),
            &format!("--allow-family {} reaches {reaches}", family.name),
        );
    }
    found.extend(of_nodes(request.nics.umad, request.nics.rdma_cm));
    found.extend(of_netlink(&request.netlink));
    found
}

/// What NICs that were chosen reach beyond themselves, each once.
pub fn of_grants(grants: &[Grant]) -> Vec<Weakness> {
    let has = |part: fn(&Grant) -> bool| grants.iter().any(part);
    of_nodes(has(|grant| grant.umad), has(|grant| grant.rdma_cm))
        .chain(grants.iter().filter_map(of_gids))
        .collect()
}

/// Nodes beyond those of every program.
pub fn of_nodes(umad: bool, rdma_cm: bool) -> impl Iterator<Item = Weakness> {
    let umad = umad.then(|| {
        Weakness::new(
            "umad",
            "--umad lets the container send management datagrams: on InfiniBand it sees the whole fabric and, where no \
             management key is set, changes it; issm makes its port a subnet manager's",
        )
    });
    let rdma_cm = rdma_cm.then(|| {
        Weakness::new(
            "rdma_cm",
            "--rdma-cm gives the one node that all RDMA devices share: bound to the loopback address it chooses any device of \
             the host and tells its GUID (cma_bind_loopback), and bound to an InfiniBand address (AF_IB) any port that has it, where RDMA network namespaces are shared",
        )
    });
    umad.into_iter().chain(rdma_cm)
}

/// Protocols of netlink beyond those of every container.
pub fn of_netlink(allowed: &[Netlink]) -> impl Iterator<Item = Weakness> {
    allowed.iter().filter_map(|protocol| {
        let (name, reaches) = (protocol.name(), protocol.reaches()?);
        Some(Weakness::new(format!("netlink.{name}"), format!("--allow-netlink {name} reaches {reaches}")))
    })
}

pub fn of_view(view: Profile) -> Vec<Weakness> {
    match view {
        Profile::Nic => Vec::new(),
        Profile::Open => vec![Weakness::new(
            "view.open",
            "--view open shows the host's other devices (disks, accelerators, firmware), though no other NIC",
        )],
        Profile::Off => vec![Weakness::new(
            "view.off",
            "--view off shows every NIC of the host in /sys: names, addresses, PCI functions, RDMA devices; a library that finds one it cannot \
             open may give up",
        )],
    }
}
