//! libvirt's containers: the hook that libvirt calls, and the gate before their programs.

use std::path::Path;

use crate::setup::error::SetupError;
use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Run, Undo, Wanted, What};

pub const PART: Part = Part { name: "libvirt", look, undo: |_| Undo::default() };

fn look(machine: &Machine) -> Result<Found, SetupError> {
    // /usr/lib/ARCHITECTURE/libvirt on Debian, /usr/lib64/libvirt elsewhere.
    let folders = machine.list("/usr/lib").into_iter().chain([Path::new("/usr/lib64").to_owned()]);
    let mut drivers = folders.map(|folder| folder.join("libvirt/connection-driver/libvirt_driver_lxc.so"));
    if !drivers.any(|driver| machine.has(driver)) {
        return Ok(Found::absent("its driver of containers (libvirt-daemon-driver-lxc) is not installed"));
    }
    let files = nicdock_libvirt::files(&machine.program)?;
    let wants = files
        .into_iter()
        .map(|file| Wanted { path: file.path, what: What::File { content: file.content, mode: file.mode } });
    let program = machine.program.display().to_string();
    // Writes the same, and lets libvirt prove that it calls the hook.
    let proof = machine.has("/usr/bin/virsh").then(|| Run::new(&[&program, "libvirt", "install"]));
    Ok(Found {
        says: "the hook and the gate for its containers, `nicdock libvirt edit DOMAIN --nic SEL`".to_owned(),
        wants: wants.collect(),
        after: proof.into_iter().collect(),
        ..Found::default()
    })
}
