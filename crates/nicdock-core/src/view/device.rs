//! Folders of devices of which only some is shown: the container's own PCI functions, bridges above them, and what lies
//! between a function and its netdev or RDMA device.
//!
//! Their files are copied, so each says what it said when the container started; what changes as the NIC works (the
//! netdev, the RDMA device) is below them and live.

/// What identifies a device and says where in the machine it is: read by hwloc (`topology-linux.c`), UCX (`ucs_topo`), NCCL
/// (`topo.cc`), rdma-core (`verbs_match_ent`), Open MPI, and libpci, without which perftest ends. None names another device.
pub const FILES: [&str; 29] = [
    "class",
    "vendor",
    "device",
    "subsystem_vendor",
    "subsystem_device",
    "revision",
    "numa_node",
    "local_cpus",
    "local_cpulist",
    "current_link_speed",
    "current_link_width",
    "max_link_speed",
    "max_link_width",
    // A list of address ranges, which everybody may read, and a number (libpci, lib/sysfs.c, `sysfs_scan()`)
    "resource",
    "irq",
    "modalias",
    "uevent",
    "enable",
    "ari_enabled",
    "dma_mask_bits",
    "consistent_dma_mask_bits",
    "power_state",
    "acpi_index",
    "index",
    "label",
    // Of a virtio device
    "features",
    "status",
    // Of an auxiliary device's own
    "sfnum",
    "name",
];

/// Of a bridge also what tells the tree that is below it (hwloc reads the header of its configuration space).
pub const BRIDGE_FILES: [&str; 3] = ["config", "secondary_bus_number", "subordinate_bus_number"];

/// What a function itself is worked by; shown on request only, read-only, and live.
pub const REGISTERS: [&str; 2] = ["config", "rom"];

/// Whether `name` is one of a function's register files: `resource0`, `resource4_wc`, …
pub fn is_register(name: &str) -> bool {
    REGISTERS.contains(&name)
        || name.strip_prefix("resource").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `dddd:bb:dd.f` (include/linux/pci.h, `pci_name`).
pub fn is_pci_address(name: &str) -> bool {
    name.parse::<nicdock_host::model::PciAddress>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_works_a_function_is_copied() {
        let worked_by = ["remove", "rescan", "reset", "driver_override", "sriov_numvfs", "rom", "resource0"];
        assert!(worked_by.iter().all(|name| !FILES.contains(name)));
        assert!(is_register("resource4_wc") && is_register("config") && !is_register("resource_alignment"));
    }
}
