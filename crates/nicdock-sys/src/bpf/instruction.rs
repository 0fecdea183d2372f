//! Instructions of a BPF program (include/uapi/linux/bpf.h).

use std::os::fd::{AsRawFd, OwnedFd};

/// `BPF_FUNC_tail_call`
const TAIL_CALL: u32 = 12;
/// `BPF_FUNC_set_retval` (Linux 5.18)
const SET_RETURN_VALUE: u32 = 187;
/// `BPF_PSEUDO_MAP_FD`, as a source register
const MAP_DESCRIPTOR: u8 = 0x10;

/// One instruction (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u8,
    /// Destination in the low four bits, source in the high four.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

/// Operations (include/uapi/linux/bpf.h, bpf_common.h): of words, with an immediate unless they copy or load.
pub mod op {
    /// `BPF_LDX | BPF_MEM | BPF_W`, and `BPF_DW`
    pub const LOAD: u8 = 0x61;
    pub const LOAD_DOUBLE: u8 = 0x79;
    /// `BPF_ALU | BPF_MOV | BPF_K`, and `BPF_X`
    pub const MOVE: u8 = 0xb4;
    pub const COPY: u8 = 0xbc;
    /// `BPF_ALU64 | BPF_MOV | BPF_X`, for pointers
    pub const COPY_POINTER: u8 = 0xbf;
    /// `BPF_LD | BPF_DW | BPF_IMM`, two instructions long
    pub const LOAD_MAP: u8 = 0x18;
    /// `BPF_JMP | BPF_CALL`
    pub const CALL: u8 = 0x85;
    pub const AND: u8 = 0x54;
    pub const SHIFT: u8 = 0x74;
    /// `BPF_JMP32 | BPF_JNE | BPF_K` and `BPF_JEQ`: the low 32 bits, which are all that the kernel looks at
    pub const UNLESS: u8 = 0x56;
    pub const IF: u8 = 0x16;
    /// `BPF_JMP | BPF_EXIT`
    pub const EXIT: u8 = 0x95;
}

impl Instruction {
    /// `registers`: destination in the low four bits, source in the high four.
    pub fn new(code: u8, registers: u8, offset: i16, immediate: u32) -> Self {
        Self { code, registers, offset, immediate: immediate.cast_signed() }
    }

    /// Ends the program: an access is allowed (`true`) or refused.
    pub fn answer(yes: bool) -> [Self; 2] {
        [Self::new(op::MOVE, 0, 0, yes.into()), Self::new(op::EXIT, 0, 0, 0)]
    }

    /// Ends a program of the LSM's: refused with an error of its own.
    pub fn refuse(errno: i32) -> [Self; 4] {
        let [result, exit] = Self::answer(false);
        [
            Self::new(op::MOVE, 1, 0, (-errno).cast_unsigned()),
            Self::new(op::CALL, 0, 0, SET_RETURN_VALUE),
            result,
            exit,
        ]
    }

    /// Keeps the context for [`Instruction::go_on`]; the first of a program that uses it.
    pub fn keep_context() -> Self {
        Self::new(op::COPY_POINTER, 0x16, 0, 0)
    }

    /// Ends the program by letting the one in `array` decide; refuses if there is none.
    pub fn go_on(array: &OwnedFd) -> Vec<Self> {
        let mut program = vec![
            Self::new(op::COPY_POINTER, 0x61, 0, 0),
            Self::new(op::LOAD_MAP, MAP_DESCRIPTOR | 2, 0, array.as_raw_fd().cast_unsigned()),
            Self::new(0, 0, 0, 0),
            Self::new(op::MOVE, 3, 0, 0),
            Self::new(op::CALL, 0, 0, TAIL_CALL),
        ];
        program.extend(Self::answer(false));
        program
    }
}
