//! Flags, names and numbers of the interface itself (ip-link(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_netlink::name;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_netlink::rtnl::link::RawLink;

/// `IFF_DEBUG`, `NOTRAILERS`, `NOARP`, `PROMISC`, `ALLMULTI`, `MULTICAST`, `PORTSEL`, `AUTOMEDIA`, `DYNAMIC`: those that can
/// be set (net/core/dev.c, `__dev_change_flags`) but `IFF_UP`. The kernel shows of promiscuity what was set this way, not
/// what a capturing program asks for (`dev_get_flags`).
const FLAGS: u32 = 0xf3a4;

const IFLA_IFALIAS: u16 = 20;
/// include/uapi/linux/if_link.h; in the order in which they are set, since the first of a pair sets the second too.
const NUMBERS: [(u16, &str); 7] = [
    (13, "txqueuelen"),
    (27, "group"),
    (41, "gso_max_size"),
    (40, "gso_max_segs"),
    (58, "gro_max_size"),
    (63, "gso_ipv4_max_size"),
    (64, "gro_ipv4_max_size"),
];
/// `IFLA_LINKMODE`: an interface in mode dormant is never operational.
const IFLA_LINKMODE: u16 = 17;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// `IFF_*`
    flags: u32,
    mode: Option<u8>,
    numbers: BTreeMap<String, u32>,
    alias: Option<String>,
    altnames: BTreeSet<String>,
}

impl Link {
    pub fn read(raw: &RawLink) -> io::Result<Self> {
        let number = |kind| {
            let bytes = raw.attributes.get(&kind)?.as_slice().try_into().ok()?;
            Some(u32::from_ne_bytes(bytes))
        };
        let alias = raw.attributes.get(&IFLA_IFALIAS).map(|bytes| {
            let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            name::text(bytes)
        });
        Ok(Self {
            flags: raw.flags & FLAGS,
            mode: raw.attributes.get(&IFLA_LINKMODE).and_then(|bytes| bytes.first()).copied(),
            numbers: NUMBERS
                .iter()
                .filter_map(|(kind, name)| Some(((*name).to_owned(), number(*kind)?)))
                .collect(),
            alias: alias.filter(|alias| !alias.is_empty()),
            altnames: raw.altnames()?.into_iter().collect(),
        })
    }

    /// Takes away the names that it did not have on the host.
    pub fn remove_foreign_altnames(&self, rtnl: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        let now = match rtnl.raw_link(ifindex).and_then(|raw| raw.altnames()) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its further names", Err(error)),
        };
        for altname in now.iter().filter(|altname| !self.altnames.contains(*altname)) {
            let removed = rtnl.remove_altname(ifindex, altname);
            left.note(
                name,
                &format!("the name {altname}, which it got meanwhile, being taken away,"),
                removed,
            );
        }
    }

    /// Names that another interface has by now are nothing that is wrong with this one.
    pub fn leave_off_taken(&mut self, now: &Self, host: &mut Rtnl, ifindex: u32) {
        let is_taken = |altname: &String, host: &mut Rtnl| {
            let added = host.add_altname(ifindex, altname);
            added.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
        };
        self.altnames.retain(|altname| now.altnames.contains(altname) || !is_taken(altname, host));
    }

    pub fn restore(&self, host: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        let now = match host.raw_link(ifindex).and_then(|raw| Self::read(&raw)) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its settings", Err(error)),
        };
        self.remove_foreign_altnames(host, ifindex, name, left);
        for altname in self.altnames.difference(&now.altnames) {
            match host.add_altname(ifindex, altname) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    left.notes.push(format!(
                        "warning: {name} is back without its further name {altname}: another interface is called so by now; nicdock \
                         reconcile adds it once none is"
                    ));
                    left.taken.insert(altname.clone());
                }
                result => left.note(name, &format!("the name {altname}"), result),
            }
        }
        if now.flags != self.flags {
            left.note(name, "its flags", host.set_flags(ifindex, self.flags, FLAGS));
        }
        if let Some(mode) = self.mode.filter(|_| now.mode != self.mode) {
            left.note(name, "its link mode", host.set_attribute(ifindex, IFLA_LINKMODE, &[mode]));
        }
        if now.alias != self.alias {
            let alias = self.alias.clone().unwrap_or_default();
            left.note(name, "its alias", host.set_attribute(ifindex, IFLA_IFALIAS, &name::bytes(&alias)));
        }
        for (kind, what) in NUMBERS {
            if let Some(value) = self.numbers.get(what).filter(|value| now.numbers.get(what) != Some(*value))
            {
                left.note(
                    name,
                    &format!("its {what}"),
                    host.set_attribute(ifindex, kind, &value.to_ne_bytes()),
                );
            }
        }
    }
}
