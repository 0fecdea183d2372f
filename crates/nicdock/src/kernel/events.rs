//! What the kernel tells of by itself: interfaces that change (rtnetlink(7)) and devices that go (`kobject_uevent()`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::protocols::{NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};

use super::rtnl::messages;

/// `RTNLGRP_LINK` (include/uapi/linux/rtnetlink.h).
const RTNLGRP_LINK: u32 = 1;
/// Events of the kernel itself; udev's own go to group 2 (lib/kobject_uevent.c).
const UEVENT_KERNEL: u32 = 1;

/// An interface that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkEvent {
    pub name: String,
    /// `IFF_LOWER_UP`; false also when the interface has left the namespace.
    pub carrier: bool,
}

/// Changes of interfaces in the network namespace in which it was opened.
pub struct LinkEvents(Socket);

impl LinkEvents {
    pub fn open() -> io::Result<Self> {
        listen(NETLINK_ROUTE, RTNLGRP_LINK).map(Self)
    }

    /// Everything that has arrived.
    pub fn drain(&self) -> Vec<LinkEvent> {
        datagrams(&self.0).iter().flat_map(|datagram| link_events(datagram)).collect()
    }
}

/// Devices that the kernel removes, anywhere on the host.
pub struct Uevents(Socket);

impl Uevents {
    pub fn open() -> io::Result<Self> {
        listen(NETLINK_KOBJECT_UEVENT, UEVENT_KERNEL).map(Self)
    }

    /// Paths below /sys of the devices removed since the last call: `/devices/pci0000:00/0000:00:1e.0/0000:03:00.4`.
    pub fn removed(&self) -> Vec<String> {
        datagrams(&self.0).iter().filter_map(|datagram| removed(datagram)).map(str::to_owned).collect()
    }
}

/// The device that an event (`ACTION@PATH`, then variables, each with a NUL) says is removed.
pub fn removed(event: &[u8]) -> Option<&str> {
    let first = event.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(first).ok()?.strip_prefix("remove@")
}

impl AsFd for LinkEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn listen(protocol: isize, group: u32) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.add_membership(group)?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// Everything that waits; messages that are not the kernel's (port 0) are passed over.
fn datagrams(socket: &Socket) -> Vec<Vec<u8>> {
    let kernel = SocketAddr::new(0, 0).port_number();
    let mut found = Vec::new();
    while let Ok((datagram, from)) = socket.recv_from_full() {
        if from.port_number() == kernel {
            found.push(datagram);
        }
    }
    found
}

pub fn link_events(datagram: &[u8]) -> Vec<LinkEvent> {
    let of_message = |message: NetlinkMessage<Message>| match message.payload {
        NetlinkPayload::InnerMessage(Message::NewLink(link)) => {
            let carrier = link.header.flags.contains(LinkFlags::LowerUp);
            event(link, carrier)
        }
        NetlinkPayload::InnerMessage(Message::DelLink(link)) => event(link, false),
        _ => None,
    };
    messages(datagram).map_while(Result::ok).filter_map(of_message).collect()
}

fn event(link: LinkMessage, carrier: bool) -> Option<LinkEvent> {
    let name = link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    })?;
    Some(LinkEvent { name, carrier })
}
