//! The messages of links, addresses and routes, read and written. Pure.
//!
//! What is put back is the message that the kernel gave, attribute by attribute, so that what nicdock does not know is kept, too.

use std::io;
use std::net::IpAddr;

use crate::wire::{Attribute, Attributes, HEADER_LEN, push_attribute};

use super::{Link, invalid};

/// `sizeof(struct ifinfomsg)`: family, padding, type (2), index (4), flags (4), change (4) (include/uapi/linux/rtnetlink.h).
pub const LINK_LEN: usize = 16;
/// `sizeof(struct ifaddrmsg)`: family, prefix length, flags, scope, index (4) (include/uapi/linux/if_addr.h).
pub const ADDRESS_LEN: usize = 8;
/// `sizeof(struct rtmsg)`: eight bytes, then flags (4) (include/uapi/linux/rtnetlink.h).
pub const ROUTE_LEN: usize = 12;
/// `sizeof(struct rtnexthop)`: length (2), flags, hops, index (4).
const HOP_LEN: usize = 8;

/// A nested attribute (include/uapi/linux/netlink.h).
pub const NLA_F_NESTED: u16 = 0x8000;

// include/uapi/linux/if_link.h
pub const IFLA_ADDRESS: u16 = 1;
pub const IFLA_IFNAME: u16 = 3;
pub const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
pub const IFLA_LINKINFO: u16 = 18;
pub const IFLA_NET_NS_FD: u16 = 28;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_PERM_ADDRESS: u16 = 54;
pub const IFLA_INFO_KIND: u16 = 1;
pub const IFLA_INFO_DATA: u16 = 2;

// include/uapi/linux/if.h
pub const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 1 << 16;
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;

// include/uapi/linux/if_addr.h
pub const IFA_ADDRESS: u16 = 1;
pub const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
pub const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
pub const IFA_F_NODAD: u8 = 0x02;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_PERMANENT: u32 = 0x80;

// include/uapi/linux/rtnetlink.h
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
const RTA_CACHEINFO: u16 = 12;
const RTA_EXPIRES: u16 = 23;
const RTA_NH_ID: u16 = 30;
/// The only flag of a route that is told and not found out: the others are refused (`fib_create_info()`, net/ipv4/fib_semantics.c).
const RTNH_F_ONLINK: u8 = 4;

/// An interface, by the payload of an `RTM_NEWLINK` or `RTM_DELLINK`.
pub fn link(payload: &[u8]) -> io::Result<Link> {
    let (head, rest) = split(payload, LINK_LEN)?;
    let flags = word(head, 8);
    let has_carrier = flags & IFF_LOWER_UP != 0;
    let mut link = Link { ifindex: word(head, 4), has_carrier, ..Link::default() };
    let (mut operational, mut kind, mut lower, mut elsewhere) = (false, None, None, false);
    for attribute in Attributes::new(rest).map_while(Result::ok) {
        match attribute.kind {
            IFLA_IFNAME => link.name = attribute.name(),
            IFLA_ADDRESS => link.mac = attribute.payload.to_vec(),
            IFLA_PERM_ADDRESS => link.permanent_mac = Some(attribute.payload.to_vec()),
            IFLA_LINKINFO => {
                let mut inner = Attributes::new(attribute.payload).filter_map(Result::ok);
                kind = inner.find(|inner| inner.kind == IFLA_INFO_KIND).map(|inner| inner.payload);
            }
            IFLA_LINK => lower = Some(word(attribute.payload, 0)),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_OPERSTATE => operational = matches!(attribute.payload, [IF_OPER_UNKNOWN | IF_OPER_UP]),
            _ => {}
        }
    }
    // ib_ipoib gives its kind to an HCA's own netdev, too (`ipoib_add_port()`), which has no other below it.
    let is_ipoib = kind.is_some_and(|kind| kind.starts_with(b"ipoib"));
    link.is_virtual = kind.is_some() && !(is_ipoib && lower.is_none());
    link.ipoib_parent = lower.filter(|_| is_ipoib && !elsewhere);
    // The operational state lags behind the carrier (net/core/link_watch.c): both are asked for.
    link.running = operational && link.has_carrier;
    Ok(link)
}

