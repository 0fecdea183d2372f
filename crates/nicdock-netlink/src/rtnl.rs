//! rtnetlink(7): moving, naming and configuring network interfaces.

pub mod link;
pub mod message;
pub mod neighbours;
mod raw;
pub mod traffic;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use crate::wire::{Connection, NLM_F_CREATE, NLM_F_REPLACE, push_attribute};

use self::message::{
    ADDRESS_LEN, IFA_ADDRESS, IFA_BROADCAST, IFA_F_NODAD, IFA_LOCAL, IFF_UP, IFLA_ADDRESS, IFLA_IFNAME,
    IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MTU, IFLA_NET_NS_FD, LINK_LEN, NLA_F_NESTED,
    link_header, with_nul,
};

/// `NETLINK_ROUTE` (include/uapi/linux/netlink.h).
const NETLINK_ROUTE: isize = 0;

// include/uapi/linux/rtnetlink.h
pub const RTM_NEWLINK: u16 = 16;
pub const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

/// `VETH_INFO_PEER` (include/uapi/linux/veth.h).
const VETH_INFO_PEER: u16 = 1;

/// What is known of an interface in a namespace, to find one again whatever its name is now.
#[derive(Clone, Debug, Default)]
pub struct Link {
    pub ifindex: u32,
    pub name: String,
    pub mac: Vec<u8>,
    pub permanent_mac: Option<Vec<u8>>,
    /// A VLAN, macvlan or the like on top of another (`IFLA_INFO_KIND`): it has the other's permanent address too.
    pub is_virtual: bool,
    /// Index of the `IPoIB` netdev in the same namespace whose child (of another partition) it is.
    pub ipoib_parent: Option<u32>,
    /// `IFF_LOWER_UP`
    pub has_carrier: bool,
    /// A carrier is there and nothing keeps the interface from working (`IFF_LOWER_UP` and `IF_OPER_UP`).
    pub running: bool,
}

/// A socket in the network namespace in which it was opened.
pub struct Rtnl {
    connection: Connection,
}

impl Rtnl {
    pub fn open() -> io::Result<Self> {
        Ok(Self { connection: Connection::open(NETLINK_ROUTE)? })
    }

