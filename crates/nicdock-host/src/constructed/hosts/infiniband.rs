use super::super::{Function, Link, Machine, Place, Port, Rdma, Route};
use super::{ETHERNET, ROOT_PORT};
use crate::model::RdmaNetnsMode;

/// ConnectX-7 (`mlx5_core_pci_table`).
const CONNECTX_7: (u16, u16) = (0x15b3, 0x1021);
/// `PCI_CLASS_NETWORK_INFINIBAND`.
const INFINIBAND: u32 = 0x02_0700;
/// A port of a Broadcom `PEX890xx` switch.
const SWITCH_PORT: (u16, u16) = (0x1000, 0xc030);
/// `RDMA_DRIVER_MLX5`.
const DRIVER_MLX5: u32 = 1;

/// PCI bus, NUMA node, RDMA device, netdev of each rail.
const RAILS: [(u8, i32, &str, &str); 8] = [
    (0x18, 0, "mlx5_0", "ibp24s0"),
    (0x40, 0, "mlx5_3", "ibp64s0"),
    (0x4f, 0, "mlx5_4", "ibp79s0"),
    (0x5e, 0, "mlx5_5", "ibp94s0"),
    (0x9a, 1, "mlx5_6", "ibp154s0"),
    (0xc0, 1, "mlx5_9", "ibp192s0"),
    (0xce, 1, "mlx5_10", "ibp206s0"),
    (0xdc, 1, "mlx5_11", "ibp220s0"),
];

/// A GPU server's compute fabric: eight single-port InfiniBand NICs on two NUMA nodes, each behind a PCI switch with
/// its GPU, four disks, and an on-board Intel NIC for administration. RDMA devices are numbered with gaps (the storage NICs that
/// have the numbers between are not in this machine).
///
/// Buses, NUMA nodes and names from NVIDIA's DGX H100 user guide, table "Network Modules", and the DGX `BasePOD`
/// deployment guide, "SR-IOV" (18, 40, 4f, 5e, 9a, c0, ce, dc); what a port says from
/// `drivers/infiniband/core/sysfs.c` and `Documentation/ABI/stable/sysfs-class-infiniband`; netdevs from
/// `drivers/infiniband/ulp/ipoib/ipoib_main.c` (hardware type 32, 20-byte addresses, `dev_port`).
pub fn infiniband_8() -> Machine {
    let mut host = Machine::new("5.15.0-1063-nvidia");
    host.rdma_core(RdmaNetnsMode::Shared);
    let lan = Function::new("pci0000:00/0000:00:1d.0", (0x8086, 0x1563), ETHERNET);
    host.function(&lan.driver("ixgbe").numa_node(0));
    host.link(Link::ethernet("eno3", Place::Function("0000:00:1d.0"), "00:00:5e:00:53:60", 10_000))
        .address("eno3", "192.0.2.60/24")
        .route(Route { via: &[("192.0.2.1", "eno3")], protocol: 4, ..Route::default() });
    for ((bus, numa_node, rdma, netdev), number) in RAILS.into_iter().zip(0_u32..) {
        rail(&mut host, bus, numa_node, rdma, netdev, number);
    }
    for (bus, numa_node) in [(0x2a, 0), (0x2b, 0), (0xaa, 1), (0xab, 1)] {
        disk(&mut host, bus, numa_node);
    }
    host.rdma_cm(122);
    // Two processors with 56 cores of two threads.
    host.numa_node(0, "0-55,112-167", "10 21").numa_node(1, "56-111,168-223", "21 10");
    let mut nodes: Vec<String> =
        (0..8).map(|number| format!("231:{} uverbs{number}", 192 + number)).collect();
    nodes.push("10:122 rdma_cm".to_owned());
    host.surroundings("0-223", &nodes);
    host
}

