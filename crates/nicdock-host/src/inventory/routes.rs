//! Routes from `RTM_NEWROUTE` (rtnetlink(7), `include/uapi/linux/rtnetlink.h`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use nicdock_netlink::ParseError;
use nicdock_netlink::wire::{Attribute, Attributes, Message, Messages};

use super::addresses::ip;
use super::{ByIndex, Unread};
use crate::model::Route;

const RTM_NEWROUTE: u16 = 24;
/// `sizeof(struct rtmsg)`: family, destination's and source's lengths, TOS, table, protocol, scope, type, flags (4).
const HEADER_LEN: usize = 12;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `RT_TABLE_LOCAL`: the kernel keeps it, and others may add to it.
const TABLE_LOCAL: u32 = 255;
/// `RTM_F_CLONED`: a cache entry.
const FLAG_CLONED: u32 = 0x200;
/// `RTPROT_KERNEL`.
const PROTOCOL_KERNEL: u8 = 2;
/// `RTN_UNICAST`.
const TYPE_UNICAST: u8 = 1;
/// `sizeof(struct rtnexthop)`: length (2), flags, hops, index (4).
const NEXT_HOP_LEN: usize = 8;

/// The routes of a host.
#[derive(Default)]
pub struct Routes {
    /// By the index of the interface that they leave by; a multipath route is under each of its interfaces.
    pub by_interface: ByIndex<Vec<Route>>,
    /// How many name a nexthop object only (`net.ipv4.nexthop_compat_mode=0`), so that the interface is not known.
    pub without_interface: usize,
    pub unread: Unread,
    /// What would be lost with an interface, by its index, in sentences.
    pub lost: ByIndex<Vec<String>>,
    /// Routes with a source address, which may be another interface's.
    pub sourced: Vec<Sourced>,
    /// Bytes of messages kept so far.
    copied: usize,
}

/// A route that goes when its source address goes, whichever interface that is on (`fib_sync_down_addr()`, net/ipv4/fib_semantics.c;
/// `fib6_remove_prefsrc()`, net/ipv6/route.c).
pub struct Sourced {
    pub source: IpAddr,
    pub interfaces: Vec<u32>,
    pub what: String,
}

/// A message may have thousands of next hops, and is kept for each. A full BGP table (a million routes of some 60 bytes)
/// has room in this.
const MAX_COPIED: usize = 128 << 20;

/// Every route but those that the kernel makes by itself and again with every address: its own in table `local`, cache entries,
/// local, broadcast and multicast routes.
pub fn parse(bytes: &[u8]) -> Result<Routes, ParseError> {
    let mut routes = Routes::default();
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind == RTM_NEWROUTE {
            match parse_one(&message, &mut routes) {
                // Of all of them none can be left out.
                Err(error) if routes.copied > MAX_COPIED => return Err(error),
                Err(error) => routes.unread.add(interface(message.payload()), error),
                Ok(()) => {}
            }
        }
    }
    Ok(routes)
}

/// The interface that a route leaves by, as far as that can be read.
fn interface(payload: &[u8]) -> Option<u32> {
    let mut attributes = Attributes::new(payload.get(HEADER_LEN..)?).filter_map(Result::ok);
    attributes.find(|attribute| attribute.kind == RTA_OIF)?.u32().ok()
}

