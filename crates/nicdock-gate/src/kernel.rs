//! Signals, seccomp and namespaces: what rustix has not.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::{Duration, Instant};

/// `struct sock_filter` (include/uapi/linux/filter.h).
const INSTRUCTION: usize = 8;

/// Adds a filter of classic BPF to the caller's, as seccomp_export_bpf(3) writes it (prctl(2), `PR_SET_SECCOMP`).
pub fn filter(program: &[u8]) -> io::Result<()> {
    let instructions: Vec<libc::sock_filter> = program
        .chunks_exact(INSTRUCTION)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let len = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    if len == 0 || !program.len().is_multiple_of(INSTRUCTION) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let program = libc::sock_fprog { len, filter: instructions.as_ptr().cast_mut() };
    // SAFETY: the program and its instructions live until the call returns, which copies them.
    let result = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0_u64, 0_u64)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The groups that it is in become the root of what it sees of them (cgroup_namespaces(7)).
pub fn own_cgroups() -> io::Result<()> {
    // SAFETY: plain call; no memory is shared with anybody by this flag.
    if unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Closes every descriptor but standard input, output and error (close_range(2)).
pub fn only_console() -> io::Result<()> {
    // SAFETY: no descriptor above these three has been made, so none is owned by anything here.
    if unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A signal that is blocked, and can be waited for.
pub struct Blocked {
    signal: i32,
    set: libc::sigset_t,
}

extern "C" fn never_called(_: i32) {}

impl Blocked {
    /// It has a handler, too, by which it is seen from outside (`SigCgt` of proc_pid_status(5)) that it can be sent: while a process waits for a signal,
    /// the kernel shows it as not blocked (`do_sigtimedwait()`, kernel/signal.c).
    pub fn new(signal: i32) -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set, and there is a place for it.
        let mut set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            set.assume_init()
        };
        // SAFETY: the set is initialised, no old one is asked for, and the handler does nothing.
        let result = unsafe {
            libc::sigaddset(&raw mut set, signal);
            match libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) {
                0 => libc::signal(signal, never_called as *const () as libc::sighandler_t),
                _ => libc::SIG_ERR,
            }
        };
        if result == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(Self { signal, set }) }
    }

    /// Waits until it comes from outside of this process namespace. `false` if it has not come in time.
    pub fn comes_from_outside(&self, at_most: Duration) -> io::Result<bool> {
        let begin = Instant::now();
        while let Some(left) = at_most.checked_sub(begin.elapsed()) {
            #[allow(clippy::cast_possible_wrap)]
            let left =
                libc::timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
            // SAFETY: set and time are initialised, and there is a place for what is told.
            let result =
                unsafe { libc::sigtimedwait(&raw const self.set, info.as_mut_ptr(), &raw const left) };
            // SAFETY: all zero or filled; a signal of kill(2) and its kin has a sender.
            let (code, sender) = unsafe {
                let info = info.assume_init();
                (info.si_code, info.si_pid())
            };
            if result == self.signal && code == libc::SI_USER && sender == 0 {
                return Ok(true);
            }
            if result < 0 {
                let error = io::Error::last_os_error();
                if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
                    return Err(error);
                }
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_of_the_same_process_namespace_opens_nothing() {
        let blocked = Blocked::new(libc::SIGUSR1).unwrap();
        // SAFETY: it is blocked in this thread, and sent to this one alone.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert!(!blocked.comes_from_outside(Duration::from_millis(20)).unwrap());
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(filter(&[]).is_err() && filter(&[0; 7]).is_err());
    }
}
