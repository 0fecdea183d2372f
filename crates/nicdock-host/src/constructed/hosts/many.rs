use super::super::{Function, Link, Machine, Place, Port, Rdma};
use super::{ETHERNET, ROOT_PORT};
use crate::model::RdmaNetnsMode;

/// As many PCI functions as wanted, for measuring. Of each eight, one is a root port, one a NIC with netdev and RDMA
/// device, two are its VFs without either, and four are disks.
pub fn many(functions: u32) -> Machine {
    let mut host = Machine::new("6.12.0");
    host.rdma_core(RdmaNetnsMode::Shared);
    for group in 0..functions / 8 {
        eight(&mut host, group);
    }
    host
}

fn eight(host: &mut Machine, group: u32) {
    // 256 buses a domain; each group takes one, behind a root port on a bus of its own domain.
    let (domain, bus) = (group / 128, group % 128 + 128);
    let root = format!("pci{domain:04x}:00/{domain:04x}:{:02x}:00.0", group % 128);
    let address = |function| format!("{domain:04x}:{bus:02x}:{:02x}.{}", function / 8, function % 8);
    let path = |function| format!("{root}/{}", address(function));
    host.function(&Function::bridge(&root, ROOT_PORT).numa_node(0));
    let pf = path(0);
    let nic = Function::new(&pf, (0x15b3, 0x1017), ETHERNET).driver("mlx5_core").numa_node(0);
    host.function(&nic.iommu_group(group));
    for vf in 1..=2 {
        let (path, pf) = (path(vf), address(0));
        let function = Function::new(&path, (0x15b3, 0x1018), ETHERNET).driver("vfio-pci").numa_node(0);
        host.function(&function.vf_of(&pf));
    }
    for disk in 8..12 {
        host.function(&Function::new(&path(disk), (0x144d, 0xa824), 0x01_0802).driver("nvme").numa_node(0));
    }
    let name = format!("eth{group}");
    let mac = format!("02:00:5e:{:02x}:{:02x}:{:02x}", group >> 16 & 0xff, group >> 8 & 0xff, group & 0xff);
    host.link(Link::ethernet(&name, Place::Function(&address(0)), &mac, 100_000))
        .address(&name, &format!("10.{}.{}.1/24", group >> 8, group & 0xff));
    host.rdma(&Rdma {
        name: &format!("mlx5_{group}"),
        function: Some(&address(0)),
        node_type: "1: CA",
        node_guid: super::eui64(&mac),
        firmware: "16.35.4030",
        board_id: "MT_0000000425",
        protocol: "roce",
        driver_id: Some(1),
        ports: &[Port {
            state: "4: ACTIVE",
            link_layer: "Ethernet",
            rate: "100 Gb/sec (4X EDR)",
            lid: 0,
            netdev: Some(&name),
        }],
        uverbs: group,
        umad: None,
        usnic: None,
    });
}
