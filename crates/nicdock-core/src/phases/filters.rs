//! What the seccomp filters of a process refuse, found out by running them as the kernel does (seccomp(2)).
//!
//! A profile's text says little: what it becomes differs with the library that compiled it, above all for other architectures'
//! calls. So the filters are read from the kernel and asked.

mod secret;

pub use secret::secret;

use std::io;

use nicdock_sys::tracee::Instruction;

use crate::request::Netlink;
use crate::request::sockets::{
    AF_INET, AF_INET6, AF_NETLINK, AF_RDS, AF_SMC, IPPROTO_SMC, IPPROTO_TCP, SOCK_RAW, TCP_ULP,
    TELLING_PROTOCOLS,
};
use crate::seccomp;
use crate::seccomp::machine::run;
use nicdock_sys::tracee;

/// `SECCOMP_RET_ACTION_FULL`, `SECCOMP_RET_LOG`, `SECCOMP_RET_ALLOW` (include/uapi/linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// A way by which a process asks for a socket, or makes another one of it, as a filter sees it.
struct Entry {
    /// `AUDIT_ARCH_*` (include/uapi/linux/audit.h).
    architecture: u32,
    socket: u32,
    socketpair: u32,
    setsockopt: u32,
    /// The call that has socket(2) among others, with its arguments in memory, where no filter sees them; 1 is `SYS_SOCKET`.
    socketcall: Option<u32>,
    io_uring_setup: u32,
}

/// Native, i386, and x32 (bit 30 of the number).
#[cfg(target_arch = "x86_64")]
const ENTRIES: &[Entry] = &[
    Entry {
        architecture: 0xc000_003e,
        socket: 41,
        socketpair: 53,
        setsockopt: 54,
        socketcall: None,
        io_uring_setup: 425,
    },
    Entry {
        architecture: 0x4000_0003,
        socket: 359,
        socketpair: 360,
        setsockopt: 366,
        socketcall: Some(102),
        io_uring_setup: 425,
    },
    Entry {
        architecture: 0xc000_003e,
        socket: 0x4000_0029,
        socketpair: 0x4000_0035,
        setsockopt: 0x4000_021d,
        socketcall: None,
        io_uring_setup: 0x4000_01a9,
    },
];
/// Native, and 32-bit ARM.
#[cfg(target_arch = "aarch64")]
const ENTRIES: &[Entry] = &[
    Entry {
        architecture: 0xc000_00b7,
        socket: 198,
        socketpair: 199,
        setsockopt: 208,
        socketcall: None,
        io_uring_setup: 425,
    },
    Entry {
        architecture: 0x4000_0028,
        socket: 281,
        socketpair: 288,
        setsockopt: 294,
        socketcall: None,
        io_uring_setup: 425,
    },
];
/// Nothing is known of these, so that nothing is taken as refused.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ENTRIES: &[Entry] = &[];

/// socket(2) looks at 32 bits of its arguments; a filter sees 64.
const HIGH_BIT: u64 = 1 << 32;

/// What filters let a process do that shows it others' NICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The call.
    pub way: &'static str,
    /// What sockets it makes.
    pub what: &'static str,
}

impl std::fmt::Display for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} make sockets of {}", self.way, self.what)
    }
}

/// Arguments of socket(2) and what they give.
type Telling = ([u32; 3], &'static str);

/// With `allowed` of netlink.
fn telling(allowed: &[Netlink]) -> Vec<Telling> {
    let mut all: Vec<Telling> =
        TELLING_PROTOCOLS.into_iter().map(|protocol| ([AF_NETLINK, SOCK_RAW, protocol], RDMA)).collect();
    if !allowed.contains(&Netlink::Generic) {
        let generic = Netlink::Generic.number();
        all.push(([AF_NETLINK, SOCK_RAW, generic], "generic netlink, by which SMC lists RDMA devices"));
    }
    let families =
        [[AF_SMC, SOCK_STREAM, 0], [AF_INET, SOCK_STREAM, IPPROTO_SMC], [AF_INET6, SOCK_STREAM, IPPROTO_SMC]];
    all.extend(families.map(|arguments| (arguments, SMC)));
    all.push(([AF_RDS, SOCK_SEQPACKET, 0], "RDS, which picks an RDMA device by address"));
    all
}

const RDMA: &str = "RDMA netlink";
const SMC: &str = "SMC, which picks an RDMA device by address";
const SOCK_STREAM: u32 = 1;
const SOCK_SEQPACKET: u32 = 5;

/// By which way process `pid` can make sockets that bring others' NICs, RDMA netlink first; `None` if its filters refuse each. `allowed`
/// of netlink is its own affair. The process is stopped for a moment.
pub fn lets_through(pid: u32, allowed: &[Netlink]) -> io::Result<Option<Opening>> {
    Ok(opening(&tracee::seccomp_filters(pid)?, allowed))
}

/// Ends whatever makes a call by another entry than the native one, in process `pid`, which waits in a system call, and in all that come of it. For engines whose own
/// filter is in force for other architectures' calls, too; nothing where the kernel has no such entry that nicdock knows.
pub fn keep_native(pid: u32) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    tracee::add_seccomp_filter(pid, &NATIVE_ONLY)?;
    Ok(())
}

