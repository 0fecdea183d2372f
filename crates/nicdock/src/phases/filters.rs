//! What the seccomp filters of a process refuse, found out by running them as the kernel does (seccomp(2)).
//!
//! A profile's text says little: what it becomes differs with the library that compiled it, above all for other architectures'
//! calls. So the filters are read from the kernel and asked.

use std::io;

use nicdock_audit::identity::Instruction;

use crate::kernel::tracee;

/// `SECCOMP_RET_ACTION_FULL`, `SECCOMP_RET_LOG`, `SECCOMP_RET_ALLOW` (include/uapi/linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// A way by which a process asks for a socket, as a filter sees it.
struct Entry {
    /// `AUDIT_ARCH_*` (include/uapi/linux/audit.h).
    architecture: u32,
    socket: u32,
    /// The call that has socket(2) among others, with its arguments in memory, where no filter sees them; 1 is `SYS_SOCKET`.
    socketcall: Option<u32>,
    io_uring_setup: u32,
}

/// Native, i386, and x32 (bit 30 of the number).
#[cfg(target_arch = "x86_64")]
const ENTRIES: &[Entry] = &[
    Entry { architecture: 0xc000_003e, socket: 41, socketcall: None, io_uring_setup: 425 },
    Entry { architecture: 0x4000_0003, socket: 359, socketcall: Some(102), io_uring_setup: 425 },
    Entry { architecture: 0xc000_003e, socket: 0x4000_0029, socketcall: None, io_uring_setup: 0x4000_01a9 },
];
/// Native, and 32-bit ARM.
#[cfg(target_arch = "aarch64")]
const ENTRIES: &[Entry] = &[
    Entry { architecture: 0xc000_00b7, socket: 198, socketcall: None, io_uring_setup: 425 },
    Entry { architecture: 0x4000_0028, socket: 281, socketcall: None, io_uring_setup: 425 },
];
/// Nothing is known of these, so that nothing is taken as refused.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ENTRIES: &[Entry] = &[];

const AF_NETLINK: u64 = 16;
/// `NETLINK_KOBJECT_UEVENT` and `NETLINK_RDMA`.
const TELLING_PROTOCOLS: [u64; 2] = [15, 20];
/// socket(2) looks at 32 bits of its arguments; a filter sees 64.
const HIGH_BIT: u64 = 1 << 32;

/// By which way process `pid` can make sockets of RDMA netlink or of uevents; `None` if its filters refuse each. The process is stopped for a moment.
pub fn lets_through(pid: u32) -> io::Result<Option<&'static str>> {
    Ok(opening(&tracee::seccomp_filters(pid)?))
}

/// Ends whatever makes a call by another entry than the native one, in process `pid`, which waits in a system call, and in all that come of it. For engines whose own
/// filter is in force for other architectures' calls, too; nothing where the kernel has no such entry that nicdock knows.
pub fn keep_native(pid: u32) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    tracee::add_seccomp_filter(pid, &NATIVE_ONLY)?;
    Ok(())
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
fn opening(filters: &[Vec<Instruction>]) -> Option<&'static str> {
    let open = |entry: &Entry, call: u32, arguments: [u64; 3]| {
        filters.iter().all(|filter| is_allowed(filter, entry.architecture, call, arguments))
    };
    if ENTRIES.is_empty() {
        return Some("socket(2) of an architecture that nicdock does not know");
    }
    for entry in ENTRIES {
        for protocol in TELLING_PROTOCOLS {
            for (family_bits, protocol_bits) in [(0, 0), (HIGH_BIT, 0), (0, HIGH_BIT), (HIGH_BIT, HIGH_BIT)] {
                let arguments = [AF_NETLINK | family_bits, 3, protocol | protocol_bits];
                if open(entry, entry.socket, arguments) {
                    return Some(if entry.is_native() {
                        "socket(2)"
                    } else {
                        "socket(2) of another architecture"
                    });
                }
            }
        }
        if entry.socketcall.is_some_and(|call| open(entry, call, [1, 0, 0])) {
            return Some("socketcall(2) of i386");
        }
        if open(entry, entry.io_uring_setup, [1, 0, 0]) {
            return Some("io_uring");
        }
    }
    None
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