/// A disk behind a root port of its own.
fn disk(host: &mut Machine, bus: u8, numa_node: i32) {
    let root = if numa_node == 0 { 0x29 } else { 0xa9 };
    let top = format!("pci0000:{root:02x}/0000:{root:02x}:{:02x}.0", bus & 1);
    host.function(&Function::bridge(&top, ROOT_PORT).numa_node(numa_node));
    let path = format!("{top}/0000:{bus:02x}:00.0");
    host.function(&Function::new(&path, (0x144d, 0xa824), 0x01_0802).driver("nvme").numa_node(numa_node))
        .pcie_link(&format!("0000:{bus:02x}:00.0"), ("16.0", 4), ("16.0", 4));
}

fn rail(host: &mut Machine, bus: u8, numa_node: i32, rdma: &str, netdev: &str, number: u32) {
    // Root complex, root port, switch up, switch down, and beside the NIC its GPU.
    let root = bus - 3;
    let top = format!("pci0000:{root:02x}/0000:{root:02x}:01.0");
    let up = format!("{top}/0000:{:02x}:00.0", bus - 2);
    let [to_nic, to_gpu] = [0, 1].map(|slot| format!("{up}/0000:{:02x}:{slot:02x}.0", bus - 1));
    host.function(&Function::bridge(&top, ROOT_PORT).numa_node(numa_node));
    for bridge in [&up, &to_nic, &to_gpu] {
        host.function(&Function::bridge(bridge, SWITCH_PORT).numa_node(numa_node));
    }
    let gpu = format!("{to_gpu}/0000:{:02x}:00.0", bus + 3);
    host.function(&Function::new(&gpu, (0x10de, 0x2330), 0x03_0200).driver("nvidia").numa_node(numa_node));
    let address = format!("0000:{bus:02x}:00.0");
    let path = format!("{to_nic}/{address}");
    let nic = Function::new(&path, CONNECTX_7, INFINIBAND).subsystem(0x15b3, 0x0041);
    host.function(&nic.driver("mlx5_core").numa_node(numa_node));

    for (address, control) in [(&address, 0x2810), (&format!("0000:{:02x}:00.0", bus + 3), 0x2910)] {
        host.pcie_link(address, ("32.0", 16), ("32.0", 16)).pci_config(address, control, 0);
    }
    for bridge in [&top, &up, &to_nic, &to_gpu] {
        let address = bridge.rsplit('/').next().unwrap_or_default();
        host.pcie_link(address, ("32.0", 16), ("32.0", 16)).pci_config(address, 0, 0);
    }

    // Flags and queue pair, the default subnet prefix, the port's GUID.
    let guid = 0x0000_5eff_fe00_5300 + u64::from(bus);
    let digits: Vec<String> = guid.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mac = format!("00:00:10:29:fe:80:00:00:00:00:00:00:{}", digits.join(":"));
    host.link(Link { mtu: 4092, ..Link::ipoib(netdev, &address, &mac, 400_000) });
    host.address(netdev, &format!("100.126.{}.60/16", number * 16));
    host.rdma(&Rdma {
        name: rdma,
        function: Some(&address),
        node_type: "1: CA",
        node_guid: guid,
        firmware: "28.39.3560",
        board_id: "MT_0000000838",
        protocol: "ib",
        driver_id: Some(DRIVER_MLX5),
        ports: &[Port {
            state: "4: ACTIVE",
            link_layer: "InfiniBand",
            rate: "400 Gb/sec (4X NDR)",
            lid: u16::from(bus),
            netdev: None,
        }],
        uverbs: number,
        umad: Some(number),
        usnic: None,
    })
    .gid(&address, rdma, 0, &gid(guid), "IB/RoCE v1", "");
    let verbs = format!("sys/devices/{path}/infiniband_verbs/uverbs{number}/abi_version");
    host.with_file(&verbs, "1");
}

/// The default subnet prefix with the port's GUID.
fn gid(guid: u64) -> String {
    let bytes = (0xfe80_u128 << 112 | u128::from(guid)).to_be_bytes();
    let groups: Vec<String> = bytes.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
    groups.join(":")
}
