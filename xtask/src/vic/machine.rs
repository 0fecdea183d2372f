//! VICs on QEMU's command line. Pure.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// VICs in one machine: their root ports are the functions of one slot.
pub const MAX_VICS: usize = 8;

/// VFs of one VIC that were tried.
pub const MAX_VFS: usize = 64;

/// The slot below the chipset's own (0x1f), so that VICs come after the lab's other NICs and do not renumber them.
const SLOT: u8 = 0x1e;

/// PCI Express's own hot plug, as on a server. ACPI's, which this chipset prefers, takes the PF away before the VFs that do
/// not share its slot, and then the kernel waits for ever for `usnic_verbs` to let go of the netdev.
const HOTPLUG: [&str; 2] = ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"];

/// The MAC address of a VIC, by which the guest finds its netdev. VICs count from 1.
pub fn mac(vic: usize) -> String {
    format!("52:54:00:56:49:{vic:02x}")
}

/// QEMU's arguments for `n` VICs of `vfs` usNIC VFs each, on the lab's switch (`hubid=0`).
///
/// VIC i is the device `vic<i>` (QMP: `/machine/peripheral/vic<i>`) alone behind the root port `vicport<i>`. The machine
/// needs `-M q35,kernel-irqchip=split -device intel-iommu,intremap=on` before these, and the kernel `intel_iommu=on`. Slot
/// 0x1e must be free.
///
/// # Panics
/// If there are more than [`MAX_VICS`] or [`MAX_VFS`].
pub fn qemu_args(n: usize, vfs: usize) -> Vec<String> {
    assert!(n <= MAX_VICS, "at most {MAX_VICS} VICs");
    assert!(vfs <= MAX_VFS, "at most {MAX_VFS} VFs a VIC");
    let hotplug = if n > 0 { &HOTPLUG[..] } else { &[] };
    hotplug.iter().map(|&word| word.to_owned()).chain((1..=n).flat_map(|vic| vic_args(vic, vfs))).collect()
}

fn vic_args(vic: usize, vfs: usize) -> [String; 6] {
    let function = vic - 1;
    let number = 100 + vic;
    let mac = mac(vic);
    [
        "-netdev".into(),
        format!("hubport,id=vichub{vic},hubid=0"),
        "-device".into(),
        // Room for the VFs' BARs: firmware and kernel do not size them for VFs that are not enabled yet.
        format!(
            "pcie-root-port,id=vicport{vic},chassis={number},slot={number},addr={SLOT:#x}.{function},multifunction=on,\
             pref64-reserve=64M"
        ),
        "-device".into(),
        format!("cisco-vic,id=vic{vic},bus=vicport{vic},netdev=vichub{vic},num-vfs={vfs},mac={mac}"),
    ]
}

/// QEMU's arguments that give the guest a virtio-serial port `qmp`, on which it talks to QEMU's own monitor: so a test in
/// the guest can pull its VIC's cable. A `virtio-serial-pci` must be there; `dir` gets a socket.
pub fn qmp_port_args(dir: &Path) -> Vec<OsString> {
    let socket = dir.join("qmp");
    let with_path = |start: &str, end: &str| -> OsString {
        // QEMU splits values at commas; a doubled one stands for itself.
        let path = socket.as_os_str().to_string_lossy().replace(',', ",,");
        [OsStr::new(start), OsStr::new(&path), OsStr::new(end)].into_iter().collect()
    };
    // QEMU connects to itself: a serial port and a monitor cannot share one end of a socket.
    vec![
        "-chardev".into(),
        with_path("socket,id=qmpport,path=", ",server=on,wait=off"),
        "-device".into(),
        "virtserialport,chardev=qmpport,name=qmp".into(),
        "-chardev".into(),
        with_path("socket,id=qmpmonitor,path=", ""),
        "-mon".into(),
        "chardev=qmpmonitor,mode=control".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vic_is_alone_behind_a_root_port() {
        let words = qemu_args(2, 64);
        assert_eq!(words.len(), 14);
        assert!(words[11].starts_with("pcie-root-port,id=vicport2,chassis=102,slot=102,addr=0x1e.1,"));
        assert_eq!(
            words[13],
            "cisco-vic,id=vic2,bus=vicport2,netdev=vichub2,num-vfs=64,mac=52:54:00:56:49:02"
        );
        assert!(qemu_args(0, 4).is_empty());
    }

    #[test]
    fn both_ends_of_the_monitor_name_one_socket() {
        let words = qmp_port_args(Path::new("/run/a,b"));
        assert_eq!(words[1], "socket,id=qmpport,path=/run/a,,b/qmp,server=on,wait=off");
        assert_eq!(words[5], "socket,id=qmpmonitor,path=/run/a,,b/qmp");
    }
}
