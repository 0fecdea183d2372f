//! How an `IPoIB` netdev works: datagram or connected, and whether it listens to multicast of its own (`umcast`).
//!
//! By sysfs: on the way of netlink the kernel gives back a lock that it does not have if it cannot have it again at once
//! (`ipoib_set_mode()` from `ipoib_changelink()`).

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use nicdock_netlink::name;

use super::Left;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ipoib {
    mode: String,
    umcast: String,
}

impl Ipoib {
    /// `None` for an interface of another kind. The interface is in the namespace that /sys shows.
    pub fn read(name: &str) -> Option<Self> {
        let read = |file: &str| Some(fs::read_to_string(path(name, file)).ok()?.trim().to_owned());
        Some(Self { mode: read("mode")?, umcast: read("umcast")? })
    }

    /// Before the MTU, which a change of mode sets, too.
    pub fn restore(&self, name: &str, left: &mut Left) {
        let Some(now) = Self::read(name) else {
            return left.note(name, "its IPoIB mode", Err(io::ErrorKind::NotFound.into()));
        };
        if now.mode != self.mode {
            left.note(name, "its IPoIB mode", fs::write(path(name, "mode"), format!("{}\n", self.mode)));
        }
        if now.umcast != self.umcast {
            left.note(name, "umcast", fs::write(path(name, "umcast"), format!("{}\n", self.umcast)));
        }
    }
}

fn path(name: &str, file: &str) -> PathBuf {
    name::path(&format!("/sys/class/net/{name}/{file}"))
}
