//! Network interfaces from `RTM_NEWLINK` (rtnetlink(7), `include/uapi/linux/if_link.h`).

use nicdock_netlink::ParseError;
use nicdock_netlink::wire::{Attribute, Attributes, Messages};

use super::ByIndex;
use crate::model::Mac;

const RTM_NEWLINK: u16 = 16;
/// `sizeof(struct ifinfomsg)`: family, padding, type (2), index (4), flags (4), change (4).
const HEADER_LEN: usize = 16;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PHYS_PORT_NAME: u16 = 38;
const IFLA_XDP: u16 = 43;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PERM_ADDRESS: u16 = 54;
const IFLA_INFO_KIND: u16 = 1;
/// `IFLA_XDP_PROG_ID`, and those of its modes (`DRV`, `SKB`, `HW`) should there be several programs.
const XDP_PROGRAMS: std::ops::RangeInclusive<u16> = 4..=7;

/// `MAX_ADDR_LEN` of `include/linux/netdevice.h`.
const MAX_ADDR_LEN: usize = 32;

/// `include/uapi/linux/if.h`.
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;

/// One interface, virtual ones too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    pub name: String,
    pub altnames: Vec<String>,
    /// `ARPHRD_*`.
    pub hardware: u16,
    pub up: bool,
    pub loopback: bool,
    pub mac: Option<Mac>,
    pub permanent_mac: Option<Mac>,
    pub mtu: u32,
    pub carrier: Option<bool>,
    pub kind: Option<String>,
    /// What its driver calls the port of the card (`p0`, `pf0vf3`).
    pub port_name: Option<String>,
    /// Index of the bond, bridge or team that it is a member of.
    pub master: Option<u32>,
    /// Index of the interface that it is stacked on, if that is in the same network namespace.
    pub lower: Option<u32>,
    /// Id of an XDP program on it.
    pub xdp: Option<u32>,
    /// What of it is not understood.
    pub unread: Vec<ParseError>,
}

/// Every interface by its index, and what is wrong with entries that tell no name.
#[derive(Default)]
pub struct Links {
    pub by_index: ByIndex<Link>,
    pub unread: Vec<ParseError>,
}

/// Errors: where the messages themselves have wrong lengths, nothing is known of what follows.
pub fn parse(bytes: &[u8]) -> Result<Links, ParseError> {
    let mut links = Links::default();
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind != RTM_NEWLINK {
            continue;
        }
        let payload = message.payload();
        let Some((&header, attributes)) = payload.split_first_chunk::<HEADER_LEN>() else {
            links.unread.push(short(message.offset, payload.len()));
            continue;
        };
        let [_, _, t0, t1, i0, i1, i2, i3, f0, f1, f2, f3, ..] = header;
        let index = u32::from_ne_bytes([i0, i1, i2, i3]);
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let link = Link {
            hardware: u16::from_ne_bytes([t0, t1]),
            up: flags & IFF_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            ..Link::default()
        };
        let link = parse_attributes(link, attributes);
        if link.name.is_empty() {
            links.unread.extend(link.unread);
            links.unread.push(ParseError::Missing { message: RTM_NEWLINK, attribute: IFLA_IFNAME });
        } else {
            links.by_index.insert(index, link);
        }
    }
    Ok(links)
}

/// Every link-layer address in a list of interfaces; none where it is not one.
pub fn addresses(bytes: &[u8]) -> Vec<Vec<u8>> {
    let links = parse(bytes).unwrap_or_default();
    links
        .by_index
        .into_values()
        .flat_map(|link| [link.mac, link.permanent_mac])
        .flatten()
        .map(|mac| mac.0)
        .collect()
}

fn short(offset: usize, available: usize) -> ParseError {
    ParseError::Length { what: "an interface", offset, claimed: HEADER_LEN, available }
}

fn parse_attributes(mut link: Link, bytes: &[u8]) -> Link {
    let mut lower_is_elsewhere = false;
    for attribute in Attributes::new(bytes) {
        let read = attribute.and_then(|attribute| {
            lower_is_elsewhere |= attribute.kind == IFLA_LINK_NETNSID;
            parse_attribute(&mut link, &attribute)
        });
        link.unread.extend(read.err());
    }
    if lower_is_elsewhere {
        link.lower = None;
    }
    if !link.up {
        link.carrier = None;
    }
    link
}

fn parse_attribute(link: &mut Link, attribute: &Attribute) -> Result<(), ParseError> {
    let mac = |attribute: &Attribute| {
        let (kind, found) = (attribute.kind, attribute.payload.len());
        if found > MAX_ADDR_LEN {
            return Err(ParseError::AttributeSize { attribute: kind, expected: MAX_ADDR_LEN, found });
        }
        Ok(Some(Mac(attribute.payload.to_vec())).filter(|mac| !mac.0.is_empty()))
    };
    match attribute.kind {
        IFLA_ADDRESS => link.mac = mac(attribute)?,
        IFLA_PERM_ADDRESS => link.permanent_mac = mac(attribute)?,
        IFLA_IFNAME => link.name = attribute.name(),
        IFLA_MTU => link.mtu = attribute.u32()?,
        IFLA_CARRIER => link.carrier = Some(attribute.u8()? != 0),
        IFLA_MASTER => link.master = Some(attribute.u32()?),
        IFLA_LINK => link.lower = Some(attribute.u32()?).filter(|index| *index != 0),
        IFLA_PHYS_PORT_NAME => link.port_name = Some(attribute.name()),
        IFLA_LINKINFO => link.kind = names_in(attribute.payload, IFLA_INFO_KIND)?.pop(),
        IFLA_XDP => link.xdp = program(attribute.payload)?,
        IFLA_PROP_LIST => link.altnames = names_in(attribute.payload, IFLA_ALT_IFNAME)?,
        _ => {}
    }
    Ok(())
}

fn program(bytes: &[u8]) -> Result<Option<u32>, ParseError> {
    for attribute in Attributes::new(bytes) {
        let attribute = attribute?;
        if XDP_PROGRAMS.contains(&attribute.kind) {
            return attribute.u32().map(|id| Some(id).filter(|id| *id != 0));
        }
    }
    Ok(None)
}

fn names_in(bytes: &[u8], kind: u16) -> Result<Vec<String>, ParseError> {
    let mut found = Vec::new();
    for attribute in Attributes::new(bytes) {
        let attribute = attribute?;
        if attribute.kind == kind {
            found.push(attribute.name());
        }
    }
    Ok(found)
}
