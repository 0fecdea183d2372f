use std::io;

use nicdock_sys::ethtool::Ethtool;

use super::netdevs;

/// `ETHTOOL_GLINKSETTINGS` (include/uapi/linux/ethtool.h).
const GET_LINK_SETTINGS: u32 = 0x4c;
/// Words of `struct ethtool_link_settings` before its masks.
const HEAD: usize = 12;
/// The byte in it that says how many words a mask has (`link_mode_masks_nwords`), negative where the caller guessed wrongly.
const MASK_WORDS: usize = 15;

/// Speed in Mbit/s of ranges of `enum ethtool_link_mode_bit_indices`, both ends included; what is no speed is in none.
const SPEEDS: [(u32, u32, u32); 26] = [
    (0, 1, 10),
    (2, 3, 100),
    (4, 5, 1_000),
    (12, 12, 10_000),
    (15, 15, 2_500),
    (17, 17, 1_000),
    (18, 20, 10_000),
    (21, 22, 20_000),
    (23, 26, 40_000),
    (27, 30, 56_000),
    (31, 33, 25_000),
    (34, 35, 50_000),
    (36, 39, 100_000),
    (40, 40, 50_000),
    (41, 41, 1_000),
    (42, 46, 10_000),
    (47, 47, 2_500),
    (48, 48, 5_000),
    (52, 56, 50_000),
    (57, 61, 100_000),
    (62, 66, 200_000),
    (69, 73, 400_000),
    (75, 79, 100_000),
    (80, 84, 200_000),
    (85, 89, 400_000),
    (93, 98, 800_000),
];

/// Netdevs whose driver does not tell are left out.
pub fn lines() -> io::Result<String> {
    let line = |name: &String| {
        let mbps = fastest(&supported(&Ethtool::open(name).ok()?).ok()?)?;
        Some(format!("{name} {mbps}\n"))
    };
    Ok(netdevs()?.iter().filter_map(line).collect())
}

/// The mask of supported modes. Asked twice: the kernel answers the first time how long it is.
fn supported(door: &Ethtool) -> io::Result<Vec<u32>> {
    let mut words = vec![0; HEAD];
    words[0] = GET_LINK_SETTINGS;
    let length = door.call(&words)?[MASK_WORDS / 4].to_ne_bytes()[MASK_WORDS % 4].cast_signed();
    let masks = usize::from(length.unsigned_abs());
    words.resize(HEAD + 3 * masks, 0);
    let mut bytes = words[MASK_WORDS / 4].to_ne_bytes();
    bytes[MASK_WORDS % 4] = length.unsigned_abs();
    words[MASK_WORDS / 4] = u32::from_ne_bytes(bytes);
    let answer = door.call(&words)?;
    Ok(answer.get(HEAD..HEAD + masks).unwrap_or_default().to_vec())
}

fn fastest(mask: &[u32]) -> Option<u32> {
    let is_set = |bit: u32| mask.get(bit as usize / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1);
    let known = SPEEDS.iter().filter(|(first, last, _)| (*first..=*last).any(is_set));
    known.map(|(_, _, mbps)| *mbps).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_of_the_supported_modes_counts() {
        assert_eq!(fastest(&[1 << 5 | 1 << 13]), Some(1_000), "1000baseT/Full, pause");
        assert_eq!(fastest(&[0, 1 << (36 - 32) | 1 << (31 - 31)]), Some(100_000), "100000baseKR4");
        assert_eq!(fastest(&[0, 0, 1 << (69 - 64)]), Some(400_000));
        assert_eq!(fastest(&[1 << 6]), None, "autonegotiation is no speed");
    }
}