/// What a filter answers to a call: classic BPF over `struct seccomp_data`, which has number, architecture, instruction pointer and six
/// arguments (Documentation/networking/filter.rst). `None` for a program that the kernel would not have taken.
pub fn run(program: &[Instruction], architecture: u32, call: u32, arguments: [u64; 3]) -> Option<u32> {
    let mut data = vec![call, architecture, 0, 0];
    for argument in arguments {
        #[allow(clippy::cast_possible_truncation)]
        data.extend([argument as u32, (argument >> 32) as u32]);
    }
    data.resize(16, 0);
    let (mut a, mut x) = (0_u32, 0_u32);
    let mut memory = [0_u32; 16];
    let mut at = 0_usize;
    loop {
        let Instruction { code, jt, jf, k } = program.get(at)?;
        let place = *k as usize;
        at += 1;
        // Jumps go forward only, so this ends.
        match *code {
            0x20 => a = *data.get(place / 4)?,   // LD W ABS
            0x80 => a = 64,                      // LD W LEN
            0x81 => x = 64,                      // LDX W LEN
            0x00 => a = *k,                      // LD IMM
            0x01 => x = *k,                      // LDX IMM
            0x60 => a = *memory.get(place)?,     // LD MEM
            0x61 => x = *memory.get(place)?,     // LDX MEM
            0x02 => *memory.get_mut(place)? = a, // ST
            0x03 => *memory.get_mut(place)? = x, // STX
            0x07 => x = a,                       // MISC TAX
            0x87 => a = x,                       // MISC TXA
            0x84 => a = a.wrapping_neg(),        // ALU NEG
            0x05 => at = at.checked_add(place)?, // JMP JA
            0x06 => return Some(*k),             // RET K
            0x16 => return Some(a),              // RET A
            code if code & 0x07 == 0x04 => {
                a = compute(code & 0xf0, a, if code & 0x08 == 0 { *k } else { x })?;
            }
            code if code & 0x07 == 0x05 => {
                let with = if code & 0x08 == 0 { *k } else { x };
                let holds = match code & 0xf0 {
                    0x10 => a == with,
                    0x20 => a > with,
                    0x30 => a >= with,
                    0x40 => a & with != 0,
                    _ => return None,
                };
                at += usize::from(if holds { *jt } else { *jf });
            }
            _ => return None,
        }
    }
}

fn compute(operation: u16, a: u32, with: u32) -> Option<u32> {
    Some(match operation {
        0x00 => a.wrapping_add(with),
        0x10 => a.wrapping_sub(with),
        0x20 => a.wrapping_mul(with),
        0x30 => a.checked_div(with)?,
        0x40 => a | with,
        0x50 => a & with,
        0x60 => a.checked_shl(with)?,
        0x70 => a.checked_shr(with)?,
        0xa0 => a ^ with,
        _ => return None,
    })
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
        assert_eq!(opening(&[NATIVE_ONLY.to_vec()]), Some("socket(2)"));
    }

    #[test]
    fn a_filter_that_refuses_netlink_sockets_lets_nothing_through_and_none_lets_everything() {
        let refuses =
            [make(0x15, 0, 3, 41), make(0x20, 0, 0, 16), make(0x15, 0, 1, 16), make(0x06, 0, 0, 0x0005_0001)];
        assert_eq!(opening(&[filter(&refuses)]), None);
        assert_eq!(opening(&[filter(&[])]), Some("socket(2)"));
        assert_eq!(opening(&[]), Some("socket(2)"));
        // Either of two filters is enough.
        assert_eq!(opening(&[filter(&[]), filter(&refuses)]), None);
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
        assert_eq!(opening(&[filter(&wide)]), Some("socket(2)"));
    }

    #[test]
    fn one_for_the_native_architecture_alone_is_passed_by_with_i386() {
        let native = [
            make(0x20, 0, 0, 4),
            make(0x15, 0, 1, 0xc000_003e),
            make(0x06, 0, 0, 0),
            make(0x06, 0, 0, ALLOW),
        ];
        assert_eq!(opening(&[native.to_vec()]), Some("socket(2) of another architecture"));
    }
}
