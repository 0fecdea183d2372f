//! Which sockets the container may make, decided in the kernel's security hook for all of them (`security_socket_create`).
//!
//! The layer below seccomp, where the kernel has the BPF LSM: a filter on system calls does not see io_uring, and each
//! architecture has calls of its own.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::{Doing, PhaseError, cgroup};
use crate::kernel::bpf::{Hook, Instruction, op};
use crate::kernel::{btf, mount};
use crate::request::Family;

const AF_NETLINK: u32 = 16;
/// `NETLINK_ROUTE`, `SOCK_DIAG`, `GENERIC` (include/uapi/linux/netlink.h). Not `KOBJECT_UEVENT` (15), which brings the host's
/// hotplug events to everybody, nor `RDMA` (20), which lists every RDMA device and lets root rename and delete them.
pub const NETLINK_PROTOCOLS: [u32; 3] = [0, 4, 16];

/// The kernel's type information.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
/// What the BPF LSM calls (include/linux/bpf_lsm.h).
const FUNCTION: &str = "bpf_lsm_socket_create";

/// Whether a program of the container's cgroup is asked about sockets: cgroup version 2, the BPF LSM in the kernel and active
/// (`lsm=` on its command line; only root can tell).
pub fn are_hooked() -> bool {
    let active = || active_modules().is_ok_and(|list| list.split(',').any(|module| module.trim() == "bpf"));
    cgroup::is_unified() && Path::new(TYPES).exists() && active()
}

/// Where that program is attached.
pub fn hook() -> Result<Hook, PhaseError> {
    let types = fs::read(TYPES).doing(|| format!("reading {TYPES}"))?;
    let function = btf::function(&types, FUNCTION);
    function.map(Hook::Lsm).ok_or(io::ErrorKind::NotFound).doing(|| format!("finding {FUNCTION} in {TYPES}"))
}

/// From a securityfs that is mounted nowhere, since the host may have none.
fn active_modules() -> io::Result<String> {
    let securityfs = mount::detached("securityfs", &[], MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    let file = rustix::fs::openat(&securityfs, "lsm", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(fs::File::from(file))
}

/// How a program over the hook's arguments begins: family, protocol, and whether the kernel itself asks, which may.
fn begin() -> Vec<Instruction> {
    let make = Instruction::new;
    let mut program = vec![
        make(op::LOAD_DOUBLE, 0x12, 0, 0),  // r2 = family
        make(op::LOAD_DOUBLE, 0x13, 16, 0), // r3 = protocol
        make(op::LOAD_DOUBLE, 0x14, 24, 0), // r4 = kern
        make(op::IF, 0x04, 2, 0),
    ];
    program.extend(Instruction::answer(true));
    program
}

/// Allows these families, and of netlink what a container needs.
pub fn program(families: &[Family]) -> Vec<Instruction> {
    let make = Instruction::new;
    let answer = Instruction::answer;
    let mut program = begin();
    for family in families {
        program.push(make(op::UNLESS, 0x02, 2, family.number));
        program.extend(answer(true));
    }
    for protocol in NETLINK_PROTOCOLS {
        program.push(make(op::UNLESS, 0x02, 3, AF_NETLINK));
        program.push(make(op::UNLESS, 0x03, 2, protocol));
        program.extend(answer(true));
    }
    program.extend(answer(false));
    program
}

/// Refuses no more than what brings others' NICs: for a container whose other sockets are none of nicdock's business.
pub fn narrow_program() -> Vec<Instruction> {
    let make = Instruction::new;
    let mut program = begin();
    program.push(make(op::IF, 0x02, 2, AF_NETLINK));
    program.extend(Instruction::answer(true));
    for protocol in TELLING_PROTOCOLS {
        program.push(make(op::UNLESS, 0x03, 2, protocol));
        program.extend(Instruction::answer(false));
    }
    program.extend(Instruction::answer(true));
    program
}

/// `NETLINK_KOBJECT_UEVENT` and `NETLINK_RDMA`.
const TELLING_PROTOCOLS: [u32; 2] = [15, 20];

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(family: u64, protocol: u64, kern: u64) -> bool {
        run(&program(&Family::default_set()), family, protocol, kern)
    }

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], family: u64, protocol: u64, kern: u64) -> bool {
        let mut registers = [0_u64; 5];
        let mut at = 0;
        loop {
            let instruction = program[at];
            let register = usize::from(instruction.registers & 0xf);
            let immediate = instruction.immediate.cast_unsigned();
            // The low 32 bits only, as JMP32 does.
            #[allow(clippy::cast_possible_truncation)]
            let equal = registers[register] as u32 == immediate;
            at += 1;
            let jump = usize::try_from(instruction.offset).unwrap();
            match instruction.code {
                op::LOAD_DOUBLE => {
                    registers[register] = [(0, family), (16, protocol), (24, kern)]
                        .into_iter()
                        .find(|(offset, _)| *offset == instruction.offset)
                        .unwrap()
                        .1;
                }
                op::IF if equal => at += jump,
                op::UNLESS if !equal => at += jump,
                op::IF | op::UNLESS => {}
                op::MOVE => registers[register] = immediate.into(),
                op::EXIT => return registers[0] == 1,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn rdma_and_uevent_netlink_are_refused_whatever_the_high_bits_are() {
        assert!(allows(16, 0, 0) && allows(16, 16, 0) && allows(2, 6, 0) && allows(1, 0, 0));
        assert!(!allows(16, 20, 0) && !allows(16, 15, 0) && !allows(40, 0, 0));
        assert!(!allows(0x1_0000_0010, 0x1_0000_0014, 0));
        assert!(allows(16, 20, 1));
    }

    #[test]
    fn a_container_that_runs_is_refused_these_two_and_nothing_else() {
        let allows = |family, protocol, kern| run(&narrow_program(), family, protocol, kern);
        assert!(allows(16, 0, 0) && allows(16, 16, 0) && allows(2, 20, 0) && allows(40, 0, 0));
        assert!(!allows(16, 20, 0) && !allows(16, 15, 0) && allows(16, 20, 1));
    }
}
