//! No bytes make a parser panic or loop.

use nicdock_netlink::ParseError;
use nicdock_netlink::rdma::{parse_chardev, parse_devices, parse_netns_mode, parse_ports};
use nicdock_netlink::wire::{Attributes, Messages, encode, push_attribute};
use proptest::prelude::*;

fn parse_everything(bytes: &[u8]) {
    let _ = parse_devices(bytes);
    let _ = parse_ports(bytes);
    let _ = parse_chardev(bytes);
    let _ = parse_netns_mode(bytes);
    assert!(Messages::new(bytes).count() <= bytes.len() / 16 + 1);
    assert!(Attributes::new(bytes).count() <= bytes.len() / 4 + 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse_everything(&bytes);
    }

    /// Sound lengths around nonsense reach further into the parsers.
    #[test]
    fn any_attributes_in_any_of_the_commands(
        command in 0u16..40,
        attributes in prop::collection::vec((0u16..100, prop::collection::vec(any::<u8>(), 0..20)), 0..20),
    ) {
        let mut payload = Vec::new();
        for (kind, value) in attributes {
            push_attribute(&mut payload, kind, &value);
        }
        parse_everything(&encode((5 << 10) + command, 2, 1, &payload));
    }

    #[test]
    fn a_valid_list_cut_anywhere_is_an_error_or_shorter(cut in any::<prop::sample::Index>()) {
        let list: Vec<u8> = (0..3).flat_map(device).collect();
        let cut = cut.index(list.len());
        match parse_devices(&list[..cut]) {
            Ok(devices) => prop_assert!(cut.is_multiple_of(list.len() / 3) && devices.len() == cut / (list.len() / 3)),
            Err(error) => prop_assert!(matches!(error, ParseError::Length { .. }), "{error}"),
        }
    }
}

fn device(index: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    push_attribute(&mut payload, 1, &index.to_ne_bytes());
    push_attribute(&mut payload, 2, format!("mlx5_{index}\0").as_bytes());
    push_attribute(&mut payload, 3, &1u32.to_ne_bytes());
    encode((5 << 10) + 1, 2, 1, &payload)
}

#[test]
fn a_device_without_an_index_is_an_error_that_names_the_attribute() {
    let mut payload = Vec::new();
    push_attribute(&mut payload, 2, b"mlx5_0\0");
    let list = encode((5 << 10) + 1, 2, 1, &payload);
    assert_eq!(parse_devices(&list), Err(ParseError::Missing { message: 0x1401, attribute: 1 }));
}

#[test]
fn attributes_of_a_newer_kernel_are_passed_over() {
    let mut payload = Vec::new();
    push_attribute(&mut payload, 1, &7u32.to_ne_bytes());
    push_attribute(&mut payload, 2, b"mlx5_7\0");
    push_attribute(&mut payload, 9999, b"what is this");
    let devices = parse_devices(&encode((5 << 10) + 1, 2, 1, &payload)).unwrap();
    assert_eq!((devices[0].index, devices[0].name.as_str()), (7, "mlx5_7"));
}

#[test]
fn a_number_of_the_wrong_size_is_an_error_that_names_the_attribute() {
    let mut payload = Vec::new();
    push_attribute(&mut payload, 1, &[1, 2]);
    let error = parse_devices(&encode((5 << 10) + 1, 2, 1, &payload)).unwrap_err();
    assert_eq!(error, ParseError::AttributeSize { attribute: 1, expected: 4, found: 2 });
}
