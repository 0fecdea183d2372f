//! Files in memory (memfd_create(2)): a program that is executed from one has no path in the container.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Gid, MemfdFlags, Mode, SealFlags, Uid};

/// An empty one that can be sealed.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?)
}

/// A program that nobody can change any more, for [`exec`].
///
/// From Linux 6.3 on the sysctl `vm.memfd_noexec` decides about a file that does not say whether it is a program: so this one says it.
/// Errors: `EACCES` when the sysctl is 2, which forbids programs in memory altogether.
pub fn program(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // An older kernel does not know the flag, and has no such sysctl.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        made => made?,
    };
    fill_and_seal(&file, content)?;
    Ok(file)
}

/// One that nobody can change any more.
pub fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let file = open(name)?;
    fill_and_seal(&file, content)?;
    Ok(file)
}

/// Writes the content, once.
pub fn fill_and_seal(file: &OwnedFd, content: &[u8]) -> io::Result<()> {
    File::from(file.try_clone()?).write_all(content)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(rustix::fs::fcntl_add_seals(file, seals)?)
}

/// Lets others execute it and not read it. The memory of a process that executes what it may not read belongs to a user namespace in which the
/// file has an owner (`would_dump()`, fs/exec.c), and this one has none in a container's: root there cannot trace it, with whatever capabilities.
pub fn only_to_be_executed(file: &OwnedFd) -> io::Result<()> {
    /// The last user that there can be, -1 being none.
    const NOBODYS: u32 = u32::MAX - 1;
    let (user, group) = (Uid::from_raw(NOBODYS), Gid::from_raw(NOBODYS));
    rustix::fs::fchown(file, Some(user), Some(group))?;
    Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(0o111))?)
}

/// Leaves a descriptor open for the program that is executed next.
pub fn keep_over_exec(file: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?)
}

/// Executes a file by its descriptor (execveat(2), `AT_EMPTY_PATH`). Returns only the error.
pub fn exec(program: &OwnedFd, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|t| t.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: the path is an empty C string, both arrays end with null and every string lives until the call returns.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}
