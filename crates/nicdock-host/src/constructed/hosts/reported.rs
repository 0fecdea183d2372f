//! Situations that people report of their hosts, each with the least that makes it up. Addresses are from the ranges for documentation.

use super::super::{Function, Link, Machine, Place, Port, Rdma, Route};
use super::{ETHERNET, ROOT_PORT, eui64};
use crate::model::RdmaNetnsMode;

const CONNECTX_6: (u16, u16) = (0x15b3, 0x101d);
const CONNECTX_6_VF: (u16, u16) = (0x15b3, 0x101e);
const CONNECTX_3: (u16, u16) = (0x15b3, 0x1003);
/// `enum rdma_driver_id`.
const DRIVER_MLX5: u32 = 1;
const DRIVER_MLX4: u32 = 2;
const DRIVER_RXE: u32 = 14;
const DRIVER_HFI1: u32 = 15;
const DRIVER_ERDMA: u32 = 19;

fn host() -> Machine {
    let mut host = Machine::new("6.8.0-49-generic");
    host.rdma_core(RdmaNetnsMode::Shared);
    host
}

/// A function behind a root port of its own: bus `c1` is behind `pci0000:c0/0000:c0:01.1`.
fn function(host: &mut Machine, address: &str, identity: (u16, u16), class: u32, driver: &str) {
    let bus = u8::from_str_radix(&address[5..7], 16).expect("a PCI address") - 1;
    let port = format!("pci0000:{bus:02x}/0000:{bus:02x}:01.1");
    if address.ends_with(":00.0") {
        host.function(&Function::bridge(&port, ROOT_PORT));
    }
    host.function(&Function::new(&format!("{port}/{address}"), identity, class).driver(driver));
}

/// An on-board NIC that the host is reached by.
fn administration(host: &mut Machine) {
    function(host, "0000:02:00.0", (0x14e4, 0x165f), ETHERNET, "tg3");
    host.link(Link::ethernet("eno1", Place::Function("0000:02:00.0"), "00:00:5e:00:53:01", 1000))
        .address("eno1", "192.0.2.5/24")
        .route(Route { via: &[("192.0.2.1", "eno1")], protocol: 16, ..Route::default() });
}

fn ethernet_port(netdev: &str) -> Port<'_> {
    Port {
        state: "4: ACTIVE",
        link_layer: "Ethernet",
        rate: "100 Gb/sec (4X EDR)",
        lid: 0,
        netdev: Some(netdev),
    }
}

