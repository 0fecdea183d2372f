//! Offloads (`ethtool -K`), as bits in the order of the kernel.

use std::io;

use serde::{Deserialize, Serialize};

use nicdock_sys::ethtool::Ethtool;

const GET_FEATURES: u32 = 0x3a;
const SET_FEATURES: u32 = 0x3b;

/// Room for 32-bit words of features; the kernel has two (`ETHTOOL_DEV_FEATURE_WORDS`).
const ROOM: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Those that can be changed.
    available: Vec<u32>,
    /// Those that were asked for, whether the device can do them now or not.
    requested: Vec<u32>,
}

impl Features {
    pub fn read(door: &Ethtool) -> Self {
        // struct ethtool_gfeatures: available, requested, active, never_changed for each word.
        let mut words = vec![0; 2 + 4 * ROOM];
        words[0] = GET_FEATURES;
        words[1] = u32::try_from(ROOM).unwrap_or_default();
        let Ok(words) = door.call(&words) else { return Self::default() };
        let blocks = words[2..].chunks_exact(4).take(words[1] as usize);
        let (available, requested) = blocks.map(|block| (block[0] & !block[3], block[1])).unzip();
        Self { available, requested }
    }

    pub fn restore(&self, door: &Ethtool, now: &Self) -> io::Result<()> {
        let length = u32::try_from(now.requested.len()).unwrap_or_default();
        // struct ethtool_sfeatures: valid, requested for each word.
        let mut words = vec![SET_FEATURES, length];
        for ((wanted, is), available) in self.requested.iter().zip(&now.requested).zip(&now.available) {
            words.extend([(wanted ^ is) & available, *wanted]);
        }
        door.call(&words).map(drop)
    }
}
