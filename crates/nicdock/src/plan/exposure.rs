//! What a user asked for that shows or reaches more than the NIC: each is named in the plan.

use crate::request::{Family, Request};
use crate::view::Profile;

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
             the host and tells its GUID (cma_bind_loopback)"
                .to_owned(),
        );
    }
    let reaches = |family: &Family| {
        family.reaches().map(|what| format!("--allow-family {} reaches {what}", family.name))
    };
    warnings.extend(request.families.iter().filter_map(reaches));
    warnings
}
