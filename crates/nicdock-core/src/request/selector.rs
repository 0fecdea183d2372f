//! Which NICs: `rxe0`, `0000:06:00.0`, `2xkind=roce,numa=0`, `speed>=100G,any`.

mod term;

use std::fmt;
use std::str::FromStr;

use nicdock_host::model::{Host, Nic, NicKind};

pub use term::{TERMS, Term};

/// Terms that a NIC must all match, and how many NICs to take.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        (nic.kind != NicKind::Ethernet || self.terms.iter().any(Term::is_explicit))
            && self.terms.iter().all(|term| term.matches(host, nic))
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
            "2xkind=roce,numa=0",
            "any,subnet=10.1.0.0/16",
            "xe0",
            "1x3xfoo",
            "1x0xe",
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
            ("size=1", "speed>=SPEED"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
