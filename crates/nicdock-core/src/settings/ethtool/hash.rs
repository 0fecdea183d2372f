//! How received packets are spread over queues (`ethtool -X`).

use std::io;

use serde::{Deserialize, Serialize};

use nicdock_sys::ethtool::Ethtool;

const GET_RSS: u32 = 0x46;
const SET_RSS: u32 = 0x47;

/// `struct ethtool_rxfh` before its table and key: command, context, length of the table, length of the key in bytes,
/// function and transformation, reserved.
const HEAD: usize = 6;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hash {
    /// The structure as it is given.
    words: Vec<u32>,
}

impl Hash {
    pub fn read(door: &Ethtool) -> Option<Self> {
        let mut words = vec![0; HEAD];
        words[0] = GET_RSS;
        let sizes = door.call(&words).ok()?;
        let length = HEAD + sizes[2] as usize + (sizes[3] as usize).div_ceil(4);
        words[2..4].copy_from_slice(&sizes[2..4]);
        words.resize(length, 0);
        let words = door.call(&words).ok()?;
        (length > HEAD).then_some(Self { words })
    }

    pub fn restore(&self, door: &Ethtool) -> io::Result<()> {
        let mut words = self.words.clone();
        words[0] = SET_RSS;
        door.call(&words).map(drop)
    }
}
