//! What is set on the NIC's virtual functions by their physical one (`ip link set … vf`).

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_netlink::rtnl::link::RawLink;

/// `IFLA_VF_*` that can be set as they are shown (include/uapi/linux/if_link.h); `IFLA_VF_TX_RATE` is the older form of a
/// part of `IFLA_VF_RATE`, and shown too.
const SETTABLE: [(u16, &str); 9] = [
    (1, "mac"),
    (2, "vlan"),
    (12, "vlan_list"),
    (6, "rate"),
    (4, "spoofchk"),
    (5, "link_state"),
    (7, "rss_query_en"),
    (9, "trust"),
    (10, "ib_node_guid"),
];

/// Of each virtual function, by its number, the attributes as the kernel shows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vfs(BTreeMap<String, BTreeMap<String, Vec<u8>>>);

impl Vfs {
    pub fn read(raw: &RawLink) -> io::Result<Self> {
        let mut vfs = BTreeMap::new();
        for attributes in raw.vfs()? {
            // Every attribute begins with the number; IFLA_VF_MAC is always there (net/core/rtnetlink.c, rtnl_fill_vfinfo).
            let number = attributes.get(&1).and_then(|mac| mac.first_chunk()).map(|n| u32::from_ne_bytes(*n));
            let number = number.ok_or(io::ErrorKind::InvalidData)?;
            let shown =
                |(kind, what): &(u16, &str)| Some(((*what).to_owned(), attributes.get(kind)?.clone()));
            vfs.insert(number.to_string(), SETTABLE.iter().filter_map(shown).collect());
        }
        Ok(Self(vfs))
    }

    pub fn restore(&self, host: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        if self.0.is_empty() {
            return;
        }
        let now = match host.raw_link(ifindex).and_then(|raw| Self::read(&raw)) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its virtual functions' settings", Err(error)),
        };
        for (number, before) in &self.0 {
            let now = now.0.get(number);
            for (kind, what) in SETTABLE {
                let is = now.and_then(|now| now.get(what));
                if let Some(value) = before.get(what).filter(|value| is != Some(*value)) {
                    left.note(name, &format!("{what} of VF {number}"), host.set_vf(ifindex, kind, value));
                }
            }
        }
    }
}
