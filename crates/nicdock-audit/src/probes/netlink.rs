//! `netlink.*`: every netlink protocol, by every entry and with high bits set.

use crate::kernel::errno::Errno;
use crate::kernel::socket;
use crate::probe::{Finding, Probe};

const AF_NETLINK: u64 = 16;
/// A bit that the kernel does not look at, and a filter may.
pub const HIGH: u64 = 1 << 32;
const RAW: u64 = 3;
const STREAM: u64 = 1;

/// `include/uapi/linux/netlink.h`.
const NAMES: [&str; 32] = [
    "route",
    "unused",
    "usersock",
    "firewall",
    "sock_diag",
    "nflog",
    "xfrm",
    "selinux",
    "iscsi",
    "audit",
    "fib_lookup",
    "connector",
    "netfilter",
    "ip6_fw",
    "dnrtmsg",
    "kobject_uevent",
    "generic",
    "17",
    "scsitransport",
    "ecryptfs",
    "rdma",
    "crypto",
    "smc",
    "23",
    "24",
    "25",
    "26",
    "27",
    "28",
    "29",
    "30",
    "31",
];

/// What every container's programs need, and what shows only its own network namespace: route, sock_diag.
/// What these give of others is for `route.*` to find.
const ALLOWED: [u64; 2] = [0, 4];

/// Those that reach beyond the network namespace: tried by every way. What generic netlink gives is for `generic.*` to find.
const GLOBAL: [u64; 3] = [15, 16, 20];

pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (protocol, name) in (0_u64..).zip(NAMES) {
        if !ALLOWED.contains(&protocol) {
            probes.push(Probe::new(format!("netlink.{name}"), move |_| {
                judge(
                    &format!("socket(AF_NETLINK, SOCK_RAW, {protocol})"),
                    protocol,
                    socket::socket(AF_NETLINK, RAW, protocol),
                )
            }));
        }
    }
    for protocol in GLOBAL {
        let name = NAMES[usize::try_from(protocol).unwrap_or_default()];
        for (way, domain, kind, number) in [
            ("high_protocol", AF_NETLINK, RAW, protocol | HIGH),
            ("high_domain", AF_NETLINK | HIGH, RAW, protocol),
            ("high_type", AF_NETLINK, RAW | HIGH, protocol),
            ("high_all", AF_NETLINK | HIGH << 31, RAW | HIGH << 31, protocol | HIGH << 31),
            ("datagram", AF_NETLINK, 2, protocol),
            ("flags", AF_NETLINK, RAW | 0o2_004_000, protocol),
        ] {
            probes.push(Probe::new(format!("netlink.{name}.{way}"), move |_| {
                judge(
                    &format!("socket({domain:#x}, {kind:#x}, {number:#x})"),
                    protocol,
                    socket::socket(domain, kind, number),
                )
            }));
        }
        probes.push(Probe::new(format!("netlink.{name}.x32"), move |_| {
            other_entry("x32", &format!("x32 socket(AF_NETLINK, SOCK_RAW, {protocol})"), protocol, || {
                socket::x32(AF_NETLINK, RAW, protocol).map(drop)
            })
        }));
        probes.push(Probe::new(format!("netlink.{name}.x32_high"), move |_| {
            other_entry(
                "x32",
                &format!("x32 socket(AF_NETLINK, SOCK_RAW, 1<<32 | {protocol})"),
                protocol,
                || socket::x32(AF_NETLINK, RAW, protocol | HIGH).map(drop),
            )
        }));
        let number = u32::try_from(protocol).unwrap_or_default();
        probes.push(Probe::new(format!("netlink.{name}.i386"), move |_| {
            other_entry("i386", &format!("i386 socket(AF_NETLINK, SOCK_RAW, {number})"), protocol, || {
                socket::i386(16, 3, number).map(drop)
            })
        }));
        probes.push(Probe::new(format!("netlink.{name}.i386_socketcall"), move |_| {
            other_entry(
                "i386",
                &format!("i386 socketcall(SYS_SOCKET, AF_NETLINK, SOCK_RAW, {number})"),
                protocol,
                || socket::i386_socketcall(16, 3, number).map(drop),
            )
        }));
    }
    probes
}

/// A protocol that the kernel does not have cannot be had by anybody, where it is the kernel that says so: it looks at the type first
/// (`netlink_create()`), while what refuses the protocol before says the same of every type.
fn judge<T>(what: &str, protocol: u64, result: Result<T, Errno>) -> Finding {
    match result {
        Err(Errno(libc::EPROTONOSUPPORT))
            if matches!(socket::socket(AF_NETLINK, STREAM, protocol), Err(Errno(libc::ESOCKTNOSUPPORT))) =>
        {
            Finding::not_applicable("EPROTONOSUPPORT: the kernel has no such netlink protocol")
        }
        result => Finding::of(what, result),
    }
}

/// Tries by another entry, if the kernel has it.
fn other_entry(
    name: &str,
    what: &str,
    protocol: u64,
    attempt: impl FnOnce() -> Result<(), Errno>,
) -> Finding {
    match socket::has_entry(name) {
        Err(reason) => Finding::not_applicable(reason),
        Ok(()) => judge(what, protocol, attempt()),
    }
}
