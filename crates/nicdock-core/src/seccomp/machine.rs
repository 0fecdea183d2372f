//! Runs a filter as the kernel does.

use nicdock_sys::tracee::Instruction;

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

/// Gives nothing for what the kernel would not have taken.
pub fn compute(operation: u16, a: u32, with: u32) -> Option<u32> {
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