/// Makes process `pid`, which waits in a system call and is a container runtime's program still, refuse what no container's program may call, for itself and all that
/// come of it ([`seccomp::of_created`]).
///
/// It is added before the runtime's own, and both count (seccomp(2)).
pub fn add_profile(pid: u32, netlink: &[Netlink]) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        let program = seccomp::compile(&seccomp::of_created(netlink), &[])?;
        tracee::add_seccomp_filter(pid, &seccomp::instructions(&program))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (pid, netlink);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes capabilities, by their numbers, from what programs that process `pid` will execute can have.
pub fn drop_capabilities(pid: u32, capabilities: &[u32]) -> io::Result<()> {
    if capabilities.is_empty() {
        return Ok(());
    }
    #[cfg(target_arch = "x86_64")]
    return tracee::drop_capabilities(pid, capabilities);
    #[cfg(not(target_arch = "x86_64"))]
    Err(io::ErrorKind::Unsupported.into())
}

/// `SECCOMP_RET_KILL_PROCESS` (include/uapi/linux/seccomp.h).
#[cfg(target_arch = "x86_64")]
const KILL: u32 = 0x8000_0000;

/// Over `struct seccomp_data`, which begins with number and architecture. A number of -1 is no x32 call: a tracer sets it to skip one.
#[cfg(target_arch = "x86_64")]
const NATIVE_ONLY: [Instruction; 7] = [
    Instruction { code: 0x20, jt: 0, jf: 0, k: 4 },
    Instruction { code: 0x15, jt: 0, jf: 4, k: 0xc000_003e },
    Instruction { code: 0x20, jt: 0, jf: 0, k: 0 },
    Instruction { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 },
    Instruction { code: 0x15, jt: 0, jf: 1, k: u32::MAX },
    Instruction { code: 0x06, jt: 0, jf: 0, k: ALLOW },
    Instruction { code: 0x06, jt: 0, jf: 0, k: KILL },
];

/// The first way that no filter of `filters` refuses.
pub fn opening(filters: &[Vec<Instruction>], allowed: &[Netlink]) -> Option<Opening> {
    let open = |entry: &Entry, call: u32, arguments: [u64; 3]| {
        filters.iter().all(|filter| is_allowed(filter, entry.architecture, call, arguments))
    };
    if ENTRIES.is_empty() {
        return Some(Opening { way: "socket(2) of an architecture that nicdock does not know", what: RDMA });
    }
    let telling = telling(allowed);
    let as_socket = |[family, kind, protocol]: [u32; 3]| {
        wide(family, protocol).map(|(family, protocol)| [family, kind.into(), protocol])
    };
    let option = wide(IPPROTO_TCP, TCP_ULP).map(|(level, name)| [3, level, name]);
    for entry in ENTRIES {
        for &(arguments, what) in &telling {
            for (call, [native, other]) in [
                (entry.socket, ["socket(2)", "socket(2) of another architecture"]),
                (entry.socketpair, ["socketpair(2)", "socketpair(2) of another architecture"]),
            ] {
                // The kernel has no pairs of netlink sockets, and makes nothing on the way.
                let is_pair = call == entry.socketpair && arguments[0] == AF_NETLINK;
                if !is_pair && as_socket(arguments).into_iter().any(|arguments| open(entry, call, arguments))
                {
                    return Some(Opening { way: if entry.is_native() { native } else { other }, what });
                }
            }
        }
        if option.into_iter().any(|arguments| open(entry, entry.setsockopt, arguments)) {
            return Some(Opening { way: "setsockopt(2)", what: SMC });
        }
        if entry.socketcall.is_some_and(|call| open(entry, call, [1, 0, 0])) {
            return Some(Opening { way: "socketcall(2) of i386", what: RDMA });
        }
        if open(entry, entry.io_uring_setup, [1, 0, 0]) {
            return Some(Opening { way: "io_uring", what: RDMA });
        }
    }
    None
}

/// Two arguments with each of the high bits that the kernel passes over.
fn wide(one: u32, other: u32) -> [(u64, u64); 4] {
    let (one, other) = (u64::from(one), u64::from(other));
    [(0, 0), (HIGH_BIT, 0), (0, HIGH_BIT), (HIGH_BIT, HIGH_BIT)].map(|(a, b)| (one | a, other | b))
}

impl Entry {
    fn is_native(&self) -> bool {
        std::ptr::eq(self, &raw const ENTRIES[0])
    }
}

