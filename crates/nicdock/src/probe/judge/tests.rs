use std::path::PathBuf;

use super::*;

fn target() -> Target {
    Target {
        name: "usnic_0".into(),
        uverbs: "uverbs0".into(),
        node: PathBuf::from("/dev/infiniband/uverbs0"),
        number: (231, 192),
    }
}

fn process(memlock: Option<u64>, exceeds_memlock: bool) -> Process {
    Process { uid: 1000, memlock, exceeds_memlock, kernel: "6.1.0".into(), shared_mode: None }
}

fn port(state: u8, link_layer: u8) -> PortAttributes {
    PortAttributes { state, active_mtu: 3, link_layer }
}

fn netdev(addresses: &[&str]) -> Netdev {
    let addresses = addresses.iter().map(|ip| (ip.parse().unwrap(), 24)).collect();
    Netdev { name: "eth4".into(), running: true, addresses }
}

fn gid(text: &str) -> Vec<(u32, Ipv6Addr)> {
    vec![(0, text.parse().unwrap())]
}

#[test]
fn a_node_with_another_devices_numbers_fails() {
    let node_of = |number| Node { path: target().node, mode: 0o666, uid: 0, gid: 0, number, permits: true };
    let good = node(&target(), &node_of(Some((231, 192)))).unwrap();
    assert_eq!(good, "/dev/infiniband/uverbs0 231:192, mode 0666, owner 0:0");
    let stale = node(&target(), &node_of(Some((231, 193)))).unwrap_err();
    assert!(stale.contains("is 231:193, and usnic_0 is 231:192"), "{stale}");
    assert!(node(&target(), &node_of(None)).unwrap_err().contains("not a character device"));
}

#[test]
fn one_active_port_is_enough() {
    assert_eq!(ports(&[(1, port(4, 2))], false).unwrap(), "port 1 ACTIVE, MTU 1024");
    assert_eq!(
        ports(&[(1, port(1, 1)), (2, port(4, 1))], false).unwrap(),
        "port 1 DOWN, MTU 1024, port 2 ACTIVE, MTU 1024"
    );
}

#[test]
fn a_port_that_is_not_active_has_a_reason_of_its_kind() {
    for (state, usnic, link_layer, reason) in [
        (1, true, 2, "no carrier"),
        (2, true, 2, "no IPv4 address"),
        (1, false, 2, "no carrier"),
        (1, false, 1, "no link"),
        (2, false, 1, "subnet manager"),
    ] {
        let text = ports(&[(1, port(state, link_layer))], usnic).unwrap_err();
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn usnics_gid_must_tell_the_netdevs_address() {
    let told = gid("fe80:0:a4e:102:5054:ff:fe56:4901");
    assert!(usnic_gid(&told, Some(&netdev(&["10.78.1.2"]))).unwrap().ends_with("tells 10.78.1.2"));
    let other = usnic_gid(&told, Some(&netdev(&["10.78.9.9"]))).unwrap_err();
    assert!(other.contains("10.78.1.2 for the driver") && other.contains("has 10.78.9.9"), "{other}");
    assert!(usnic_gid(&[], Some(&netdev(&["10.78.1.2"]))).unwrap_err().contains("GID 0 is empty"));
    let without = gid("fe80::5054:ff:fe56:4901");
    assert!(usnic_gid(&without, Some(&netdev(&[]))).unwrap_err().contains("no IPv4 address"));
    let forgotten = usnic_gid(&without, Some(&netdev(&["10.78.1.2"]))).unwrap_err();
    assert!(forgotten.contains("none for the driver") && forgotten.contains("has 10.78.1.2"), "{forgotten}");
}

#[test]
fn the_gid_with_an_ipv4_address_is_told_as_well() {
    let table = [(0, "fe80::1".parse().unwrap()), (1, "::ffff:10.77.2.1".parse().unwrap())];
    assert_eq!(gids(&table).unwrap(), "index 0: fe80::1; index 1: ::ffff:10.77.2.1");
    assert_eq!(gids(&table[1..]).unwrap(), "index 1: ::ffff:10.77.2.1");
    assert!(gids(&[]).is_err());
}

#[test]
fn usnics_netdev_must_be_here_with_an_ipv4_address() {
    assert!(usnic_netdev("eth4", None).unwrap_err().contains("not in this network namespace"));
    assert!(usnic_netdev("eth4", Some(&netdev(&["fe80::1"]))).unwrap_err().contains("no IPv4 address"));
    assert_eq!(usnic_netdev("eth4", Some(&netdev(&["10.78.1.2"]))).unwrap(), "eth4 10.78.1.2/24");
}

#[test]
fn memlock_is_judged_by_what_the_device_needs() {
    assert_eq!(memlock(&process(None, false), true).unwrap(), "unlimited");
    assert!(memlock(&process(Some(0), false), false).unwrap_err().starts_with("0: "));
    assert!(memlock(&process(Some(4 << 20), false), true).unwrap_err().starts_with("4096 KiB: "));
    assert!(memlock(&process(Some(8 << 20), false), true).is_ok());
    assert!(memlock(&process(Some(65536), false), false).unwrap().starts_with("64 KiB"));
    assert!(memlock(&process(Some(0), true), true).unwrap().contains("CAP_IPC_LOCK"));
}
