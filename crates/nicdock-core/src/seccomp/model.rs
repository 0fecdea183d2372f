//! The filter as the kernel would run it, on machines that are not at hand: the profile is compiled for each architecture, and
//! its BPF is interpreted.

use libseccomp::ScmpArch;

use super::{compile, instructions, machine, profile};
use crate::request::{Netlink, Sockets};
use nicdock_sys::tracee::Instruction;

/// `SECCOMP_RET_ALLOW`, `SECCOMP_RET_ERRNO | ENOSYS`, `… | EPERM` (include/uapi/linux/seccomp.h).
const ALLOW: u32 = 0x7fff_0000;
const ENOSYS: u32 = 0x0005_0026;
const EPERM: u32 = 0x0005_0001;
const ENOENT: u32 = 0x0005_0002;
const EPROTONOSUPPORT: u32 = 0x0005_005d;
const EAFNOSUPPORT: u32 = 0x0005_0061;
/// `AUDIT_ARCH_*` (include/uapi/linux/audit.h).
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;

/// The profile of a container without extra capabilities, compiled for this machine and one more architecture.
fn compiled(architecture: ScmpArch, netlink: &[Netlink]) -> Vec<Instruction> {
    let profile = profile(&[], &Sockets::with(&[], netlink));
    let bytes = compile(&profile, &[architecture]).unwrap();
    instructions(&bytes)
}

fn run(program: &[Instruction], architecture: u32, call: u32, arguments: [u64; 3]) -> u32 {
    machine::run(program, architecture, call, arguments).unwrap()
}

/// Numbers of calls on one architecture.
struct Calls {
    socket: u32,
    socketpair: u32,
    setsockopt: u32,
    read: u32,
    /// `io_uring_setup`, `unshare`, `syslog`, `keyctl`.
    refused: [u32; 4],
}

/// arm64's (include/uapi/asm-generic/unistd.h), and x86-64's.
const ARM: Calls =
    Calls { socket: 198, socketpair: 199, setsockopt: 208, read: 63, refused: [425, 97, 116, 219] };
const INTEL: Calls =
    Calls { socket: 41, socketpair: 53, setsockopt: 54, read: 0, refused: [425, 272, 103, 250] };

/// 16, 20 and 15 with a bit set that the kernel does not look at.
const HIGH_16: u64 = 0x1_0000_0010;
const HIGH_20: u64 = 0x1_0000_0014;
const HIGH_15: u64 = 0x1_0000_000f;
const HIGH_2: u64 = 0x1_0000_0002;
const HIGH: u64 = 0x1_0000_0000;

/// Types.
const STREAM: u64 = 1;
const DATAGRAM: u64 = 2;
const RAW: u64 = 3;

fn closes(program: &[Instruction], architecture: u32, calls: &Calls) {
    let ask = |call, arguments| run(program, architecture, call, arguments);
    let socket = |domain, kind, protocol| ask(calls.socket, [domain, kind, protocol]);
    for (domain, protocol) in [(16, 20), (16, 15), (HIGH_16, 20), (16, HIGH_20), (HIGH_16, HIGH_15)] {
        assert_eq!(socket(domain, RAW, protocol), EPERM, "{domain:#x} {protocol:#x}");
    }
    for (domain, kind, protocol) in [
        (16, RAW, 0),
        (16, RAW, 4),
        (1, STREAM, 0),
        (2, DATAGRAM, 17),
        (10, STREAM, 6),
        (10, DATAGRAM, 58),
        (2, STREAM | 0o2_004_000, 262),
        (2, 5, 132),
        (2, RAW, 255),
        (10, RAW | 0o2_000_000, 89),
        (17, RAW, 0x300),
        (HIGH_2, STREAM, 6 | HIGH),
    ] {
        assert_eq!(socket(domain, kind, protocol), ALLOW, "{domain:#x} {kind} {protocol:#x}");
    }
    // Generic netlink, audit, and a number that netlink has not; SMC, DCCP and L2TP.
    for (domain, kind, protocol) in [
        (16, RAW, 16),
        (16, RAW, 9),
        (16, RAW, 9 | HIGH),
        (16, RAW, 77),
        (2, STREAM, 256),
        (HIGH_2, STREAM, 256 | HIGH),
        (10, STREAM, 256),
        (2, RAW, 256),
        (2, 6, 33),
        (10, DATAGRAM, 115),
    ] {
        assert_eq!(socket(domain, kind, protocol), EPROTONOSUPPORT, "{domain:#x} {kind} {protocol:#x}");
    }
    assert_eq!(socket(2, STREAM, 146), ENOSYS);
    for domain in [0, 21, 38, 40, 43, HIGH + 43, 48, 1 << 31] {
        assert_eq!(socket(domain, STREAM, 0), EAFNOSUPPORT, "{domain:#x}");
        assert_eq!(ask(calls.socketpair, [domain, STREAM, 0]), EAFNOSUPPORT, "{domain:#x}");
    }
    assert_eq!(ask(calls.socketpair, [1, STREAM, 0]), ALLOW);
    for domain in [2, 10, 16] {
        assert_eq!(ask(calls.socketpair, [domain, STREAM, 256]), EAFNOSUPPORT, "{domain}");
    }
    let option = |level, name| ask(calls.setsockopt, [3, level, name]);
    for (level, name) in [(6, 31), (6 | HIGH, 31), (6, 31 | HIGH), (6 | HIGH << 31, 31 | HIGH)] {
        assert_eq!(option(level, name), ENOENT, "{level:#x} {name:#x}");
    }
    for level in [0, 1, 7, 41, 58, 263, 270, 282, 284, 286, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(option(level, 31), ALLOW, "{level:#x}");
    }
    for name in (0..64).filter(|name| *name != 31).chain([31 | 1 << 31, u64::from(u32::MAX)]) {
        assert_eq!(option(6, name), ALLOW, "{name:#x}");
    }
    for call in calls.refused {
        assert_eq!(ask(call, [0, 0, 0]), ENOSYS, "{call}");
    }
    assert_eq!(ask(calls.read, [0, 0, 0]), ALLOW);
}

#[test]
fn the_same_is_closed_on_arm64_as_on_x86_64() {
    closes(&compiled(ScmpArch::Aarch64, &[]), AARCH64, &ARM);
    closes(&compiled(ScmpArch::X8664, &[]), X86_64, &INTEL);
}

#[test]
fn calls_of_another_architecture_end_the_program() {
    let native = compiled(ScmpArch::X8664, &[]);
    // i386's socketcall, and x32's socket (__X32_SYSCALL_BIT).
    for (architecture, call) in [(I386, 102), (X86_64, 0x4000_0029), (AARCH64, 198)] {
        let answer = run(&native, architecture, call, [16, 3, 20]);
        assert!(answer != ALLOW, "{architecture:#x} {call:#x}: {answer:#x}");
    }
}

#[test]
fn generic_netlink_is_given_to_who_asks_for_it_and_nothing_else() {
    let program = compiled(ScmpArch::X8664, &[Netlink::Generic]);
    let answer = |protocol| run(&program, X86_64, INTEL.socket, [16, RAW, protocol]);
    assert_eq!(answer(16), ALLOW);
    assert_eq!((answer(9), answer(20), answer(17)), (EPROTONOSUPPORT, EPERM, EPROTONOSUPPORT));
}