fn is_allowed(filter: &[Instruction], architecture: u32, call: u32, arguments: [u64; 3]) -> bool {
    // One that cannot be run is taken as one that refuses nothing.
    let answer = run(filter, architecture, call, arguments).unwrap_or(ALLOW);
    matches!(answer & ACTION, ALLOW | LOG)
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    const fn make(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    /// Refuses every call of other architectures and x32, io_uring, and sockets as `sockets` says, which has the number in A.
    fn filter(sockets: &[Instruction]) -> Vec<Instruction> {
        let mut program = vec![
            make(0x20, 0, 0, 4),
            make(0x15, 1, 0, 0xc000_003e),
            make(0x06, 0, 0, 0),
            make(0x20, 0, 0, 0),
            make(0x35, 0, 1, 0x4000_0000),
            make(0x06, 0, 0, 0),
            make(0x15, 0, 1, 425),
            make(0x06, 0, 0, 0x0005_0026),
        ];
        program.extend_from_slice(sockets);
        program.push(make(0x06, 0, 0, ALLOW));
        program
    }

    #[test]
    fn every_entry_but_the_native_one_ends_the_process() {
        let answer = |architecture, call| run(&NATIVE_ONLY, architecture, call, [0; 3]).unwrap();
        for call in [0, 41, 0x3fff_ffff, u32::MAX] {
            assert_eq!(answer(0xc000_003e, call), ALLOW, "{call}");
            assert_eq!(answer(0x4000_0003, call), KILL, "i386 {call}");
        }
        assert_eq!(answer(0xc000_003e, 0x4000_0027), KILL);
        assert_eq!(way(&[NATIVE_ONLY.to_vec()]), Some("socket(2)"));
    }

    /// Refuses these calls as a whole.
    fn refusing(calls: &[u32]) -> Vec<Instruction> {
        let refuse = |call: &u32| [make(0x15, 0, 1, *call), make(0x06, 0, 0, 0x0005_0001)];
        calls.iter().flat_map(refuse).collect()
    }

    fn way(filters: &[Vec<Instruction>]) -> Option<&'static str> {
        opening(filters, &[]).map(|found| found.way)
    }

    #[test]
    fn filters_that_refuse_sockets_let_nothing_through_and_none_lets_everything() {
        let all = refusing(&[41, 53, 54]);
        assert_eq!(way(&[filter(&all)]), None);
        assert_eq!(way(&[filter(&[])]), Some("socket(2)"));
        assert_eq!(way(&[]), Some("socket(2)"));
        // Either of two filters is enough.
        assert_eq!(way(&[filter(&[]), filter(&all)]), None);
    }

    #[test]
    fn each_way_to_another_ones_nic_is_told() {
        assert_eq!(way(&[filter(&refusing(&[41, 54]))]), Some("socketpair(2)"));
        assert_eq!(way(&[filter(&refusing(&[41, 53]))]), Some("setsockopt(2)"));
        // Of netlink everything, or generic only; of the rest nothing.
        let netlink =
            [make(0x15, 0, 3, 41), make(0x20, 0, 0, 16), make(0x15, 0, 1, 16), make(0x06, 0, 0, 0x0005_0001)];
        assert_eq!(opening(&[filter(&netlink)], &[]).map(|found| found.what), Some(SMC));
        let mut others = vec![
            make(0x15, 0, 6, 41),
            make(0x20, 0, 0, 16),
            make(0x15, 0, 3, 16),
            make(0x20, 0, 0, 32),
            make(0x15, 0, 1, 16),
            make(0x06, 0, 0, ALLOW),
            make(0x06, 0, 0, 0x0005_0001),
        ];
        others.extend(refusing(&[53, 54]));
        let found = opening(&[filter(&others)], &[]).unwrap();
        assert!(found.what.starts_with("generic netlink"), "{found}");
        assert_eq!(opening(&[filter(&others)], &[Netlink::Generic]), None);
    }

    #[test]
    fn one_that_compares_64_bits_is_passed_by_with_a_high_bit() {
        let wide = [
            make(0x15, 0, 5, 41),
            make(0x20, 0, 0, 20),
            make(0x15, 0, 3, 0),
            make(0x20, 0, 0, 16),
            make(0x15, 0, 1, 16),
            make(0x06, 0, 0, 0x0005_0001),
        ];
        assert_eq!(way(&[filter(&wide)]), Some("socket(2)"));
    }

    #[test]
    fn one_for_the_native_architecture_alone_is_passed_by_with_i386() {
        let native = [
            make(0x20, 0, 0, 4),
            make(0x15, 0, 1, 0xc000_003e),
            make(0x06, 0, 0, 0),
            make(0x06, 0, 0, ALLOW),
        ];
        assert_eq!(way(&[native.to_vec()]), Some("socket(2) of another architecture"));
    }
}
