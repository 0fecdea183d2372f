//! udev's rule that takes the number of a device that has gone from containers that were given it while they ran.

use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Run, Undo, Wanted};

pub const PART: Part = Part { name: "udev", look: |machine| Ok(look(machine)), undo };

const OWN: &str = "/etc/udev/rules.d/90-nicdock.rules";
const PACKAGED: [&str; 2] = ["/usr/lib/udev/rules.d/90-nicdock.rules", "/lib/udev/rules.d/90-nicdock.rules"];
const TEXT: &str = include_str!("../../../../../systemd/90-nicdock.rules");

fn look(machine: &Machine) -> Found {
    if !machine.has("/usr/lib/udev") && !machine.has("/lib/udev") {
        return Found::nothing(
            "skipped: no udev is here. Call `nicdock reconcile --gone` when an RDMA device has gone",
        );
    }
    let mut found = Found {
        says: "takes a device that has gone from containers that were given it while they ran".to_owned(),
        ..Found::default()
    };
    if PACKAGED.iter().any(|path| machine.has(path)) {
        if machine.has(OWN) {
            found.hints.push(format!(
                "{OWN} is used instead of the package's rule: remove it if nobody wants it so"
            ));
        }
        return found;
    }
    if !machine.has("/usr/bin/systemd-run") {
        return Found::nothing(
            "skipped: no systemd is here, by which the rule calls nicdock. Call `nicdock reconcile --gone` when an RDMA device has gone",
        );
    }
    found
        .wants
        .push(Wanted::file(OWN, TEXT.replace("/usr/bin/nicdock", &machine.program.display().to_string())));
    found.after = reload(machine);
    found
}

/// Where udev runs, it has this socket (systemd-udevd-control.socket).
fn reload(machine: &Machine) -> Vec<Run> {
    machine
        .has("/run/udev/control")
        .then(|| Run::new(&["udevadm", "control", "--reload"]))
        .into_iter()
        .collect()
}

fn undo(machine: &Machine) -> Undo {
    Undo { before: Vec::new(), after: reload(machine) }
}
