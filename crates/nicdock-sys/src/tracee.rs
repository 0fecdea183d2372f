//! Another process's seccomp filters: read (ptrace(2), `PTRACE_SECCOMP_GET_FILTER`), and added to.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod added;
mod still;

use std::io;

use rustix::process::{Pid, WaitOptions, waitpid};

#[cfg(target_arch = "x86_64")]
pub use added::{add_seccomp_filter, drop_capabilities};
pub use still::stop;

/// `PTRACE_SECCOMP_GET_FILTER` (include/uapi/linux/ptrace.h).
const GET_FILTER: libc::c_uint = 0x420c;

/// One instruction of classic BPF: `struct sock_filter` (include/uapi/linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// A process that is stopped for as long as this lives.
struct Stopped(Pid);

impl Stopped {
    /// With `options` of `PTRACE_SETOPTIONS`.
    fn new(pid: Pid, options: libc::c_int) -> io::Result<Self> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: neither request reads or writes memory of ours.
        unsafe {
            if libc::ptrace(libc::PTRACE_SEIZE, pid.as_raw_nonzero().get(), none, libc::c_long::from(options))
                < 0
            {
                return Err(io::Error::last_os_error());
            }
            if libc::ptrace(libc::PTRACE_INTERRUPT, pid.as_raw_nonzero().get(), none, none) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // From here on it is detached whatever happens.
        let this = Self(pid);
        waitpid(Some(pid), WaitOptions::UNTRACED)?;
        Ok(this)
    }
}

/// Number of instructions of filter `number`, written to `to` if that is not null.
fn filter(pid: Pid, number: usize, to: *mut Instruction) -> io::Result<usize> {
    // SAFETY: `to` is null, or has room for as many instructions as the first call said.
    let result =
        unsafe { libc::ptrace(GET_FILTER, pid.as_raw_nonzero().get(), number, to.cast::<libc::c_void>()) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: lets the process go on; no memory of ours is involved.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0.as_raw_nonzero().get(), none, none) };
    }
}

fn number(pid: u32) -> io::Result<Pid> {
    Ok(i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?)
}

/// The filters of process `pid` in the order in which they were installed. The process is stopped for a moment.
///
/// Needs `CAP_SYS_ADMIN` in the initial user namespace, no filter of our own, and `CONFIG_CHECKPOINT_RESTORE`.
pub fn seccomp_filters(pid: u32) -> io::Result<Vec<Vec<Instruction>>> {
    let stopped = Stopped::new(number(pid)?, 0)?;
    filters_of(stopped.0)
}

/// The same of one that the caller has stopped already ([`stop`]).
pub fn seccomp_filters_of_stopped(pid: u32) -> io::Result<Vec<Vec<Instruction>>> {
    filters_of(number(pid)?)
}

fn filters_of(pid: Pid) -> io::Result<Vec<Vec<Instruction>>> {
    let mut filters = Vec::new();
    loop {
        let length = match filter(pid, filters.len(), std::ptr::null_mut()) {
            Ok(length) => length,
            // There is no such filter: these were all.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
            // There are none at all.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && filters.is_empty() => break,
            Err(error) => return Err(error),
        };
        let mut filter = vec![Instruction { code: 0, jt: 0, jf: 0, k: 0 }; length];
        self::filter(pid, filters.len(), filter.as_mut_ptr())?;
        filters.push(filter);
    }
    Ok(filters)
}