fn roce<'a>(name: &'a str, function: &'a str, ports: &'a [Port<'a>], uverbs: u32) -> Rdma<'a> {
    Rdma {
        name,
        function: Some(function),
        node_type: "1: CA",
        node_guid: eui64("00:00:5e:00:53:80") + u64::from(uverbs),
        firmware: "22.41.1000",
        board_id: "",
        protocol: "roce",
        driver_id: Some(DRIVER_MLX5),
        ports,
        uverbs,
        umad: None,
        usnic: None,
    }
}

/// A ConnectX-6 Dx in switchdev mode with two sub-functions in use by name; a storage daemon has the second one's device open. The
/// sub-functions' netdevs and RDMA devices are in auxiliary devices, their representors in the function.
///
/// From `Documentation/networking/device_drivers/ethernet/mellanox/mlx5/switchdev.rst` (sub-functions, `mlx5_core.sf.N`),
/// `__devlink_port_phys_port_name_get()` of `net/devlink/port.c`.
pub fn subfunctions() -> Machine {
    let mut host = host();
    administration(&mut host);
    let pf = "0000:c1:00.0";
    function(&mut host, pf, CONNECTX_6, ETHERNET, "mlx5_core");
    let on_pf = |name, mac, port| Link {
        port_name: Some(port),
        ..Link::ethernet(name, Place::Function(pf), mac, 100_000)
    };
    host.link(on_pf("enp193s0f0np0", "00:00:5e:00:53:c1", "p0"))
        .link(on_pf("en0f0pf0sf88", "02:00:5e:00:53:64", "pf0sf88"))
        .link(on_pf("en0f0pf0sf99", "02:00:5e:00:53:65", "pf0sf99"));
    host.rdma(&roce("rocep193s0f0", pf, &[ethernet_port("enp193s0f0np0")], 0));
    let parts = [
        ("mlx5_core.sf.4", "enp193s0f0S88", "02:00:5e:00:53:88", "rocep193s0f0S88", "203.0.113.88/25", 1),
        ("mlx5_core.sf.5", "enp193s0f0S99", "02:00:5e:00:53:99", "rocep193s0f0S99", "203.0.113.199/25", 2),
    ];
    for (auxiliary, netdev, mac, rdma, address, number) in parts {
        let place = format!("{pf}/{auxiliary}");
        host.subfunction(pf, auxiliary)
            .link(Link::ethernet(netdev, Place::Function(&place), mac, 100_000))
            .address(netdev, address)
            .rdma(&roce(rdma, &place, &[ethernet_port(netdev)], number));
    }
    host.address("enp193s0f0np0", "198.51.100.1/24").open_node(4711, "ceph-osd", "uverbs2");
    host
}

/// A ConnectX-6 Dx in switchdev mode with three VFs, whose representors lie in the PF's folder and have names that tell nothing. The driver
/// names no ports, as older ones do not; the PF's RDMA device has a port for each representor. A virtual machine has VF 2.
///
/// From `mlx5_ib_vport_rep_load()` of `drivers/infiniband/hw/mlx5/ib_rep.c`, `Documentation/networking/representors.rst`.
pub fn switchdev() -> Machine {
    let mut host = host();
    administration(&mut host);
    let pf = "0000:81:00.0";
    function(&mut host, pf, CONNECTX_6, ETHERNET, "mlx5_core");
    host.link(Link::ethernet("pf0", Place::Function(pf), "00:00:5e:00:53:81", 25_000));
    for (name, mac) in
        [("eth0", "02:00:5e:00:53:10"), ("eth1", "02:00:5e:00:53:11"), ("eth2", "02:00:5e:00:53:12")]
    {
        host.link(Link::ethernet(name, Place::Function(pf), mac, 25_000));
    }
    let ports = ["pf0", "eth0", "eth1", "eth2"].map(ethernet_port);
    host.rdma(&roce("rocep129s0f0", pf, &ports, 0));
    for (number, netdev, mac) in [(2, "vf000", "02:00:5e:00:53:20"), (3, "vf001", "02:00:5e:00:53:21")] {
        let address = format!("0000:81:00.{number}");
        let path = format!("pci0000:80/0000:80:01.1/{address}");
        host.function(&Function::new(&path, CONNECTX_6_VF, ETHERNET).driver("mlx5_core").vf_of(pf));
        host.link(Link::ethernet(netdev, Place::Function(&address), mac, 25_000));
        let device = format!("rocep129s0f0v{}", number - 2);
        host.rdma(&roce(&device, &address, &[ethernet_port(netdev)], number - 1));
    }
    let third = Function::new("pci0000:80/0000:80:01.1/0000:81:00.4", CONNECTX_6_VF, ETHERNET);
    host.function(&third.driver("vfio-pci").iommu_group(94).vf_of(pf));
    host.open_node(4712, "qemu-system-x86", "/dev/vfio/94");
    host
}

/// RoCE LAG: one RDMA device for both ports of a card, whose port's netdev is the bond.
///
/// From `drivers/net/ethernet/mellanox/mlx5/core/lag/lag.c` and `mlx5_ib_get_netdev()` of `drivers/infiniband/hw/mlx5/main.c`.
pub fn roce_lag() -> Machine {
    let mut host = host();
    administration(&mut host);
    let leg = |name, function, mac| Link {
        master: Some("bond0"),
        ..Link::ethernet(name, Place::Function(function), mac, 25_000)
    };
    for number in 0..2 {
        function(&mut host, &format!("0000:99:00.{number}"), CONNECTX_6, ETHERNET, "mlx5_core");
    }
    host.link(Link::ethernet("bond0", Place::Virtual("bond"), "00:00:5e:00:53:99", 50_000))
        .link(leg("ens5f0np0", "0000:99:00.0", "00:00:5e:00:53:99"))
        .link(leg("ens5f1np1", "0000:99:00.1", "00:00:5e:00:53:99"))
        .address("bond0", "198.51.100.15/24")
        .rdma(&roce("mlx5_bond_0", "0000:99:00.0", &[ethernet_port("bond0")], 0));
    host
}

/// Elastic RDMA: each RDMA device is a function of its own, of no network class, and its port has the netdev of a virtio NIC. The first one's
/// carries the host's traffic.
///
/// From `drivers/infiniband/hw/erdma/erdma_main.c` (`erdma_enum_and_get_netdev()`, `PCI_DEVICE(PCI_VENDOR_ID_ALIBABA, 0x107f)`).
pub fn erdma() -> Machine {
    let mut host = host();
    let nics = [
        (
            "0000:00:05.0",
            "virtio2",
            "eth0",
            "00:00:5e:00:53:05",
            "192.0.2.55/25",
            "0000:1b:00.0",
            "erdma_0",
            0,
        ),
        (
            "0000:00:06.0",
            "virtio3",
            "eth1",
            "00:00:5e:00:53:06",
            "192.0.2.200/25",
            "0000:9d:00.0",
            "erdma_1",
            1,
        ),
    ];
    for (virtio, child, netdev, mac, address, rdma, name, number) in nics {
        let path = format!("pci0000:00/{virtio}");
        host.function(&Function::new(&path, (0x1af4, 0x1000), ETHERNET).driver("virtio-pci"));
        function(&mut host, rdma, (0x1ded, 0x107f), 0xff_0000, "erdma");
        host.link(Link::ethernet(netdev, Place::Child(virtio, child), mac, -1)).address(netdev, address);
        let device = roce(name, rdma, &[], number);
        host.rdma(&Rdma { driver_id: Some(DRIVER_ERDMA), ports: &[ethernet_port(netdev)], ..device });
    }
    host.route(Route { via: &[("192.0.2.1", "eth0")], protocol: 16, ..Route::default() })
        .connection("192.0.2.55:22", "203.0.113.9:50000");
    host
}

/// A `ConnectX-3` with two Ethernet ports on one function.
///
/// From `drivers/net/ethernet/mellanox/mlx4/en_netdev.c` (`dev_port`), `mlx4_ib_get_netdev()`.
pub fn mlx4_two_ports() -> Machine {
    let mut host = host();
    administration(&mut host);
    let nic = "0000:03:00.0";
    function(&mut host, nic, CONNECTX_3, ETHERNET, "mlx4_core");
    let second = Link::ethernet("enp3s0d1", Place::Function(nic), "00:00:5e:00:53:32", 40_000);
    host.link(Link::ethernet("enp3s0", Place::Function(nic), "00:00:5e:00:53:31", 40_000))
        .link(Link { dev_port: 1, mtu: 9000, ..second })
        .address("enp3s0", "198.51.100.10/24")
        .address("enp3s0d1", "203.0.113.10/24");
    let ports = ["enp3s0", "enp3s0d1"].map(ethernet_port);
    host.rdma(&Rdma { driver_id: Some(DRIVER_MLX4), ..roce("mlx4_0", nic, &ports, 0) });
    host
}

/// A `ConnectX-3` as a VPI card: port 1 is InfiniBand, without a link, port 2 is Ethernet.
pub fn mlx4_vpi() -> Machine {
    let mut host = host();
    administration(&mut host);
    let nic = "0000:03:00.0";
    function(&mut host, nic, CONNECTX_3, 0x02_8000, "mlx4_core");
    let mac = "00:00:10:29:fe:80:00:00:00:00:00:00:00:00:5e:ff:fe:00:53:07";
    let second = Link::ethernet("enp3s0d1", Place::Function(nic), "00:00:5e:00:53:32", 40_000);
    host.link(Link { up: false, carrier: false, ..Link::ipoib("ibp3s0", nic, mac, 56_000) })
        .link(Link { dev_port: 1, ..second })
        .address("enp3s0d1", "198.51.100.5/24");
    let first =
        Port { state: "1: DOWN", link_layer: "InfiniBand", rate: "56 Gb/sec (4X FDR)", lid: 0, netdev: None };
    let ports = [first, ethernet_port("enp3s0d1")];
    host.rdma(&Rdma { driver_id: Some(DRIVER_MLX4), ..roce("mlx4_0", nic, &ports, 0) });
    host
}

/// Omni-Path: programs use `/dev/hfi1_0`, and a job has it open.
///
/// From `drivers/infiniband/hw/hfi1/file_ops.c` (`user_add()`).
pub fn hfi1() -> Machine {
    let mut host = host();
    administration(&mut host);
    let nic = "0000:5e:00.0";
    function(&mut host, nic, (0x8086, 0x24f0), 0x02_0800, "hfi1");
    let mac = "00:00:10:29:fe:80:00:00:00:00:00:00:00:00:5e:ff:fe:00:53:03";
    host.link(Link::ipoib("ib0", nic, mac, 100_000)).address("ib0", "198.51.100.3/24");
    let port = Port {
        state: "4: ACTIVE",
        link_layer: "InfiniBand",
        rate: "100 Gb/sec (4X EDR)",
        lid: 3,
        netdev: None,
    };
    let device = roce("hfi1_0", nic, &[], 0);
    host.rdma(&Rdma {
        driver_id: Some(DRIVER_HFI1),
        protocol: "opa",
        ports: &[port],
        umad: Some(0),
        ..device
    });
    host.open_node(4713, "mpi_job", "/dev/hfi1_0");
    host
}

/// A soft-RoCE device on the netdev of a NIC that has an RDMA device of its own.
pub fn hw_and_rxe() -> Machine {
    let mut host = host();
    administration(&mut host);
    let nic = "0000:c1:00.0";
    function(&mut host, nic, CONNECTX_6, ETHERNET, "mlx5_core");
    host.link(Link::ethernet("ens5np0", Place::Function(nic), "00:00:5e:00:53:51", 100_000))
        .address("ens5np0", "198.51.100.5/24");
    let port = [ethernet_port("ens5np0")];
    host.rdma(&roce("mlx5_0", nic, &port, 0));
    host.rdma(&Rdma { function: None, driver_id: Some(DRIVER_RXE), ..roce("rxe0", nic, &port, 1) });
    host
}

/// Routing on the host: its address is on lo, routes to it and from it are BGP's, over the first of two NICs that have no other address.
pub fn routing_on_host() -> Machine {
    let mut host = host();
    for (number, netdev, mac, device) in [
        (0, "enp193s0f0np0", "02:00:5e:00:53:01", "rocep193s0f0"),
        (1, "enp193s0f1np1", "02:00:5e:00:53:02", "rocep193s0f1"),
    ] {
        let address = format!("0000:c1:00.{number}");
        function(&mut host, &address, CONNECTX_6, ETHERNET, "mlx5_core");
        host.link(Link::ethernet(netdev, Place::Function(&address), mac, 100_000));
        host.rdma(&roce(device, &address, &[ethernet_port(netdev)], number));
    }
    let via = [("", "enp193s0f0np0")];
    host.address("lo", "198.51.100.18/32")
        .route(Route { to: "203.0.113.0/24", via: &via, protocol: 186, metric: Some(20), ..Route::default() })
        .connection("198.51.100.18:22", "203.0.113.7:50000")
        // Within the host: by no NIC.
        .connection("198.51.100.18:50001", "198.51.100.18:6443");
    host
}

/// A default route in two halves, as VPNs and some installers make it.
pub fn split_default() -> Machine {
    let mut host = host();
    let nic = "0000:c1:00.0";
    function(&mut host, nic, CONNECTX_6, ETHERNET, "mlx5_core");
    host.link(Link::ethernet("ens1", Place::Function(nic), "00:00:5e:00:53:51", 100_000))
        .address("ens1", "198.51.100.4/24");
    host.rdma(&roce("mlx5_0", nic, &[ethernet_port("ens1")], 0));
    for to in ["0.0.0.0/1", "128.0.0.0/1"] {
        host.route(Route { to, via: &[("198.51.100.1", "ens1")], protocol: 4, ..Route::default() });
    }
    host.route(Route { to: "2000::/3", via: &[("fe80::1", "ens1")], protocol: 4, ..Route::default() });
    host
}
