//! What the kernel tells of by itself: interfaces that change (rtnetlink(7)) and devices that go (`kobject_uevent()`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::Socket;
use netlink_sys::protocols::{NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE};

use nicdock_netlink::wire::{Message, Messages};

use nicdock_netlink::name;
use nicdock_netlink::rtnl::{self, RTM_DELLINK, RTM_NEWLINK};

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

/// Devices that come and go, anywhere on the host.
pub struct Uevents(Socket);

/// What has happened to them.
#[derive(Debug, Default)]
pub struct Changes {
    /// Paths below /sys of those removed: `/devices/pci0000:00/0000:00:1e.0/0000:03:00.4`.
    pub removed: Vec<String>,
    /// An RDMA device, or a node of one, has come or gone, or may have: events were lost (`ENOBUFS`, netlink(7)).
    pub rdma: bool,
}

impl Uevents {
    pub fn open() -> io::Result<Self> {
        listen(NETLINK_KOBJECT_UEVENT, UEVENT_KERNEL).map(Self)
    }

    /// Since the last call.
    pub fn drain(&self) -> Changes {
        let mut changes = Changes::default();
        while let Some(received) = next(&self.0) {
            let Ok(datagram) = received else {
                changes.rdma = true;
                break;
            };
            changes.rdma |= is_of_rdma(&datagram);
            changes.removed.extend(removed(&datagram));
        }
        changes
    }
}

/// The device that an event (`ACTION@PATH`, then variables, each with a NUL) says is removed.
pub fn removed(event: &[u8]) -> Option<String> {
    let first = event.split(|byte| *byte == 0).next()?;
    first.strip_prefix(b"remove@").map(name::text)
}

/// Whether an event says that an RDMA device, or a node of one, has come or gone.
pub fn is_of_rdma(event: &[u8]) -> bool {
    let mut variables = event.split(|byte| *byte == 0);
    let heading = variables.next().unwrap_or_default();
    let is_wanted = heading.starts_with(b"add@") || heading.starts_with(b"remove@");
    let classes: [&[u8]; 3] =
        [b"SUBSYSTEM=infiniband", b"SUBSYSTEM=infiniband_verbs", b"SUBSYSTEM=infiniband_mad"];
    is_wanted
        && (heading.ends_with(b"/misc/rdma_cm") || variables.any(|variable| classes.contains(&variable)))
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

/// Everything that waits.
fn datagrams(socket: &Socket) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some(Ok(datagram)) = next(socket) {
        found.push(datagram);
    }
    found
}

/// The next one that waits; messages that are not the kernel's (port 0) are passed over.
fn next(socket: &Socket) -> Option<io::Result<Vec<u8>>> {
    loop {
        match socket.recv_from_full() {
            Ok((datagram, from)) if from.port_number() == 0 => return Some(Ok(datagram)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

/// What a datagram tells of interfaces, up to what is not understood.
pub fn link_events(datagram: &[u8]) -> Vec<LinkEvent> {
    let of_message = |message: Message<'_>| {
        let link = rtnl::message::link(message.payload()).ok();
        match message.kind {
            RTM_NEWLINK => link.map(|link| LinkEvent { name: link.name, carrier: link.has_carrier }),
            RTM_DELLINK => link.map(|link| LinkEvent { name: link.name, carrier: false }),
            _ => None,
        }
    };
    let events = Messages::new(datagram).map_while(Result::ok).filter_map(of_message);
    events.filter(|event| !event.name.is_empty()).collect()
}
