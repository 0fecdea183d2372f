//! Refuses what brings others' NICs by a socket to a container that runs and is not of nicdock's making: seccomp cannot be added to its
//! processes.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::aside::in_host_mounts;
use super::pins::Pins;
use super::{Doing, PhaseError, cgroup, sockets};
use crate::lease::{Journal, Step};
use crate::request::Netlink;
use nicdock_sys::bpf::{self, Hook};

/// Sockets that the processes have already stay open.
pub fn refuse(group: &Path, pins: &str, allowed: &[Netlink], journal: Journal<'_>) -> Result<(), PhaseError> {
    journal.begin(&Step::Refuse { group: group.to_owned(), pins: pins.to_owned() })?;
    in_host_mounts(|| {
        let what = || format!("attaching BPF programs for sockets to {}", group.display());
        let (hooks, pins) = (sockets::hooks()?, Pins::of(pins));
        let folder = cgroup::open(group).doing(what)?;
        pins.make()?;
        for (name, hook, program) in [
            (SOCKETS, hooks.create, sockets::narrow_program(allowed)),
            (OPTIONS, hooks.option, sockets::option_program()),
        ] {
            let program = bpf::load(hook, &program).doing(what)?;
            pins.keep(name, &program)?;
            bpf::attach(hook, folder.as_fd(), &program).doing(what)?;
        }
        Ok(())
    })
}

pub fn undo(group: &Path, pins: &str) -> Result<(), PhaseError> {
    in_host_mounts(|| {
        let what = || format!("taking the BPF programs for sockets off {}", group.display());
        let pins = Pins::of(pins);
        for name in [SOCKETS, OPTIONS] {
            let Some(program) = pins.get(name)? else { continue };
            match cgroup::open(group).and_then(|folder| bpf::detach(Hook::Lsm(0), folder.as_fd(), &program)) {
                // The group has gone, or the program was never on it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result.doing(what)?,
            }
        }
        pins.remove()
    })
}

const SOCKETS: &str = "sockets";
const OPTIONS: &str = "options";
