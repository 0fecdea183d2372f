use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::{Dump, Fact, OpenNodes, Source};

/// What one path was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    File(Vec<u8>),
    Link(String),
    Directory,
    /// Reading gave this errno. What is simply not there (`ENOENT`) is not recorded: it is not there either.
    Failed(i32),
}

/// `EIO`, for errors that are not the kernel's.
const EIO: i32 = 5;

/// Passes every question on, and keeps the answers: exactly what was read, no more and no less.
pub struct Recorder<S> {
    source: S,
    entries: RefCell<BTreeMap<String, Entry>>,
    open_nodes: RefCell<OpenNodes>,
}

impl<S: Source> Recorder<S> {
    pub fn new(source: S) -> Self {
        Self { source, entries: RefCell::default(), open_nodes: RefCell::new(Vec::new().into()) }
    }

    /// What was read, by path (netlink lists by [`Dump::file`]), and the open nodes.
    pub fn into_parts(self) -> (BTreeMap<String, Entry>, OpenNodes) {
        (self.entries.into_inner(), self.open_nodes.into_inner())
    }

    fn keep<T>(&self, path: &str, answer: io::Result<T>, entry: impl FnOnce(&T) -> Entry) -> io::Result<T> {
        let entry = match &answer {
            Ok(value) => entry(value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return answer,
            Err(error) => Entry::Failed(error.raw_os_error().unwrap_or(EIO)),
        };
        self.entries.borrow_mut().insert(path.to_owned(), entry);
        answer
    }
}

impl<S: Source> Source for Recorder<S> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.keep(path, self.source.read(path), |bytes| Entry::File(bytes.clone()))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.keep(directory, self.source.list(directory), |_| Entry::Directory)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        self.keep(path, self.source.link(path), |target| Entry::Link(target.clone()))
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        self.keep(&dump.file(), self.source.dump(dump), |bytes| Entry::File(bytes.clone()))
    }

    fn fact(&self, fact: Fact) -> io::Result<String> {
        self.keep(&fact.file(), self.source.fact(fact), |text| Entry::File(text.clone().into_bytes()))
    }

    fn open_nodes(&self) -> io::Result<OpenNodes> {
        let open = self.source.open_nodes();
        let nothing = OpenNodes { nodes: Vec::new(), complete: false };
        self.open_nodes.borrow_mut().clone_from(open.as_ref().unwrap_or(&nothing));
        open
    }
}
