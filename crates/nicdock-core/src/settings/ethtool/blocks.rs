//! Settings that are a structure of fixed size (include/uapi/linux/ethtool.h): read as a whole, written as a whole.

use std::collections::BTreeMap;
use std::io;

use nicdock_sys::ethtool::Ethtool;

type Words = BTreeMap<String, u32>;

struct Block {
    name: &'static str,
    get: u32,
    set: u32,
    /// Length of the structure in words.
    length: usize,
    /// The words that can be set.
    settable: &'static [usize],
}

const fn block(name: &'static str, [get, set]: [u32; 2], length: usize, settable: &'static [usize]) -> Block {
    Block { name, get, set, length, settable }
}

/// In the order in which they are written: what resets others first.
const BLOCKS: [Block; 9] = [
    block("private_flags", [0x27, 0x28], 2, &[1]),
    block("channels", [0x3c, 0x3d], 9, &[5, 6, 7, 8]),
    block("ring", [0x10, 0x11], 9, &[5, 6, 7, 8]),
    block(
        "coalesce",
        [0x0e, 0x0f],
        23,
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22],
    ),
    block("pause", [0x12, 0x13], 4, &[1, 2, 3]),
    block("wake_on_lan", [0x05, 0x06], 5, &[2, 3, 4]),
    // Advertised modes, on or off, idling and its timer; the rest is what was negotiated.
    block("energy_efficient_ethernet", [0x44, 0x45], 10, &[2, 5, 6, 7]),
    block("forward_error_correction", [0x50, 0x51], 4, &[2]),
    block("message_level", [0x07, 0x08], 2, &[1]),
];

impl Block {
    fn get(&self, door: &Ethtool) -> io::Result<Vec<u32>> {
        let mut words = vec![0; self.length];
        words[0] = self.get;
        door.call(&words)
    }

    /// Those words that are settings now; others the driver finds by itself.
    fn settings(&self, words: &[u32]) -> Words {
        let automatic: &[usize] = match self.name {
            // `struct ethtool_pauseparam`: with autoneg, what was negotiated.
            "pause" if words[1] != 0 => &[2, 3],
            // `struct ethtool_coalesce`: with use_adaptive_{rx,tx}_coalesce.
            "coalesce" if words[10] != 0 && words[11] != 0 => &[1, 2, 3, 4, 5, 6, 7, 8],
            "coalesce" if words[10] != 0 => &[1, 2, 3, 4],
            "coalesce" if words[11] != 0 => &[5, 6, 7, 8],
            _ => &[],
        };
        let settings = self.settable.iter().filter(|word| !automatic.contains(word));
        settings.map(|word| (format!("{word:02}"), words[*word])).collect()
    }
}

pub fn read(door: &Ethtool) -> BTreeMap<String, Words> {
    let read = |block: &Block| Some((block.name.to_owned(), block.settings(&block.get(door).ok()?)));
    BLOCKS.iter().filter_map(read).collect()
}

pub fn restore(
    door: &Ethtool,
    before: &BTreeMap<String, Words>,
    now: &BTreeMap<String, Words>,
    note: &mut dyn FnMut(&str, io::Result<()>),
) {
    for block in BLOCKS {
        let Some(wanted) = before.get(block.name).filter(|wanted| now.get(block.name) != Some(*wanted))
        else {
            continue;
        };
        let result = block.get(door).and_then(|mut words| {
            words[0] = block.set;
            for (word, value) in wanted {
                if let Some(place) = word.parse::<usize>().ok().and_then(|word| words.get_mut(word)) {
                    *place = *value;
                }
            }
            door.call(&words).map(drop)
        });
        note(&format!("its {}", block.name.replace('_', " ")), result);
    }
}