/// The interface's index, its own address and the length of the prefix, by the payload of an `RTM_NEWADDR`.
pub fn address(payload: &[u8]) -> io::Result<Option<(u32, IpAddr, u8)>> {
    let (head, rest) = split(payload, ADDRESS_LEN)?;
    let (mut local, mut address) = (None, None);
    for attribute in Attributes::new(rest) {
        let attribute = attribute.map_err(invalid)?;
        match attribute.kind {
            IFA_LOCAL => local = ip(attribute.payload),
            IFA_ADDRESS => address = ip(attribute.payload),
            _ => {}
        }
    }
    // IFA_LOCAL is the interface's own address where IFA_ADDRESS is the peer's (rtnetlink(7)).
    Ok(local.or(address).map(|ip| (word(head, 4), ip, head[1])))
}

/// The payload that makes an address anew which a dump showed as `raw`, on interface `ifindex`, now called `name`.
pub fn restored_address(raw: &[u8], ifindex: u32, name: &str, skip_detection: bool) -> io::Result<Vec<u8>> {
    let (head, rest) = split(payload(raw)?, ADDRESS_LEN)?;
    // Its flags are in an attribute, too, and there are more there than fit here.
    let mut body = [&[head[0], head[1], 0, head[3]][..], &ifindex.to_ne_bytes()].concat();
    for attribute in Attributes::new(rest) {
        let Attribute { kind, payload, .. } = attribute.map_err(invalid)?;
        match kind {
            IFA_FLAGS => {
                let extra = if skip_detection { u32::from(IFA_F_NODAD) } else { 0 };
                let flags = (word(payload, 0) | extra) & !(IFA_F_PERMANENT | IFA_F_TENTATIVE);
                push_attribute(&mut body, kind, &flags.to_ne_bytes());
            }
            IFA_LABEL => push_attribute(&mut body, kind, &with_nul(name)),
            // The second word of `struct ifa_cacheinfo` is how long it is valid; all ones are for ever.
            IFA_CACHEINFO if word(payload, 4) == u32::MAX => {}
            _ => push_attribute(&mut body, kind, payload),
        }
    }
    Ok(body)
}

/// The payload that makes a route anew which a dump showed as `raw`, through interface `new` in the place of `old`.
pub fn restored_route(raw: &[u8], old: u32, new: u32) -> io::Result<Vec<u8>> {
    restored_payload(payload(raw)?, old, new)
}

fn restored_payload(payload: &[u8], old: u32, new: u32) -> io::Result<Vec<u8>> {
    let (head, rest) = split(payload, ROUTE_LEN)?;
    let flags = word(head, 8) & u32::from(RTNH_F_ONLINK);
    let mut body = [&head[..8], &flags.to_ne_bytes()].concat();
    for attribute in Attributes::new(rest) {
        let Attribute { kind, payload, .. } = attribute.map_err(invalid)?;
        match kind {
            // A nexthop object goes with its interface; what it leads to is in the other attributes, which exclude it (`fib_create_info()`).
            RTA_NH_ID => {}
            RTA_CACHEINFO => {
                if let Some(seconds) = seconds_left(payload) {
                    push_attribute(&mut body, RTA_EXPIRES, &seconds.to_ne_bytes());
                }
            }
            RTA_OIF if word(payload, 0) == old => push_attribute(&mut body, kind, &new.to_ne_bytes()),
            RTA_MULTIPATH => push_attribute(&mut body, kind, &hops(payload, old, new)?),
            _ => push_attribute(&mut body, kind, payload),
        }
    }
    Ok(body)
}

