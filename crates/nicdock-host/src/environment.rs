//! Reads what decides, around the NICs, whether programs can use them: limits, nodes, PCIe links, GIDs, managers, engines.
//!
//! An [`Environment`] is what was read, with no opinion about it; what of it is wrong is judged elsewhere. A thing that is not there
//! ([`Reading::Absent`]) is kept apart from one that is not known ([`Reading::Unknown`]): a record that was made before these things were
//! looked at, or by a user who may not look, knows nothing of them.

mod gids;
mod image;
mod paths;
mod reading;

use std::collections::BTreeMap;
use std::io;

pub use gids::Gid;
pub use image::Image;
pub use reading::Reading;

use crate::model::Host;
use crate::source::{Fact, Source};

/// What was read of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    files: BTreeMap<String, Reading<Vec<u8>>>,
    facts: BTreeMap<Fact, Reading<String>>,
    /// The process of a container that is asked about.
    pub process: Option<u32>,
}

/// Reads what is around the NICs of `host`, and what the process of a container has where one is named.
///
/// Where the source tells no facts at all (a capture from before there were any), nothing is read: what is not in it need not have
/// been absent.
pub fn read(source: &dyn Source, host: &Host, process: Option<u32>) -> Environment {
    let mut environment = Environment { process, ..Environment::default() };
    if source.fact(Fact::Version).is_err() {
        return environment;
    }
    for fact in paths::facts(process) {
        environment.facts.insert(fact, Reading::of(source.fact(fact), &fact.place()));
    }
    for path in paths::files(source, host, process) {
        environment.read(source, path);
    }
    let full = environment.files.iter().filter(|(_, content)| match content {
        Reading::Known(bytes) => std::str::from_utf8(bytes).ok().and_then(gids::parse).is_some(),
        _ => false,
    });
    let attributes: Vec<String> =
        full.filter_map(|(path, _)| paths::gid_attributes(path)).flatten().collect();
    for path in attributes {
        environment.read(source, path);
    }
    environment
}

/// PCIe links, and what GPUs and disks are, alone: as quickly as they can be read.
pub fn pcie(source: &dyn Source, host: &Host) -> Environment {
    let mut environment = Environment::default();
    if source.fact(Fact::Version).is_ok() {
        for path in paths::links(host) {
            environment.read(source, path);
        }
    }
    environment
}

impl Environment {
    fn read(&mut self, source: &dyn Source, path: String) {
        let content = Reading::of(source.read(&path), &format!("/{path}"));
        self.files.insert(path, content);
    }

    /// A file's text without the final newline; `path` is relative to `/`.
    pub fn text(&self, path: &str) -> Reading<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// A file's content.
    pub fn bytes(&self, path: &str) -> Reading<Vec<u8>> {
        self.files.get(path).cloned().unwrap_or_else(|| Reading::not_told(&format!("/{path}")))
    }

    /// The lines of a fact.
    pub fn fact(&self, fact: Fact) -> Reading<String> {
        self.facts.get(&fact).cloned().unwrap_or_else(|| Reading::not_told(&fact.place()))
    }

    /// Files below a folder that were read, by their path.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let below = move |path: &&String| path.starts_with(folder);
        self.files.range(folder.to_owned()..).map(|(path, _)| path).take_while(below).map(String::as_str)
    }

    /// The same with this in a file.
    #[must_use]
    pub fn with_file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), Reading::Known(content.as_ref().to_vec()));
        self
    }

    /// The same without a file.
    #[must_use]
    pub fn without_file(mut self, path: &str) -> Self {
        self.files.insert(path.to_owned(), Reading::Absent);
        self
    }

    /// The same with these lines of a fact.
    #[must_use]
    pub fn with_fact(mut self, fact: Fact, lines: &str) -> Self {
        self.facts.insert(fact, Reading::Known(lines.to_owned()));
        self
    }

    /// The same with a fact that is about nothing here: its place is not there.
    #[must_use]
    pub fn without_fact(mut self, fact: Fact) -> Self {
        self.facts.insert(fact, Reading::Absent);
        self
    }
}

/// `ENODEV`: the device went away; `EINVAL`: a port or an entry has no such attribute (drivers/infiniband/core/sysfs.c).
fn is_absence(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(19 | 22))
}
