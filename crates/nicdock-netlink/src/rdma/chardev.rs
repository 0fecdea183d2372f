use super::abi::{attr, command, message_type};
use crate::ParseError;
use crate::wire::{Attributes, Messages};

/// A driver's number in the uverbs ABI (`enum rdma_driver_id` of `include/uapi/rdma/ib_user_ioctl_verbs.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverId(pub u64);

impl DriverId {
    pub const USNIC: Self = Self(13);
    pub const RXE: Self = Self(14);
    pub const EFA: Self = Self(17);
    pub const SIW: Self = Self(18);
}

/// A character device of an RDMA device (`nldev_get_chardev`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chardev {
    /// The kernel's name of the node, without a directory.
    pub name: String,
    pub major: u32,
    pub minor: u32,
    /// For uverbs nodes.
    pub driver: Option<DriverId>,
}

/// Reads the answer to [`Request::uverbs`](super::Request::uverbs).
pub fn parse_chardev(bytes: &[u8]) -> Result<Option<Chardev>, ParseError> {
    let kind = message_type(command::GET_CHARDEV);
    let mut found = None;
    for message in Messages::new(bytes) {
        let message = message?;
        if message.kind == kind && found.is_none() {
            found = Some(parse_one(kind, message.payload())?);
        }
    }
    Ok(found)
}

fn parse_one(kind: u16, payload: &[u8]) -> Result<Chardev, ParseError> {
    let missing = |attribute| ParseError::Missing { message: kind, attribute };
    let (mut name, mut number, mut driver) = (None, None, None);
    for attribute in Attributes::new(payload) {
        let attribute = attribute?;
        match attribute.kind {
            attr::CHARDEV_NAME => name = Some(attribute.name()),
            attr::CHARDEV => number = Some(attribute.u64()?),
            // A u64 in the header's comment, a u32 on the wire (`ib_uverbs_get_nl_info`, `nla_put_u32`).
            attr::UVERBS_DRIVER_ID if attribute.payload.len() == 4 => {
                driver = Some(DriverId(u64::from(attribute.u32()?)));
            }
            attr::UVERBS_DRIVER_ID => driver = Some(DriverId(attribute.u64()?)),
            _ => {}
        }
    }
    let (major, minor) = decode_dev(number.ok_or_else(|| missing(attr::CHARDEV))?);
    Ok(Chardev { name: name.ok_or_else(|| missing(attr::CHARDEV_NAME))?, major, minor, driver })
}

/// `huge_decode_dev()` of `include/linux/kdev_t.h`: 12 bits of major, 20 of minor.
fn decode_dev(number: u64) -> (u32, u32) {
    let bits = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    (bits((number & 0xf_ff00) >> 8), bits((number & 0xff) | ((number >> 12) & 0xf_ff00)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_decoded_as_the_kernel_encodes_them() {
        // huge_encode_dev(): (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)
        assert_eq!(decode_dev((231 << 8) | 0xc0), (231, 192));
        assert_eq!(decode_dev((511 << 8) | 0x34 | (0x1200 << 12)), (511, 0x1234));
    }
}
