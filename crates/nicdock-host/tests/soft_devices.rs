//! Software RDMA devices belong to the netdev that they stand on, in its own network namespace.

use nicdock_host::capture::Capture;
use nicdock_host::constructed::{Function, Link, Machine, Place, Port, Rdma};
use nicdock_host::inventory;
use nicdock_host::model::{Host, IsolationMethod, NicKind, RdmaNetnsMode};
use nicdock_host::source::Entry;

/// `RDMA_DRIVER_RXE`, `RDMA_DRIVER_SIW`.
const RXE: u32 = 14;
const SIW: u32 = 18;

/// A virtio NIC `eth0`, and a pair of veths.
fn machine(mode: RdmaNetnsMode) -> Machine {
    let mut machine = Machine::new("7.2.0");
    machine.rdma_core(mode);
    machine.function(
        &Function::new("pci0000:00/0000:00:03.0", (0x1af4, 0x1041), 0x02_0000).driver("virtio-pci"),
    );
    machine
        .link(Link::ethernet("eth0", Place::Child("0000:00:03.0", "virtio0"), "02:00:5e:00:53:01", -1))
        .link(Link::ethernet("v0", Place::Virtual("veth"), "02:00:5e:00:53:02", 10_000))
        .link(Link::ethernet("v1", Place::Virtual("veth"), "02:00:5e:00:53:03", 10_000));
    machine
}

fn port(netdev: Option<&str>) -> Port<'_> {
    Port { state: "4: ACTIVE", link_layer: "Ethernet", rate: "2.5 Gb/sec (1X SDR)", lid: 0, netdev }
}

fn rxe<'a>(name: &'a str, ports: &'a [Port<'a>], uverbs: u32) -> Rdma<'a> {
    Rdma {
        name,
        function: None,
        node_type: "1: CA",
        node_guid: 0x0000_5eff_fe00_5301,
        firmware: "",
        board_id: "",
        protocol: "roce",
        driver_id: Some(RXE),
        ports,
        uverbs,
        umad: None,
        usnic: None,
    }
}

/// siw's parent is its netdev's (`siw_device_create()`): here the virtio device's function.
fn siw<'a>(ports: &'a [Port<'a>], function: Option<&'a str>) -> Rdma<'a> {
    Rdma { node_type: "4: RNIC", protocol: "iw", driver_id: Some(SIW), function, ..rxe("siw0", ports, 0) }
}

fn read(machine: Machine) -> Host {
    inventory::read(&machine.capture()).unwrap()
}

#[test]
fn an_rxe_on_a_hardware_netdev_is_a_device_of_that_function() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    machine.rdma(&rxe("rxe0", &[port(Some("eth0"))], 0));
    let host = read(machine);
    assert_eq!(host.nics.len(), 1);
    let nic = &host.nics[0];
    assert_eq!((nic.name.as_str(), nic.kind), ("rxe0", NicKind::SoftRoce));
    assert_eq!(nic.pci.unwrap().to_string(), "0000:00:03.0");
    assert_eq!(nic.netdevs[0].name, "eth0");
    assert_eq!(nic.rdma_devices[0].driver.as_deref(), Some("rxe"));
}

#[test]
fn a_virtual_netdev_is_a_nic_if_it_carries_an_rxe_and_else_is_none() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    machine.rdma(&rxe("rx_v0", &[port(Some("v0"))], 0));
    let host = read(machine);
    let names: Vec<_> = host.nics.iter().map(|nic| (nic.name.as_str(), nic.pci.is_some())).collect();
    assert_eq!(names, [("rx_v0", false), ("eth0", true)]);
    assert_eq!(host.nics[0].netdevs[0].virtual_kind.as_deref(), Some("veth"));
    assert!(!host.nics[0].is_physical());
}

#[test]
fn a_siw_is_soft_iwarp_though_its_sysfs_parent_is_hardware() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    machine.rdma(&siw(&[port(Some("eth0"))], Some("0000:00:03.0")));
    let host = read(machine);
    assert_eq!(host.nics.len(), 1);
    assert_eq!(host.nics[0].kind, NicKind::SoftIwarp);
    assert_eq!(host.nics[0].rdma_devices[0].driver.as_deref(), Some("siw"));
}

#[test]
fn an_rxe_of_another_namespace_is_not_taken_for_one_on_our_netdev_of_the_same_name() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    // In shared mode everybody sees it; netlink tells its netdev only where that is.
    machine.rdma(&rxe("rxe0", &[port(None)], 0));
    let capture = machine.everything();
    let mut entries = capture.entries().clone();
    entries.insert("sys/devices/virtual/infiniband/rxe0/parent".into(), Entry::File(b"eth0\n".to_vec()));
    let host = inventory::read(&Capture::from_parts(entries, Vec::new())).unwrap();
    assert_eq!(host.nics.len(), 1);
    assert_eq!((host.nics[0].name.as_str(), host.nics[0].kind), ("eth0", NicKind::Ethernet));
    assert_eq!(host.warnings, [""; 0]);
}

#[test]
fn without_netlink_sysfs_names_the_driver_and_the_netdev() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    machine.rdma(&rxe("rxe0", &[port(Some("eth0"))], 0));
    let capture = machine.everything();
    let mut entries = capture.entries().clone();
    entries.insert("netlink/rdma-devices".into(), Entry::File(Vec::new()));
    entries.insert("sys/devices/virtual/infiniband/rxe0/parent".into(), Entry::File(b"eth0\n".to_vec()));
    let host = inventory::read(&Capture::from_parts(entries, Vec::new())).unwrap();
    assert_eq!((host.nics[0].name.as_str(), host.nics[0].kind), ("rxe0", NicKind::SoftRoce));
    assert_eq!(host.nics[0].rdma_devices[0].index, None);
}

#[test]
fn a_device_on_the_loopback_is_no_nic_and_a_warning_says_so() {
    let mut machine = machine(RdmaNetnsMode::Shared);
    machine.rdma(&siw(&[port(Some("lo"))], None));
    let host = read(machine);
    assert!(host.nics.iter().all(|nic| nic.rdma_devices.is_empty()));
    assert_eq!(host.warnings, ["siw0 stands on lo, which is no NIC's netdev, and is left out"]);
}

#[test]
fn in_exclusive_mode_soft_devices_need_shared_mode_and_the_reason_says_so() {
    let mut machine = machine(RdmaNetnsMode::Exclusive);
    machine.rdma(&rxe("rxe0", &[port(Some("eth0"))], 0));
    let isolation = read(machine).nics[0].isolation.clone();
    assert_eq!(isolation.method, IsolationMethod::View);
    assert!(isolation.reason.contains("rdma system set netns shared"), "{}", isolation.reason);
}
