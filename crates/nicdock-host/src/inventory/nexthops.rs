//! Nexthop objects from `RTM_NEWNEXTHOP` (ip-nexthop(8), `include/uapi/linux/nexthop.h`).

use nicdock_netlink::ParseError;
use nicdock_netlink::wire::{Attributes, Messages};

use super::{ByIndex, Unread};

const RTM_NEWNEXTHOP: u16 = 104;
/// `sizeof(struct nhmsg)`: family, scope, protocol, padding, flags (4).
const HEADER_LEN: usize = 8;

const NHA_ID: u16 = 1;
const NHA_OIF: u16 = 5;

/// The numbers of those that leave by an interface, by its index. Groups leave by those that are in them.
pub fn parse(bytes: &[u8]) -> Result<(ByIndex<Vec<u32>>, Unread), ParseError> {
    let mut found = ByIndex::<Vec<u32>>::new();
    let mut unread = Unread::default();
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind != RTM_NEWNEXTHOP {
            continue;
        }
        match parse_one(message.payload()) {
            Ok((id, Some(interface))) => found.entry(interface).or_default().push(id),
            Ok((_, None)) => {}
            Err(error) => unread.add(None, error),
        }
    }
    Ok((found, unread))
}

fn parse_one(payload: &[u8]) -> Result<(u32, Option<u32>), ParseError> {
    let missing = ParseError::Missing { message: RTM_NEWNEXTHOP, attribute: NHA_ID };
    let (mut id, mut interface) = (None, None);
    for attribute in Attributes::new(payload.get(HEADER_LEN..).unwrap_or_default()) {
        let attribute = attribute?;
        match attribute.kind {
            NHA_ID => id = Some(attribute.u32()?),
            NHA_OIF => interface = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok((id.ok_or(missing)?, interface))
}
