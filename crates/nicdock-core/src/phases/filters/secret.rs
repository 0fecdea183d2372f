//! What a filter asks of a call that tells only who makes it.
//!
//! A program may add filters to its own. One that refuses a call unless an argument that the call does not have is a certain number, or unless it
//! is made at a certain place of the program's, refuses it to everybody who does not know that: to the audit, and not to the program.

use std::collections::BTreeSet;

use nicdock_audit::probes::calls;
use nicdock_sys::tracee::Instruction;

use super::ENTRIES;
use crate::seccomp::machine::compute;

/// Offsets in `struct seccomp_data` (include/uapi/linux/seccomp.h).
const CALL: u32 = 0;
const ARCHITECTURE: u32 = 4;
const INSTRUCTION_POINTER: std::ops::Range<u32> = 8..16;
const ARGUMENTS: u32 = 16;

/// Why what these filters refuse to others they may let the process itself do.
pub fn secret(filters: &[Vec<Instruction>]) -> Option<String> {
    let asked: Vec<(u32, u32, u32, &str)> = entries().collect();
    filters.iter().find_map(|filter| {
        asked.iter().find_map(|(architecture, call, arity, name)| {
            let offsets = asks_for(filter, *architecture, *call);
            if offsets.iter().any(|offset| INSTRUCTION_POINTER.contains(offset)) {
                return Some(format!("lets {name} depend on where in the program it is made"));
            }
            let is_none = |offset: &u32| *offset >= ARGUMENTS + 8 * arity;
            offsets
                .iter()
                .any(is_none)
                .then(|| format!("lets {name} depend on an argument that it does not have"))
        })
    })
}

/// Architecture, number, number of arguments and name of each call that the audit tries.
fn entries() -> impl Iterator<Item = (u32, u32, u32, &'static str)> {
    ENTRIES.iter().enumerate().flat_map(|(number, entry)| {
        let sockets = [
            (entry.socket, 3, "socket"),
            (entry.socketpair, 4, "socketpair"),
            (entry.setsockopt, 5, "setsockopt"),
        ];
        let sockets =
            sockets.into_iter().map(move |(call, arity, name)| (entry.architecture, call, arity, name));
        // The native numbers, those of the second entry, and x32's, which are native ones with bit 30.
        let others = calls().filter_map(move |call| {
            let number = match number {
                0 => call.native,
                1 => call.i386,
                _ => call.native | 0x4000_0000,
            };
            Some((entry.architecture, number, u32::try_from(call.arity).ok()?, call.name))
        });
        sockets.chain(others)
    })
}

/// The offsets that the filter may read when this call is made, whatever the rest is. What is not known of the accumulator leads both ways.
fn asks_for(program: &[Instruction], architecture: u32, call: u32) -> BTreeSet<u32> {
    let (mut offsets, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut to_do = vec![(0_usize, Some(0_u32))];
    while let Some((at, a)) = to_do.pop() {
        let Some(Instruction { code, jt, jf, k }) = program.get(at) else { continue };
        if !seen.insert((at, a)) {
            continue;
        }
        let next = at + 1;
        match *code {
            // RET
            0x06 | 0x16 => {}
            // LD W ABS
            0x20 => {
                offsets.insert(*k);
                let known = match *k {
                    CALL => Some(call),
                    ARCHITECTURE => Some(architecture),
                    _ => None,
                };
                to_do.push((next, known));
            }
            0x00 => to_do.push((next, Some(*k))), // LD IMM
            0x80 => to_do.push((next, Some(64))), // LD W LEN
            // LD MEM, MISC TXA: memory and the index register are not followed.
            0x60 | 0x87 => to_do.push((next, None)),
            0x84 => to_do.push((next, a.map(u32::wrapping_neg))), // ALU NEG
            0x05 => to_do.push((next.saturating_add(*k as usize), a)), // JMP JA
            code if code & 0x07 == 0x04 => {
                let of_a_constant = code & 0x08 == 0;
                to_do.push((next, a.filter(|_| of_a_constant).and_then(|a| compute(code & 0xf0, a, *k))));
            }
            code if code & 0x07 == 0x05 => {
                let holds = a.filter(|_| code & 0x08 == 0).and_then(|a| match code & 0xf0 {
                    0x10 => Some(a == *k),
                    0x20 => Some(a > *k),
                    0x30 => Some(a >= *k),
                    0x40 => Some(a & *k != 0),
                    _ => None,
                });
                if holds != Some(false) {
                    to_do.push((next + usize::from(*jt), a));
                }
                if holds != Some(true) {
                    to_do.push((next + usize::from(*jf), a));
                }
            }
            // LDX, ST, STX, MISC TAX
            _ => to_do.push((next, a)),
        }
    }
    offsets
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    const LOAD: u16 = 0x20;
    const IF: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const REFUSE: u32 = 0x0005_0001;

    fn filter(list: &[(u16, u8, u8, u32)]) -> Vec<Instruction> {
        list.iter().map(|(code, jt, jf, k)| Instruction { code: *code, jt: *jt, jf: *jf, k: *k }).collect()
    }

    /// Refuses `call` unless the word at `offset` is 4711.
    fn door(call: u32, offset: u32) -> Vec<Instruction> {
        filter(&[
            (LOAD, 0, 0, CALL),
            (IF, 0, 3, call),
            (LOAD, 0, 0, offset),
            (IF, 1, 0, 4711),
            (RETURN, 0, 0, REFUSE),
            (RETURN, 0, 0, ALLOW),
        ])
    }

    #[test]
    fn a_door_that_only_the_program_knows_is_found() {
        let told = |call, offset| secret(&[Vec::new(), door(call, offset)]);
        // socket(2) has three arguments, unshare(2) one.
        assert_eq!(told(41, 40).as_deref(), Some("lets socket depend on an argument that it does not have"));
        assert_eq!(told(41, 60).as_deref(), Some("lets socket depend on an argument that it does not have"));
        assert_eq!(
            told(272, 24).as_deref(),
            Some("lets unshare.user depend on an argument that it does not have")
        );
        assert_eq!(told(41, 8).as_deref(), Some("lets socket depend on where in the program it is made"));
        for (call, offset) in [(41, 16), (41, 32), (41, 36), (54, 48), (272, 16), (0, 60)] {
            assert_eq!(told(call, offset), None, "{call} {offset}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_followed() {
        // A number that is computed, and one that is kept in memory and fetched again.
        let computed = filter(&[
            (LOAD, 0, 0, CALL),
            (0x14, 0, 0, 40), // A -= 40
            (IF, 0, 1, 1),
            (LOAD, 0, 0, 56),
            (RETURN, 0, 0, ALLOW),
        ]);
        let kept = filter(&[
            (LOAD, 0, 0, CALL),
            (0x02, 0, 0, 3), // M[3] = A
            (LOAD, 0, 0, ARCHITECTURE),
            (0x60, 0, 0, 3), // A = M[3]
            (IF, 0, 1, 41),
            (LOAD, 0, 0, 56),
            (RETURN, 0, 0, ALLOW),
        ]);
        assert!(secret(&[computed]).is_some() && secret(&[kept]).is_some());
    }
}
