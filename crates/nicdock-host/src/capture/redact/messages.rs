//! Netlink messages, attribute by attribute.

use std::net::IpAddr;

use nicdock_netlink::rdma::abi::{attr, message_type};
use nicdock_netlink::wire::{Attribute, Attributes, Message, Messages, encode, push_attribute};
use nicdock_netlink::{ParseError, name};

use super::addresses::Replacements;
use super::names::Names;

/// What `nla_len`, 16 bits, leaves for an attribute's payload.
const MAX_PAYLOAD_LEN: usize = u16::MAX as usize - 4;

/// What is done with one attribute.
#[derive(Clone, Copy)]
enum Rule {
    /// A number: nobody is known by it.
    Keep,
    Name,
    Mac,
    Ip,
    /// `RTA_DST`: an address whose prefix length is in the message's header.
    Network,
    /// `RTA_VIA`: an address with its family before it.
    Via,
    /// Attributes in an attribute.
    Nested(Rules),
    /// `RTA_MULTIPATH`: `struct rtnexthop`, each with attributes.
    Hops(Rules),
    /// A 64-bit number in host byte order.
    Guid,
}

type Rules = &'static [(u16, Rule)];

/// `include/uapi/linux/if_link.h`.
const LINK: Rules = &[
    (1, Rule::Mac),                          // IFLA_ADDRESS
    (3, Rule::Name),                         // IFLA_IFNAME
    (4, Rule::Keep),                         // IFLA_MTU
    (5, Rule::Keep),                         // IFLA_LINK
    (10, Rule::Keep),                        // IFLA_MASTER
    (18, Rule::Nested(&[(1, Rule::Keep)])),  // IFLA_LINKINFO, IFLA_INFO_KIND
    (33, Rule::Keep),                        // IFLA_CARRIER
    (37, Rule::Keep),                        // IFLA_LINK_NETNSID
    (38, Rule::Keep),                        // IFLA_PHYS_PORT_NAME
    (52, Rule::Nested(&[(53, Rule::Name)])), // IFLA_PROP_LIST, IFLA_ALT_IFNAME
    (54, Rule::Mac),                         // IFLA_PERM_ADDRESS
];
/// `include/uapi/linux/if_addr.h`.
const ADDRESS: Rules = &[
    (1, Rule::Ip),   // IFA_ADDRESS
    (2, Rule::Ip),   // IFA_LOCAL
    (6, Rule::Keep), // IFA_CACHEINFO
    (8, Rule::Keep), // IFA_FLAGS
];
/// `include/uapi/linux/rtnetlink.h`.
const ROUTE: Rules = &[
    (1, Rule::Network),   // RTA_DST
    (4, Rule::Keep),      // RTA_OIF
    (5, Rule::Ip),        // RTA_GATEWAY
    (6, Rule::Keep),      // RTA_PRIORITY
    (7, Rule::Ip),        // RTA_PREFSRC
    (9, Rule::Hops(HOP)), // RTA_MULTIPATH
    (15, Rule::Keep),     // RTA_TABLE
    (18, Rule::Via),      // RTA_VIA
    (30, Rule::Keep),     // RTA_NH_ID
];
/// `include/uapi/linux/nexthop.h`.
const NEXTHOP: Rules = &[
    (1, Rule::Keep), // NHA_ID
    (2, Rule::Keep), // NHA_GROUP
    (5, Rule::Keep), // NHA_OIF
    (6, Rule::Ip),   // NHA_GATEWAY
];
const HOP: Rules = &[(5, Rule::Ip), (18, Rule::Via)];
/// `include/uapi/rdma/rdma_netlink.h`; every command has the same attributes.
const RDMA: Rules = &[
    (attr::DEV_INDEX, Rule::Keep),
    (attr::DEV_NAME, Rule::Name),
    (attr::PORT_INDEX, Rule::Keep),
    (attr::FW_VERSION, Rule::Keep),
    (attr::NODE_GUID, Rule::Guid),
    (attr::LID, Rule::Keep),
    (attr::PORT_STATE, Rule::Keep),
    (attr::PORT_PHYS_STATE, Rule::Keep),
    (attr::DEV_NODE_TYPE, Rule::Keep),
    (attr::RES_QP, Rule::Nested(&[(attr::RES_QP_ENTRY, Rule::Nested(&[(attr::RES_KERN_NAME, Rule::Keep)]))])),
    (attr::NDEV_INDEX, Rule::Keep),
    (attr::NDEV_NAME, Rule::Name),
    (attr::SYS_NETNS_MODE, Rule::Keep),
    (attr::DEV_PROTOCOL, Rule::Keep),
    (attr::CHARDEV_NAME, Rule::Keep),
    (attr::CHARDEV, Rule::Keep),
    (attr::UVERBS_DRIVER_ID, Rule::Keep),
];

