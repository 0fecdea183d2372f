//! What happens to the NICs while the program runs: a link that goes down, a NIC that is pulled. A program does not hear of
//! it by itself: a usNIC's queue pairs go silent without an error.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::kernel::events::{LinkEvent, LinkEvents, Uevents};
use crate::kernel::netns;
use crate::plan::{Grant, NetdevGrant, Plan};

/// Two sockets to poll, and what was known last.
pub struct Watch {
    links: LinkEvents,
    uevents: Uevents,
    /// Names inside, with the NIC and whether there was a carrier.
    carriers: BTreeMap<String, (String, Option<bool>)>,
    /// Places of the functions below /sys, with the NIC: a VF or the NIC itself.
    functions: Vec<(String, String)>,
    told_removal: Vec<String>,
}

impl Watch {
    /// Listens from now on; `namespace` is the container's.
    pub fn start(plan: &Plan, namespace: &OwnedFd) -> io::Result<Self> {
        let inside = |grant: &Grant| {
            let nic = grant.nic.name.clone();
            let entry = |given: &NetdevGrant| (given.name.clone(), (nic.clone(), given.host.carrier));
            grant.netdevs.iter().map(entry).collect::<Vec<_>>()
        };
        let function = |grant: &Grant| Some((grant.nic.pci?.to_string(), grant.nic.name.clone()));
        Ok(Self {
            links: netns::within(namespace, LinkEvents::open)?,
            uevents: Uevents::open()?,
            carriers: plan.grants.iter().flat_map(inside).collect(),
            functions: plan.grants.iter().filter_map(function).collect(),
            told_removal: Vec::new(),
        })
    }

    /// What happened while the NIC was moved was nicdock's own doing.
    pub fn begin(&mut self) {
        drop(self.news());
    }

    /// Readable when there may be something to tell.
    pub fn handles(&self) -> [BorrowedFd<'_>; 2] {
        [self.links.as_fd(), self.uevents.as_fd()]
    }

    /// What has happened since, in sentences. Events that were lost (`ENOBUFS`) are lost: this is a notice, not a promise.
    pub fn news(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        for event in self.links.drain() {
            news.extend(self.link(&event));
        }
        for path in self.uevents.removed() {
            news.extend(self.removal(&path));
        }
        news
    }

    fn link(&mut self, event: &LinkEvent) -> Option<String> {
        let (nic, last) = self.carriers.get_mut(&event.name)?;
        let before = last.replace(event.carrier);
        match (before, event.carrier) {
            (Some(true), false) => Some(format!(
                "the link of {} ({nic}) went down: what its programs had open may stay in error when it is back",
                event.name
            )),
            (Some(false), true) => Some(format!("the link of {} ({nic}) is back", event.name)),
            _ => None,
        }
    }

    /// A PF goes after its VFs, and those of usNIC wait for the programs that use them.
    fn removal(&mut self, path: &str) -> Option<String> {
        let (pf, nic) = self.functions.iter().find(|(pf, _)| belongs(path, pf))?;
        if self.told_removal.contains(pf) {
            return None;
        }
        self.told_removal.push(pf.clone());
        Some(format!("{nic} ({pf}) is being unplugged: the kernel may wait until its programs have ended"))
    }
}

/// Whether the device at `path` is the function at `address` or a VF of it: same bus, higher number.
fn belongs(path: &str, address: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let bus = |address: &str| address.rsplit_once(':').map(|(bus, _)| bus.to_owned());
    path.contains("/pci") && last.contains('.') && bus(last).is_some() && bus(last) == bus(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_on_the_nics_bus_belongs_to_it() {
        assert!(belongs("/devices/pci0000:00/0000:00:1e.0/0000:03:00.4", "0000:03:00.0"));
        assert!(!belongs("/devices/pci0000:00/0000:00:1e.0/0000:04:00.4", "0000:03:00.0"));
        assert!(!belongs("/devices/pci0000:00/0000:00:1e.0/0000:03:00.0/net/eth0", "0000:03:00.0"));
    }
}
