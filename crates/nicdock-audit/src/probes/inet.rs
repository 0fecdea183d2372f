//! `socket.inet.*`, `socket.inet6.*`: protocols of the internet's families beyond those that every container may have, and
//! `socket.tcp_ulp.*`: making another socket of one of TCP's.

use std::time::{Duration, Instant};

use super::netlink::HIGH;
use crate::kernel::errno::Errno;
use crate::kernel::socket;
use crate::probe::{Finding, Probe};

const FAMILIES: [(u64, &str); 2] = [(2, "inet"), (10, "inet6")];
/// The default, ICMP, TCP, UDP, ICMPv6, SCTP, UDP-Lite, MPTCP: each stays in its network namespace.
const LISTED: [u64; 8] = [0, 1, 6, 17, 58, 132, 136, 262];
/// `IPPROTO_MAX - 1` (include/uapi/linux/in.h).
const LAST: u64 = 262;
/// `SOCK_STREAM`, `SOCK_DGRAM`, `SOCK_SEQPACKET`. Not `SOCK_RAW`: that makes a header with any number, and needs CAP_NET_RAW.
const TYPES: [u64; 3] = [1, 2, 5];
/// Of no protocol of these families (`SOCK_RDM`): the kernel says `ESOCKTNOSUPPORT`, a filter of protocols what it says of the number.
const NO_TYPE: u64 = 4;
/// Name, type and number of those that kernels have: SMC picks an RDMA device by address.
const OTHERS: [(&str, u64, u64); 3] = [("smc", 1, 256), ("l2tp", 2, 115), ("dccp", 6, 33)];
const SMC: u64 = 256;
/// For all numbers: a kernel that nothing asks before looks for two modules for each.
const A_SCAN: Duration = Duration::from_secs(8);

pub fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (family, name) in FAMILIES {
        for (protocol, kind, number) in OTHERS {
            probes.push(Probe::new(format!("socket.{name}.{protocol}"), move |_| one(family, kind, number)));
        }
        probes.push(Probe::new(format!("socket.{name}.smc.high"), move |_| {
            one(family | HIGH, 1 | HIGH, SMC | HIGH)
        }));
        probes.push(Probe::new(format!("socket.{name}.smc.x32"), move |_| {
            other_entry("x32", family, || socket::x32(family, 1, SMC).map(drop))
        }));
        let domain = u32::try_from(family).unwrap_or_default();
        probes.push(Probe::new(format!("socket.{name}.smc.i386"), move |_| {
            other_entry("i386", family, || socket::i386(domain, 1, 256).map(drop))
        }));
        probes.push(Probe::new(format!("socket.{name}.smc.i386_socketcall"), move |_| {
            other_entry("i386", family, || socket::i386_socketcall(domain, 1, 256).map(drop))
        }));
        probes.push(Probe::new(format!("socket.{name}.unlisted"), move |_| unlisted(family)));
    }
    probes.extend(ulp());
    probes
}

fn one(family: u64, kind: u64, number: u64) -> Finding {
    judge(
        &format!("socket({family:#x}, {kind:#x}, {number:#x})"),
        family,
        socket::socket(family, kind, number).map(drop),
    )
}

fn other_entry(entry: &str, family: u64, attempt: impl FnOnce() -> Result<(), Errno>) -> Finding {
    match socket::has_entry(entry) {
        Err(reason) => Finding::not_applicable(reason),
        Ok(()) => judge(&format!("{entry} socket({family}, SOCK_STREAM, {SMC})"), family, attempt()),
    }
}

/// A protocol that the kernel does not have cannot be had by anybody, where it is the kernel that says so.
fn judge(what: &str, family: u64, result: Result<(), Errno>) -> Finding {
    match result {
        Err(Errno(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT)) if asks_kernel(family) => {
            Finding::not_applicable(format!("EPROTONOSUPPORT: the kernel has no such protocol: {what}"))
        }
        result => Finding::of(what, result),
    }
}

/// Whether nothing looks at the protocol before the kernel does.
fn asks_kernel(family: u64) -> bool {
    matches!(socket::socket(family, NO_TYPE, SMC), Err(Errno(libc::ESOCKTNOSUPPORT)))
}

/// Every number, first those that kernels have.
fn unlisted(family: u64) -> Finding {
    let begin = Instant::now();
    let first = OTHERS.map(|(_, kind, number)| (kind, number));
    let all = (0..=LAST).flat_map(|number| TYPES.map(|kind| (kind, number)));
    for (kind, number) in first.into_iter().chain(all).filter(|(_, number)| !LISTED.contains(number)) {
        if socket::socket(family, kind, number).is_ok() {
            return Finding::open(format!("socket({family}, {kind}, {number}): succeeded"));
        }
        if begin.elapsed() > A_SCAN {
            return Finding::open(format!("not concluded: the kernel was still asked at protocol {number}"));
        }
    }
    let what = format!("socket({family}, 1|2|5, 0 to {LAST})");
    if asks_kernel(family) {
        return Finding::not_applicable(format!(
            "EPROTONOSUPPORT: the kernel has no protocol but those of every container: {what}"
        ));
    }
    Finding::closed(format!("{what}: none but {LISTED:?} can be made"))
}

const TCP: u64 = 6;
const TCP_ULP: u64 = 31;

/// A name of no length is `EINVAL`, if the option is looked at at all (`do_tcp_setsockopt()`): no module is asked.
fn ulp() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (way, level, name) in [
        ("", TCP, TCP_ULP),
        (".high_level", TCP | HIGH, TCP_ULP),
        (".high_name", TCP, TCP_ULP | HIGH),
        (".high_all", TCP | HIGH << 31, TCP_ULP | HIGH << 31),
    ] {
        probes.push(Probe::new(format!("socket.tcp_ulp{way}"), move |_| {
            option(&format!("setsockopt({level:#x}, {name:#x})"), |fd| socket::option(fd, level, name, b""))
        }));
    }
    for (way, entry, attempt) in [
        ("x32", "x32", socket::x32_option as fn(u64, u32, u32) -> Result<(), Errno>),
        ("i386", "i386", socket::i386_option),
        ("i386_socketcall", "i386", socket::i386_socketcall_option),
    ] {
        probes.push(Probe::new(format!("socket.tcp_ulp.{way}"), move |_| match socket::has_entry(entry) {
            Err(reason) => Finding::not_applicable(reason),
            Ok(()) => option(&format!("{way} setsockopt(IPPROTO_TCP, TCP_ULP)"), |fd| attempt(fd, 6, 31)),
        }));
    }
    probes.push(Probe::new("socket.tcp_ulp.smc", |_| {
        let what = "setsockopt(IPPROTO_TCP, TCP_ULP, \"smc\")";
        let reached =
            option(what, |fd| socket::option(fd, TCP, TCP_ULP, b"")).verdict == crate::Verdict::Open;
        match with_tcp(|fd| socket::option(fd, TCP, TCP_ULP, b"smc")) {
            Err(Errno(libc::ENOENT)) if reached => {
                Finding::not_applicable(format!("ENOENT: the kernel has no such kind of TCP loaded: {what}"))
            }
            result => Finding::of(what, result),
        }
    }));
    probes
}

fn option(what: &str, attempt: impl FnOnce(u64) -> Result<(), Errno>) -> Finding {
    Finding::unless_reached(what, with_tcp(attempt), &[libc::EINVAL])
}

/// With a TCP socket of its own.
fn with_tcp(attempt: impl FnOnce(u64) -> Result<(), Errno>) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let socket = socket::socket(2, 1, 0)?;
    attempt(u64::try_from(socket.as_raw_fd()).unwrap_or(u64::MAX))
}
