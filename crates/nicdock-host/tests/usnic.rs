//! A VIC whose VFs nobody drives tells what is missing.

use nicdock_host::constructed::{Function, Link, Machine, Place};
use nicdock_host::inventory;
use nicdock_host::model::{NicKind, RdmaNetnsMode};

/// A VIC with one usNIC VF that no driver has.
fn warnings(iommu: bool) -> Vec<String> {
    let with_group =
        |function: Function<'static>, group| if iommu { function.iommu_group(group) } else { function };
    let mut machine = Machine::new("6.1.0");
    machine.rdma_core(RdmaNetnsMode::Shared);
    let pf = Function::new("pci0000:00/0000:06:00.0", (0x1137, 0x0043), 0x02_0000).driver("enic");
    let vf = Function::new("pci0000:00/0000:06:00.1", (0x1137, 0x00cf), 0x02_0000).vf_of("0000:06:00.0");
    machine.function(&with_group(pf, 1)).function(&with_group(vf, 2));
    machine.link(Link::ethernet("enp6s0", Place::Function("0000:06:00.0"), "00:00:5e:00:53:06", 10_000));
    let host = inventory::read(&machine.capture()).unwrap();
    assert_eq!((host.nics.len(), host.nics[0].kind), (1, NicKind::Ethernet));
    host.warnings
}

#[test]
fn vfs_without_an_iommu_need_one() {
    assert!(warnings(false)[0].contains("enp6s0") && warnings(false)[0].contains("intel_iommu=on"));
}

#[test]
fn vfs_that_no_driver_has_need_the_driver() {
    assert!(warnings(true)[0].contains("modprobe usnic_verbs"));
}
