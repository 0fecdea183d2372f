//! Neighbours that are permanent or proxied, and further unicast addresses of the interface: a move forgets them.

use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_netlink::rtnl::neighbours::RawNeighbour;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbours(Vec<Neighbour>);

/// `struct ndmsg` and its two attributes (rtnetlink(7)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Neighbour {
    family: u8,
    state: u16,
    flags: u8,
    kind: u8,
    address: Option<Vec<u8>>,
    mac: Option<Vec<u8>>,
}

impl Neighbours {
    pub fn read(host: &mut Rtnl, ifindex: u32) -> io::Result<Self> {
        let neighbours = host.permanent_neighbours(ifindex)?.into_iter().map(|raw| {
            let RawNeighbour { family, state, flags, kind, address, mac } = raw;
            Neighbour { family, state, flags, kind, address, mac }
        });
        Ok(Self(neighbours.collect()))
    }

    pub fn restore(&self, host: &mut Rtnl, ifindex: u32, name: &str, left: &mut Left) {
        let now = match Self::read(host, ifindex) {
            Ok(now) => now,
            Err(error) => return left.note(name, "its neighbours", Err(error)),
        };
        for neighbour in self.0.iter().filter(|neighbour| !now.0.contains(neighbour)).cloned() {
            let Neighbour { family, state, flags, kind, address, mac } = neighbour;
            let raw = RawNeighbour { family, state, flags, kind, address, mac };
            left.note(name, "a permanent neighbour", host.add_neighbour(ifindex, &raw));
        }
    }
}
