//! What a host has set on a netdev beyond name, addresses, MTU, routes and whether it is up: remembered before the NIC is
//! taken, put back when it returns, and compared then, so that nothing a program left on it goes unnoticed.
//!
//! A move to another network namespace loses what belongs to a namespace (sysctls, neighbours, queueing disciplines;
//! net/core/dev.c, `__dev_change_net_namespace`) and keeps what belongs to the device (flags, XDP programs, all of
//! ethtool(8)). The first must be made anew, the second may have been changed by a program with `CAP_NET_ADMIN`.

mod difference;
mod ethtool;
mod ipoib;
mod link;
mod neighbours;
mod programs;
mod qdiscs;
mod ready;
mod sysctls;
mod vfs;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use nicdock_host::model::Netdev;
use serde::{Deserialize, Serialize};

use self::difference::differences;
use crate::doing::{Doing, PhaseError};
use nicdock_netlink::rtnl::Rtnl;

/// How long the link may take to be there again, where that matters.
const READY: Duration = Duration::from_secs(10);

/// The settings of one netdev.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub link: link::Link,
    pub programs: programs::Programs,
    pub vfs: vfs::Vfs,
    pub ethtool: ethtool::Ethtool,
    pub sysctls: sysctls::Sysctls,
    pub qdiscs: qdiscs::Qdiscs,
    pub neighbours: neighbours::Neighbours,
    /// Of `IPoIB` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipoib: Option<ipoib::Ipoib>,
}

/// What is not as it was, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// What of the host's could not be put back.
    pub notes: Vec<String>,
    /// What is different from before in spite of everything: the NIC should be given to nobody until somebody has looked.
    pub dirty: Vec<String>,
    /// Further names that another interface has by now.
    pub taken: BTreeSet<String>,
}

impl Left {
    pub fn note_of(note: String) -> Self {
        Self { notes: vec![note], ..Self::default() }
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.notes.iter().chain(&self.dirty)
    }

    pub fn extend(&mut self, other: Self) {
        // What is tried twice may fail twice.
        self.notes
            .extend(other.notes.into_iter().filter(|note| !self.notes.contains(note)).collect::<Vec<_>>());
        self.dirty.extend(other.dirty);
        self.taken.extend(other.taken);
    }

    /// Notes what failed, and goes on.
    fn note(&mut self, name: &str, what: &str, result: io::Result<()>) {
        if let Err(error) = result {
            self.notes.push(format!("warning: {name} is back without {what} as before: {error}"));
        }
    }
}

/// Reads the settings of a netdev in the namespace that `host` speaks to, which must be the caller's.
pub fn read(host: &mut Rtnl, ifindex: u32, name: &str) -> Result<Settings, PhaseError> {
    let doing = |what: &'static str| move || format!("reading {what} of {name}");
    let raw = host.raw_link(ifindex).doing(doing("the settings"))?;
    let ipoib = ipoib::Ipoib::read(name);
    let mut ethtool = ethtool::Ethtool::read(name).doing(doing("the driver's settings"))?;
    if ipoib.is_some() {
        // Nobody can set it, and it says nothing without a carrier (`ipoib_get_link_ksettings()`).
        ethtool.forget_speed();
    }
    Ok(Settings {
        link: link::Link::read(&raw).doing(doing("the settings"))?,
        programs: programs::Programs::read(&raw, ifindex).doing(doing("the BPF programs"))?,
        vfs: vfs::Vfs::read(&raw).doing(doing("the virtual functions' settings"))?,
        ethtool,
        sysctls: sysctls::Sysctls::read(name),
        qdiscs: qdiscs::Qdiscs::read(host, ifindex).doing(doing("the queueing disciplines"))?,
        neighbours: neighbours::Neighbours::read(host, ifindex).doing(doing("the permanent neighbours"))?,
        ipoib,
    })
}

impl Settings {
    /// Before the netdev is taken out of a container: a name that a program gave it and the host has too would keep it there
    /// (Linux 6.6, net/core/dev.c, `__dev_change_net_namespace`).
    pub fn before_move(&self, inside: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        self.link.remove_foreign_altnames(inside, ifindex, name, left);
    }

    /// The same with those that it had on the host, should another interface there have one by now.
    pub fn take_names_off(inside: &mut Rtnl, ifindex: u32) -> io::Result<()> {
        let names = inside.raw_link(ifindex)?.altnames()?;
        names.iter().try_for_each(|name| inside.remove_altname(ifindex, name))
    }

    /// Before MTU and MAC address, since an XDP program may keep them from being set: what belongs to the device.
    pub fn restore_device(&self, host: &mut Rtnl, ifindex: u32, name: &str) -> Left {
        let mut left = Left::default();
        self.programs.restore(host, ifindex, name, &mut left);
        let mut once = || {
            let mut left = Left::default();
            self.restore_ipoib(name, &mut left);
            self.link.restore(host, ifindex, name, &mut left);
            self.vfs.restore(host, ifindex, name, &mut left);
            self.ethtool.restore(name, &mut left);
            left
        };
        // Some settings change others: a second look finds and mends that, and what it notes is what counts.
        once();
        left.extend(once());
        left
    }

    /// What an `IPoIB` netdev must be before its MTU is set; of the host's namespace.
    pub fn restore_ipoib(&self, name: &str, left: &mut Left) {
        if let Some(ipoib) = &self.ipoib {
            ipoib.restore(name, left);
        }
    }

    /// Before it is up and has addresses, which are made under these rules.
    pub fn restore_rules(&self, name: &str) {
        // What fails here is tried again by `restore_rest`.
        self.sysctls.restore(name, &mut Left::default());
    }

    /// After its addresses: the rest, and the proof that all is as before.
    pub fn restore_rest(
        &self,
        host: &mut Rtnl,
        ifindex: u32,
        name: &str,
        planned: &Netdev,
    ) -> Result<Left, PhaseError> {
        let mut left = Left::default();
        if planned.carrier == Some(true) && self.sysctls.are_reset_by_the_link(planned.mtu) {
            let ready = ready::wait(host, ifindex, READY);
            left.note(name, "a link, which will reset its IPv6 MTU when it comes,", ready);
        }
        self.sysctls.restore(name, &mut left);
        // A sysctl may turn off an offload (`dev_disable_lro`), and a link that is up may take what one that is down did not.
        self.ethtool.restore(name, &mut left);
        self.qdiscs.restore(host, ifindex, name, &mut left);
        self.neighbours.restore(host, ifindex, name, &mut left);
        let now = read(host, ifindex, name)?;
        let mut wanted = self.clone();
        wanted.link.leave_off_taken(&now.link, host, ifindex);
        left.dirty = differences(&wanted, &now)
            .into_iter()
            .map(|difference| format!("error: {name} is not as it was: {difference}"))
            .collect();
        Ok(left)
    }
}
