//! The IOMMU, without which usNIC's driver refuses its devices. It is the kernel's command line, so the administrator's.

use crate::setup::machine::Machine;
use crate::setup::part::{Found, Part, Undo};

pub const PART: Part = Part { name: "iommu", look: |machine| Ok(look(machine)), undo: |_| Undo::default() };

fn look(machine: &Machine) -> Found {
    if !machine.has_usnic() {
        return Found::nothing("no NIC here needs one (usNIC does)");
    }
    if !machine.list("/sys/kernel/iommu_groups").is_empty() {
        return Found::nothing("on, as usNIC needs it");
    }
    let mut found = Found::nothing("off, and usNIC needs it (usnic_verbs refuses its devices with EPERM)");
    found.hints.push(
        "switch on VT-d in the firmware, add intel_iommu=on to GRUB_CMDLINE_LINUX in /etc/default/grub, call update-grub, and reboot".to_owned(),
    );
    found
}
