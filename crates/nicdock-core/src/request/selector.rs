//! Which NICs: `rxe0`, `0000:06:00.0`, `2xkind=roce,numa=0`, `any`.

use std::fmt;
use std::str::FromStr;

use nicdock_host::model::{Nic, NicKind, PciAddress};

use super::AddressWithPrefix;

/// Terms that a NIC must all match, and how many NICs to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    pub count: usize,
    pub terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// An RDMA device or a netdev.
    Named(String),
    Pci(PciAddress),
    Kind(NicKind),
    Numa(u32),
    Subnet(AddressWithPrefix),
    /// Whichever comes first of those that match the other terms.
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSelectorError {
    #[error(
        "selector '{0}' has an empty term: expected a NIC's name, a PCI address, kind=, numa=, subnet= or any"
    )]
    EmptyTerm(String),
    #[error("selector '{0}' takes no NIC: the count before 'x' must be 1 to 64")]
    Count(String),
    #[error("selector '{selector}': {reason}")]
    Value { selector: String, reason: String },
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, rest) =
            split_count(text.trim()).ok_or_else(|| ParseSelectorError::Count(text.to_owned()))?;
        let term = |word: &str| {
            Term::parse(word).map_err(|reason| match reason {
                Some(reason) => ParseSelectorError::Value { selector: text.to_owned(), reason },
                None => ParseSelectorError::EmptyTerm(text.to_owned()),
            })
        };
        Ok(Self { count, terms: rest.split(',').map(|word| term(word.trim())).collect::<Result<_, _>>()? })
    }
}

/// `2xkind=roce` is two of `kind=roce`; a name may hold an x itself (`xe0`), so digits must come first.
fn split_count(text: &str) -> Option<(usize, &str)> {
    match text.split_once('x') {
        Some((digits, rest)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let count = digits.parse().ok().filter(|count| (1..=64).contains(count))?;
            Some((count, rest))
        }
        _ => Some((1, text)),
    }
}

impl Term {
    fn parse(word: &str) -> Result<Self, Option<String>> {
        let value = |result: Result<Self, String>| result.map_err(Some);
        match word.split_once('=') {
            Some(("kind", kind)) => {
                value(NicKind::ALL.into_iter().find(|k| k.as_str() == kind).map(Self::Kind).ok_or_else(
                    || format!("no kind '{kind}': one of {}", NicKind::ALL.map(NicKind::as_str).join(", ")),
                ))
            }
            Some(("numa", node)) => {
                value(node.parse().map(Self::Numa).map_err(|_| format!("'{node}' is no NUMA node number")))
            }
            Some(("subnet", net)) => {
                value(net.parse().map(Self::Subnet).map_err(|e: super::ParseAddressError| e.to_string()))
            }
            Some((key, _)) => Err(Some(format!("no term '{key}=': there are kind=, numa= and subnet="))),
            None if word.is_empty() => Err(None),
            None if word == "any" => Ok(Self::Any),
            None => Ok(word.parse().map_or_else(|_| Self::Named(word.to_owned()), Self::Pci)),
        }
    }

    pub fn matches(&self, nic: &Nic) -> bool {
        match self {
            Self::Named(name) => {
                nic.name == *name
                    || nic.rdma_devices.iter().any(|d| d.name == *name)
                    || nic.netdevs.iter().any(|n| n.name == *name || n.altnames.contains(name))
            }
            Self::Pci(address) => nic.pci == Some(*address),
            Self::Kind(kind) => nic.kind == *kind,
            Self::Numa(node) => nic.numa_node == Some(*node),
            Self::Subnet(net) => nic.netdevs.iter().flat_map(|n| &n.addresses).any(|a| net.contains(a.ip)),
            Self::Any => true,
        }
    }
}

impl Selector {
    /// Whether `nic` is meant. A NIC without RDMA is only meant when it is named, or its kind is.
    pub fn matches(&self, nic: &Nic) -> bool {
        let explicit = |t: &Term| matches!(t, Term::Named(_) | Term::Pci(_) | Term::Kind(_));
        (nic.kind != NicKind::Ethernet || self.terms.iter().any(explicit))
            && self.terms.iter().all(|t| t.matches(nic))
    }

    /// Whether the first of several that match will do.
    pub fn takes_any(&self) -> bool {
        self.terms.contains(&Term::Any)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A name may begin like a count itself (`3xfoo`).
        let like_a_count = |name: &str| split_count(name) != Some((1, name));
        let ambiguous = matches!(self.terms.first(), Some(Term::Named(name)) if like_a_count(name));
        if self.count != 1 || ambiguous {
            write!(f, "{}x", self.count)?;
        }
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match term {
                Term::Named(name) => f.write_str(name)?,
                Term::Pci(address) => write!(f, "{address}")?,
                Term::Kind(kind) => write!(f, "kind={kind}")?,
                Term::Numa(node) => write!(f, "numa={node}")?,
                Term::Subnet(net) => write!(f, "subnet={net}")?,
                Term::Any => f.write_str("any")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_printed_as_it_was_read() {
        for text in [
            "rxe0",
            "0000:06:00.0",
            "2xkind=roce,numa=0",
            "any,subnet=10.1.0.0/16",
            "xe0",
            "1x3xfoo",
            "1x0xe",
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_selectors_say_what_is_wrong() {
        for (text, part) in [
            ("", "empty"),
            ("a,,b", "empty"),
            ("0xany", "1 to 64"),
            ("kind=foo", "usnic, roce"),
            ("speed=1", "no term"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
