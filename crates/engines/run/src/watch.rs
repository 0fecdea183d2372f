//! What happens to the NICs while the program runs: a link that goes down, a NIC that is pulled. A program does not hear
//! of it by itself: a usNIC's queue pairs go silent without an error. When an RDMA device goes, its number is taken from the container.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nicdock_core::lease::DeviceNode;
use nicdock_core::lease::Ledger;
use nicdock_core::phases::{queue_pairs, stale};
use nicdock_core::plan::{Grant, NetdevGrant, Plan};
use nicdock_sys::events::{LinkEvent, LinkEvents, Uevents};
use nicdock_sys::netns;

/// Two sockets to poll, and what was known last.
pub struct Watch<'a> {
    links: LinkEvents,
    uevents: Uevents,
    grants: &'a [Grant],
    container: &'a str,
    ledger: &'a Ledger,
    /// Nothing until it was given.
    own: stale::Own,
    /// Whether a netdev has a carrier, by its name inside.
    carriers: BTreeMap<String, bool>,
    /// NICs that were said to be unplugged.
    unplugged: Vec<String>,
}

impl<'a> Watch<'a> {
    /// Listens from now on; `namespace` is the container's.
    pub fn start(plan: &'a Plan, ledger: &'a Ledger, namespace: &OwnedFd) -> io::Result<Self> {
        let netdevs = plan.grants.iter().flat_map(|grant| &grant.netdevs);
        let carrier = |given: &NetdevGrant| (given.name.clone(), given.host.carrier == Some(true));
        Ok(Self {
            links: netns::within(namespace, LinkEvents::open)?,
            uevents: Uevents::open()?,
            carriers: netdevs.map(carrier).collect(),
            grants: &plan.grants,
            container: &plan.name,
            ledger,
            own: stale::Own::of(&plan.name, Vec::new()),
            unplugged: Vec::new(),
        })
    }

    /// Looks after these nodes, which the container was given.
    pub fn guard(&mut self, nodes: Vec<DeviceNode>) {
        self.own = stale::Own::of(self.container, nodes);
    }

    /// The NIC's move took its carrier away and brought it back: that is no news. What is different now is.
    pub fn begin(&mut self) -> Vec<String> {
        let mut news = self.numbers();
        let before = self.carriers.clone();
        for event in self.links.drain() {
            self.carriers.entry(event.name).and_modify(|carrier| *carrier = event.carrier);
        }
        let lost = |(name, had): (String, bool)| {
            let event = LinkEvent { carrier: *self.carriers.get(&name)?, name };
            if had && !event.carrier { self.tell(&event) } else { None }
        };
        news.extend(before.into_iter().filter_map(lost));
        news.extend(self.news());
        news
    }

    /// Readable when there may be something to tell.
    pub fn handles(&self) -> [BorrowedFd<'_>; 2] {
        [self.links.as_fd(), self.uevents.as_fd()]
    }

    /// What has happened since, in sentences. Of links, events that were lost (`ENOBUFS`) are lost: that is a notice, not a promise.
    pub fn news(&mut self) -> Vec<String> {
        let changes = self.uevents.drain();
        // First of all: the number may be the next device's already.
        let mut news = if changes.rdma { self.numbers() } else { Vec::new() };
        for event in self.links.drain() {
            let before =
                self.carriers.get_mut(&event.name).map(|carrier| std::mem::replace(carrier, event.carrier));
            if before.is_some_and(|before| before != event.carrier) {
                news.extend(self.tell(&event));
            }
        }
        for path in changes.removed {
            news.extend(self.removal(&path));
        }
        news
    }

    /// usNIC queue pairs that there are now, in sentences.
    pub fn queue_pairs(&self) -> Vec<String> {
        queue_pairs::now(self.grants)
    }

    /// Takes what a container has of devices that have gone, and limits those that have come.
    fn numbers(&mut self) -> Vec<String> {
        let refused = self.own.refuse();
        let mut told: Vec<String> =
            refused.err().map(|error| format!("warning: {error}")).into_iter().collect();
        match stale::look(self.ledger) {
            Ok(taken) => {
                let own = taken.iter().filter(|one| one.container == self.container);
                told.extend(own.map(ToString::to_string));
            }
            Err(error) => told.push(format!("warning: {error}")),
        }
        told
    }

    fn tell(&self, event: &LinkEvent) -> Option<String> {
        let has = |grant: &&Grant| grant.netdevs.iter().any(|given| given.name == event.name);
        let nic = &self.grants.iter().find(has)?.nic.name;
        if event.carrier {
            return Some(format!("the link of {} ({nic}) is back", event.name));
        }
        let pairs = self.queue_pairs();
        let hurt = if pairs.is_empty() { String::new() } else { format!("; {}", pairs.join("; ")) };
        Some(format!(
            "the link of {} ({nic}) went down: what its programs had open may stay in error when it is back{hurt}",
            event.name
        ))
    }

    /// A PF goes after its VFs, and those of usNIC wait for the programs that use them.
    fn removal(&mut self, path: &str) -> Option<String> {
        let grant = self.grants.iter().find(|grant| is_part_of(path, grant))?;
        let nic = &grant.nic.name;
        if self.unplugged.contains(nic) {
            return None;
        }
        self.unplugged.push(nic.clone());
        Some(format!(
            "{nic} ({}) is being unplugged: the kernel may wait until its programs have ended",
            grant.nic.key()
        ))
    }
}

/// Whether the device at `path` is the NIC's function, its sub-function or one of its VFs.
fn is_part_of(path: &str, grant: &Grant) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_own_part = grant.nic.auxiliary.as_deref() == Some(last);
    is_own_part || grant.nic.pci.iter().chain(&grant.vfs).any(|address| address.to_string() == last)
}
