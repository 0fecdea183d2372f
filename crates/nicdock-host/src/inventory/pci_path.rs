//! What a device's path below `/sys` tells of the PCI function that it sits on.

use crate::model::{PciAddress, is_subfunction};

/// A path cut at its last PCI function.
#[derive(Debug, PartialEq, Eq)]
pub struct PciPath<'a> {
    pub function: PciAddress,
    /// What hangs on the function: `net/eth0`, `virtio2/net/eth0`, `usb1/1-1/1-1:1.0/net/usb0`; empty for itself.
    pub rest: &'a str,
}

/// Cuts `devices/pci0000:00/0000:00:1c.0/0000:06:00.0/net/eth4` at `0000:06:00.0`. The last function counts: above it
/// are bridges, or a host bridge of another bus (VMD, Hyper-V).
pub fn cut(path: &str) -> Option<PciPath<'_>> {
    let mut rest = path;
    let mut found = None;
    while !rest.is_empty() {
        let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(function) = full_address(part) {
            found = Some(PciPath { function, rest: after });
        }
        rest = after;
    }
    found
}

impl PciPath<'_> {
    /// The sub-function that it is in, if it is in one.
    pub fn subfunction(&self) -> Option<&str> {
        self.rest.split('/').next().filter(|first| is_subfunction(first))
    }

    /// Whether what hangs there belongs to the function, and not to another bus behind it (USB, Thunderbolt).
    pub fn is_direct(&self) -> bool {
        let first = self.rest.split('/').next().unwrap_or_default();
        // Auxiliary devices are called module.name.number (drivers/base/auxiliary.c).
        matches!(first, "net" | "infiniband") || first.starts_with("virtio") || first.contains('.')
    }
}

/// Every function in a path but the last: the bridges, root port first.
pub fn bridges(path: &str) -> Vec<PciAddress> {
    let mut functions: Vec<_> = path.split('/').filter_map(full_address).collect();
    functions.pop();
    functions
}

/// With the domain, as sysfs names directories.
pub fn full_address(part: &str) -> Option<PciAddress> {
    part.parse().ok().filter(|address: &PciAddress| address.to_string() == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_function_is_the_device_and_those_above_are_bridges() {
        let path = "devices/pci0000:00/0000:00:1c.0/0000:05:00.0/0000:06:00.0/net/eth4";
        let cut = cut(path).unwrap();
        assert_eq!((cut.function.to_string().as_str(), cut.rest), ("0000:06:00.0", "net/eth4"));
        assert!(cut.is_direct());
        let bridges: Vec<_> =
            bridges("devices/pci0000:00/0000:00:1c.0/0000:06:00.0").iter().map(ToString::to_string).collect();
        assert_eq!(bridges, ["0000:00:1c.0"]);
    }

    #[test]
    fn a_usb_adapter_is_not_its_controllers() {
        assert!(!cut("devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/net/enx0").unwrap().is_direct());
        assert!(cut("devices/pci0000:00/0000:00:03.0/virtio2/net/eth0").unwrap().is_direct());
        assert!(cut("devices/pci0000:00/0000:06:00.0/mlx5_core.sf.2/net/eth0").unwrap().is_direct());
    }

    #[test]
    fn a_sub_function_is_told_from_other_auxiliary_devices() {
        let of = |rest: &str| {
            let path = format!("devices/pci0000:00/0000:06:00.0/{rest}");
            cut(&path).unwrap().subfunction().map(str::to_owned)
        };
        assert_eq!(of("mlx5_core.sf.2/net/eth0").as_deref(), Some("mlx5_core.sf.2"));
        for rest in [
            "net/eth0",
            "mana.rdma.0/infiniband/mana_0",
            "virtio2/net/eth0",
            "a.sf.x/net/e",
            "a.sf.1.2/net/e",
        ] {
            assert_eq!(of(rest), None, "{rest}");
        }
    }

    #[test]
    fn a_virtual_device_is_on_no_function() {
        assert_eq!(cut("devices/virtual/net/veth0"), None);
    }
}
