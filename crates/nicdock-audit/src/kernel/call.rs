//! Raw system calls through the native entry.
#![allow(unsafe_code)]

use super::errno::Errno;

/// A system call by number. Arguments are numbers, or addresses of memory that the caller keeps alive and that is as large as
/// the call needs.
///
/// # Safety
///
/// As the call itself: see its manual page.
pub unsafe fn call(number: i64, a: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    usize::try_from(result).map_err(|_| Errno::last())
}

/// The same with arguments that are numbers only: no memory is touched (a null or wild pointer makes the kernel answer
/// `EFAULT`).
///
/// Meant for the calls of `probes/syscall.rs` and `probes/refused.rs`, with arguments that they find invalid.
pub fn with_numbers(number: i64, arguments: &[usize]) -> Result<usize, Errno> {
    let mut a = [0; 6];
    a[..arguments.len()].copy_from_slice(arguments);
    // SAFETY: every pointer among the arguments is null, or has all bits set, so the kernel neither reads nor writes our memory.
    unsafe { call(number, a) }
}
