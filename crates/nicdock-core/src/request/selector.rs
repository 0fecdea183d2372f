//! Which NICs: `rxe0`, `0000:06:00.0`, `2xkind=roce,numa=0`, `speed>=100G,any`.

mod term;

use std::fmt;
use std::str::FromStr;

use nicdock_host::model::{Host, Nic, NicKind};
use serde::{Deserialize, Serialize};

use term::Place;
pub use term::{TERMS, Term};

/// Terms that a NIC must all match, and how many NICs to take. In JSON as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Selector {
    pub count: usize,
    pub terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSelectorError {
    #[error(
        "selector '{0}' has an empty term: there are {written}", written = term::written()
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

impl TryFrom<String> for Selector {
    type Error = ParseSelectorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.to_string()
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

impl Selector {
    /// Whether `nic` is meant. A NIC without RDMA is only meant when it is named, or its kind or driver is.
    pub fn matches(&self, host: &Host, nic: &Nic) -> bool {
        let nearest = |place: &Place| {
            let own = place.distance(host, nic);
            let others = host.nics.iter().filter(|other| self.matches_all_but_near(host, other));
            own.is_some() && others.filter_map(|other| place.distance(host, other)).min() == own
        };
        let places = self
            .terms
            .iter()
            .filter_map(|term| if let Term::Near(place) = term { Some(place) } else { None });
        self.matches_all_but_near(host, nic) && places.into_iter().all(nearest)
    }

    fn matches_all_but_near(&self, host: &Host, nic: &Nic) -> bool {
        (nic.kind != NicKind::Ethernet || self.terms.iter().any(Term::is_explicit))
            && self.terms.iter().all(|term| term.matches(host, nic))
    }

    /// What it names, be it an RDMA device or a netdev.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.terms
            .iter()
            .filter_map(|term| if let Term::Named(name) = term { Some(name.as_str()) } else { None })
    }

    /// Whether only one that can be taken now is meant.
    pub fn wants_free(&self) -> bool {
        self.terms.contains(&Term::Free)
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
            write!(f, "{term}")?;
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
            "caf\\xe9\\x5c",
            "a\\x2cb\\x3dc",
            "\\x61ny",
            "\\x20a",
            "\\x30000:06:00.0",
            "2xkind=roce,numa=0",
            "any,subnet=10.1.0.0/16",
            "xe0",
            "1x3xfoo",
            "1x0xe",
            "near=cpu:0-15+32-47",
            "near=0000:17:00.0,kind=roce,any",
            "2xkind=ib,speed>=2.5G,driver=mlx5_core,link=no-carrier,free,any",
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
            ("speed=1G", "speed>=1G"),
            ("speed>=1", "100G"),
            ("link=on", "no-carrier"),
            ("driver=", "no driver"),
            ("near=cpu:", "cpu:0-15"),
            ("near=gpu0", "cpu:0-15"),
            ("size=1", "speed>=SPEED"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
