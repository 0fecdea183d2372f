//! PCI functions and the bridges above them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Domain, bus, device and function, as in `0000:06:00.0`. A domain may need more than 16 bits (VMD, Hyper-V).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

/// Why a text is not a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a PCI address (expected domain:bus:device.function in hexadecimal, like 0000:06:00.0)")]
pub struct ParsePciAddressError(pub String);

impl FromStr for PciAddress {
    type Err = ParsePciAddressError;

    /// Accepts `0000:06:00.0` and, as lspci prints it, `06:00.0`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParsePciAddressError(text.to_owned());
        let hex = |part: &str, digits: std::ops::RangeInclusive<usize>| {
            let valid = digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            if valid { u32::from_str_radix(part, 16).ok() } else { None }
        };
        let (rest, function) = text.rsplit_once('.').ok_or_else(bad)?;
        let mut parts = rest.rsplitn(3, ':');
        let device = parts.next().and_then(|p| hex(p, 2..=2)).filter(|d| *d < 32).ok_or_else(bad)?;
        let bus = parts.next().and_then(|p| hex(p, 2..=2)).ok_or_else(bad)?;
        let domain = parts.next().map_or(Some(0), |p| hex(p, 4..=8)).ok_or_else(bad)?;
        let function = hex(function, 1..=1).filter(|f| *f < 8).ok_or_else(bad)?;
        // Every part was checked to fit above.
        #[allow(clippy::cast_possible_truncation)]
        Ok(Self { domain, bus: bus as u8, device: device as u8, function: function as u8 })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{}", self.domain, self.bus, self.device, self.function)
    }
}

impl fmt::Debug for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PciAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One PCI function: a NIC, a virtual function, or a bridge above one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PciFunction {
    pub address: PciAddress,
    /// Path below `/sys`, without links: `devices/pci0000:00/0000:00:03.0/0000:06:00.0`.
    pub sysfs: String,
    /// `vendor`, `device`, `subsystem_vendor`, `subsystem_device` and `class` (24 bits) from configuration space.
    pub vendor: u16,
    pub device: u16,
    pub subsystem_vendor: u16,
    pub subsystem_device: u16,
    pub class: u32,
    /// The bound driver's name, if one is bound.
    pub driver: Option<String>,
    /// NUMA node; `None` where the firmware does not say (sysfs: -1).
    pub numa_node: Option<u32>,
    /// Bridges above it, root port first.
    pub bridges: Vec<PciAddress>,
    /// Physical function this is a virtual function of.
    pub pf: Option<PciAddress>,
    /// Virtual functions of this physical function, by number (`virtfn0`, …).
    pub vfs: Vec<PciAddress>,
    /// IOMMU group number, if there is an IOMMU.
    pub iommu_group: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_printed_as_it_was_read() {
        for text in ["0000:06:00.0", "10000:e1:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
        assert_eq!("06:00.1".parse::<PciAddress>().unwrap().to_string(), "0000:06:00.1");
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", "eth0", "06:00", "0000:06:20.0", "0000:06:00.8", "+000:06:00.0", "0000:0006:00.0", "0:6:0.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }
}
