//! A machine in a file: everything that its [`Host`](crate::model::Host) is read from, so that it can be read again
//! anywhere, by any user.
//!
//! A capture is a gzipped tar (or the directory that one unpacks to) with
//!
//! | member | holds |
//! |---|---|
//! | `nicdock-capture` | the format's version: `1` |
//! | `sys/…`, `proc/…` | files and links as they were; nothing that the inventory and the environment do not read |
//! | `netlink/…` | raw messages, one file a list ([`Dump::file`]), in the machine's byte order |
//! | `facts/…` | what no single file tells, one file a [`Fact`], as lines |
//! | `open-nodes` | `PID NODE COMMAND` for each process that has a node open |
//! | `errors` | `ERRNO PATH` for what was there and could not be read; `13 open-nodes` if some processes could not |

mod archive;
mod directory;
mod error;
mod index;
mod redact;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use error::CaptureError;

use crate::environment;
use crate::inventory::{self, InventoryError};
use crate::source::{Dump, Entry, Fact, OpenNodes, Recorder, Source};

/// Unpacked, with 512 bytes counted for each name. A host of 4,096 PCI functions has about 70 MiB.
const MAX_BYTES: u64 = 256 << 20;

/// "No such file or directory", as the kernel says it.
const ENOENT: i32 = 2;

/// A captured machine, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    entries: BTreeMap<String, Entry>,
    open_nodes: OpenNodes,
}

impl Capture {
    /// Reads the inventory of `source`, and what else matters to its NICs, and keeps what that took.
    pub fn of(source: impl Source) -> Result<Self, InventoryError> {
        let recorder = Recorder::new(source);
        let host = inventory::read(&recorder)?;
        environment::read(&recorder, &host, None);
        let (entries, open_nodes) = recorder.into_parts();
        Ok(Self { entries, open_nodes })
    }

    /// From parts, for machines that are described rather than recorded.
    pub fn from_parts(entries: BTreeMap<String, Entry>, open_nodes: impl Into<OpenNodes>) -> Self {
        Self { entries, open_nodes: open_nodes.into() }
    }

    /// Opens a `.tar.gz`, a `.tar`, or the directory that one was unpacked to.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let metadata = path.metadata().map_err(|source| CaptureError::open(path, source))?;
        let members = if metadata.is_dir() { directory::read(path)? } else { archive::read(path)? };
        index::from_members(path, members)
    }

    /// Writes a `.tar.gz`: the same capture always gives the same bytes.
    pub fn write(&self, to: impl io::Write) -> io::Result<()> {
        archive::write(&index::to_members(self), to)
    }

    /// The same machine with other MAC and IP addresses and GUIDs, each replaced by the same everywhere. Subnets stay
    /// subnets; what the inventory does not need is left out of netlink messages.
    #[must_use]
    pub fn redacted(&self) -> Self {
        redact::redact(self)
    }

    /// Everything in it, by path.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn get(&self, path: &str) -> io::Result<&Entry> {
        match self.entries.get(path) {
            None => Err(io::Error::from_raw_os_error(ENOENT)),
            Some(Entry::Failed(errno)) => Err(io::Error::from_raw_os_error(*errno)),
            Some(entry) => Ok(entry),
        }
    }
}

impl Source for Capture {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.get(path)? {
            Entry::File(bytes) => Ok(bytes.clone()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("/{path} is not a file in the capture"),
            )),
        }
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{directory}/");
        let below = self.entries.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
        let mut names: Vec<String> =
            below.filter_map(|(path, _)| path[prefix.len()..].split('/').next()).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            self.get(directory)?;
        }
        Ok(names)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        match self.get(path)? {
            Entry::Link(target) => Ok(target.clone()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("/{path} is not a link in the capture"),
            )),
        }
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        self.read(&dump.file())
    }

    fn fact(&self, fact: Fact) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(&fact.file())?).into_owned())
    }

    fn open_nodes(&self) -> io::Result<OpenNodes> {
        Ok(self.open_nodes.clone())
    }
}

/// What a tar or a directory has under one name.
enum Member {
    File(Vec<u8>),
    Link(String),
    Directory,
}
