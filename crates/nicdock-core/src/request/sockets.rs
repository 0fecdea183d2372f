//! Which sockets a container's programs may make, as values: what seccomp and the BPF program are made of.

use serde::{Deserialize, Serialize};

use super::{Family, Netlink};

pub const AF_INET: u32 = 2;
pub const AF_INET6: u32 = 10;
pub const AF_NETLINK: u32 = 16;
pub const AF_RDS: u32 = 21;
pub const AF_SMC: u32 = 43;
/// `SOCK_RAW`, and the bits of a type that are not flags (`SOCK_TYPE_MASK`, include/linux/net.h).
pub const SOCK_RAW: u32 = 3;
pub const TYPE_MASK: u32 = 0xf;

/// Protocols of inet and inet6 (include/uapi/linux/in.h). Each works in its socket's network namespace alone and reaches no RDMA device.
///
/// TCP, UDP, UDP-Lite, ICMP (ping without privileges, `net.ipv4.ping_group_range`) and MPTCP, which Go's programs listen with, are part of
/// the kernel; SCTP is a module that programs of telephony and clusters want. Not SMC (256), which is `AF_SMC` by another name and picks
/// an RDMA device; not DCCP (33) and L2TP (115), modules that no program of the field uses; nor what comes later.
pub const INET_PROTOCOLS: [u32; 8] = [0, 1, 6, 17, 58, 132, 136, 262];
/// A raw socket's protocol is a number in a header, of which there are so many; the kernel asks for CAP_NET_RAW (`inet_create()`), and
/// finds no module by it.
pub const RAW_PROTOCOLS: u32 = 256;
/// `IPPROTO_SMC`, from Linux 6.11.
pub const IPPROTO_SMC: u32 = 256;

/// Of netlink, refused by every layer whatever is allowed: `KOBJECT_UEVENT` brings the host's hotplug events to everybody; `RDMA` lists
/// every RDMA device and lets root rename and delete them. Their user space takes `EPERM` for what it is: rdma-core then reads sysfs.
pub const TELLING_PROTOCOLS: [u32; 2] = [15, 20];

/// setsockopt(2) of this level and name turns a TCP socket into one of what another module makes of it (`tcp_set_ulp()`): of SMC, or TLS
/// in the kernel.
pub const IPPROTO_TCP: u32 = 6;
pub const TCP_ULP: u32 = 31;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// Address families; those of the internet with [`INET_PROTOCOLS`] only.
    pub families: Vec<Family>,
    #[serde(default = "Netlink::default_set")]
    pub netlink: Vec<Netlink>,
}

impl Sockets {
    /// What every container may make, and these.
    pub fn with(families: &[Family], netlink: &[Netlink]) -> Self {
        let mut all = Family::default_set();
        all.extend(families.iter().cloned());
        all.sort_by_key(|family| family.number);
        all.dedup();
        let mut protocols = Netlink::default_set();
        protocols.extend(netlink);
        protocols.sort_unstable();
        protocols.dedup();
        Self { families: all, netlink: protocols }
    }

    /// Families without a rule for their protocols.
    pub fn plain_families(&self) -> impl Iterator<Item = u32> {
        self.families.iter().map(|family| family.number).filter(|number| !is_inet(*number))
    }

    /// Those that have one.
    pub fn inet_families(&self) -> impl Iterator<Item = u32> {
        self.families.iter().map(|family| family.number).filter(|number| is_inet(*number))
    }

    pub fn netlink_numbers(&self) -> impl Iterator<Item = u32> {
        self.netlink.iter().map(|protocol| protocol.number())
    }
}

fn is_inet(family: u32) -> bool {
    family == AF_INET || family == AF_INET6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_in_addition_is_there_once() {
        let alg: Family = "alg".parse().unwrap();
        let sockets = Sockets::with(&[alg.clone(), alg], &[Netlink::Generic, Netlink::Generic]);
        assert_eq!(sockets.plain_families().filter(|family| *family == 38).count(), 1);
        assert_eq!(sockets.netlink_numbers().collect::<Vec<_>>(), [0, 4, 16]);
        assert_eq!(Sockets::with(&[], &[]).netlink_numbers().collect::<Vec<_>>(), [0, 4]);
        assert_eq!(sockets.inet_families().collect::<Vec<_>>(), [AF_INET, AF_INET6]);
    }
}
