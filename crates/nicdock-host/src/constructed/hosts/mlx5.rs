use super::super::{Function, Link, Machine, Place, Port, Rdma, Route};
use super::{ETHERNET, ROOT_PORT, eui64};
use crate::model::RdmaNetnsMode;

/// ConnectX-5 and its VF (`mlx5_core_pci_table`).
const CONNECTX_5: (u16, u16) = (0x15b3, 0x1017);
const CONNECTX_5_VF: (u16, u16) = (0x15b3, 0x1018);
/// `RDMA_DRIVER_MLX5`.
const DRIVER_MLX5: u32 = 1;

/// A RoCE host in exclusive mode: a ConnectX-5 with two ports, each a function of its own. Port 0 has four VFs: two
/// with netdev and RDMA device, one whose netdev and RDMA device were moved into
/// another network namespace, one given to vfio-pci.
/// Port 1 is one leg of the bond that carries the host's traffic, an on-board Broadcom (`tg3`, 14e4:165f) the other;
/// a VLAN is stacked on port 0.
///
/// From `drivers/net/ethernet/mellanox/mlx5/core/{main,sriov}.c`, `Documentation/PCI/pci-iov-howto.rst`,
/// `Documentation/ABI/testing/sysfs-bus-pci` (virtfnN, physfn) and NVIDIA's `MLNX_OFED` manual, chapter "Single Root IO
/// Virtualization (SR-IOV)" (a VF is an additional device of its own; VF GUIDs are zero until they are set).
pub fn mlx5_sriov() -> Machine {
    let mut host = Machine::new("6.8.0-49-generic");
    host.rdma_core(RdmaNetnsMode::Exclusive);
    host.function(&Function::bridge("pci0000:00/0000:00:1c.0", ROOT_PORT).numa_node(0))
        .function(&Function::bridge("pci0000:3a/0000:3a:00.0", ROOT_PORT).numa_node(1));
    let broadcom = Function::new("pci0000:00/0000:00:1c.0/0000:02:00.0", (0x14e4, 0x165f), ETHERNET);
    host.function(&broadcom.driver("tg3").numa_node(0).iommu_group(25));
    for (number, group) in [(0, 80), (1, 81)] {
        let path = format!("pci0000:3a/0000:3a:00.0/0000:3b:00.{number}");
        let port = Function::new(&path, CONNECTX_5, ETHERNET).subsystem(0x15b3, 0x0020);
        host.function(&port.driver("mlx5_core").numa_node(1).iommu_group(group));
    }
    // The first VF's routing ID is two behind its PF's, and they follow each other.
    for (number, driver) in [(2, "mlx5_core"), (3, "mlx5_core"), (4, "mlx5_core"), (5, "vfio-pci")] {
        let path = format!("pci0000:3a/0000:3a:00.0/0000:3b:00.{number}");
        let vf =
            Function::new(&path, CONNECTX_5_VF, ETHERNET).subsystem(0x15b3, 0x0020).vf_of("0000:3b:00.0");
        host.function(&vf.driver(driver).numa_node(1).iommu_group(90 + number));
    }
    links(&mut host);
    host.address("bond0", "192.0.2.20/24")
        .address("bond0", "2001:db8:0:1::20/64")
        .address("ens1f0np0", "10.30.0.20/16")
        .address("ens1f0np0", "fe80::200:5eff:fe00:5330/64")
        .address("vlan100", "10.100.0.20/24")
        .address("ens1f0v0", "10.40.0.20/16")
        .address("ens1f0v1", "10.41.0.20/16")
        .address("ens1f0v1", "2001:db8:0:41::20/64")
        .route(Route { via: &[("192.0.2.1", "bond0")], protocol: 16, metric: Some(300), ..Route::default() })
        .route(Route { via: &[("2001:db8:0:1::1", "bond0")], protocol: 16, ..Route::default() })
        .route(Route {
            to: "10.50.0.0/16",
            via: &[("10.40.0.1", "ens1f0v0"), ("10.41.0.1", "ens1f0v1")],
            protocol: 4,
            ..Route::default()
        })
        // Answers leave by the NIC that was asked: a table of its own.
        .route(Route { via: &[("10.41.0.1", "ens1f0v1")], table: 1041, protocol: 4, ..Route::default() })
        .connection("192.0.2.20:22", "192.0.2.77:50000")
        .connection("10.30.0.20:700", "10.30.0.2:2049");
    rdma(&mut host);
    host.uverbs_of_another_netns("0000:3b:00.4", "mlx5_4", 4);
    host.open_node(4711, "mpirun", "uverbs2").rdma_cm(121);
    host
}

fn links(host: &mut Machine) {
    let bonded = |name, function, mac, speed| Link {
        master: Some("bond0"),
        ..Link::ethernet(name, Place::Function(function), mac, speed)
    };
    host.link(Link::ethernet("bond0", Place::Virtual("bond"), "00:00:5e:00:53:20", 25_000))
        .link(bonded("eno1", "0000:02:00.0", "00:00:5e:00:53:20", 1000))
        .link(Link {
            altnames: &["enp59s0f0np0"],
            mtu: 9000,
            ..Link::ethernet("ens1f0np0", Place::Function("0000:3b:00.0"), "00:00:5e:00:53:30", 25_000)
        })
        .link(bonded("ens1f1np1", "0000:3b:00.1", "00:00:5e:00:53:31", 25_000))
        .link(Link {
            lower: Some("ens1f0np0"),
            ..Link::ethernet("vlan100", Place::Virtual("vlan"), "00:00:5e:00:53:30", -1)
        })
        .link(Link::ethernet("ens1f0v0", Place::Function("0000:3b:00.2"), "02:00:5e:00:53:40", 25_000))
        .link(Link::ethernet("ens1f0v1", Place::Function("0000:3b:00.3"), "02:00:5e:00:53:41", 25_000));
}

fn rdma(host: &mut Machine) {
    let port = |netdev| Port {
        state: "4: ACTIVE",
        link_layer: "Ethernet",
        rate: "25 Gb/sec (1X EDR)",
        lid: 0,
        netdev: Some(netdev),
    };
    let devices = [
        ("mlx5_0", "0000:3b:00.0", "ens1f0np0", eui64("00:00:5e:00:53:30")),
        ("mlx5_1", "0000:3b:00.1", "ens1f1np1", eui64("00:00:5e:00:53:31")),
        ("mlx5_2", "0000:3b:00.2", "ens1f0v0", eui64("02:00:5e:00:53:40")),
        // A VF whose GUID nobody has set.
        ("mlx5_3", "0000:3b:00.3", "ens1f0v1", 0),
    ];
    for ((name, function, netdev, node_guid), number) in devices.into_iter().zip(0..) {
        host.rdma(&Rdma {
            name,
            function: Some(function),
            node_type: "1: CA",
            node_guid,
            firmware: "16.35.4030",
            board_id: "MT_0000000425",
            protocol: "roce",
            driver_id: Some(DRIVER_MLX5),
            ports: &[port(netdev)],
            uverbs: number,
            umad: Some(number),
            usnic: None,
        });
    }
}