/// A route by what does not change by itself: without the time it has left, and flags that the kernel finds out.
pub fn comparable_route(payload: &[u8], old: u32, new: u32) -> io::Result<Vec<u8>> {
    let body = restored_payload(payload, old, new)?;
    let (head, rest) = split(&body, ROUTE_LEN)?;
    let all: io::Result<Vec<Attribute<'_>>> =
        Attributes::new(rest).map(|attribute| attribute.map_err(invalid)).collect();
    let mut all = all?;
    all.retain(|attribute| attribute.kind != RTA_EXPIRES);
    all.sort_by_key(|attribute| attribute.kind);
    let mut body = head.to_vec();
    for attribute in &all {
        push_attribute(&mut body, attribute.kind, attribute.payload);
    }
    Ok(body)
}

/// How long a route stays: `rta_expires` of `struct rta_cacheinfo`, in hundredths of seconds (`USER_HZ`; `rt6_fill_node()` by
/// `rtnl_put_cacheinfo()`). 0: for ever.
fn seconds_left(cache_info: &[u8]) -> Option<u32> {
    let ticks = word(cache_info, 8).cast_signed();
    (ticks != 0).then(|| (ticks.max(0).cast_unsigned() / 100).max(1))
}

/// A list of `struct rtnexthop`, each with attributes of its own.
fn hops(list: &[u8], old: u32, new: u32) -> io::Result<Vec<u8>> {
    let (mut list, mut at) = (list.to_vec(), 0);
    while at < list.len() {
        let hop =
            list.get_mut(at..).and_then(|rest| rest.get_mut(..HOP_LEN)).ok_or(io::ErrorKind::InvalidData)?;
        let length = usize::from(u16::from_ne_bytes([hop[0], hop[1]]));
        hop[2] &= RTNH_F_ONLINK;
        if word(hop, 4) == old {
            hop[4..].copy_from_slice(&new.to_ne_bytes());
        }
        if length < HOP_LEN {
            return Err(io::ErrorKind::InvalidData.into());
        }
        at += length.next_multiple_of(4);
    }
    Ok(list)
}

