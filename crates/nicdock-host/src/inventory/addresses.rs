//! Addresses from `RTM_NEWADDR` (rtnetlink(7), `include/uapi/linux/if_addr.h`).

use std::net::IpAddr;

use nicdock_netlink::ParseError;
use nicdock_netlink::wire::{Attribute, Attributes, Message, Messages};

use super::{ByIndex, Unread};
use crate::model::{Address, Lifetime};

const RTM_NEWADDR: u16 = 20;
/// `sizeof(struct ifaddrmsg)`: family, prefix length, flags, scope, index (4).
const HEADER_LEN: usize = 8;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
/// `INFINITY_LIFE_TIME` of `include/net/addrconf.h`.
const FOREVER: u32 = u32::MAX;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Every address by its interface's index, and what is not understood of an interface's.
pub fn parse(bytes: &[u8]) -> Result<(ByIndex<Vec<Address>>, Unread), ParseError> {
    let mut addresses = ByIndex::<Vec<Address>>::new();
    let mut unread = Unread::default();
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind != RTM_NEWADDR {
            continue;
        }
        match parse_one(&message) {
            Ok(Some((index, address))) => addresses.entry(index).or_default().push(address),
            Ok(None) => {}
            Err(error) => unread.add(interface(message.payload()), error),
        }
    }
    Ok((addresses, unread))
}

/// Whose address a message is of.
fn interface(payload: &[u8]) -> Option<u32> {
    let [_, _, _, _, index @ ..] = *payload.first_chunk::<HEADER_LEN>()?;
    Some(u32::from_ne_bytes(index))
}

/// `None` for families other than IPv4 and IPv6.
fn parse_one(message: &Message) -> Result<Option<(u32, Address)>, ParseError> {
    let payload = message.payload();
    let Some((&header, attributes)) = payload.split_first_chunk::<HEADER_LEN>() else {
        return Err(ParseError::Length {
            what: "an address",
            offset: message.offset,
            claimed: HEADER_LEN,
            available: payload.len(),
        });
    };
    let [family, prefix_len, flags, scope, i0, i1, i2, i3] = header;
    if family != AF_INET && family != AF_INET6 {
        return Ok(None);
    }
    let (mut local, mut peer, mut flags) = (None, None, u32::from(flags));
    let (mut preferred, mut valid) = (Lifetime::Forever, Lifetime::Forever);
    for attribute in Attributes::new(attributes) {
        let attribute = attribute?;
        match attribute.kind {
            IFA_LOCAL => local = Some(ip(family, &attribute)?),
            IFA_ADDRESS => peer = Some(ip(family, &attribute)?),
            IFA_FLAGS => flags = attribute.u32()?,
            IFA_CACHEINFO => (preferred, valid) = lifetimes(&attribute)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 gives IFA_LOCAL only then.
    let missing = ParseError::Missing { message: message.kind, attribute: IFA_ADDRESS };
    let ip = local.or(peer).ok_or(missing)?;
    let index = u32::from_ne_bytes([i0, i1, i2, i3]);
    let raw = message.bytes.to_vec();
    Ok(Some((index, Address { ip, prefix_len, scope, flags, valid, preferred, raw })))
}

/// An address of the family that the message's header names.
pub fn ip(family: u8, attribute: &Attribute) -> Result<IpAddr, ParseError> {
    let expected = if family == AF_INET6 { 16 } else { 4 };
    let found = attribute.payload.len();
    let wrong = ParseError::AttributeSize { attribute: attribute.kind, expected, found };
    let address = if family == AF_INET6 {
        <[u8; 16]>::try_from(attribute.payload).map(IpAddr::from)
    } else {
        <[u8; 4]>::try_from(attribute.payload).map(IpAddr::from)
    };
    address.map_err(|_| wrong)
}

/// `struct ifa_cacheinfo`: preferred, valid, created, updated; the first two in seconds.
fn lifetimes(attribute: &Attribute) -> Result<(Lifetime, Lifetime), ParseError> {
    let Some((&[p0, p1, p2, p3, v0, v1, v2, v3], _)) = attribute.payload.split_first_chunk::<8>() else {
        let found = attribute.payload.len();
        return Err(ParseError::AttributeSize { attribute: attribute.kind, expected: 16, found });
    };
    let lifetime = |seconds| if seconds == FOREVER { Lifetime::Forever } else { Lifetime::Seconds(seconds) };
    Ok((lifetime(u32::from_ne_bytes([p0, p1, p2, p3])), lifetime(u32::from_ne_bytes([v0, v1, v2, v3]))))
}

/// The network that an address is in.
pub fn network(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}
