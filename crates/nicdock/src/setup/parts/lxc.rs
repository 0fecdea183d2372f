//! LXC: its hooks are in each container's own configuration, so the machine needs nothing.

use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Undo};

pub const PART: Part = Part { name: "lxc", look: |machine| Ok(look(machine)), undo: |_| Undo::default() };

fn look(machine: &Machine) -> Found {
    if machine.has("/usr/bin/lxc-start") {
        Found::nothing("here: `nicdock lxc install CONTAINER --nic SEL` gives one of its containers a NIC")
    } else {
        Found::absent("not installed")
    }
}
