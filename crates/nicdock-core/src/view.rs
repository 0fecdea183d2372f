//! What /sys, /proc and /dev show in the container: start from nothing and add.

mod cgroups;
mod compose;
mod device;
mod empty;
mod live;
mod nic;
mod open;
mod procfs;
mod shown;
#[cfg(test)]
mod tests;
mod tree;

pub use compose::{Brought, ViewError, compose, compose_aside, cover_proc};
pub use shown::Shown;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A /sys to compose; every path is relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Folders and single files shown as they are, with whatever is in them, live.
    pub mounts: BTreeSet<String>,
    /// Links, with their text. What they lead to is shown.
    pub links: BTreeMap<String, String>,
    /// Files copied as they are now; one that the kernel does not have is left out.
    pub files: BTreeSet<String>,
    /// Folders that exist even if nothing is in them.
    pub folders: BTreeSet<String>,
}

impl View {
    /// Where a link that was made leads.
    fn target(&self, link: &str) -> Option<String> {
        tree::resolve(tree::split(link).0, self.links.get(link)?)
    }

    /// The mounts that lie in no other.
    fn outermost(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().map(String::as_str).filter(|path| !self.is_below_a_mount(path))
    }

    fn is_below_a_mount(&self, path: &str) -> bool {
        tree::ancestors(path).any(|above| self.mounts.contains(above))
    }
}

/// A part of the host's sysfs that the view needs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct Omission {
    pub path: String,
    pub error: io::Error,
}

impl Omission {
    fn invalid(path: &str) -> Self {
        Self { path: path.to_owned(), error: io::ErrorKind::InvalidData.into() }
    }
}
