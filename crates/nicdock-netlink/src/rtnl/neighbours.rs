//! ip-neighbour(8) and bridge(8): the neighbours and link-layer addresses that an administrator set on an interface.

use std::io;

use crate::wire::{NLM_F_CREATE, NLM_F_REPLACE, push_attribute};

use super::Rtnl;
use super::raw::attributes;

// include/uapi/linux/rtnetlink.h
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;

/// `sizeof(struct ndmsg)`: family, padding (3), index (4), state (2), flags, type.
const HEADER_LEN: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;
const NTF_PROXY: u8 = 0x08;
const AF_BRIDGE: u8 = 7;

/// A neighbour: what identifies it and what it is, without what changes by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawNeighbour {
    pub family: u8,
    pub state: u16,
    pub flags: u8,
    /// `RTN_*`
    pub kind: u8,
    /// `NDA_DST`
    pub address: Option<Vec<u8>>,
    pub mac: Option<Vec<u8>>,
}

impl Rtnl {
    /// The permanent neighbours, the proxied ones and the unicast addresses that the interface listens to, of `ifindex`.
    pub fn permanent_neighbours(&mut self, ifindex: u32) -> io::Result<Vec<RawNeighbour>> {
        let mut found = Vec::new();
        // Proxies are listed only when asked for (net/core/neighbour.c, `neigh_dump_info`).
        for (family, flags) in [(0, 0), (0, NTF_PROXY), (AF_BRIDGE, 0)] {
            let body = [[family, 0, 0, 0], ifindex.to_ne_bytes(), [0, 0, flags, 0]].concat();
            for answer in self.list(RTM_GETNEIGH, &body)? {
                let (head, rest) = answer.split_at_checked(HEADER_LEN).ok_or(io::ErrorKind::InvalidData)?;
                let [family, _, _, _, i0, i1, i2, i3, s0, s1, flags, kind] = *head else { continue };
                if u32::from_ne_bytes([i0, i1, i2, i3]) != ifindex {
                    continue;
                }
                let mut attributes = attributes(rest)?;
                let neighbour = RawNeighbour {
                    family,
                    state: u16::from_ne_bytes([s0, s1]),
                    flags,
                    kind,
                    address: attributes.remove(&NDA_DST),
                    mac: attributes.remove(&NDA_LLADDR),
                };
                if neighbour.is_set_by_an_administrator() {
                    found.push(neighbour);
                }
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Puts a neighbour back; one that is there is replaced.
    pub fn add_neighbour(&mut self, ifindex: u32, neighbour: &RawNeighbour) -> io::Result<()> {
        let RawNeighbour { family, flags, kind, .. } = *neighbour;
        let [s0, s1] = neighbour.state.to_ne_bytes();
        let mut body = [[family, 0, 0, 0], ifindex.to_ne_bytes(), [s0, s1, flags, kind]].concat();
        for (kind, value) in [(NDA_DST, &neighbour.address), (NDA_LLADDR, &neighbour.mac)] {
            if let Some(value) = value {
                push_attribute(&mut body, kind, value);
            }
        }
        self.order(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body).map(drop)
    }
}

impl RawNeighbour {
    fn is_set_by_an_administrator(&self) -> bool {
        if self.family == AF_BRIDGE {
            // The kernel lists the multicast addresses that protocols have joined in the same way.
            let unicast = self.mac.as_ref().and_then(|mac| mac.first()).is_some_and(|byte| byte & 1 == 0);
            return self.flags & NTF_SELF != 0 && unicast;
        }
        self.flags & NTF_PROXY != 0 || self.state & NUD_PERMANENT != 0
    }
}
