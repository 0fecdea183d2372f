//! Locked memory for the services whose containers inherit their limit: RDMA programs register more than systemd's 8 MiB.
//!
//! nicdock sets the limit itself for containers of its own, of LXC and of libvirt.

use std::path::Path;

use crate::setup::machine::{Machine, UNITS};
use crate::setup::part::{Found, Part, Run, Undo, Wanted};

pub const PART: Part = Part { name: "memlock", look: |machine| Ok(look(machine)), undo };

/// Services that start containers or jobs, which get a NIC by `nicdock attach` or `nicdock call`.
const SERVICES: [&str; 5] =
    ["containerd.service", "crio.service", "docker.service", "podman.service", "slurmd.service"];
const DROP_IN: &str = "50-nicdock-memlock.conf";
const TEXT: &str = "# Written by nicdock setup: programs in containers register memory for RDMA.\n[Service]\nLimitMEMLOCK=infinity\n";

fn look(machine: &Machine) -> Found {
    let mut found = Found::default();
    let (mut set, mut kept) = (Vec::new(), Vec::new());
    for service in SERVICES {
        if machine.unit(service).is_none() {
            continue;
        }
        let drop_in = Path::new(UNITS[0]).join(format!("{service}.d")).join(DROP_IN);
        match said_elsewhere(machine, service).as_deref() {
            Some("infinity") => set.push(service),
            // In /etc, so the administrator's word.
            Some(other) => kept.push(format!("{service} (LimitMEMLOCK={other}, left so)")),
            None => {
                set.push(service);
                found.wants.push(Wanted::file(drop_in, TEXT));
            }
        }
    }
    if set.is_empty() && kept.is_empty() {
        return Found::nothing("no service is here whose containers inherit its limit");
    }
    if !found.wants.is_empty() {
        if machine.runs_systemd() {
            found.after.push(Run::new(&["systemctl", "daemon-reload"]));
        }
        found
            .hints
            .push("services have the limit after their next restart, which nicdock leaves to you".to_owned());
    }
    let unlimited = if set.is_empty() { None } else { Some(format!("unlimited for {}", set.join(", "))) };
    found.says = unlimited.into_iter().chain(kept).collect::<Vec<_>>().join("; ");
    found
}

/// What `infinity`, or any other value that an administrator chose, is said without nicdock: in the unit, or in another drop-in. A vendor's own
/// limit is not the administrator's, so it does not count.
fn said_elsewhere(machine: &Machine, service: &str) -> Option<String> {
    let mut said = None;
    for file in machine
        .files_of_unit(service)
        .iter()
        .filter(|file| file.file_name().is_none_or(|name| name != DROP_IN))
    {
        let text = machine.text(file).unwrap_or_default();
        let mut values = text.lines().filter_map(|line| line.trim().strip_prefix("LimitMEMLOCK="));
        if let Some(value) =
            values.next_back().filter(|value| *value == "infinity" || file.starts_with("/etc"))
        {
            said = Some(value.trim().to_owned());
        }
    }
    said
}

fn undo(machine: &Machine) -> Undo {
    let reload = machine.runs_systemd().then(|| Run::new(&["systemctl", "daemon-reload"]));
    Undo { before: Vec::new(), after: reload.into_iter().collect() }
}
