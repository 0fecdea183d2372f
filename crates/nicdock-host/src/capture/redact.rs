//! The same machine with nobody's addresses.
//!
//! What a capture holds falls into few kinds, and each is rewritten by what it is: netlink messages attribute by
//! attribute (those that the inventory does not read are left out), `/proc/net/tcp` line by line, GUIDs and GIDs, the
//! firewall's names, PCI configuration space capability by capability, and
//! names (paths, links, texts) in which udev may have put a MAC or a GUID (`enx0002c9…`, `ibx0002c903…`).

mod addresses;
mod lines;
mod messages;
mod names;
mod pci_config;
mod tcp;

use super::Capture;
use crate::source::Entry;
use addresses::Replacements;
use names::Names;

pub fn redact(capture: &Capture) -> Capture {
    let replacements = Replacements::random();
    let names = Names::of(capture, &replacements);
    let file = |path: &str, bytes: &[u8]| {
        if path.starts_with("netlink/") {
            // A list that is no netlink data told the inventory nothing, and is not given away.
            return messages::redact(bytes, &replacements, &names).unwrap_or_default();
        }
        if path.starts_with("sys/") && path.ends_with("/config") {
            return pci_config::redact(bytes);
        }
        let text = String::from_utf8_lossy(bytes);
        let text = match path.rsplit('/').next() {
            _ if path.contains("/gids/") => lines::gid(&text, &replacements),
            Some("firewall") if path.starts_with("facts/") => names.redact(&lines::firewall(&text)),
            Some("tcp" | "tcp6") => tcp::redact(&text, &replacements),
            Some("node_guid") => replacements.guid_text(&text),
            _ => names.redact(&text),
        };
        text.into_bytes()
    };
    let entry = |path: &str, entry: &Entry| match entry {
        Entry::File(bytes) => Entry::File(file(path, bytes)),
        Entry::Link(target) => Entry::Link(names.redact(target)),
        Entry::Directory => Entry::Directory,
        Entry::Failed(errno) => Entry::Failed(*errno),
    };
    let entries = capture.entries.iter().map(|(path, old)| (names.redact(path), entry(path, old))).collect();
    Capture { entries, open_nodes: capture.open_nodes.clone() }
}
