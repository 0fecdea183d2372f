//! Refuses RDMA netlink to a container that runs and is not of nicdock's making: seccomp cannot be added to its processes.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::aside::in_host_mounts;
use super::pins::Pins;
use super::{Doing, PhaseError, cgroup, sockets};
use crate::kernel::bpf::{self, Hook};
use crate::lease::{Journal, Step};

/// Sockets that the processes have already stay open.
pub fn refuse(group: &Path, pins: &str, journal: Journal<'_>) -> Result<(), PhaseError> {
    journal.begin(&Step::Refuse { group: group.to_owned(), pins: pins.to_owned() })?;
    in_host_mounts(|| {
        let what = || format!("attaching a BPF program for sockets to {}", group.display());
        let (hook, pins) = (sockets::hook()?, Pins::of(pins));
        let program = bpf::load(hook, &sockets::narrow_program()).doing(what)?;
        pins.make()?;
        pins.keep(NAME, &program)?;
        bpf::attach(hook, cgroup::open(group).doing(what)?.as_fd(), &program).doing(what)
    })
}

pub fn undo(group: &Path, pins: &str) -> Result<(), PhaseError> {
    in_host_mounts(|| {
        let what = || format!("taking the BPF program for sockets off {}", group.display());
        let pins = Pins::of(pins);
        if let Some(program) = pins.get(NAME)? {
            match cgroup::open(group).and_then(|folder| bpf::detach(Hook::Lsm(0), folder.as_fd(), &program)) {
                // The group has gone, or the program was never on it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.doing(what)?,
            }
        }
        pins.remove()
    })
}

const NAME: &str = "sockets";
