//! Kernel modules: what programs open RDMA devices by, and usNIC's driver, now and at every boot.

use std::path::Path;

use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Run, Undo, Wanted};

pub const PART: Part = Part { name: "modules", look: |machine| Ok(look(machine)), undo: |_| Undo::default() };

/// modules-load.d(5).
const LOAD: &str = "/etc/modules-load.d/nicdock.conf";
/// Whether RDMA network namespaces are shared: `Y`, the default, or `N` (ib_core's module parameter `netns_mode`).
const SHARED: &str = "/sys/module/ib_core/parameters/netns_mode";

fn look(machine: &Machine) -> Found {
    let usnic = machine.has_usnic();
    let has_rdma = !machine.list("/sys/class/infiniband").is_empty();
    let mut wanted: Vec<&str> = Vec::new();
    wanted.extend(usnic.then_some("usnic_verbs"));
    wanted.extend((usnic || has_rdma).then_some("ib_uverbs"));
    if wanted.is_empty() {
        return Found::nothing(
            "no RDMA device and no usNIC is here yet: call nicdock setup again when there is",
        );
    }
    // One that is built in has no initial state and no folder of its own unless it has parameters: what it makes is looked at.
    let is_loaded = |name: &&str| {
        machine.has(Path::new("/sys/module").join(name))
            || *name == "ib_uverbs" && machine.has("/sys/class/infiniband_verbs")
    };
    let mut found = Found::default();
    if usnic && machine.text(SHARED).is_some_and(|text| text.trim() == "N") {
        let named = named_in(machine, "/etc/modprobe.d", "netns_mode");
        found.hints.push(format!(
            "usNIC works in shared RDMA network namespaces only, and ib_core has netns_mode=0{}: remove that, and reboot",
            named.map(|path| format!(" from {path}")).unwrap_or_default()
        ));
    }
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !is_loaded(name)).collect();
    if missing.is_empty() && !machine.has(LOAD) {
        found.says = format!("{} loaded", wanted.join(" and "));
        return found;
    }
    found.says = format!("{} at every boot", wanted.join(" and "));
    found.wants.push(Wanted::file(LOAD, format!("# Written by nicdock setup.\n{}\n", wanted.join("\n"))));
    found.after = missing.iter().map(|name| Run::new(&["modprobe", name])).collect();
    found
}

/// The file of a folder that has this word.
fn named_in(machine: &Machine, folder: &str, word: &str) -> Option<String> {
    let files = machine.list(folder);
    let file = files.iter().find(|path| machine.text(path).is_some_and(|text| text.contains(word)));
    file.map(|path| path.display().to_string())
}
