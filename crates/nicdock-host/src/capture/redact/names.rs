//! Names that have a MAC address or a GUID in them.

use std::collections::HashMap;

use nicdock_netlink::rdma::parse_devices;

use super::Capture;
use super::addresses::{Replacements, digits, guid_from_text};
use crate::inventory::link_addresses;
use crate::source::Entry;

/// Digits of a GUID and of a MAC address, by which a name is found.
const GUID: usize = 16;
const MAC: usize = 12;

/// What each string of digits becomes.
pub struct Names {
    digits: HashMap<String, String>,
}

impl Names {
    pub fn of(capture: &Capture, new: &Replacements) -> Self {
        let mut map = HashMap::new();
        let macs = files(capture, "links").flat_map(link_addresses);
        // The last eight bytes of an `IPoIB` address are its port's GUID.
        let mut guids: Vec<Vec<u8>> = Vec::new();
        for mac in macs {
            guids.extend(mac.get(12..20).map(<[u8]>::to_vec));
            map.insert(digits(&mac), digits(&new.mac(&mac)));
        }
        let devices = files(capture, "rdma-devices").flat_map(|list| parse_devices(list).unwrap_or_default());
        guids.extend(devices.filter_map(|device| Some(device.node_guid?.to_be_bytes().to_vec())));
        let texts = files(capture, "node_guid").filter_map(|text| std::str::from_utf8(text).ok());
        guids.extend(texts.filter_map(|text| Some(guid_from_text(text)?.to_vec())));
        map.extend(guids.iter().map(|guid| (digits(guid), digits(&new.guid(guid)))));
        // Zeroes are found everywhere, and become zeroes.
        map.retain(|old, new| old != new);
        Self { digits: map }
    }

    /// The text with every known MAC (twelve digits) and GUID (sixteen) replaced.
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        let mut at = 0;
        while at < out.len() {
            let run =
                out.as_bytes()[at..].iter().take(GUID).take_while(|byte| byte.is_ascii_hexdigit()).count();
            if run < MAC {
                // No name begins in so few digits, nor at what ends them.
                at += run + 1;
                continue;
            }
            let found = [GUID, MAC].into_iter().filter(|len| *len <= run).find_map(|len| {
                let piece = &out[at..at + len];
                let new = self.digits.get(piece).or_else(|| self.digits.get(&piece.to_ascii_lowercase()))?;
                Some((len, new))
            });
            if let Some((len, new)) = found {
                out.replace_range(at..at + len, new);
                at += len;
            } else {
                at += 1;
            }
        }
        out
    }
}

/// The contents of every file of this name.
fn files<'a>(capture: &'a Capture, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let is_named = move |path: &str| path.rsplit('/').next() == Some(name);
    capture.entries.iter().filter_map(move |(path, entry)| match entry {
        Entry::File(bytes) if is_named(path) => Some(bytes.as_slice()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_found_wherever_they_begin_and_end() {
        let names = Names {
            digits: [("0002c9a1b2c3", "1111aaaa2222"), ("0002c90300a1b2c3", "3333bbbb4444cccc")]
                .map(|(old, new)| (old.to_owned(), new.to_owned()))
                .into(),
        };
        for (text, wanted) in [
            ("enx0002c9a1b2c3", "enx1111aaaa2222"),
            ("ibx0002C90300A1B2C3d1", "ibx3333bbbb4444ccccd1"),
            ("f0002c9a1b2c3e", "f1111aaaa2222e"),
            ("\u{e9}0002c9a1b2c3\u{e9}", "\u{e9}1111aaaa2222\u{e9}"),
            ("0002c9a1b2c30002c9a1b2c3", "1111aaaa22221111aaaa2222"),
            ("0002c9a1b2c 0002c9a1b2c", "0002c9a1b2c 0002c9a1b2c"),
            ("", ""),
        ] {
            assert_eq!(names.redact(text), wanted);
        }
    }
}
