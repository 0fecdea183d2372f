//! Podman: the NICs as CDI devices.

use std::path::Path;

use nicdock_oci::cdi;

use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Undo, Wanted, What};

pub const PART: Part = Part { name: "podman", look: |machine| Ok(look(machine)), undo: |_| Undo::default() };

const PROGRAMS: [&str; 2] = ["/usr/bin/podman", "/usr/local/bin/podman"];
/// CDI devices are known since (docs/engines/podman.md).
const SINCE: (u32, u32) = (4, 1);

fn look(machine: &Machine) -> Found {
    let Some(podman) = machine.installed(&PROGRAMS) else { return Found::absent("not installed") };
    let Some(running) = machine.running else {
        return Found::absent("here: `nicdock cdi install` makes its devices, once the machine runs");
    };
    let said = machine.ask(&[podman, "--version"]).unwrap_or_default();
    let version = said.trim().rsplit(' ').next().unwrap_or_default();
    if numbers(version).is_some_and(|numbers| numbers < SINCE) {
        return Found::absent(format!("{version} is here, and knows no CDI devices: 4.1 or newer does"));
    }
    let devices = match (running.devices)(&machine.program) {
        // That is no reason to leave the other parts.
        Err(error) => return Found { refused: Some(error), ..Found::nothing("here") },
        Ok(devices) => devices,
    };
    let Some(content) = devices else {
        return Found::absent("here, and no NIC: `nicdock cdi install` makes its devices once there is one");
    };
    let shown = if version.is_empty() { "here".to_owned() } else { format!("{version} is here") };
    Found {
        says: format!("{shown}: `podman run --device nicdock.io/nic=NAME`, names by `nicdock cdi list`"),
        wants: vec![Wanted { path: cdi::file(Path::new(cdi::FOLDER)), what: What::Devices { content } }],
        ..Found::default()
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}
