//! The programs over the hooks' arguments (include/linux/lsm_hook_defs.h).

use crate::request::Netlink;
use crate::request::Sockets;
use crate::request::sockets::{
    AF_INET, AF_INET6, AF_NETLINK, AF_RDS, AF_SMC, INET_PROTOCOLS, IPPROTO_SMC, IPPROTO_TCP, RAW_PROTOCOLS,
    SOCK_RAW, TCP_ULP, TELLING_PROTOCOLS,
};
use nicdock_sys::bpf::{Instruction, op};

/// Where a program keeps the arguments of `security_socket_create()`.
const FAMILY: u8 = 2;
const PROTOCOL: u8 = 3;
const KERN: u8 = 4;
const TYPE: u8 = 5;
/// And for what is computed.
const SCRATCH: u8 = 1;

/// What a refusal says: a socket of `EPERM` is one that is there and not given. Families say that, too, so that an audit inside can tell
/// them from those that the kernel lacks; seccomp, where it is asked first, says `EAFNOSUPPORT`.
const REFUSED: i32 = libc::EPERM;

fn make(code: u8, registers: u8, offset: usize, immediate: u32) -> Instruction {
    Instruction::new(code, registers, i16::try_from(offset).unwrap_or(i16::MAX), immediate)
}

/// Loads the arguments, and lets pass what the kernel itself asks for.
fn begin() -> Vec<Instruction> {
    let mut program = vec![
        make(op::LOAD_DOUBLE, 0x10 | FAMILY, 0, 0),
        make(op::LOAD_DOUBLE, 0x10 | PROTOCOL, 16, 0),
        make(op::LOAD_DOUBLE, 0x10 | KERN, 24, 0),
        make(op::LOAD_DOUBLE, 0x10 | TYPE, 8, 0),
    ];
    program.extend(unless_equal(KERN, 0, allow()));
    program
}

fn allow() -> Vec<Instruction> {
    Instruction::answer(true).to_vec()
}

fn refuse(errno: i32) -> Vec<Instruction> {
    Instruction::refuse(errno).to_vec()
}

/// `then` if the register's low 32 bits, which are all that the kernel looks at, are `value`.
fn if_equal(register: u8, value: u32, then: Vec<Instruction>) -> Vec<Instruction> {
    std::iter::once(make(op::UNLESS, register, then.len(), value)).chain(then).collect()
}

fn unless_equal(register: u8, value: u32, then: Vec<Instruction>) -> Vec<Instruction> {
    std::iter::once(make(op::IF, register, then.len(), value)).chain(then).collect()
}

/// Allows `allowed`, and says of the rest what a kernel without it would, or `EPERM`.
pub fn program(allowed: &Sockets) -> Vec<Instruction> {
    let mut program = begin();
    for family in allowed.plain_families() {
        program.extend(if_equal(FAMILY, family, allow()));
    }
    for family in allowed.inet_families() {
        // A raw socket of a protocol that fits into a header.
        let mut then = vec![
            make(op::COPY, PROTOCOL << 4 | SCRATCH, 0, 0),
            make(op::AND, SCRATCH, 0, !(RAW_PROTOCOLS - 1)),
        ];
        then.extend(if_equal(SCRATCH, 0, if_equal(TYPE, SOCK_RAW, allow())));
        then.extend(INET_PROTOCOLS.into_iter().flat_map(|protocol| if_equal(PROTOCOL, protocol, allow())));
        then.extend(refuse(libc::EPROTONOSUPPORT));
        program.extend(if_equal(FAMILY, family, then));
    }
    let mut then = Vec::new();
    for protocol in allowed.netlink_numbers() {
        then.extend(if_equal(PROTOCOL, protocol, allow()));
    }
    for protocol in TELLING_PROTOCOLS {
        then.extend(if_equal(PROTOCOL, protocol, refuse(REFUSED)));
    }
    then.extend(refuse(libc::EPROTONOSUPPORT));
    program.extend(if_equal(FAMILY, AF_NETLINK, then));
    program.extend(refuse(REFUSED));
    program
}

/// Refuses no more than what brings others' NICs: for a container whose other sockets are none of nicdock's business.
pub fn narrow_program(allowed: &[Netlink]) -> Vec<Instruction> {
    let mut then = Vec::new();
    for protocol in TELLING_PROTOCOLS {
        then.extend(if_equal(PROTOCOL, protocol, refuse(REFUSED)));
    }
    if !allowed.contains(&Netlink::Generic) {
        then.extend(if_equal(PROTOCOL, Netlink::Generic.number(), refuse(libc::EPROTONOSUPPORT)));
    }
    let mut program = begin();
    program.extend(if_equal(FAMILY, AF_NETLINK, then));
    for family in [AF_RDS, AF_SMC] {
        program.extend(if_equal(FAMILY, family, refuse(REFUSED)));
    }
    for family in [AF_INET, AF_INET6] {
        let then = if_equal(PROTOCOL, IPPROTO_SMC, refuse(libc::EPROTONOSUPPORT));
        program.extend(if_equal(FAMILY, family, then));
    }
    program.extend(allow());
    program
}

