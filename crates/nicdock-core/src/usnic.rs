//! What is peculiar to usNIC: its stock driver (`drivers/infiniband/hw/usnic`) and libfabric's provider.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Pinned memory that libfabric's usnic provider needs (measured with 1.17 and 2.1: 4 MiB fails at fi_enable with ENOMEM,
/// 8 MiB works).
pub const LIBFABRIC_MEMLOCK: u64 = 8 << 20;

/// The IPv4 address in usNIC's only GID, `fe80:0000:<IPv4>:<EUI-64>` (`usnic_mac_ip_to_gid()`, usnic_common_util.h); zeroes
/// while the driver knows none.
pub fn address_in_gid(gid: Ipv6Addr) -> Ipv4Addr {
    let octets = gid.octets();
    Ipv4Addr::new(octets[4], octets[5], octets[6], octets[7])
}

/// The last kernel whose `usnic_verbs` is known to register memory.
const LAST_THAT_REGISTERS: (u32, u32) = (6, 12);

/// Whether REG_MR on usNIC must be expected to crash in a kernel of this release (`uname -r`).
///
/// `USNIC_UIOM_PAGE_CHUNK` of `usnic_uiom.c` takes the address of an element of a `__counted_by()` array behind a NULL
/// pointer. A compiler that checks such an index reads the count through that pointer: `usnic_uiom_reg_get()` oopses, and
/// the process can never be killed, since it dies holding its own `mmap_lock`. Measured: 6.1 and 6.12 register memory,
/// 7.2 oopses. Whatever is newer than 6.12 counts as broken, and so does a release that cannot be read: to be wrong that
/// way costs a check, the other way a process for ever.
pub fn memory_registration_is_broken(kernel_release: &str) -> bool {
    version(kernel_release).is_none_or(|version| version > LAST_THAT_REGISTERS)
}

/// `(6, 12)` of `6.12.57+deb13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usnics_gid_tells_its_address() {
        let address = |gid: &str| address_in_gid(gid.parse().unwrap());
        assert_eq!(address("fe80:0000:0a4e:0102:5054:00ff:fe56:4901"), Ipv4Addr::new(10, 78, 1, 2));
        assert_eq!(address("0000:0000:0000:0000:0000:0000:0000:0000"), Ipv4Addr::UNSPECIFIED);
    }

    #[test]
    fn kernels_up_to_6_12_register_memory_and_later_ones_are_not_trusted_to() {
        for good in ["5.15.0-100-generic", "6.1.0-40-amd64", "6.12.57+deb13-amd64", "6.12", "6.9-rc3"] {
            assert!(!memory_registration_is_broken(good), "{good}");
        }
        for broken in ["6.13.0", "6.18.2-arch1-1", "7.2.13+deb14-amd64", "10.0"] {
            assert!(memory_registration_is_broken(broken), "{broken}");
        }
    }

    #[test]
    fn a_release_that_cannot_be_read_is_not_trusted() {
        for unknown in ["", "linux", "6", "6.x", "six.12"] {
            assert!(memory_registration_is_broken(unknown), "{unknown}");
        }
    }
}
