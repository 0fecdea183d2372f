//! The other doors by which a program enters an x86-64 kernel: i386 (`int 0x80`) and x32 (bit 30 of the number).
//!
//! A seccomp filter sees both with other numbers or another architecture (seccomp(2), "Caveats"), so what it refuses by
//! the native entry may be had by these.
#![allow(unsafe_code)]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "registers"
)]

use super::errno::Errno;

/// `__X32_SYSCALL_BIT` (arch/x86/include/uapi/asm/unistd.h).
pub const X32: i64 = 0x4000_0000;

/// A system call by `int 0x80`. Pointers must lie below 4 GiB: see [`low_page`].
#[cfg(target_arch = "x86_64")]
pub fn i386(number: u32, a: [u32; 5]) -> Result<u32, Errno> {
    let result: u64;
    // SAFETY: rbx, which LLVM keeps for itself, is saved in another register around the call; r8 to r11 may be
    // lost (entry_INT80_compat). The arguments are numbers, or addresses in a page that lives as long as the process.
    unsafe {
        std::arch::asm!(
            "xchg {b}, rbx",
            "int 0x80",
            "xchg {b}, rbx",
            b = inout(reg) u64::from(a[0]) => _,
            inout("rax") u64::from(number) => result,
            in("rcx") u64::from(a[1]),
            in("rdx") u64::from(a[2]),
            in("rsi") u64::from(a[3]),
            in("rdi") u64::from(a[4]),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let result = result as u32 as i32;
    if (-4095..0).contains(&result) { Err(Errno(-result)) } else { Ok(result as u32) }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn i386(_: u32, _: [u32; 5]) -> Result<u32, Errno> {
    Err(Errno(libc::ENOSYS))
}

/// Memory below 4 GiB that holds `words`; stays until the process ends.
#[cfg(target_arch = "x86_64")]
pub fn low_page(words: &[u32]) -> Result<u32, Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    // SAFETY: asks for new memory; nothing that exists is mapped over.
    let page =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    // SAFETY: the page has room for 1,024 words, is writable and aligned.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), page.cast(), words.len().min(1024)) };
    Ok(page as usize as u32)
}

#[cfg(not(target_arch = "x86_64"))]
pub fn low_page(_: &[u32]) -> Result<u32, Errno> {
    Err(Errno(libc::ENOSYS))
}
