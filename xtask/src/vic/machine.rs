//! VICs on QEMU's command line. Pure.

/// VICs in one machine: their root ports are the functions of one slot.
pub const MAX_VICS: u8 = 8;

/// VFs of one VIC that were tried.
pub const MAX_VFS: u8 = 64;

/// The slot below the chipset's own (0x1f), so that VICs come after the lab's other NICs and do not renumber them.
const SLOT: u8 = 0x1e;

/// The MAC address of a VIC, by which the guest finds its netdev. VICs count from 1.
pub fn mac(vic: u8) -> String {
    format!("52:54:00:56:49:{vic:02x}")
}

/// What a VIC is called, in QEMU and as a netdev in the guest: VIC 1 is vic0, as NIC 1 is eth0.
pub fn name(vic: u8) -> String {
    format!("vic{}", vic - 1)
}

/// The QEMU arguments of a VIC with `vfs` usNIC VFs, on the lab's switch (`hubid=0`).
///
/// VIC 1 is the device `vic0` (QMP: `/machine/peripheral/vic0`), alone behind a root port of its own. The machine
/// needs `-M q35,kernel-irqchip=split -device intel-iommu,intremap=on` before these, and the kernel `intel_iommu=on`.
pub fn vic_args(vic: u8, vfs: u8) -> [String; 6] {
    let (name, mac) = (name(vic), mac(vic));
    let function = vic - 1;
    let number = 100 + vic;
    [
        "-netdev".into(),
        format!("hubport,id={name}hub,hubid=0"),
        "-device".into(),
        // Room for the VFs' BARs: firmware and kernel do not size them for VFs that are not enabled yet.
        format!(
            "pcie-root-port,id={name}port,chassis={number},slot={number},addr={SLOT:#x}.{function},multifunction=on,\
             pref64-reserve=64M"
        ),
        "-device".into(),
        format!("cisco-vic,id={name},bus={name}port,netdev={name}hub,num-vfs={vfs},mac={mac}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vic_is_alone_behind_a_root_port() {
        let words = vic_args(2, 64);
        assert!(words[3].starts_with("pcie-root-port,id=vic1port,chassis=102,slot=102,addr=0x1e.1,"));
        assert_eq!(
            words[5],
            "cisco-vic,id=vic1,bus=vic1port,netdev=vic1hub,num-vfs=64,mac=52:54:00:56:49:02"
        );
    }
}
