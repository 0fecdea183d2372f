//! No bytes make the inventory panic, and a list that is damaged is never taken for an answer.

use std::collections::BTreeMap;

use nicdock_host::capture::Capture;
use nicdock_host::constructed::hosts;
use nicdock_host::inventory::{self, InventoryError};
use nicdock_host::source::Entry;
use nicdock_netlink::wire::push_attribute;
use proptest::prelude::*;

fn entries() -> BTreeMap<String, Entry> {
    hosts::mlx5_sriov().capture().entries().clone()
}

fn read(entries: BTreeMap<String, Entry>) -> Result<nicdock_host::model::Host, InventoryError> {
    inventory::read(&Capture::from_parts(entries, Vec::new()))
}

#[test]
fn a_list_cut_short_is_an_error_that_names_the_list() {
    for (file, what) in [
        ("netlink/links", "interfaces"),
        ("netlink/addresses", "addresses"),
        ("netlink/routes", "routes"),
        ("netlink/rdma-devices", "RDMA devices"),
        ("netlink/rdma-ports-0", "RDMA ports"),
    ] {
        let mut entries = entries();
        let Some(Entry::File(bytes)) = entries.get_mut(file) else { panic!("{file}") };
        bytes.truncate(bytes.len() - 4);
        let error = read(entries).unwrap_err();
        assert!(matches!(error, InventoryError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_missing_list_is_an_error() {
    for file in ["netlink/links", "netlink/addresses", "netlink/routes", "netlink/rdma-devices"] {
        let mut entries = entries();
        entries.remove(file);
        assert!(matches!(read(entries), Err(InventoryError::Netlink { .. })), "{file}");
    }
}

#[test]
fn a_value_that_is_not_understood_is_a_warning_that_names_the_file() {
    let numa = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/numa_node";
    let mut entries = entries();
    entries.insert(numa.into(), Entry::File(b"soon\n".to_vec()));
    let host = read(entries).unwrap();
    assert_eq!(host.warnings, [format!("/{numa} says 'soon', which is not understood")]);
    assert!(host.nics.iter().any(|nic| nic.name == "mlx5_0" && nic.numa_node.is_none()));
}

/// One more entry at the end of a list.
fn with_entry(file: &str, kind: u16, payload: &[u8]) -> BTreeMap<String, Entry> {
    let mut entries = entries();
    let Some(Entry::File(bytes)) = entries.get_mut(file) else { panic!("{file}") };
    bytes.extend(nicdock_netlink::wire::encode(kind, 2, 1, payload));
    entries
}

#[test]
fn names_that_are_not_utf_8_are_texts_that_stand_for_them() {
    let mut names = Vec::new();
    push_attribute(&mut names, 53, b"netz\xe4\0");
    push_attribute(&mut names, 53, b"a\\b\0");
    let mut payload = vec![0; 16];
    payload[4..8].copy_from_slice(&9_u32.to_ne_bytes());
    push_attribute(&mut payload, 3, b"caf\xe9\0");
    push_attribute(&mut payload, 52, &names);
    let mut entries = with_entry("netlink/links", 16, &payload);
    // On a function without RDMA: beside an RDMA device it could be a representor.
    let Entry::Link(function) = &entries["sys/bus/pci/devices/0000:02:00.0"] else { panic!("no link") };
    let folder = &*format!("{}/net/caf\\xe9", function.trim_start_matches("../"));
    entries.insert("sys/class/net/caf\\xe9".into(), Entry::Link(format!("../../{folder}")));
    let host = read(entries).unwrap();
    let netdev = host.nics.iter().flat_map(|nic| &nic.netdevs).find(|netdev| netdev.ifindex == 9).unwrap();
    assert_eq!((netdev.name.as_str(), netdev.sysfs.as_str()), ("caf\\xe9", folder));
    assert_eq!(netdev.altnames, ["netz\\xe4", "a\\x5cb"]);
}

#[test]
fn an_entry_that_is_not_understood_is_told_and_concerns_its_interface_alone() {
    let before = read(entries()).unwrap();
    let netdev = before.nics.iter().flat_map(|nic| &nic.netdevs).next().unwrap();
    let index = netdev.ifindex.to_ne_bytes();
    // An address of two bytes, and a route with a gateway of two.
    let mut address = [&[2, 24, 0, 0][..], &index].concat();
    push_attribute(&mut address, 1, &[10, 0]);
    let mut route = vec![2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    push_attribute(&mut route, 4, &index);
    push_attribute(&mut route, 5, &[10, 0]);
    for (file, kind, payload) in [("netlink/addresses", 20, address), ("netlink/routes", 24, route)] {
        let mut host = read(with_entry(file, kind, &payload)).unwrap();
        assert!(host.warnings.iter().any(|warning| warning.contains(&netdev.name)), "{:?}", host.warnings);
        let mut netdevs = host.nics.iter_mut().flat_map(|nic| &mut nic.netdevs);
        let found = netdevs.find(|found| found.name == netdev.name).unwrap();
        assert_eq!(std::mem::take(&mut found.unread).len(), 1);
        assert_eq!(host.nics, before.nics);
    }
}

#[test]
fn a_route_by_a_nexthop_object_alone_is_a_warning() {
    // struct rtmsg of an IPv4 default route in the main table, and RTA_NH_ID.
    let mut payload = vec![2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    nicdock_netlink::wire::push_attribute(&mut payload, 30, &7u32.to_ne_bytes());
    let mut entries = entries();
    let Some(Entry::File(routes)) = entries.get_mut("netlink/routes") else { panic!() };
    routes.extend(nicdock_netlink::wire::encode(24, 2, 1, &payload));
    let host = read(entries).unwrap();
    assert_eq!(host.warnings.len(), 1);
    assert!(host.warnings[0].starts_with("1 routes name a nexthop object only"), "{}", host.warnings[0]);
}

#[test]
fn what_may_not_be_read_is_a_warning_that_names_the_file_and_the_reason() {
    let class = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0/vendor";
    let mut entries = entries();
    entries.insert(class.into(), Entry::Failed(13));
    let host = read(entries).unwrap();
    assert_eq!(host.warnings.len(), 1);
    assert!(host.warnings[0].contains(class) && host.warnings[0].contains("Permission denied"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_byte_makes_it_panic(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), new: u8) {
        let mut entries = entries();
        let files: Vec<String> =
            entries.iter().filter(|(_, e)| matches!(e, Entry::File(b) if !b.is_empty())).map(|(p, _)| p.clone()).collect();
        let Some(Entry::File(bytes)) = entries.get_mut(file.get(&files)) else { unreachable!() };
        let at = at.index(bytes.len());
        bytes[at] = new;
        let capture = Capture::from_parts(entries.clone(), Vec::new());
        let _ = inventory::read(&capture);
        let _ = inventory::read(&capture.redacted());
    }

    /// What a container can choose of its interfaces, and more: any content of an entry, of an interface that no NIC has.
    #[test]
    fn a_hostile_entry_changes_nothing_about_the_others(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        const INDEX: u32 = 4_000_000_000;
        let link = [&[0; 4][..], &INDEX.to_ne_bytes(), &[0; 8], &bytes].concat();
        let address = [&[2, 24, 0, 0][..], &INDEX.to_ne_bytes(), &bytes].concat();
        let mut route = vec![2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
        push_attribute(&mut route, 4, &INDEX.to_ne_bytes());
        route.extend(&bytes);
        let mut name = vec![0; 16];
        name[4..8].copy_from_slice(&INDEX.to_ne_bytes());
        for kind in [3, 20] {
            push_attribute(&mut name, kind, &bytes);
        }
        let mut names = Vec::new();
        push_attribute(&mut names, 53, &bytes);
        push_attribute(&mut name, 52, &names);
        let before = read(entries()).unwrap();
        for (file, kind, payload) in [
            ("netlink/links", 16, link),
            ("netlink/links", 16, name),
            ("netlink/addresses", 20, address),
            ("netlink/routes", 24, route),
        ] {
            let entries = with_entry(file, kind, &payload);
            prop_assert_eq!(&read(entries.clone()).unwrap().nics, &before.nics);
            let redacted = inventory::read(&Capture::from_parts(entries, Vec::new()).redacted()).unwrap();
            prop_assert_eq!(redacted.nics.len(), before.nics.len());
        }
    }

    #[test]
    fn no_bytes_in_place_of_a_list_make_it_panic(file in 0usize..9, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let files = ["netlink/links", "netlink/addresses", "netlink/routes", "netlink/rdma-devices",
            "netlink/rdma-ports-0", "netlink/rdma-uverbs-0", "netlink/rdma-system", "proc/net/tcp", "proc/net/tcp6"];
        let mut entries = entries();
        entries.insert(files[file].into(), Entry::File(bytes));
        let capture = Capture::from_parts(entries, Vec::new());
        let _ = inventory::read(&capture);
        let _ = inventory::read(&capture.redacted());
    }
}
