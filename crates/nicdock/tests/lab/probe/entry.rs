//! The kernel's other entries on x86-64, x32 and i386, whose system calls have numbers of their own.
#![allow(unsafe_code)]

use std::arch::asm;
use std::io;

/// `__X32_SYSCALL_BIT` (arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: i64 = 0x4000_0000;

/// A system call by the x32 ABI.
pub fn x32(call: i64, arguments: [i64; 3]) -> io::Result<()> {
    let mut result = X32_BIT | call;
    // SAFETY: the calls tried take numbers, or a null pointer that the kernel refuses; syscall(2) clobbers rcx and r11.
    unsafe {
        asm!("syscall", inlateout("rax") result, in("rdi") arguments[0], in("rsi") arguments[1],
             in("rdx") arguments[2], lateout("rcx") _, lateout("r11") _);
    }
    answer(result)
}

/// A system call by the i386 ABI, which a 64-bit program may enter too (`entry_INT80_compat`).
pub fn i386(call: i64, arguments: [i64; 3]) -> io::Result<()> {
    let mut result = call;
    // SAFETY: as above, or socketcall's pointer to three numbers. rbx is the compiler's own: it is put back.
    unsafe {
        asm!("xchg rbx, {first}", "int 0x80", "xchg rbx, {first}", first = inout(reg) arguments[0] => _,
             inlateout("rax") result, in("rcx") arguments[1], in("rdx") arguments[2],
             lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    // 32 bits, of which the sign counts.
    #[allow(clippy::cast_possible_truncation)]
    answer(i64::from(result as i32))
}

/// socket(2) as i386 programs of old make it: `socketcall(SYS_SOCKET, {domain, type, protocol})`, out of reach for a filter.
pub fn socketcall(arguments: [i64; 3]) -> io::Result<()> {
    const SOCKETCALL: i64 = 102;
    const SYS_SOCKET: i64 = 1;
    let numbers = arguments.map(|number| u32::try_from(number & 0xffff_ffff).expect("32 bits"));
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT);
    // SAFETY: a new mapping, in the 32 bits that the call can name.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is writable, aligned and large enough.
    unsafe { memory.cast::<[u32; 3]>().write(numbers) };
    i386(SOCKETCALL, [SYS_SOCKET, i64::try_from(memory.addr()).expect("32 bits"), 0])
}

fn answer(result: i64) -> io::Result<()> {
    match i32::try_from(result) {
        Ok(errno @ -4095..=-1) => Err(io::Error::from_raw_os_error(-errno)),
        _ => Ok(()),
    }
}
