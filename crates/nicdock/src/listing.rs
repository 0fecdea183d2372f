//! NICs for people and programs: pure functions from a [`Host`](nicdock_host::model::Host) to text.

mod columns;
mod json;
mod leases;
mod pool;
mod table;
mod tree;

use std::collections::BTreeMap;

use nicdock_core::lease::{self, Lease};
use nicdock_host::model::{Host, Nic, NicKind, Node};
use serde::Serialize;

pub use columns::columns;
pub use json::{json, value};
pub use leases::{leases, leases_json, leases_value};
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

/// Why a NIC cannot be given now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The container that it was given to, and those that joined it.
    pub containers: Vec<Holder>,
    /// What else keeps a NIC that is back from being given, in words.
    pub kept_by: Option<String>,
}

impl Held {
    /// In words, each container as `name` has it.
    fn words(&self, name: impl Fn(&Holder) -> String) -> String {
        self.kept_by.clone().unwrap_or_else(|| {
            format!("container {}", self.containers.iter().map(name).collect::<Vec<_>>().join(", "))
        })
    }
}

/// By the name of the NIC.
pub type Holders = BTreeMap<String, Held>;

/// By the leases.
pub fn holders(leases: &[Lease]) -> Holders {
    let holder = |h: &lease::Holder| Holder { container: h.container.clone(), pid: h.supervisor.pid };
    let held = |lease: &Lease| Held {
        containers: lease.holders.iter().map(holder).collect(),
        kept_by: lease.holders.is_empty().then(|| lease.kept_by()),
    };
    leases.iter().map(|lease| (lease.grant.nic.name.clone(), held(lease))).collect()
}

/// The NICs that are listed: plain Ethernet is, like a disk, no fabric NIC, and shown only when asked for.
fn shown(host: &Host, all: bool) -> impl Iterator<Item = &Nic> {
    host.nics.iter().filter(move |nic| all || nic.kind != NicKind::Ethernet)
}

/// The names of a NIC's nodes without their directory.
fn node_names(nic: &Nic) -> Vec<&str> {
    nic.nodes().map(Node::name).collect()
}

/// Whether every VF of the NIC is behind an IOMMU (`usnic_uiom_attach_dev_to_pd()` needs it). False without VFs.
fn vfs_behind_iommu(host: &Host, nic: &Nic) -> bool {
    let vfs = nic.pci.and_then(|pf| host.function(pf)).map_or(&[][..], |pf| &pf.vfs);
    let group = |vf: &nicdock_host::model::PciAddress| host.function(*vf).and_then(|vf| vf.iommu_group);
    !vfs.is_empty() && vfs.iter().all(|vf| group(vf).is_some())
}
