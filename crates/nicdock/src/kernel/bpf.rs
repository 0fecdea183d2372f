//! BPF programs on a control group of version 2: which device a process may open, which socket it may make.
//!
//! Several programs may be attached to one cgroup (`BPF_F_ALLOW_MULTI`): an access is allowed only if all agree,
//! so these can only narrow what an engine's own program allows (kernel/bpf/cgroup.c,
//! `__cgroup_bpf_check_dev_permission`, `__cgroup_bpf_run_lsm_current`).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// What a program decides: `enum bpf_prog_type` and `enum bpf_attach_type` (include/uapi/linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `BPF_PROG_TYPE_CGROUP_DEVICE`
    Device,
    /// `BPF_PROG_TYPE_LSM` on `BPF_LSM_CGROUP` (Linux 6.0), attached to the function with this id in the kernel's BTF.
    Lsm(u32),
}

impl Hook {
    fn types(self) -> (u32, u32) {
        match self {
            Self::Device => (15, 6),
            Self::Lsm(_) => (29, 43),
        }
    }
}

/// `BPF_DEVCG_ACC_*` and `BPF_DEVCG_DEV_*`.
pub const ACCESS_MKNOD: u32 = 1;
pub const DEVICE_CHAR: u32 = 2;

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
}

/// `union bpf_attr`, the part of `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `union bpf_attr`, the part of `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

fn bpf_mut<T>(command: libc::c_long, attr: &mut T) -> io::Result<()> {
    // SAFETY: `attr` is the kernel's layout for `command`, which it may write to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<i32> {
    // SAFETY: `attr` is the kernel's layout for `command`, and its pointers are valid for the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(i32::MAX)) }
}

/// Loads a program. Errors: `EPERM` without `CAP_BPF`/`CAP_SYS_ADMIN`, `EINVAL` when the verifier refuses.
pub fn load(hook: Hook, program: &[Instruction]) -> io::Result<OwnedFd> {
    let (prog_type, attach_type) = hook.types();
    let (license, attach_type, attach_btf_id) = match hook {
        Hook::Device => (c"Apache-2.0", 0, 0),
        // The kernel takes no other (bpf_lsm_verify_prog()); this program is offered under the GPL too.
        Hook::Lsm(function) => (c"Dual MIT/GPL", attach_type, function),
    };
    let attr = LoadAttr {
        prog_type,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"nicdock\0\0\0\0\0\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: attach_type,
        prog_btf_fd: 0,
        func_info_rec_size: 0,
        func_info: 0,
        func_info_cnt: 0,
        line_info_rec_size: 0,
        line_info: 0,
        line_info_cnt: 0,
        attach_btf_id,
    };
    let fd = bpf(BPF_PROG_LOAD, &attr)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `union bpf_attr`, the part of `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// How many programs of this kind are attached to the cgroup directory open as `cgroup`.
pub fn attached(hook: Hook, cgroup: BorrowedFd<'_>) -> io::Result<u32> {
    let mut attr = QueryAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: hook.types().1,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: 0,
        prog_cnt: 0,
    };
    // The kernel writes the number into the structure.
    bpf_mut(BPF_PROG_QUERY, &mut attr)?;
    Ok(attr.prog_cnt)
}

/// Attaches a program to the cgroup directory open as `cgroup`; it stays as long as the cgroup.
pub fn attach(hook: Hook, cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let attr = AttachAttr {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: hook.types().1,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attr).map(drop)
}
