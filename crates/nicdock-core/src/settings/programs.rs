//! BPF programs on the device: XDP's and, since Linux 6.6, tc's without a queueing discipline (tcx). Both stay on it
//! through a move to another namespace; a filter's program goes with its queueing discipline.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_netlink::rtnl::link::RawLink;
use nicdock_sys::bpf::tcx;

/// `IFLA_XDP_*_PROG_ID` and `XDP_FLAGS_*_MODE` (include/uapi/linux/if_link.h).
const XDP_MODES: [(&str, u16, u32); 3] = [("skb", 6, 1 << 1), ("driver", 5, 1 << 2), ("hardware", 7, 1 << 3)];

/// Ids of the programs by where they are. An id is never used twice before the machine starts anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Programs {
    xdp: BTreeMap<String, u32>,
    tcx: BTreeMap<String, Vec<u32>>,
}

impl Programs {
    pub fn read(raw: &RawLink, ifindex: u32) -> io::Result<Self> {
        let attributes = raw.xdp()?;
        let id = |kind| Some(u32::from_ne_bytes(attributes.get(&kind)?.as_slice().try_into().ok()?));
        let xdp = XDP_MODES.iter().filter_map(|(mode, kind, _)| Some(((*mode).to_owned(), id(*kind)?)));
        let mut found = Self { xdp: xdp.filter(|(_, id)| *id != 0).collect(), tcx: BTreeMap::new() };
        for place in tcx::Place::ALL {
            let ids = tcx::attached(place, ifindex)?;
            if !ids.is_empty() {
                found.tcx.insert(place.name().to_owned(), ids);
            }
        }
        Ok(found)
    }

    /// Takes away what was not there before. What was there and is gone nobody can bring back: the program was freed.
    pub fn restore(&self, host: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        let now = match host.raw_link(ifindex).and_then(|raw| Self::read(&raw, ifindex)) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its BPF programs", Err(error)),
        };
        for (mode, _, flag) in XDP_MODES {
            if now.xdp.contains_key(mode) && now.xdp.get(mode) != self.xdp.get(mode) {
                left.note(name, "the XDP programs", host.detach_xdp(ifindex, flag));
            }
        }
        for place in tcx::Place::ALL {
            let before = self.tcx.get(place.name()).map(Vec::as_slice).unwrap_or_default();
            let foreign = now.tcx.get(place.name()).into_iter().flatten().filter(|id| !before.contains(id));
            for id in foreign {
                left.note(name, "the tcx programs", tcx::detach(place, ifindex, *id));
            }
        }
    }
}
