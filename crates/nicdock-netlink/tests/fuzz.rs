//! Whatever an RDMA core answers, it is read in time and memory that its length bounds.

use nicdock_fuzzing::{check, samples};
use nicdock_netlink::rdma::{parse_chardev, parse_devices, parse_netns_mode, parse_ports};
use nicdock_netlink::rtnl::message;
use nicdock_netlink::wire::{Attributes, Messages, encode, push_attribute};

#[test]
fn devices() {
    check(&samples!("devices"), |bytes| drop(parse_devices(bytes)));
}

#[test]
fn ports() {
    check(&samples!("ports"), |bytes| drop(parse_ports(bytes)));
}

#[test]
fn chardev() {
    check(&samples!("chardev"), |bytes| drop(parse_chardev(bytes)));
}

#[test]
fn system() {
    check(&samples!("system"), |bytes| drop(parse_netns_mode(bytes)));
}

/// What is read of a list is written as it was, so that a capture holds what the kernel said.
#[test]
fn messages_and_attributes_are_written_as_they_were_read() {
    check(&samples!("devices"), |bytes| {
        for message in Messages::new(bytes).map_while(Result::ok) {
            let again = encode(message.kind, message.flags, message.sequence, message.payload());
            let read = Messages::new(&again).next().expect("a message").expect("a sound one");
            assert_eq!(
                (read.kind, read.flags, read.payload()),
                (message.kind, message.flags, message.payload())
            );
            for attribute in Attributes::new(message.payload()).map_while(Result::ok) {
                let mut written = Vec::new();
                push_attribute(&mut written, attribute.kind, attribute.payload);
                let read = Attributes::new(&written).next().expect("an attribute").expect("a sound one");
                assert_eq!((read.kind, read.payload), (attribute.kind, attribute.payload));
            }
        }
    });
}

/// Answers of rtnetlink, and messages that a lease kept.
#[test]
fn rtnetlink_messages() {
    check(&samples!("rtnl"), |bytes| {
        for one in Messages::new(bytes).filter_map(Result::ok) {
            let _ = (message::link(one.payload()), message::address(one.payload()));
        }
        // What is put back has what was there, and headers of its own.
        for restored in
            [message::restored_address(bytes, 7, "eth1", true), message::restored_route(bytes, 1, 7)]
        {
            assert!(restored.map_or(0, |body| body.len()) <= bytes.len() * 4 + 64);
        }
    });
}
