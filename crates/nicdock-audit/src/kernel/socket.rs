//! Sockets by raw numbers, with high bits set where a filter might look at them.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

use super::entry::{self, X32};
use super::errno::Errno;
use super::{call, fork};

/// socket(2) with arguments as registers have them.
pub fn socket(domain: u64, kind: u64, protocol: u64) -> Result<OwnedFd, Errno> {
    by_number(libc::SYS_socket, domain, kind, protocol)
}

/// The same by the x32 entry.
pub fn x32(domain: u64, kind: u64, protocol: u64) -> Result<OwnedFd, Errno> {
    by_number(libc::SYS_socket | X32, domain, kind, protocol)
}

fn by_number(number: i64, domain: u64, kind: u64, protocol: u64) -> Result<OwnedFd, Errno> {
    let register = |value| usize::try_from(value).map_err(|_| Errno(libc::EINVAL));
    let fd = call::with_numbers(number, &[register(domain)?, register(kind)?, register(protocol)?])?;
    owned(fd)
}

fn owned(fd: usize) -> Result<OwnedFd, Errno> {
    let fd = i32::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    // SAFETY: the kernel has just given this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// By `int 0x80`: socket(2), which i386 has as 359 (arch/x86/entry/syscalls/syscall_32.tbl).
pub fn i386(domain: u32, kind: u32, protocol: u32) -> Result<OwnedFd, Errno> {
    owned(entry::i386(359, [domain, kind, protocol, 0, 0])? as usize)
}

/// By `int 0x80` and socketcall(2) (102), whose arguments are in memory, where no filter sees them.
pub fn i386_socketcall(domain: u32, kind: u32, protocol: u32) -> Result<OwnedFd, Errno> {
    const SYS_SOCKET: u32 = 1;
    let arguments = entry::low_page(&[domain, kind, protocol])?;
    owned(entry::i386(102, [SYS_SOCKET, arguments, 0, 0, 0])? as usize)
}

/// setsockopt(2) with level and name as registers have them.
pub fn option(fd: u64, level: u64, name: u64, value: &[u8]) -> Result<(), Errno> {
    let register = |value| usize::try_from(value).map_err(|_| Errno(libc::EINVAL));
    let arguments = [register(fd)?, register(level)?, register(name)?, value.as_ptr().addr(), value.len(), 0];
    // SAFETY: the kernel reads as many bytes of `value`, which lives until the call returns, as it is told.
    unsafe { call::call(libc::SYS_setsockopt, arguments) }.map(drop)
}

/// The same by the x32 entry (0x21d, arch/x86/entry/syscalls/syscall_64.tbl), with a value of no length.
pub fn x32_option(fd: u64, level: u32, name: u32) -> Result<(), Errno> {
    let fd = usize::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    call::with_numbers(0x21d | X32, &[fd, level as usize, name as usize, 0, 0]).map(drop)
}

/// By `int 0x80` (366).
pub fn i386_option(fd: u64, level: u32, name: u32) -> Result<(), Errno> {
    let fd = u32::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    entry::i386(366, [fd, level, name, 0, 0]).map(drop)
}

/// By `int 0x80` and socketcall(2) (102).
pub fn i386_socketcall_option(fd: u64, level: u32, name: u32) -> Result<(), Errno> {
    const SYS_SETSOCKOPT: u32 = 14;
    let fd = u32::try_from(fd).map_err(|_| Errno(libc::EBADF))?;
    let arguments = entry::low_page(&[fd, level, name, 0, 0])?;
    entry::i386(102, [SYS_SETSOCKOPT, arguments, 0, 0, 0]).map(drop)
}

/// Whether an entry is there at all: tried with getpid(2), in a child since `int 0x80` without the kernel's i386 part is a
/// fault.
pub fn has_entry(name: &str) -> Result<(), String> {
    let number = libc::SYS_getpid | X32;
    let end = fork::run(std::time::Duration::from_secs(5), || match name {
        "i386" => entry::i386(20, [0; 5]).map_err(|errno| errno.0).err(),
        _ => call::with_numbers(number, &[]).map_err(|errno| errno.0).err(),
    });
    match end {
        Ok(fork::End::Signal(libc::SIGSEGV)) => {
            Err("int 0x80 faults: the kernel has no i386 entry".to_owned())
        }
        Ok(fork::End::Said(Some(libc::ENOSYS))) => {
            Err(format!("{name} getpid(): ENOSYS: the kernel has no {name} entry, or none for this process"))
        }
        _ => Ok(()),
    }
}