fn parse_one(message: &Message, routes: &mut Routes) -> Result<(), ParseError> {
    let payload = message.payload();
    let Some((&header, attributes)) = payload.split_first_chunk::<HEADER_LEN>() else {
        return Err(length("a route", message.offset, HEADER_LEN, payload.len()));
    };
    let [family, prefix_len, _, _, table, protocol, _, route_type, f0, f1, f2, f3] = header;
    if family != AF_INET && family != AF_INET6 {
        if let Some(interface) = interface(payload) {
            let of = family_name(family);
            routes
                .lost
                .entry(interface)
                .or_default()
                .push(format!("{of} leaves by it, which nicdock cannot put back"));
        }
        return Ok(());
    }
    let (mut destination, mut metric, mut table) = (None, None, u32::from(table));
    let mut single = Hop::default();
    let (mut hops, mut has_nexthop_object, mut source) = (Vec::new(), false, None);
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            RTA_DST => destination = Some((ip(family, &attribute)?, prefix_len)),
            RTA_PRIORITY => metric = Some(attribute.u32()?),
            RTA_TABLE => table = attribute.u32()?,
            RTA_MULTIPATH => hops = next_hops(family, &attribute)?,
            RTA_NH_ID => has_nexthop_object = true,
            RTA_PREFSRC => source = Some(ip(family, &attribute)?),
            _ => single.take(family, &attribute)?,
        }
    }
    let destination = destination.filter(|_| prefix_len != 0);
    let cloned = u32::from_ne_bytes([f0, f1, f2, f3]) & FLAG_CLONED != 0;
    let automatic = protocol == PROTOCOL_KERNEL
        && (route_type != TYPE_UNICAST || destination.is_some_and(|(ip, _)| ip.is_multicast()));
    if table == TABLE_LOCAL && protocol == PROTOCOL_KERNEL || cloned || automatic {
        return Ok(());
    }
    if hops.is_empty() {
        hops.push(single);
    }
    routes.without_interface +=
        usize::from(has_nexthop_object && hops.iter().all(|hop| hop.interface.is_none()));
    let ipv6 = family == AF_INET6;
    let interfaces: Vec<u32> = hops.iter().filter_map(|hop| hop.interface).collect();
    let what = destination
        .map_or_else(|| "the default route".to_owned(), |(ip, length)| format!("the route to {ip}/{length}"));
    if let Some(source) = source {
        routes.sourced.push(Sourced { source, interfaces: interfaces.clone(), what: what.clone() });
    }
    // Of an IPv6 one the other legs stay.
    if !ipv6 && interfaces.iter().any(|other| *other != interfaces[0]) {
        for interface in interfaces.iter().collect::<BTreeSet<_>>() {
            let lost = format!(
                "{what} leaves by other interfaces, too, and the kernel would remove it from these with the move: replace it by routes of one interface each"
            );
            routes.lost.entry(*interface).or_default().push(lost);
        }
    }
    for Hop { interface, gateway } in hops {
        let Some(interface) = interface else { continue };
        routes.copied += message.bytes.len();
        if routes.copied > MAX_COPIED {
            return Err(length(
                "the list with each route copied for each next hop",
                0,
                routes.copied,
                MAX_COPIED,
            ));
        }
        let raw = message.bytes.to_vec();
        let route = Route { destination, ipv6, gateway, table, protocol, metric, raw };
        routes.by_interface.entry(interface).or_default().push(route);
    }
    Ok(())
}

/// `RTNL_FAMILY_IPMR`, `RTNL_FAMILY_IP6MR` (include/uapi/linux/rtnetlink.h), `AF_MPLS` (include/linux/socket.h).
fn family_name(family: u8) -> String {
    match family {
        28 => "a route of MPLS".to_owned(),
        128 | 129 => "a multicast route".to_owned(),
        _ => format!("a route of address family {family}"),
    }
}

fn length(what: &'static str, offset: usize, claimed: usize, available: usize) -> ParseError {
    ParseError::Length { what, offset, claimed, available }
}

/// One way out.
#[derive(Default)]
struct Hop {
    interface: Option<u32>,
    gateway: Option<IpAddr>,
}

impl Hop {
    fn take(&mut self, family: u8, attribute: &Attribute) -> Result<(), ParseError> {
        match attribute.kind {
            RTA_OIF => self.interface = Some(attribute.u32()?),
            RTA_GATEWAY => self.gateway = Some(ip(family, attribute)?),
            RTA_VIA => self.gateway = via(attribute)?,
            _ => {}
        }
        Ok(())
    }
}

/// `struct rtvia`: a gateway of another family, with that family before it.
fn via(attribute: &Attribute) -> Result<Option<IpAddr>, ParseError> {
    let Some((family, address)) = attribute.payload.split_first_chunk::<2>() else {
        let found = attribute.payload.len();
        return Err(ParseError::AttributeSize { attribute: attribute.kind, expected: 2, found });
    };
    let Ok(family) = u8::try_from(u16::from_ne_bytes(*family)) else { return Ok(None) };
    let known = family == AF_INET || family == AF_INET6;
    known.then(|| ip(family, &Attribute { payload: address, ..*attribute })).transpose()
}

/// `RTA_MULTIPATH` holds `struct rtnexthop`, each followed by its own attributes.
fn next_hops(family: u8, attribute: &Attribute) -> Result<Vec<Hop>, ParseError> {
    let mut hops = Vec::new();
    let mut rest = attribute.payload;
    while !rest.is_empty() {
        let offset = attribute.offset + attribute.payload.len() - rest.len();
        let bad = |claimed| length("a next hop", offset, claimed, rest.len());
        let Some((&[l0, l1, _, _, i0, i1, i2, i3], _)) = rest.split_first_chunk::<NEXT_HOP_LEN>() else {
            return Err(bad(NEXT_HOP_LEN));
        };
        let claimed = usize::from(u16::from_ne_bytes([l0, l1]));
        let attributes = rest.get(NEXT_HOP_LEN..claimed).ok_or_else(|| bad(claimed))?;
        let mut hop = Hop::default();
        for attribute in Attributes::new(attributes) {
            hop.take(family, &attribute?)?;
        }
        hop.interface = Some(u32::from_ne_bytes([i0, i1, i2, i3]));
        hops.push(hop);
        // RTNH_ALIGN: four bytes.
        rest = rest.get(claimed.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}