    /// Every interface of the namespace; what cannot be read of one is nothing to the others.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        Ok(self
            .list(RTM_GETLINK, &[0; LINK_LEN])?
            .iter()
            .filter_map(|payload| message::link(payload).ok())
            .collect())
    }

    /// The addresses of an interface, each family's primary one first; in every state.
    pub fn addresses(&mut self, ifindex: u32) -> io::Result<Vec<(IpAddr, u8)>> {
        let mut found = Vec::new();
        for payload in self.list(RTM_GETADDR, &[0; ADDRESS_LEN])? {
            let address = message::address(&payload)?.filter(|(index, ..)| *index == ifindex);
            found.extend(address.map(|(_, ip, length)| (ip, length)));
        }
        Ok(found)
    }

    /// Names and moves an interface in one message, so that no other program sees it half done (`IFLA_NET_NS_FD`).
    ///
    /// The kernel downs the interface and forgets its addresses and routes (net/core/dev.c,
    /// `__dev_change_net_namespace`). Errors: `EEXIST` when the name is taken in the target.
    pub fn move_link(&mut self, ifindex: u32, name: &str, target: impl AsFd) -> io::Result<()> {
        let target = target.as_fd().as_raw_fd().to_ne_bytes();
        self.set_link(ifindex, &[(IFLA_NET_NS_FD, &target), (IFLA_IFNAME, &with_nul(name))])
    }

    pub fn set_up(&mut self, ifindex: u32, up: bool) -> io::Result<()> {
        let flags = if up { IFF_UP } else { 0 };
        self.order(RTM_SETLINK, 0, &link_header(ifindex, flags, IFF_UP)).map(drop)
    }

    /// Makes a pair of virtual interfaces that are each other's link (veth(4)).
    pub fn add_veth(&mut self, name: &str, peer: &str) -> io::Result<()> {
        let mut other = link_header(0, 0, 0);
        push_attribute(&mut other, IFLA_IFNAME, &with_nul(peer));
        let mut data = Vec::new();
        push_attribute(&mut data, VETH_INFO_PEER | NLA_F_NESTED, &other);
        let mut info = Vec::new();
        push_attribute(&mut info, IFLA_INFO_KIND, b"veth\0");
        push_attribute(&mut info, IFLA_INFO_DATA | NLA_F_NESTED, &data);
        let mut body = link_header(0, 0, 0);
        push_attribute(&mut body, IFLA_IFNAME, &with_nul(name));
        push_attribute(&mut body, IFLA_LINKINFO | NLA_F_NESTED, &info);
        self.order(RTM_NEWLINK, NLM_F_CREATE, &body).map(drop)
    }

    pub fn delete_link(&mut self, ifindex: u32) -> io::Result<()> {
        self.order(RTM_DELLINK, 0, &link_header(ifindex, 0, 0)).map(drop)
    }

    pub fn rename(&mut self, ifindex: u32, name: &str) -> io::Result<()> {
        self.set_link(ifindex, &[(IFLA_IFNAME, &with_nul(name))])
    }

    pub fn set_mtu_and_mac(&mut self, ifindex: u32, mtu: u32, mac: Option<&[u8]>) -> io::Result<()> {
        let mtu = mtu.to_ne_bytes();
        let all = [(IFLA_MTU, &mtu[..]), (IFLA_ADDRESS, mac.unwrap_or_default())];
        self.set_link(ifindex, if mac.is_some() { &all } else { &all[..1] })
    }

    fn set_link(&mut self, ifindex: u32, attributes: &[(u16, &[u8])]) -> io::Result<()> {
        let mut body = link_header(ifindex, 0, 0);
        for (kind, value) in attributes {
            push_attribute(&mut body, *kind, value);
        }
        self.order(RTM_SETLINK, 0, &body).map(drop)
    }

    /// Puts back an address as a dump showed it; one that is there already is left.
    ///
    /// `skip_detection` leaves out IPv6 duplicate address detection, for an address that was in use a moment ago.
    pub fn restore_address(
        &mut self,
        raw: &[u8],
        ifindex: u32,
        name: &str,
        skip_detection: bool,
    ) -> io::Result<()> {
        let body = message::restored_address(raw, ifindex, name, skip_detection)?;
        ignore_existing(self.order(RTM_NEWADDR, NLM_F_CREATE, &body))
    }

    /// Adds an address with everything else as the kernel chooses it.
    pub fn add_address(&mut self, ifindex: u32, ip: IpAddr, prefix_len: u8) -> io::Result<()> {
        let (family, bytes) = match ip {
            IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
            IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
        };
        let family = u8::try_from(family).unwrap_or_default();
        let mut body = [[family, prefix_len, IFA_F_NODAD, 0], ifindex.to_ne_bytes()].concat();
        push_attribute(&mut body, IFA_ADDRESS, &bytes);
        if let IpAddr::V4(v4) = ip {
            push_attribute(&mut body, IFA_LOCAL, &bytes);
            if prefix_len < 31 {
                let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
                push_attribute(&mut body, IFA_BROADCAST, &(u32::from(v4) | host).to_be_bytes());
            }
        }
        ignore_existing(self.order(RTM_NEWADDR, NLM_F_CREATE, &body))
    }

    /// Every route, by what there is to compare of it ([`message::comparable_route`]).
    pub fn comparable_routes(&mut self) -> io::Result<BTreeSet<Vec<u8>>> {
        let routes = self.list(RTM_GETROUTE, &[0; message::ROUTE_LEN])?;
        Ok(routes.iter().filter_map(|payload| message::comparable_route(payload, 0, 0).ok()).collect())
    }

    /// Puts back a route as a dump showed it; the kernel's own (made with the address) are there already.
    pub fn restore_route(&mut self, raw: &[u8], old_ifindex: u32, ifindex: u32) -> io::Result<()> {
        let body = message::restored_route(raw, old_ifindex, ifindex)?;
        ignore_existing(self.order(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body))
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn ignore_existing(result: io::Result<Vec<Vec<u8>>>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}
