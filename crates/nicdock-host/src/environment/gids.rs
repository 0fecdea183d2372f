//! The addresses of an RDMA port (`ports/N/gids` and `gid_attrs`, drivers/infiniband/core/sysfs.c).

use std::net::Ipv6Addr;

use super::{Environment, Reading, paths};
use crate::model::RdmaDevice;

/// An entry of a port's table that has a GID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gid {
    pub index: u32,
    pub gid: Ipv6Addr,
    /// `IB/RoCE v1`, `RoCE v2`.
    pub kind: Option<String>,
    pub netdev: Option<String>,
}

impl Environment {
    /// The GIDs of a port, by index; empty entries are left out.
    pub fn gids(&self, device: &RdmaDevice, port: u32) -> Reading<Vec<Gid>> {
        let folder = paths::gid_folder(device, port);
        let mut gids = Vec::new();
        let mut seen = false;
        for path in self.below(&folder) {
            let text = match self.text(path) {
                Reading::Known(text) => text,
                Reading::Absent => continue,
                Reading::Unknown(why) => return Reading::Unknown(why),
            };
            seen = true;
            let Some(gid) = parse(&text) else { continue };
            let index = path[folder.len()..].parse();
            let (Ok(index), Some([kind, netdev])) = (index, paths::gid_attributes(path)) else { continue };
            let [kind, netdev] = [kind, netdev].map(|path| self.text(&path).known());
            gids.push(Gid { index, gid, kind, netdev });
        }
        gids.sort_unstable_by_key(|gid| gid.index);
        if seen { Reading::Known(gids) } else { Reading::not_told(&format!("/{folder}")) }
    }
}

/// A GID is printed as an IPv6 address with every zero; one of zeroes is an empty entry (`show_port_gid()`).
pub(super) fn parse(text: &str) -> Option<Ipv6Addr> {
    text.trim().parse().ok().filter(|gid: &Ipv6Addr| !gid.is_unspecified() && gid.segments()[4..] != [0; 4])
}
