//! Installing seccomp filters that were read from another process.
#![allow(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::capability::prctl;
use super::errno::Errno;

/// One instruction of classic BPF: `struct sock_filter` (include/uapi/linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Adds a filter to the caller's (seccomp(2), `SECCOMP_SET_MODE_FILTER`).
pub fn install(filter: &[Instruction]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno(libc::E2BIG))?,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the program and its instructions, which have the layout of struct sock_filter, live until the call returns.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 {
        return Ok(());
    }
    // An older filter may refuse seccomp(2) and allow this.
    // SAFETY: as above.
    let result = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0_u64, 0_u64)
    };
    if result == 0 { Ok(()) } else { Err(Errno::last()) }
}

/// Nothing gained by an exec any more (prctl(2), `PR_SET_NO_NEW_PRIVS`).
pub fn no_new_privileges() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0]).map(drop)
}
