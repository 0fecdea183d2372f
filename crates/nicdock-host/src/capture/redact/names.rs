//! Names that have a MAC address or a GUID in them.

use std::collections::HashMap;

use nicdock_netlink::rdma::parse_devices;

use super::Capture;
use super::addresses::{Replacements, digits, guid_from_text};
use crate::inventory::link_addresses;
use crate::source::Entry;

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
            let found = [16, 12].into_iter().find_map(|len| {
                let piece = out.get(at..at + len)?;
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
