//! What fuzzing and reading found: small captures that took all memory, or ended nicdock.

use std::collections::BTreeMap;

use nicdock_fuzzing::bounded;
use nicdock_host::capture::Capture;
use nicdock_host::constructed::hosts;
use nicdock_host::inventory;
use nicdock_host::source::Entry;
use nicdock_netlink::wire::{encode, push_attribute};

fn machine() -> BTreeMap<String, Entry> {
    hosts::infiniband_8().capture().entries().clone()
}

fn file<'a>(entries: &'a mut BTreeMap<String, Entry>, path: &str) -> &'a mut Vec<u8> {
    let Some(Entry::File(bytes)) = entries.get_mut(path) else { panic!("{path}") };
    bytes
}

fn read(entries: BTreeMap<String, Entry>) -> bool {
    let capture = Capture::from_parts(entries, Vec::new());
    let _ = inventory::read(&capture.redacted());
    inventory::read(&capture).is_ok()
}

/// One message of 128 KiB would else become 8,000 copies of itself.
#[test]
fn a_route_with_thousands_of_next_hops_takes_no_more_memory_than_its_list() {
    let hop = [8, 0, 0, 0, 2, 0, 0, 0];
    let mut payload = vec![2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0];
    push_attribute(&mut payload, 9, &hop.repeat(8_000));
    push_attribute(&mut payload, 9999, &vec![0; 65_000]);
    let list = encode(24, 2, 1, &payload);
    bounded(&list, |list| {
        let mut entries = machine();
        file(&mut entries, "netlink/routes").extend(list);
        assert!(!read(entries), "it is an error");
    });
}

#[test]
fn an_address_given_many_times_does_not_multiply_its_connections() {
    let mut address = vec![2, 24, 0, 0, 2, 0, 0, 0];
    push_attribute(&mut address, 1, &[10, 0, 0, 1]);
    let addresses = encode(20, 2, 1, &address).repeat(5_000);
    let line = "   1: 0100000A:0016 0900A8C0:D431 01 00000000:00000000 02:000A 00000000     0\n";
    let input = [addresses.clone(), line.repeat(5_000).into_bytes()].concat();
    bounded(&input, |_| {
        let mut entries = machine();
        file(&mut entries, "netlink/addresses").extend(&addresses);
        file(&mut entries, "proc/net/tcp").extend(line.repeat(5_000).bytes());
        assert!(read(entries));
    });
}

/// An `IPoIB` port is found by the number before its own.
#[test]
fn the_largest_port_number_of_a_netdev_is_no_overflow() {
    let mut entries = machine();
    for (path, entry) in &mut entries {
        if path.ends_with("/dev_port") {
            *entry = Entry::File(b"4294967295\n".to_vec());
        }
    }
    assert!(read(entries));
}

/// Redaction ends every name with a NUL, for which there may be no room.
#[test]
fn redaction_gives_up_a_list_whose_names_fill_their_attributes() {
    let link = |attribute: u16, payload: &[u8]| {
        let mut message = vec![0; 16];
        push_attribute(&mut message, attribute, payload);
        encode(16, 2, 1, &message)
    };
    let mut altnames = Vec::new();
    for _ in 0..8_000 {
        push_attribute(&mut altnames, 53, b"abcd");
    }
    for list in [link(3, &vec![b'a'; 65_531]), link(52, &altnames)] {
        let mut entries = machine();
        file(&mut entries, "netlink/links").extend(list);
        let redacted = Capture::from_parts(entries, Vec::new()).redacted();
        assert_eq!(redacted.entries().get("netlink/links"), Some(&Entry::File(Vec::new())));
    }
}

/// `MAX_ADDR_LEN`: a longer one could be printed in a lease and not be read again.
#[test]
fn a_link_layer_address_longer_than_the_kernels_is_none() {
    let mut message = vec![0; 16];
    push_attribute(&mut message, 3, b"eth9\0");
    push_attribute(&mut message, 1, &[1; 33]);
    let mut entries = machine();
    file(&mut entries, "netlink/links").extend(encode(16, 2, 1, &message));
    let host = inventory::read(&Capture::from_parts(entries, Vec::new())).expect("read");
    assert_eq!(host.nics, inventory::read(&Capture::from_parts(machine(), Vec::new())).expect("read").nics);
}

#[test]
fn a_warning_quotes_no_more_than_a_line_of_a_value() {
    let mut entries = machine();
    let numa = entries.keys().find(|path| path.ends_with("/numa_node")).expect("one").clone();
    entries.insert(numa, Entry::File(vec![b'x'; 1 << 20]));
    let host = inventory::read(&Capture::from_parts(entries, Vec::new())).expect("read");
    assert!(host.warnings.iter().all(|warning| warning.len() < 400));
    assert_eq!(host.warnings.len(), 1);
}
