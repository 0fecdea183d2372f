//! NICs for people and programs: pure functions from a [`Host`](nicdock_host::model::Host) to text.

mod columns;
mod json;
mod link;
mod table;
mod tree;

use std::collections::BTreeMap;

use nicdock_host::model::{Host, Nic, NicKind, Node};
use serde::Serialize;

pub use columns::columns;
pub use json::json;
pub use table::table;
pub use tree::tree;

/// Who has a NIC now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// The container's name.
    pub container: String,
    /// The process whose end is the container's end.
    pub pid: u32,
}

/// Holders by the name of the NIC.
pub type Holders = BTreeMap<String, Holder>;

/// The NICs that are listed: plain Ethernet is, like a disk, no fabric NIC, and shown only when asked for.
fn shown(host: &Host, all: bool) -> impl Iterator<Item = &Nic> {
    host.nics.iter().filter(move |nic| all || nic.kind != NicKind::Ethernet)
}

/// The names of a NIC's nodes without their directory.
fn node_names(nic: &Nic) -> Vec<&str> {
    nic.nodes().map(Node::name).collect()
}
