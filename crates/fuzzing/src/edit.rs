//! Inputs: samples with a few edits, and now and then mere noise.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::Input;

/// Inputs are not made longer than this.
const MAX_LEN: usize = 64 << 10;

/// Where integers of every width turn over.
const EDGES: [u64; 12] =
    [0, 1, 3, 4, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX];
/// The same and other things that parsers of text stumble over.
const WORDS: [&str; 20] = [
    "",
    "0",
    "-1",
    "+1",
    "256",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "0x",
    "0xffffffffffffffff",
    "/",
    "..",
    "../../",
    ":",
    ",",
    "=",
    "\n",
    "\0",
    "é",
];

#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    /// A number of 1, 2, 4 or 8 bytes in place of what is there.
    Number {
        at: Index,
        edge: Index,
        width: u32,
    },
    Word {
        at: Index,
        word: Index,
    },
    Noise(Index, Vec<u8>),
    Remove {
        at: Index,
        len: usize,
    },
    Cut(Index),
    /// A piece again, many times.
    Repeat {
        at: Index,
        len: usize,
        times: usize,
    },
    /// A piece of another sample.
    Splice {
        at: Index,
        other: Index,
        from: Index,
        len: usize,
    },
}

pub fn edited(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let edit = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        4 => (any::<Index>(), any::<Index>(), 0u32..4)
            .prop_map(|(at, edge, power)| Edit::Number { at, edge, width: 1 << power }),
        3 => (any::<Index>(), any::<Index>()).prop_map(|(at, word)| Edit::Word { at, word }),
        1 => (any::<Index>(), vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Edit::Noise(at, bytes)),
        2 => (any::<Index>(), 1usize..40).prop_map(|(at, len)| Edit::Remove { at, len }),
        1 => any::<Index>().prop_map(Edit::Cut),
        1 => (any::<Index>(), 1usize..64, 2usize..2000)
            .prop_map(|(at, len, times)| Edit::Repeat { at, len, times }),
        2 => (any::<Index>(), any::<Index>(), any::<Index>(), 1usize..200)
            .prop_map(|(at, other, from, len)| Edit::Splice { at, other, from, len }),
    ];
    let sample = (any::<Index>(), vec(edit, 1..6)).prop_map(move |(which, edits)| {
        let mut bytes = which.get(&samples).clone();
        for edit in &edits {
            edit.apply(&mut bytes, &samples);
        }
        Input(bytes)
    });
    prop_oneof![9 => sample, 1 => vec(any::<u8>(), 0..300).prop_map(Input)]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Set(at, byte) => {
                let at = place(at);
                overwrite(bytes, at, &[*byte]);
            }
            Self::Number { at, edge, width } => {
                let at = place(at);
                let number = edge.get(&EDGES).to_ne_bytes();
                overwrite(bytes, at, &number[..*width as usize]);
            }
            Self::Word { at, word } => {
                let at = place(at);
                insert(bytes, at, word.get(&WORDS).as_bytes());
            }
            Self::Noise(at, noise) => {
                let at = place(at);
                insert(bytes, at, noise);
            }
            Self::Remove { at, len } => {
                let at = place(at);
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Repeat { at, len, times } => {
                let at = place(at);
                let piece = &bytes[at..(at + len).min(bytes.len())];
                let piece = piece.repeat((*times).min(MAX_LEN / len));
                insert(bytes, at, &piece);
            }
            Self::Splice { at, other, from, len } => {
                let at = place(at);
                let other = other.get(samples);
                let from = from.index(other.len() + 1);
                insert(bytes, at, &other[from..(from + len).min(other.len())]);
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    for (old, new) in bytes[at..].iter_mut().zip(new) {
        *old = *new;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let room = MAX_LEN.saturating_sub(bytes.len());
    bytes.splice(at..at, new.iter().copied().take(room));
}
