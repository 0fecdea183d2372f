//! Gives a netdev the names back that another interface had when it came home, once they are free.
//!
//! The NIC can be given again meanwhile, so what it lacks is noted in `/run/nicdock/pending`, and not in a lease.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Doing, PhaseError};
use crate::lease::{Ledger, Lock, PUBLIC, STATE, make_folder, replace};
use nicdock_netlink::rtnl::{Link, Rtnl};

/// The names that a netdev of the host lacks. Names are written as [`nicdock_netlink::name`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The NIC's key.
    pub nic: String,
    /// What its netdev is called now.
    pub netdev: String,
    pub ifindex: u32,
    /// What it was called, if another interface is called so.
    pub name: Option<String>,
    /// Those of its further names that are another interface's.
    pub altnames: BTreeSet<String>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.altnames.is_empty()
    }

    /// The names, the netdev's own first.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.name.iter().chain(&self.altnames)
    }
}

/// Notes what this netdev lacks; nothing if it lacks none.
pub fn note(pending: &Pending, ledger: &Ledger) -> Result<(), PhaseError> {
    if pending.is_empty() { Ok(()) } else { write(pending, &ledger.lock()?) }
}

fn write(pending: &Pending, _lock: &Lock) -> Result<(), PhaseError> {
    let path = file(pending.ifindex);
    let written = || -> io::Result<()> {
        make_folder(&folder(), PUBLIC)?;
        replace(&path, &serde_json::to_string(pending)?)
    };
    written().doing(|| format!("writing {}", path.display()))
}

/// What netdevs of this machine lack, by their numbers. A note that is not whole says nothing.
pub fn pending() -> Vec<Pending> {
    let mut all: Vec<Pending> = files().filter_map(|path| read(&path)).collect();
    all.sort_by_key(|pending| pending.ifindex);
    all
}

fn files() -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn read(path: &Path) -> Option<Pending> {
    let is_note = path.extension().is_some_and(|end| end == "json");
    serde_json::from_str(&fs::read_to_string(path).ok().filter(|_| is_note)?).ok()
}

/// Removes what a nicdock that was killed had begun to write.
fn tidy(_lock: &Lock) {
    files().filter(|path| read(path).is_none()).for_each(|path| drop(fs::remove_file(path)));
}

/// Adds the names that are free by now; gives what was done, in sentences. A netdev that a container has waits until it is back.
pub fn complete(ledger: &Ledger) -> Result<Vec<String>, PhaseError> {
    let mut done = Vec::new();
    if files().next().is_none() {
        return Ok(done);
    }
    let lock = ledger.lock()?;
    tidy(&lock);
    let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
    let links = host.links().doing(|| "listing the host's interfaces".into())?;
    for mut one in pending().into_iter().filter(|one| !ledger.has(&one.nic)) {
        if links.iter().any(|link| is_it(link, &one)) {
            add(&mut host, &mut one, &mut done)?;
        } else {
            done.push(format!(
                "{} is gone or was renamed: {} is not added to it any more",
                one.netdev,
                listed(&one)
            ));
            one = Pending { name: None, altnames: BTreeSet::new(), ..one };
        }
        let path = file(one.ifindex);
        if one.is_empty() {
            fs::remove_file(&path).doing(|| format!("removing {}", path.display()))?;
        } else {
            write(&one, &lock)?;
        }
    }
    Ok(done)
}

fn is_it(link: &Link, pending: &Pending) -> bool {
    link.ifindex == pending.ifindex && link.name == pending.netdev && !link.is_virtual
}

/// The names, as one reads them.
pub fn listed(pending: &Pending) -> String {
    pending.names().map(String::as_str).collect::<Vec<_>>().join(" and ")
}

fn add(host: &mut Rtnl, pending: &mut Pending, done: &mut Vec<String>) -> Result<(), PhaseError> {
    let index = pending.ifindex;
    if let Some(name) = pending.name.take() {
        match host.rename(index, &name) {
            Ok(()) => {
                done.push(format!("{} is called {name} again", pending.netdev));
                pending.netdev = name;
            }
            // One that is up keeps its name before Linux 6.2 (`dev_change_name()`, net/core/dev.c), and loses routes when it is set down.
            Err(error) if is_taken(&error) || error.raw_os_error() == Some(libc::EBUSY) => {
                pending.name = Some(name);
            }
            Err(error) => {
                return Err(PhaseError::new(format!("renaming {} to {name}", pending.netdev), error));
            }
        }
    }
    let mut left = BTreeSet::new();
    for name in std::mem::take(&mut pending.altnames) {
        match host.add_altname(index, &name) {
            Ok(()) => done.push(format!("{} has its further name {name} again", pending.netdev)),
            Err(error) if is_taken(&error) => drop(left.insert(name)),
            Err(error) => {
                return Err(PhaseError::new(format!("adding the name {name} to {}", pending.netdev), error));
            }
        }
    }
    pending.altnames = left;
    Ok(())
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AlreadyExists
}

fn folder() -> PathBuf {
    Path::new(STATE).join("pending")
}

fn file(ifindex: u32) -> PathBuf {
    folder().join(format!("{ifindex}.json"))
}
