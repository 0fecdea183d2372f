//! Speed, duplex and what is advertised (`ethtool -s`).

use std::io;

use serde::{Deserialize, Serialize};

use nicdock_sys::ethtool::Ethtool;

const GET_LINK_SETTINGS: u32 = 0x4c;
const SET_LINK_SETTINGS: u32 = 0x4d;

/// `struct ethtool_link_settings` without its masks: after two words come bytes, of which these are used here.
const HEAD: usize = 12;
const DUPLEX: usize = 8;
const AUTONEG: usize = 11;
const MDIX_CONTROL: usize = 14;
const MASK_WORDS: usize = 15;
const MASTER_SLAVE: usize = 17;

/// `SPEED_UNKNOWN` and `DUPLEX_UNKNOWN` (include/uapi/linux/ethtool.h): while a link has no carrier a driver may not tell them.
const SPEED_UNKNOWN: u32 = u32::MAX;
const DUPLEX_UNKNOWN: u8 = 0xff;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    autoneg: u8,
    mdix: u8,
    master_slave: u8,
    advertised: Vec<u32>,
    /// Without autonegotiation; otherwise they are found by it.
    megabits: Option<u32>,
    duplex: Option<u8>,
}

impl Speed {
    pub fn read(door: &Ethtool) -> Option<Self> {
        let (words, masks) = get(door).ok()?;
        let fixed = byte(&words, AUTONEG) == 0;
        Some(Self {
            autoneg: byte(&words, AUTONEG),
            mdix: byte(&words, MDIX_CONTROL),
            master_slave: byte(&words, MASTER_SLAVE),
            advertised: words.get(HEAD + masks..HEAD + 2 * masks)?.to_vec(),
            megabits: fixed.then_some(words[1]),
            duplex: fixed.then_some(byte(&words, DUPLEX)),
        })
    }

    /// With what is not known, for the link is not there now or was not there before, as it was before: that is no difference.
    pub fn as_far_as_known(&self, before: &Self) -> Self {
        Self {
            megabits: as_far_as_known(self.megabits, before.megabits, SPEED_UNKNOWN),
            duplex: as_far_as_known(self.duplex, before.duplex, DUPLEX_UNKNOWN),
            ..self.clone()
        }
    }

    pub fn restore(&self, door: &Ethtool) -> io::Result<()> {
        let (mut words, masks) = get(door)?;
        words[0] = SET_LINK_SETTINGS;
        words[1] = self.megabits.unwrap_or(words[1]);
        let duplex = self.duplex.unwrap_or(byte(&words, DUPLEX));
        set_byte(&mut words, DUPLEX, duplex);
        set_byte(&mut words, AUTONEG, self.autoneg);
        set_byte(&mut words, MDIX_CONTROL, self.mdix);
        set_byte(&mut words, MASTER_SLAVE, self.master_slave);
        for (to, from) in words[HEAD + masks..].iter_mut().zip(&self.advertised) {
            *to = *from;
        }
        match door.call(&words) {
            // virtio_net takes it back that a speed is not known; where the link tells the speed, there is nothing to take back.
            Err(error)
                if self.megabits == Some(SPEED_UNKNOWN) && error.raw_os_error() == Some(libc::EINVAL) =>
            {
                Ok(())
            }
            result => result.map(drop),
        }
    }
}

fn as_far_as_known<T: Copy + PartialEq>(now: Option<T>, before: Option<T>, unknown: T) -> Option<T> {
    match (now, before) {
        (Some(now), Some(before)) if now == unknown || before == unknown => Some(before),
        (now, _) => now,
    }
}

/// The structure and the length of each of its three masks, which the kernel tells when asked with none
/// (net/ethtool/ioctl.c, `ethtool_get_link_ksettings`).
fn get(door: &Ethtool) -> io::Result<(Vec<u32>, usize)> {
    let mut words = vec![0; HEAD];
    words[0] = GET_LINK_SETTINGS;
    let answer = door.call(&words)?;
    let masks = byte(&answer, MASK_WORDS).cast_signed().unsigned_abs();
    words.resize(HEAD + 3 * usize::from(masks), 0);
    set_byte(&mut words, MASK_WORDS, masks);
    Ok((door.call(&words)?, masks.into()))
}

fn byte(words: &[u32], at: usize) -> u8 {
    words[at / 4].to_ne_bytes()[at % 4]
}

fn set_byte(words: &mut [u32], at: usize, value: u8) {
    let mut bytes = words[at / 4].to_ne_bytes();
    bytes[at % 4] = value;
    words[at / 4] = u32::from_ne_bytes(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(autoneg: u8, megabits: Option<u32>) -> Speed {
        Speed { autoneg, mdix: 0, master_slave: 0, advertised: vec![0], megabits, duplex: None }
    }

    #[test]
    fn a_speed_that_is_not_known_is_no_difference() {
        let (known, unknown) = (fixed(0, Some(10_000)), fixed(0, Some(SPEED_UNKNOWN)));
        assert_eq!(unknown.as_far_as_known(&known), known);
        assert_eq!(known.as_far_as_known(&unknown), unknown);
    }

    #[test]
    fn what_is_known_and_another_is_a_difference() {
        let known = fixed(0, Some(10_000));
        for other in [fixed(0, Some(1_000)), fixed(1, None)] {
            assert_ne!(other.as_far_as_known(&known), known);
        }
    }
}
