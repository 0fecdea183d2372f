use super::super::{Function, Link, Machine, Place, Port, Rdma, Route};
use super::ETHERNET;
use crate::model::RdmaNetnsMode;

/// `PCI_VENDOR_ID_AMAZON`; ENA (`ena_pci_id_tbl.h`) and EFA (`PCI_DEV_ID_EFA0_VF`, `efa_main.c`).
const ENA: (u16, u16) = (0x1d0f, 0xec20);
const EFA: (u16, u16) = (0x1d0f, 0xefa0);
/// `RDMA_DRIVER_EFA`.
const DRIVER_EFA: u32 = 17;

/// An EC2 instance with one EFA, on kernel 6.1: the ENA for IP and the EFA are two functions on bus 0, and EFA has no
/// netdev. The RDMA device has its name from rdma-core's `60-rdma-persistent-naming.rules`.
///
/// From `drivers/infiniband/hw/efa/{efa_main,efa_verbs}.c` (node type unspecified, `efa_port_link_layer()`
/// unspecified, no management datagrams, no netdev) and `node_type_show()`, `link_layer_show()` of
/// `drivers/infiniband/core/sysfs.c`.
pub fn efa() -> Machine {
    let mut host = Machine::new("6.1.115-126.197.amzn2023.x86_64");
    host.rdma_core(RdmaNetnsMode::Shared);
    host.function(
        &Function::new("pci0000:00/0000:00:05.0", ENA, ETHERNET).subsystem(0x1d0f, 0xec20).driver("ena"),
    )
    .function(
        &Function::new("pci0000:00/0000:00:06.0", EFA, ETHERNET).subsystem(0x1d0f, 0xefa0).driver("efa"),
    )
    .function(&Function::new("pci0000:00/0000:00:04.0", (0x1d0f, 0x8061), 0x01_0802).driver("nvme"));
    host.link(Link {
        mtu: 9001,
        altnames: &["enp0s5"],
        ..Link::ethernet("ens5", Place::Function("0000:00:05.0"), "02:00:5e:00:53:50", -1)
    });
    host.address("ens5", "10.0.4.17/20")
        .address("ens5", "fe80::5eff:fe00:5350/64")
        .route(Route { via: &[("10.0.0.1", "ens5")], protocol: 16, metric: Some(512), ..Route::default() })
        .connection("10.0.4.17:22", "203.0.113.9:50000");
    let port =
        Port { state: "4: ACTIVE", link_layer: "Unknown", rate: "100 Gb/sec (4X EDR)", lid: 0, netdev: None };
    host.rdma(&Rdma {
        name: "rdmap0s6",
        function: Some("0000:00:06.0"),
        node_type: "7: unspecified",
        node_guid: 0,
        firmware: "0.0.0.0",
        board_id: "",
        protocol: "",
        driver_id: Some(DRIVER_EFA),
        ports: &[port],
        uverbs: 0,
        umad: None,
        usnic: None,
    });
    host
}
