//! Who keeps a NIC from being given.

use std::fmt;

use crate::kind::Kind;

/// A container, or what one has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// The container that has it, or had it and has left something.
    pub container: Option<String>,
    pub kind: Kind,
    words: String,
}

impl Keeper {
    /// `words`: what is to be read after "held by".
    pub fn new(container: Option<String>, kind: Kind, words: String) -> Self {
        Self { container, kind, words }
    }

    /// A container that runs, or is about to.
    pub fn container(name: &str) -> Self {
        Self::new(Some(name.to_owned()), Kind::Held, format!("container {name}"))
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
