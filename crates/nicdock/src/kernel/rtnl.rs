//! rtnetlink(7): moving, naming and configuring network interfaces.

pub mod link;
pub mod neighbours;
mod raw;
pub mod traffic;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State,
};
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// What is known of an interface in a namespace, to find one again whatever its name is now.
#[derive(Clone, Debug)]
pub struct Link {
    pub ifindex: u32,
    pub name: String,
    pub mac: Vec<u8>,
    pub permanent_mac: Option<Vec<u8>>,
    /// A VLAN, macvlan or the like on top of another (`IFLA_INFO_KIND`): it has the other's permanent address too.
    pub is_virtual: bool,
    /// A carrier is there and nothing keeps the interface from working (`IFF_LOWER_UP` and `IF_OPER_UP`).
    pub running: bool,
}

/// A socket in the network namespace in which it was opened.
pub struct Rtnl {
    socket: Socket,
    sequence: u32,
}

impl Rtnl {
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every interface of the namespace.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let answers = self.request(Message::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        Ok(answers
            .into_iter()
            .filter_map(|m| if let Message::NewLink(link) = m { Some(read_link(link)) } else { None })
            .collect())
    }

    /// The addresses of an interface, each family's primary one first; in every state.
    pub fn addresses(&mut self, ifindex: u32) -> io::Result<Vec<(std::net::IpAddr, u8)>> {
        let answers = self.request(Message::GetAddress(AddressMessage::default()), NLM_F_DUMP)?;
        let of_interface = answers.into_iter().filter_map(|m| match m {
            Message::NewAddress(address) if address.header.index == ifindex => Some(address),
            _ => None,
        });
        Ok(of_interface.filter_map(|address| read_address(&address)).collect())
    }

    /// Names and moves an interface in one message, so that no other program sees it half done (`IFLA_NET_NS_FD`).
    ///
    /// The kernel downs the interface and forgets its addresses and routes (net/core/dev.c,
    /// `__dev_change_net_namespace`). Errors: `EEXIST` when the name is taken in the target.
    pub fn move_link(&mut self, ifindex: u32, name: &str, target: impl AsFd) -> io::Result<()> {
        let attributes =
            vec![LinkAttribute::NetNsFd(target.as_fd().as_raw_fd()), LinkAttribute::IfName(name.to_owned())];
        self.set_link(ifindex, attributes, None)
    }

    pub fn set_up(&mut self, ifindex: u32, up: bool) -> io::Result<()> {
        self.set_link(ifindex, Vec::new(), Some(up))
    }

    /// Makes a pair of virtual interfaces that are each other's link (veth(4)).
    pub fn add_veth(&mut self, name: &str, peer: &str) -> io::Result<()> {
        let mut other = LinkMessage::default();
        other.attributes.push(LinkAttribute::IfName(peer.to_owned()));
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]));
        self.request(Message::NewLink(message), NLM_F_ACK | NLM_F_CREATE).map(drop)
    }

    pub fn rename(&mut self, ifindex: u32, name: &str) -> io::Result<()> {
        self.set_link(ifindex, vec![LinkAttribute::IfName(name.to_owned())], None)
    }

    pub fn set_mtu_and_mac(&mut self, ifindex: u32, mtu: u32, mac: Option<&[u8]>) -> io::Result<()> {
        let mac = mac.map(|mac| LinkAttribute::Address(mac.to_vec()));
        self.set_link(ifindex, std::iter::once(LinkAttribute::Mtu(mtu)).chain(mac).collect(), None)
    }

    fn set_link(&mut self, ifindex: u32, attributes: Vec<LinkAttribute>, up: Option<bool>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        message.attributes = attributes;
        if let Some(up) = up {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        }
        self.request(Message::SetLink(message), NLM_F_ACK).map(drop)
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
        let Message::NewAddress(mut message) = decode(raw)? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        message.header.index = ifindex;
        message.header.flags = AddressHeaderFlags::empty();
        let extra = if skip_detection { AddressFlags::Nodad } else { AddressFlags::empty() };
        for attribute in &mut message.attributes {
            match attribute {
                AddressAttribute::Flags(flags) => {
                    *flags = (*flags | extra) - AddressFlags::Permanent - AddressFlags::Tentative;
                }
                AddressAttribute::Label(label) => name.clone_into(label),
                _ => {}
            }
        }
        let forever = |a: &AddressAttribute| {
            matches!(a, AddressAttribute::CacheInfo(CacheInfo { ifa_valid: u32::MAX, .. }))
        };
        message.attributes.retain(|a| !forever(a));
        ignore_existing(self.request(Message::NewAddress(message), NLM_F_ACK | NLM_F_CREATE))
    }

    /// Adds an address with everything else as the kernel chooses it.
    pub fn add_address(&mut self, ifindex: u32, ip: std::net::IpAddr, prefix_len: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.index = ifindex;
        message.header.prefix_len = prefix_len;
        message.header.family = family(ip);
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Address(ip));
        if let std::net::IpAddr::V4(v4) = ip {
            message.attributes.push(AddressAttribute::Local(ip));
            if prefix_len < 31 {
                let host = u32::MAX.checked_shr(u32::from(prefix_len)).unwrap_or(0);
                message.attributes.push(AddressAttribute::Broadcast((u32::from(v4) | host).into()));
            }
        }
        ignore_existing(self.request(Message::NewAddress(message), NLM_F_ACK | NLM_F_CREATE))
    }

    /// Puts back a route as a dump showed it; the kernel's own (made with the address) are there already.
    pub fn restore_route(&mut self, raw: &[u8], old_ifindex: u32, ifindex: u32) -> io::Result<()> {
        let Message::NewRoute(mut message) = decode(raw)? else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        message.header.flags = RouteFlags::empty();
        message.attributes.retain(|a| !matches!(a, RouteAttribute::CacheInfo(_)));
        rewrite_interface(&mut message, old_ifindex, ifindex);
        ignore_existing(self.request(Message::NewRoute(message), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE))
    }

    fn request(&mut self, message: Message, flags: u16) -> io::Result<Vec<Message>> {
        self.sequence += 1;
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for answer in messages(&datagram) {
                let answer = answer?;
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(answers),
                            Some(_) => Err(error.to_io()),
                        };
                    }
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    _ => {}
                }
            }
        }
    }
}

