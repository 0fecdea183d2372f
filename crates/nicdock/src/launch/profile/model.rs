//! The filter as the kernel would run it, on machines that are not at hand: the profile is compiled for each architecture, and
//! its BPF is interpreted.

use libseccomp::ScmpArch;

use super::{compile, profile};
use crate::request::Family;

/// `SECCOMP_RET_ALLOW`, `SECCOMP_RET_ERRNO | ENOSYS`, `… | EPERM` (include/uapi/linux/seccomp.h).
const ALLOW: u32 = 0x7fff_0000;
const ENOSYS: u32 = 0x0005_0026;
const EPERM: u32 = 0x0005_0001;
/// `AUDIT_ARCH_*` (include/uapi/linux/audit.h).
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;

/// One instruction of classic BPF (`struct sock_filter`).
struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// The profile of a container without extra capabilities, compiled for this machine and one more architecture.
fn compiled(architecture: ScmpArch) -> Vec<Instruction> {
    let profile = profile(&[], &Family::default_set());
    let bytes = compile(&profile, &[architecture]).unwrap();
    let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
    let instruction = |bytes: &[u8]| Instruction {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        yes: bytes[2],
        no: bytes[3],
        k: word(&bytes[4..8]),
    };
    bytes.chunks_exact(8).map(instruction).collect()
}

/// What the filter answers to a call: `struct seccomp_data` has number, architecture, instruction pointer, six arguments.
fn run(program: &[Instruction], architecture: u32, call: u32, arguments: [u64; 3]) -> u32 {
    let mut data = vec![call, architecture, 0, 0];
    for argument in arguments {
        #[allow(clippy::cast_possible_truncation)]
        data.extend([argument as u32, (argument >> 32) as u32]);
    }
    data.resize(16, 0);
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let Instruction { code, yes, no, k } = program[at];
        at += 1;
        // include/uapi/linux/bpf_common.h
        match code {
            0x20 => accumulator = data[k as usize / 4], // BPF_LD | BPF_W | BPF_ABS
            0x54 => accumulator &= k,                   // BPF_ALU | BPF_AND
            0x05 => at += k as usize,                   // BPF_JMP | BPF_JA
            0x06 => return k,                           // BPF_RET
            0x15 | 0x25 | 0x35 | 0x45 => {
                let holds = match code {
                    0x15 => accumulator == k,
                    0x25 => accumulator > k,
                    0x35 => accumulator >= k,
                    _ => accumulator & k != 0,
                };
                at += usize::from(if holds { yes } else { no });
            }
            other => panic!("{other:#x}"),
        }
    }
}

/// `socket`, `io_uring_setup`, `unshare`, `syslog`, `keyctl`, `read` on arm64 (include/uapi/asm-generic/unistd.h) and x86-64.
const ARM: [u32; 6] = [198, 425, 97, 116, 219, 63];
const INTEL: [u32; 6] = [41, 425, 272, 103, 250, 0];

/// 16, 20 and 15 with a bit set that the kernel does not look at.
const HIGH_16: u64 = 0x1_0000_0010;
const HIGH_20: u64 = 0x1_0000_0014;
const HIGH_15: u64 = 0x1_0000_000f;

fn closes(
    program: &[Instruction],
    architecture: u32,
    [socket, io_uring, unshare, syslog, keyctl, read]: [u32; 6],
) {
    let ask = |call, arguments| run(program, architecture, call, arguments);
    for (domain, protocol) in [(16, 20), (16, 15), (HIGH_16, 20), (16, HIGH_20), (HIGH_16, HIGH_15)] {
        assert_eq!(ask(socket, [domain, 3, protocol]), EPERM, "{domain:#x} {protocol:#x}");
    }
    for (domain, protocol) in [(16, 0), (16, 16), (1, 0), (2, 17), (10, 6)] {
        assert_eq!(ask(socket, [domain, 3, protocol]), ALLOW, "{domain} {protocol}");
    }
    assert_eq!(ask(socket, [40, 1, 0]), ENOSYS);
    for call in [io_uring, unshare, syslog, keyctl] {
        assert_eq!(ask(call, [0, 0, 0]), ENOSYS, "{call}");
    }
    assert_eq!(ask(read, [0, 0, 0]), ALLOW);
}

#[test]
fn the_same_is_closed_on_arm64_as_on_x86_64() {
    closes(&compiled(ScmpArch::Aarch64), AARCH64, ARM);
    closes(&compiled(ScmpArch::X8664), X86_64, INTEL);
}

#[test]
fn calls_of_another_architecture_end_the_program() {
    let native = compiled(ScmpArch::X8664);
    // i386's socketcall, and x32's socket (__X32_SYSCALL_BIT).
    for (architecture, call) in [(I386, 102), (X86_64, 0x4000_0029), (AARCH64, 198)] {
        let answer = run(&native, architecture, call, [16, 3, 20]);
        assert!(answer != ALLOW, "{architecture:#x} {call:#x}: {answer:#x}");
    }
}
