//! Signals as something to read, so that one loop waits for all that can happen (signalfd(2)).
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// What is passed on to the container's program.
const FORWARDED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Whether a forwarded signal ends a program by default (signal(7)).
pub fn ends(signal: i32) -> bool {
    FORWARDED.contains(&signal) && !matches!(signal, libc::SIGCONT | libc::SIGWINCH)
}

/// The mask of a process that has inherited what [`Signals::block`] did, as proc_pid_status(5) shows it.
pub fn blocked_mask() -> u64 {
    FORWARDED.iter().fold(0, |mask, signal| mask | 1 << (signal - 1))
}

/// Signals that wait to be read instead of ending the process.
pub struct Signals {
    handle: OwnedFd,
}

impl Signals {
    /// Blocks the forwarded signals for this process and its children; [`restore`] undoes it in a child.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set that the other calls then read.
        let fd = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in FORWARDED {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            // What the program prints is written here: a limit of files (`ulimit -f`) is an error of that, not the end (setrlimit(2)).
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self { handle: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal that has arrived, if there is one.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.handle, &mut info) {
            Ok(_) => Ok(i32::try_from(u32::from_ne_bytes([info[0], info[1], info[2], info[3]])).ok()),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next signal that has arrived and would end a plain run.
    pub fn next_that_ends(&self) -> io::Result<Option<i32>> {
        while let Some(signal) = self.next()? {
            if ends(signal) {
                return Ok(Some(signal));
            }
        }
        Ok(None)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Lets every signal through again and lets SIGPIPE and SIGXFSZ end the process, which Rust's runtime and [`Signals::block`] do not, before another
/// program takes this process over: it inherits what is blocked and ignored (execve(2)).
pub fn restore() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that sigprocmask then reads; the default action has no handler.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
    }
}