pub fn link_header(ifindex: u32, flags: u32, change: u32) -> Vec<u8> {
    [[0; 4], ifindex.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

/// A name as netlink has it, from the text that stands for it.
pub fn with_nul(name: &str) -> Vec<u8> {
    [&crate::name::bytes(name)[..], &[0]].concat()
}

/// What is behind the header of a whole message.
pub fn payload(raw: &[u8]) -> io::Result<&[u8]> {
    raw.get(HEADER_LEN..).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn split(payload: &[u8], length: usize) -> io::Result<(&[u8], &[u8])> {
    payload.split_at_checked(length).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A word of 32 bits; 0 where there is none.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_ne_bytes(*word))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    fn attributes(body: &[u8], header: usize) -> Vec<(u16, Vec<u8>)> {
        Attributes::new(&body[header..]).map(|a| a.map(|a| (a.kind, a.payload.to_vec())).unwrap()).collect()
    }

    #[test]
    fn an_interface_whose_name_is_no_text_is_read() {
        let mut payload = link_header(7, IFF_UP | IFF_LOWER_UP, 0);
        push_attribute(&mut payload, IFLA_IFNAME, b"a\xff\0");
        push_attribute(&mut payload, IFLA_OPERSTATE, &[IF_OPER_UP]);
        let link = link(&payload).unwrap();
        assert_eq!((link.ifindex, link.name.as_str(), link.running), (7, "a\\xff", true));
        assert!(super::link(&payload[..10]).is_err());
    }

    #[test]
    fn a_netdev_of_an_hcas_is_no_virtual_one_and_its_child_is() {
        let link = |kind: &[u8], lower: &[(u16, u32)]| {
            let mut info = Vec::new();
            push_attribute(&mut info, IFLA_INFO_KIND, kind);
            let mut payload = link_header(7, 0, 0);
            push_attribute(&mut payload, IFLA_LINKINFO, &info);
            for (kind, number) in lower {
                push_attribute(&mut payload, *kind, &number.to_ne_bytes());
            }
            let link = link(&payload).unwrap();
            (link.is_virtual, link.ipoib_parent)
        };
        assert_eq!(link(b"ipoib\0", &[]), (false, None));
        assert_eq!(link(b"ipoib\0", &[(IFLA_LINK, 4)]), (true, Some(4)));
        assert_eq!(link(b"ipoib\0", &[(IFLA_LINK, 4), (IFLA_LINK_NETNSID, 0)]), (true, None));
        assert_eq!(link(b"vlan\0", &[(IFLA_LINK, 4)]), (true, None));
        assert_eq!(link(b"dummy\0", &[]), (true, None));
    }

    #[test]
    fn an_address_is_put_back_with_what_nobody_knows() {
        let mut payload = vec![2, 24, 0x80, 0, 9, 0, 0, 0];
        push_attribute(&mut payload, IFA_LOCAL, &[10, 0, 0, 1]);
        push_attribute(&mut payload, IFA_LABEL, b"eth9\0");
        push_attribute(&mut payload, IFA_FLAGS, &(IFA_F_PERMANENT | 0x200).to_ne_bytes());
        push_attribute(&mut payload, IFA_CACHEINFO, &[255; 16]);
        push_attribute(&mut payload, 77, b"x");
        assert_eq!(address(&payload).unwrap(), Some((9, "10.0.0.1".parse().unwrap(), 24)));
        let body = restored_address(&encode(20, 0, 0, &payload), 12, "eth1", true).unwrap();
        assert_eq!(&body[..8], &[2, 24, 0, 0, 12, 0, 0, 0]);
        let wanted = [
            (IFA_LOCAL, vec![10, 0, 0, 1]),
            (IFA_LABEL, b"eth1\0".to_vec()),
            (IFA_FLAGS, 0x202_u32.to_ne_bytes().to_vec()),
            (77, b"x".to_vec()),
        ];
        assert_eq!(attributes(&body, ADDRESS_LEN), wanted);
    }

    #[test]
    fn a_route_leads_through_the_new_interface_and_has_no_flag_that_is_found_out() {
        let mut payload = vec![2, 16, 0, 0, 254, 3, 0, 1];
        payload.extend(0x14_u32.to_ne_bytes());
        // Expires in 59.9 seconds.
        push_attribute(
            &mut payload,
            RTA_CACHEINFO,
            &[&[0; 8][..], &5_990_u32.to_ne_bytes(), &[0; 20]].concat(),
        );
        push_attribute(&mut payload, RTA_OIF, &9_u32.to_ne_bytes());
        let mut list = Vec::new();
        for (index, flags) in [(9_u32, 0x11_u8), (5, 4)] {
            list.extend([16, 0, flags, 0]);
            list.extend(index.to_ne_bytes());
            list.extend([8, 0, 5, 0, 10, 0, 0, 1]);
        }
        push_attribute(&mut payload, RTA_MULTIPATH, &list);
        push_attribute(&mut payload, RTA_NH_ID, &[1; 4]);
        let body = restored_route(&encode(24, 0, 0, &payload), 9, 12).unwrap();
        assert_eq!(word(&body, 8), 4);
        let mut found = attributes(&body, ROUTE_LEN);
        assert_eq!(found.len(), 3);
        assert_eq!(found.remove(0), (RTA_EXPIRES, 59_u32.to_ne_bytes().to_vec()));
        assert_eq!(found[0], (RTA_OIF, 12_u32.to_ne_bytes().to_vec()));
        assert_eq!(
            (found[1].1[2], word(&found[1].1, 4), found[1].1[18], word(&found[1].1, 20)),
            (0, 12, 4, 5)
        );
        // A list that says wrong lengths.
        assert!(hops(&[3, 0, 0, 0, 9, 0, 0, 0], 9, 12).is_err() && hops(&[8, 0, 0], 9, 12).is_err());
    }
}
