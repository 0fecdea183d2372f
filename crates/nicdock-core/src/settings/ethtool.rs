//! What ethtool(8) sets, as far as the driver has it. All of it stays on the device through a move.

mod blocks;
mod features;
mod hash;
mod rules;
mod speed;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::Left;
use nicdock_sys::ethtool as door;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ethtool {
    /// Ring sizes, coalescing and the like, by name; each word by its number.
    blocks: BTreeMap<String, BTreeMap<String, u32>>,
    features: features::Features,
    speed: Option<speed::Speed>,
    hash: Option<hash::Hash>,
    rules: rules::Rules,
}

impl Ethtool {
    pub fn read(interface: &str) -> io::Result<Self> {
        let door = door::Ethtool::open(interface)?;
        Ok(Self {
            blocks: blocks::read(&door),
            features: features::Features::read(&door),
            speed: speed::Speed::read(&door),
            hash: hash::Hash::read(&door),
            rules: rules::Rules::read(&door),
        })
    }

    pub fn forget_speed(&mut self) {
        self.speed = None;
    }

    /// To be compared with what was there before.
    pub fn as_far_as_known(&self, before: &Self) -> Self {
        let speed = match (&self.speed, &before.speed) {
            (Some(now), Some(before)) => Some(now.as_far_as_known(before)),
            _ => self.speed.clone(),
        };
        Self { speed, ..self.clone() }
    }

    pub fn restore(&self, interface: &str, left: &mut Left) {
        let (door, now) =
            match door::Ethtool::open(interface).and_then(|door| Ok((door, Self::read(interface)?))) {
                Ok(opened) => opened,
                Err(error) => return left.note(interface, "what ethtool sets", Err(error)),
            };
        let mut note = |what: &str, result: io::Result<()>| {
            // What a driver cannot set nobody has set; should it be different all the same, the comparison at the end tells.
            let cannot = |error: &io::Error| error.raw_os_error() == Some(libc::EOPNOTSUPP);
            if !result.as_ref().is_err_and(cannot) {
                left.note(interface, what, result);
            }
        };
        // Channels and rings come first: changing them resets others.
        blocks::restore(&door, &self.blocks, &now.blocks, &mut note);
        if now.features != self.features {
            note("its offloads", self.features.restore(&door, &now.features));
        }
        if let Some(speed) = self.speed.as_ref().filter(|_| now.speed != self.speed) {
            note("its speed", speed.restore(&door));
        }
        if let Some(hash) = self.hash.as_ref().filter(|_| now.hash != self.hash) {
            note("its receive hash (RSS)", hash.restore(&door));
        }
        self.rules.restore(&door, &now.rules, &mut note);
    }
}
