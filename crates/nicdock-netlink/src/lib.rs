//! Netlink: messages and a connection for any family ([`wire`]), and of two families what they say ([`rdma`], [`rtnl`]).
//!
//! Nothing of nicdock is in it. What the kernel gave is kept as it was, also attributes that nobody here knows, and names need not be UTF-8 ([`name`]).

mod error;
pub mod name;
pub mod rdma;
pub mod rtnl;
pub mod wire;

pub use error::ParseError;