/// The messages in a datagram, up to and with the first that is not understood.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = io::Result<NetlinkMessage<Message>>> {
    /// `NLMSG_HDRLEN` (include/uapi/linux/netlink.h).
    const HEADER_LEN: usize = 16;
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.len() < HEADER_LEN {
            return None;
        }
        let message = NetlinkMessage::<Message>::deserialize(rest).map_err(invalid);
        let length = message.as_ref().map_or(0, |message| message.header.length as usize);
        rest = rest.get(length.next_multiple_of(4)..).filter(|_| length >= HEADER_LEN).unwrap_or_default();
        Some(message)
    })
}

fn family(ip: std::net::IpAddr) -> netlink_packet_route::AddressFamily {
    match ip {
        std::net::IpAddr::V4(_) => netlink_packet_route::AddressFamily::Inet,
        std::net::IpAddr::V6(_) => netlink_packet_route::AddressFamily::Inet6,
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

pub fn decode(raw: &[u8]) -> io::Result<Message> {
    match NetlinkMessage::<Message>::deserialize(raw).map_err(invalid)?.payload {
        NetlinkPayload::InnerMessage(message) => Ok(message),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn ignore_existing(result: io::Result<Vec<Message>>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

fn rewrite_interface(message: &mut RouteMessage, old: u32, new: u32) {
    for attribute in &mut message.attributes {
        match attribute {
            RouteAttribute::Oif(index) if *index == old => *index = new,
            RouteAttribute::MultiPath(hops) => {
                hops.iter_mut()
                    .filter(|hop| hop.interface_index == old)
                    .for_each(|hop| hop.interface_index = new);
            }
            _ => {}
        }
    }
}

/// IFA_LOCAL is the interface's own address where IFA_ADDRESS is the peer's (rtnetlink(7)).
pub fn read_address(message: &AddressMessage) -> Option<(std::net::IpAddr, u8)> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    Some((local.or(address)?, message.header.prefix_len))
}

pub fn read_link(message: LinkMessage) -> Link {
    let mut link = Link {
        ifindex: message.header.index,
        name: String::new(),
        mac: Vec::new(),
        permanent_mac: None,
        is_virtual: false,
        running: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(mac) => link.mac = mac,
            LinkAttribute::PermAddress(mac) => link.permanent_mac = Some(mac),
            LinkAttribute::LinkInfo(info) => {
                link.is_virtual |= info.iter().any(|info| matches!(info, LinkInfo::Kind(_)));
            }
            LinkAttribute::OperState(state) => {
                // The operational state lags behind the carrier (net/core/link_watch.c): ask for both.
                let operational = matches!(state, State::Up | State::Unknown);
                link.running = operational && message.header.flags.contains(LinkFlags::LowerUp);
            }
            _ => {}
        }
    }
    link
}