/// The family's header before the attributes, and their rules; `None` for messages that the inventory does not read.
fn format(kind: u16) -> Option<(usize, Rules)> {
    match kind {
        16 => Some((16, LINK)),    // RTM_NEWLINK, struct ifinfomsg
        20 => Some((8, ADDRESS)),  // RTM_NEWADDR, struct ifaddrmsg
        24 => Some((12, ROUTE)),   // RTM_NEWROUTE, struct rtmsg
        104 => Some((8, NEXTHOP)), // RTM_NEWNEXTHOP, struct nhmsg
        kind if kind >= message_type(0) => Some((0, RDMA)),
        _ => None,
    }
}

/// The same messages with other addresses, and without what has no rule.
pub fn redact(bytes: &[u8], new: &Replacements, names: &Names) -> Result<Vec<u8>, ParseError> {
    let mut out = Vec::new();
    for message in Messages::new(bytes) {
        let message = message?;
        let Some((header_len, rules)) = format(message.kind) else { continue };
        let Some((header, attributes)) = message.payload().split_at_checked(header_len) else { continue };
        let redaction = Redaction { new, names, prefix_len: prefix_len(&message) };
        let mut payload = header.to_vec();
        redaction.attributes(rules, attributes, &mut payload)?;
        out.extend(encode(message.kind, message.flags, 0, &payload));
    }
    Ok(out)
}

/// `rtm_dst_len`, where there is one.
fn prefix_len(message: &Message) -> u8 {
    message.payload().get(1).copied().unwrap_or_default()
}

struct Redaction<'a> {
    new: &'a Replacements,
    names: &'a Names,
    prefix_len: u8,
}

impl Redaction<'_> {
    fn attributes(&self, rules: Rules, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
        // What is not understood is left out, and nothing else.
        for attribute in Attributes::new(bytes).map_while(Result::ok) {
            let rule = rules.iter().find(|(kind, _)| *kind == attribute.kind);
            if let Some((_, rule)) = rule {
                let Ok(payload) = self.payload(*rule, &attribute) else { continue };
                // Names get a NUL and attributes padding, so that what is full already has no room.
                if payload.len() > MAX_PAYLOAD_LEN {
                    let (expected, found) = (MAX_PAYLOAD_LEN, payload.len());
                    return Err(ParseError::AttributeSize { attribute: attribute.kind, expected, found });
                }
                push_attribute(out, attribute.kind, &payload);
            }
        }
        Ok(())
    }

    fn payload(&self, rule: Rule, attribute: &Attribute) -> Result<Vec<u8>, ParseError> {
        let old = attribute.payload;
        Ok(match rule {
            Rule::Keep => old.to_vec(),
            Rule::Name => [&name::bytes(&self.names.redact(&attribute.name()))[..], b"\0"].concat(),
            Rule::Mac => self.new.mac(old),
            Rule::Ip => Self::ip(old, |ip| self.new.ip(ip)),
            Rule::Network => Self::ip(old, |ip| self.new.network(ip, self.prefix_len)),
            Rule::Via => {
                let (family, address) = old.split_at_checked(2).unwrap_or_default();
                [family, &Self::ip(address, |ip| self.new.ip(ip))].concat()
            }
            Rule::Guid => {
                let guid = self.new.guid(&attribute.u64()?.to_be_bytes());
                let guid: [u8; 8] = guid.try_into().unwrap_or_default();
                u64::from_be_bytes(guid).to_ne_bytes().to_vec()
            }
            Rule::Nested(rules) => {
                let mut out = Vec::new();
                self.attributes(rules, old, &mut out)?;
                out
            }
            Rule::Hops(rules) => self.hops(rules, old)?,
        })
    }

    /// Whether it is IPv4 or IPv6 is seen from the length.
    fn ip(bytes: &[u8], new: impl Fn(IpAddr) -> IpAddr) -> Vec<u8> {
        let old = <[u8; 4]>::try_from(bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
        match old.map(new) {
            Ok(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Ok(IpAddr::V6(ip)) => ip.octets().to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// `struct rtnexthop`: length (2), flags, hops, index (4), then attributes.
    fn hops(&self, rules: Rules, bytes: &[u8]) -> Result<Vec<u8>, ParseError> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while let Some(&[l0, l1, flags, hops, i0, i1, i2, i3]) = rest.first_chunk::<8>() {
            let claimed = usize::from(u16::from_ne_bytes([l0, l1]));
            let available = rest.len();
            let bad = ParseError::Length {
                what: "a next hop",
                offset: bytes.len() - available,
                claimed,
                available,
            };
            let mut hop = vec![0, 0, flags, hops, i0, i1, i2, i3];
            self.attributes(rules, rest.get(8..claimed).ok_or_else(|| bad.clone())?, &mut hop)?;
            let length = u16::try_from(hop.len()).map_err(|_| bad)?;
            hop[..2].copy_from_slice(&length.to_ne_bytes());
            out.extend(hop);
            rest = rest.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(out)
    }
}
