//! Machines that are described instead of recorded: for tests, benchmarks and documentation.
//!
//! A [`Machine`] is built from PCI functions, netdevs and RDMA devices; its [`Capture`] is what
//! [`Capture::of`] would have taken from a real one: the sysfs and procfs files that the inventory reads, and netlink
//! lists in the kernel's binary form. The hosts in [`hosts`] say where each of their facts comes from.

mod environment;
mod function;
pub mod hosts;
mod messages;
mod netdev;
mod paths;
mod rdma;

use std::collections::BTreeMap;

pub use function::Function;
pub use netdev::{Link, Place, Route};
pub use rdma::{Port, Rdma};

use crate::capture::Capture;
use crate::model::RdmaNetnsMode;
use crate::source::{Dump, Entry, OpenNode};

/// A machine being described.
pub struct Machine {
    entries: BTreeMap<String, Entry>,
    lists: BTreeMap<Dump, Vec<u8>>,
    open_nodes: Vec<OpenNode>,
    /// Paths below `/sys` of PCI functions, by address.
    functions: BTreeMap<String, String>,
    /// Virtual functions so far, by their physical function's address.
    vf_counts: BTreeMap<String, u32>,
    interfaces: BTreeMap<String, u32>,
    rdma_devices: u32,
    tcp: [String; 2],
}

impl Machine {
    /// A machine with a loopback interface and nothing else.
    pub fn new(kernel: &str) -> Self {
        let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
        let mut machine = Self {
            entries: BTreeMap::new(),
            lists: BTreeMap::new(),
            open_nodes: Vec::new(),
            functions: BTreeMap::new(),
            vf_counts: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            rdma_devices: 0,
            tcp: [heading.to_owned(), heading.to_owned()],
        };
        machine.file("proc/sys/kernel/osrelease", kernel);
        machine.entries.insert("sys/bus/pci/devices".into(), Entry::Directory);
        machine.entries.insert("sys/class/net".into(), Entry::Directory);
        for dump in [Dump::Links, Dump::Addresses, Dump::Routes] {
            machine.lists.insert(dump, Vec::new());
        }
        machine.link(Link::loopback());
        machine.address("lo", "127.0.0.1/8");
        machine.address("lo", "::1/128");
        machine
    }

    /// The RDMA core is loaded, with or without devices.
    pub fn rdma_core(&mut self, mode: RdmaNetnsMode) -> &mut Self {
        self.entries.insert("sys/class/infiniband".into(), Entry::Directory);
        self.lists.entry(Dump::RdmaDevices).or_default();
        self.lists.insert(Dump::RdmaSystem, messages::rdma_system(mode == RdmaNetnsMode::Shared));
        self
    }

    /// The module `rdma_ucm` is loaded, and its node is there.
    pub fn rdma_cm(&mut self, minor: u32) -> &mut Self {
        let path = "devices/virtual/misc/rdma_cm";
        self.symlink("class/misc/rdma_cm", path);
        self.sysfs(&format!("{path}/dev"), &format!("10:{minor}"));
        self
    }

    /// `RLIMIT_MEMLOCK` of whoever looks, in bytes.
    pub fn memlock(&mut self, bytes: u64) -> &mut Self {
        self.file(
            "proc/self/limits",
            &format!("Max locked memory         {bytes}              {bytes}              bytes"),
        );
        self
    }

    /// A process that has a node open: `uverbs0`, or a whole path.
    pub fn open_node(&mut self, pid: u32, command: &str, node: &str) -> &mut Self {
        self.open_nodes.push(OpenNode {
            pid,
            command: command.into(),
            node: if node.starts_with('/') { node.into() } else { format!("/dev/infiniband/{node}") },
        });
        self
    }

    /// What `nicdock capture` would have taken.
    ///
    /// # Panics
    /// When the description is no machine that the inventory can read.
    pub fn capture(self) -> Capture {
        Capture::of(self.everything()).expect("a described machine can be read")
    }

    /// Everything that was described, read by the inventory or not.
    pub fn everything(mut self) -> Capture {
        let [tcp, tcp6] = std::mem::take(&mut self.tcp);
        self.entries.insert("proc/net/tcp".into(), Entry::File(tcp.into_bytes()));
        self.entries.insert("proc/net/tcp6".into(), Entry::File(tcp6.into_bytes()));
        for (dump, bytes) in self.lists {
            self.entries.insert(dump.file(), Entry::File(bytes));
        }
        Capture::from_parts(self.entries, self.open_nodes)
    }

    fn file(&mut self, path: &str, text: &str) {
        self.entries.insert(path.to_owned(), Entry::File(format!("{text}\n").into_bytes()));
    }

    fn sysfs(&mut self, path: &str, text: &str) {
        self.file(&format!("sys/{path}"), text);
    }

    fn symlink(&mut self, path: &str, to: &str) {
        let target = paths::relative(path, to);
        self.entries.insert(format!("sys/{path}"), Entry::Link(target));
    }

    /// Where a function is.
    fn path_of(&self, address: &str) -> String {
        self.functions.get(address).unwrap_or_else(|| panic!("no function {address} was described")).clone()
    }

    fn append(&mut self, dump: Dump, message: Vec<u8>) {
        self.lists.entry(dump).or_default().extend(message);
    }
}
