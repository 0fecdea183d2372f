//! Finding foreign words in names, links and contents.

use aho_corasick::AhoCorasick;
use nicdock_netlink::name;
use serde::{Deserialize, Serialize};

use crate::target::Target;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Netdev,
    RdmaDevice,
    Node,
    /// `231:192`: counts only as a whole name or a whole content, for any clock shows the like.
    Number,
    Address,
    Pci,
    Serial,
}

pub const KINDS: [(Kind, &str); 7] = [
    (Kind::Netdev, "netdev"),
    (Kind::RdmaDevice, "rdma_device"),
    (Kind::Node, "node"),
    (Kind::Number, "number"),
    (Kind::Address, "address"),
    (Kind::Pci, "pci"),
    (Kind::Serial, "serial"),
];

/// What is looked for.
pub struct Words {
    words: Vec<(Kind, String)>,
    finder: Option<AhoCorasick>,
}

impl Words {
    pub fn of(target: &Target) -> Self {
        let own: Vec<String> = list(&target.own).into_iter().map(|(_, word)| word).collect();
        let mut words = list(&target.foreign);
        // A word of two letters is in any text.
        words.retain(|(_, word)| word.len() > 2 && !own.contains(word));
        words.sort();
        words.dedup();
        let patterns = words.iter().map(|(_, word)| name::bytes(word));
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).ok();
        Self { words, finder }
    }

    /// The first foreign word that `text` has as a whole word; `whole` texts (names, short contents) may be numbers too.
    pub fn find(&self, text: &[u8], without: &[Kind]) -> Option<(Kind, &str)> {
        let finder = self.finder.as_ref()?;
        finder.find_overlapping_iter(text).find_map(|found| {
            let (kind, word) = &self.words[found.pattern().as_usize()];
            let is_whole = if *kind == Kind::Number {
                text.trim_ascii().len() == found.end() - found.start()
            } else {
                let before = found.start().checked_sub(1).map(|at| text[at]);
                !before.is_some_and(is_inside) && !text.get(found.end()).copied().is_some_and(is_inside)
            };
            (is_whole && !without.contains(kind)).then_some((*kind, word.as_str()))
        })
    }
}

/// Letters, digits and underscores go on a word.
fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn list(things: &crate::target::Things) -> Vec<(Kind, String)> {
    let mut words = Vec::new();
    words.extend(things.netdevs.iter().filter(|name| *name != "lo").map(|name| (Kind::Netdev, name.clone())));
    words.extend(things.rdma_devices.iter().map(|name| (Kind::RdmaDevice, name.clone())));
    for node in &things.nodes {
        // rdma_cm is also a module's name: it names no device.
        if node.name.bytes().any(|byte| byte.is_ascii_digit()) {
            words.push((Kind::Node, node.name.clone()));
        }
        words.push((Kind::Number, format!("{}:{}", node.major, node.minor)));
    }
    for address in &things.addresses {
        words.push((Kind::Address, address.to_ascii_lowercase()));
        let digits: String = address.chars().filter(char::is_ascii_hexdigit).collect();
        // As /proc/net/if_inet6, udev and firmware write MAC addresses and full IPv6 ones.
        if address.contains(':') && matches!(digits.len(), 12 | 32) {
            words.push((Kind::Address, digits.to_ascii_lowercase()));
        }
    }
    words.extend(things.pci.iter().map(|address| (Kind::Pci, address.clone())));
    words.extend(things.serials.iter().map(|serial| (Kind::Serial, serial.clone())));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Node, Things};

    fn words() -> Words {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let foreign = Things {
            netdevs: strings(&["eth0", "eth1"]),
            nodes: vec![Node { name: "uverbs3".into(), major: 231, minor: 195 }],
            addresses: strings(&["52:54:00:4e:49:01"]),
            pci: strings(&["0000:01:00.0"]),
            ..Things::default()
        };
        let own = Things { netdevs: strings(&["eth1"]), ..Things::default() };
        Words::of(&Target { schema: 1, foreign, own, ..Target::default() })
    }

    #[test]
    fn only_whole_words_count() {
        let words = words();
        let finds = |text: &str| words.find(text.as_bytes(), &[]).map(|(_, word)| word.to_owned());
        assert_eq!(finds("eth0"), Some("eth0".into()));
        assert_eq!(finds("a eth0:"), Some("eth0".into()));
        assert_eq!(finds("eth0.100"), Some("eth0".into()));
        assert_eq!(finds("veth0"), None);
        assert_eq!(finds("eth01 eth0_x"), None);
        assert_eq!(finds("../0000:00:02.0/0000:01:00.0/net"), Some("0000:01:00.0".into()));
        assert_eq!(finds("5254004E4901"), Some("5254004e4901".into()));
    }

    #[test]
    fn an_own_word_never_counts() {
        assert!(words().find(b"eth1", &[]).is_none());
    }

    #[test]
    fn a_device_number_counts_only_alone() {
        assert!(words().find(b"231:195\n", &[]).is_some());
        assert!(words().find(b"at 231:195 o'clock", &[]).is_none());
    }
}
