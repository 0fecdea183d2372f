use super::super::{Function, Link, Machine, Place, Port, Rdma, Route};
use super::{ETHERNET, ROOT_PORT, eui64};
use crate::model::RdmaNetnsMode;

/// usNIC VFs of each VIC port. `enic` enables as many as the vNIC's policy says.
const VF_COUNT: u32 = 4;
/// What a VF of a VIC 1385 has (README of Cisco's usnic_tools).
const QUEUE_PAIRS: u32 = 6;
const COMPLETION_QUEUES: u32 = 4;
/// `PCI_VENDOR_ID_CISCO`; the vNIC, and usNIC's VF (`PCI_DEVICE_ID_CISCO_VIC_USPACE_NIC`).
const VIC: (u16, u16) = (0x1137, 0x0043);
const USNIC_VF: (u16, u16) = (0x1137, 0x00cf);
/// Subsystem of a VIC 1225 (pci.ids); `board_id` prints it in decimal (`board_id_show()` of `usnic_ib_sysfs.c`).
const VIC_1225: u16 = 0x0085;

/// A Cisco UCS C-series host: one VIC with two ports, four usNIC VFs each, and an on-board Intel NIC (i350,
/// 8086:1521) for administration.
///
/// From `drivers/net/ethernet/cisco/enic/enic_main.c` (PCI ids, `pci_enable_sriov()` at probe),
/// `drivers/infiniband/hw/usnic/{usnic_ib_main,usnic_ib_sysfs,usnic_ib_verbs}.c` (one RDMA device for each PF, whose
/// function is its parent; node type; port state: ACTIVE with carrier and IPv4, INIT without IPv4; no management
/// datagrams) and libfabric's `fi_usnic(7)`.
pub fn cisco_usnic() -> Machine {
    let mut host = Machine::new("6.1.0-28-amd64");
    host.rdma_core(RdmaNetnsMode::Shared);
    host.function(&Function::bridge("pci0000:00/0000:00:01.0", ROOT_PORT).numa_node(0))
        .function(&Function::bridge("pci0000:00/0000:00:03.0", ROOT_PORT).numa_node(0));
    host.function(
        &Function::new("pci0000:00/0000:00:01.0/0000:01:00.0", (0x8086, 0x1521), ETHERNET)
            .driver("igb")
            .numa_node(0)
            .iommu_group(20),
    );
    // The VIC is a switch of its own: upstream port, and a downstream port for each vNIC.
    host.function(&Function::bridge("pci0000:00/0000:00:03.0/0000:04:00.0", (0x1137, 0x023e)).numa_node(0))
        .function(
            &Function::bridge("pci0000:00/0000:00:03.0/0000:04:00.0/0000:05:00.0", (0x1137, 0x0041))
                .numa_node(0),
        )
        .function(
            &Function::bridge("pci0000:00/0000:00:03.0/0000:04:00.0/0000:05:01.0", (0x1137, 0x0041))
                .numa_node(0),
        );
    port(&mut host, "0000:05:00.0", "0000:06:00", 30);
    port(&mut host, "0000:05:01.0", "0000:07:00", 40);

    host.link(Link::ethernet("eno1", Place::Function("0000:01:00.0"), "00:00:5e:00:53:10", 1000))
        .link(Link { mtu: 9000, ..vnic("enp6s0", "0000:06:00.0", "00:00:5e:00:53:06") })
        .link(Link { mtu: 9000, ..vnic("enp7s0", "0000:07:00.0", "00:00:5e:00:53:07") });
    host.address("eno1", "192.0.2.5/24")
        .address("enp6s0", "10.10.0.5/16")
        .address("enp6s0", "fe80::200:5eff:fe00:5306/64")
        .route(Route { via: &[("192.0.2.1", "eno1")], protocol: 4, ..Route::default() })
        .route(Route { to: "10.20.0.0/16", via: &[("10.10.0.1", "enp6s0")], protocol: 4, ..Route::default() })
        .listener("0.0.0.0:22")
        .connection("192.0.2.5:22", "192.0.2.77:50000");

    let active = [usnic_port("4: ACTIVE", "enp6s0")];
    let without_ipv4 = [usnic_port("2: INIT", "enp7s0")];
    host.rdma(&usnic("usnic_0", "0000:06:00.0", "00:00:5e:00:53:06", &active, 0)).rdma(&usnic(
        "usnic_1",
        "0000:07:00.0",
        "00:00:5e:00:53:07",
        &without_ipv4,
        1,
    ));
    // Debian 12's default.
    host.rdma_cm(58).memlock(8 << 20);
    host
}

fn port(host: &mut Machine, bridge: &str, slot: &str, iommu_group: u32) {
    let pf = format!("{slot}.0");
    let directory = format!("pci0000:00/0000:00:03.0/0000:04:00.0/{bridge}");
    let path = format!("{directory}/{pf}");
    let vnic = Function::new(&path, VIC, ETHERNET).subsystem(0x1137, VIC_1225);
    host.function(&vnic.driver("enic").numa_node(0).iommu_group(iommu_group));
    for number in 1..=VF_COUNT {
        let path = format!("{directory}/{slot}.{number}");
        let vf = Function::new(&path, USNIC_VF, ETHERNET).subsystem(0x1137, VIC_1225).vf_of(&pf);
        host.function(&vf.driver("usnic_verbs").numa_node(0).iommu_group(iommu_group + number));
    }
}

fn vnic<'a>(name: &'a str, function: &'a str, mac: &'a str) -> Link<'a> {
    Link::ethernet(name, Place::Function(function), mac, 10_000)
}

fn usnic_port<'a>(state: &'a str, netdev: &'a str) -> Port<'a> {
    // eth_speed_to_ib_speed() of usnic_ib_verbs.c: 10 Gbit/s is 1X FDR10.
    Port { state, link_layer: "Ethernet", rate: "10 Gb/sec (1X FDR10)", lid: 0, netdev: Some(netdev) }
}

fn usnic<'a>(name: &'a str, function: &'a str, mac: &str, ports: &'a [Port<'a>], uverbs: u32) -> Rdma<'a> {
    Rdma {
        name,
        function: Some(function),
        node_type: "6: usNIC UDP",
        node_guid: eui64(mac),
        firmware: "4.1(3a)",
        board_id: "133",
        protocol: "usnic",
        driver_id: Some(13),
        ports,
        uverbs,
        umad: None,
        usnic: Some((VF_COUNT, QUEUE_PAIRS, COMPLETION_QUEUES)),
    }
}
