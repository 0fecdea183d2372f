//! Netlink itself, for any family: messages, attributes, and a connection that asks and collects.
//!
//! Sources: netlink(7), `include/uapi/linux/netlink.h`, `net/netlink/af_netlink.c`.

mod attribute;
mod connection;
mod message;

pub use attribute::{Attribute, Attributes, push_attribute};
pub use connection::{Connection, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
pub use message::{HEADER_LEN, Message, Messages, encode};

/// `NLMSG_ALIGN`, `NLA_ALIGN`: everything starts at a multiple of four bytes.
const fn align(length: usize) -> usize {
    (length + 3) & !3
}