/// Over the arguments of `security_socket_setsockopt()`: refuses `TCP_ULP` as a whole, whose name is in memory, with the error for a name
/// that is not known.
pub fn option_program() -> Vec<Instruction> {
    const LEVEL: u8 = 2;
    const NAME: u8 = 3;
    let mut program =
        vec![make(op::LOAD_DOUBLE, 0x10 | LEVEL, 8, 0), make(op::LOAD_DOUBLE, 0x10 | NAME, 16, 0)];
    program.extend(if_equal(LEVEL, IPPROTO_TCP, if_equal(NAME, TCP_ULP, refuse(libc::ENOENT))));
    program.extend(allow());
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would: 0, or the error.
    fn run(program: &[Instruction], arguments: [u64; 4]) -> i32 {
        let mut registers = [0_u64; 6];
        let (mut at, mut error) = (0, REFUSED);
        loop {
            let instruction = program[at];
            let register = usize::from(instruction.registers & 0xf);
            let source = usize::from(instruction.registers >> 4);
            let immediate = instruction.immediate.cast_unsigned();
            // The low 32 bits only, as JMP32 and ALU do.
            #[allow(clippy::cast_possible_truncation)]
            let low = registers[register] as u32;
            let equal = low == immediate;
            at += 1;
            let offset = usize::try_from(instruction.offset).unwrap();
            match instruction.code {
                op::LOAD_DOUBLE => registers[register] = arguments[offset / 8],
                op::IF if equal => at += offset,
                op::UNLESS if !equal => at += offset,
                op::IF | op::UNLESS => {}
                op::MOVE => registers[register] = immediate.into(),
                op::COPY => registers[register] = registers[source] & 0xffff_ffff,
                op::AND => registers[register] = (low & immediate).into(),
                #[allow(clippy::cast_possible_truncation)]
                op::CALL => error = -(registers[1] as u32).cast_signed(),
                op::EXIT => return if registers[0] == 1 { 0 } else { error },
                other => panic!("{other:#x}"),
            }
        }
    }

    fn socket(program: &[Instruction], family: u64, kind: u64, protocol: u64) -> i32 {
        run(program, [family, kind, protocol, 0])
    }

    #[test]
    fn what_is_not_allowed_is_refused_whatever_the_high_bits_are() {
        let program = program(&Sockets::with(&[], &[]));
        let answer = |family, kind, protocol| socket(&program, family, kind, protocol);
        for (family, kind, protocol) in
            [(16, 3, 0), (16, 3, 4), (2, 1, 6), (2, 1, 262), (10, 2, 58), (1, 1, 0)]
        {
            assert_eq!(answer(family, kind, protocol), 0, "{family} {kind} {protocol}");
        }
        assert_eq!((answer(2, 3, 255), answer(10, 3, 89), answer(17, 3, 0x300)), (0, 0, 0));
        assert_eq!(answer(16, 3, 20), libc::EPERM);
        assert_eq!(answer(0x1_0000_0010, 3, 0x1_0000_0014), libc::EPERM);
        assert_eq!((answer(40, 1, 0), answer(43, 1, 0)), (libc::EPERM, libc::EPERM));
        for (family, kind, protocol) in
            [(16, 3, 16), (16, 3, 9), (2, 1, 256), (10, 1, 256), (2, 2, 115), (2, 3, 256)]
        {
            assert_eq!(answer(family, kind, protocol), libc::EPROTONOSUPPORT, "{family} {kind} {protocol}");
        }
        assert_eq!(answer(0x1_0000_0002, 1, 0x1_0000_0100), libc::EPROTONOSUPPORT);
        assert_eq!(run(&program, [16, 3, 20, 1]), 0);
    }

    #[test]
    fn generic_netlink_is_given_to_who_asks_for_it() {
        let program = program(&Sockets::with(&[], &[Netlink::Generic]));
        assert_eq!(socket(&program, 16, 3, 16), 0);
        assert_eq!(socket(&program, 16, 3, 20), libc::EPERM);
        assert_eq!(socket(&narrow_program(&[Netlink::Generic]), 16, 3, 16), 0);
    }

    #[test]
    fn a_container_that_runs_is_refused_what_brings_others_nics_and_nothing_else() {
        let program = narrow_program(&[]);
        let answer = |family, kind, protocol| socket(&program, family, kind, protocol);
        for (family, kind, protocol) in
            [(16, 3, 0), (16, 3, 9), (2, 3, 20), (2, 1, 132), (40, 1, 0), (1, 1, 0)]
        {
            assert_eq!(answer(family, kind, protocol), 0, "{family} {kind} {protocol}");
        }
        for (family, protocol) in [(16, 20), (16, 15), (21, 0), (43, 0)] {
            assert_eq!(answer(family, 1, protocol), libc::EPERM, "{family} {protocol}");
        }
        for (family, protocol) in [(16, 16), (2, 256), (10, 256)] {
            assert_eq!(answer(family, 1, protocol), libc::EPROTONOSUPPORT, "{family} {protocol}");
        }
        assert_eq!(run(&program, [16, 3, 20, 1]), 0);
    }

    #[test]
    fn of_options_only_what_makes_another_socket_is_refused() {
        let answer = |level, name| run(&option_program(), [0, level, name, 0]);
        assert_eq!(
            (answer(6, 31), answer(0x1_0000_0006, 0xffff_0000_0000_001f)),
            (libc::ENOENT, libc::ENOENT)
        );
        assert_eq!((answer(6, 1), answer(1, 31), answer(41, 31), answer(6, 13)), (0, 0, 0, 0));
    }
}
