//! What a process of nicdock's does before it enters a container's namespaces.
//!
//! In a mount or network namespace nobody sees it: /proc shows processes by their process namespace, which nicdock's own never enter (but the audit,
//! as the last thing that it does). So what is done here is for containers that share the host's process namespace, and for a mistake in that order: then
//! there is no terminal to type into, no memory to read, and no descriptor that leads to the host.
#![allow(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::FdFlags;

/// Where standard output and error go: a pipe that somebody on the host reads, or nowhere. Standard input is always empty.
#[derive(Clone, Copy, Default)]
pub struct Streams<'a> {
    pub output: Option<BorrowedFd<'a>>,
    pub errors: Option<BorrowedFd<'a>>,
}

/// Gives the caller a session of its own, which has no terminal; other standard streams; no descriptors but these and `keep`; and memory that
/// nobody reads without CAP_SYS_PTRACE in the first user namespace ([`hide_memory`]). What of `keep` is not closed on exec is left so.
///
/// Nothing of /dev is opened: by a magic link to a descriptor (proc_pid_fd(5)) the mode even of the host's /dev/null could be changed.
///
/// The caller is a child that was just forked, and ends without returning into the parent's frames, whose descriptors may be closed.
pub fn seclude(keep: &[BorrowedFd<'_>], streams: Streams<'_>) -> io::Result<()> {
    hide_memory()?;
    // The first process of a group cannot; a forked child is none.
    rustix::process::setsid()?;
    // Read: the end. Written to: EPIPE, as SIGPIPE is ignored.
    let (empty, _) = io::pipe()?;
    let (_, nowhere) = io::pipe()?;
    let output = streams.output.unwrap_or(nowhere.as_fd());
    let errors = streams.errors.unwrap_or(nowhere.as_fd());
    // Out of the way of the three numbers that are made now, should the caller have had one of them free.
    let output = rustix::io::fcntl_dupfd_cloexec(output, 3)?;
    let errors = rustix::io::fcntl_dupfd_cloexec(errors, 3)?;
    become_number(0, &empty)?;
    become_number(1, &output)?;
    become_number(2, &errors)?;
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    let mut first = 3;
    // Not closed a second time by their owners: they are forgotten.
    std::mem::forget((empty, nowhere, output, errors));
    for fd in kept {
        close(first, fd.saturating_sub(1))?;
        first = first.max(fd + 1);
    }
    close(first, u32::MAX)
}

/// Makes the caller's memory and descriptors nobody's to look at (prctl(2), `PR_SET_DUMPABLE`). Each exec, and each change of credentials that
/// gives something, undoes it.
pub fn hide_memory() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?)
}

/// Makes `number` the same as `fd` (dup2(2)).
fn become_number(number: i32, fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the number is a standard stream's, which nothing owns; the call takes numbers.
    let result = unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn close(first: u32, last: u32) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: the process is a forked child, which neither uses what is closed here nor closes it again: see `seclude`.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Standard output is that of `streams`, and all else as it was. For tests.
pub fn take_output(streams: Streams<'_>) -> io::Result<()> {
    streams.output.map_or(Ok(()), |output| become_number(1, output))
}

/// Leaves every descriptor open over the next exec: what a container got before any of this was done. For tests.
pub fn leave_descriptors() {
    for number in 3..64 {
        // SAFETY: only borrowed for a call that fails where there is none.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = rustix::io::fcntl_setfd(fd, FdFlags::empty());
    }
}

/// What a secluded process says on standard error, for the caller to say.
pub struct Said(PipeReader);

impl Said {
    /// The other end is for [`Streams::errors`].
    pub fn new() -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok((Self(reader), writer))
    }

    /// Says what has come by now, without waiting. `false` at its end.
    pub fn pass_on(&self) -> bool {
        let mut part = [0; 4096];
        let mut reader: &PipeReader = &self.0;
        loop {
            match reader.read(&mut part) {
                Ok(0) => return false,
                Ok(length) => {
                    let _ = io::Write::write_all(&mut io::stderr(), &part[..length]);
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl AsFd for Said {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether the descriptors of the caller are these and the standard streams, as /proc has them.
#[cfg(test)]
fn open_descriptors() -> Vec<u32> {
    let folder = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut found: Vec<u32> = folder
        .flatten()
        .filter(|entry| !entry.path().read_link().is_ok_and(|link| link.ends_with("fd")))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::child::Child;

    #[test]
    fn a_secluded_process_has_no_terminal_no_descriptors_and_no_readable_memory() {
        let kept = File::open("/").unwrap();
        let mut child = Child::fork(|| {
            // It is closed by the call, and must not be a second time.
            std::mem::forget(File::open("/etc").unwrap());
            seclude(&[kept.as_fd()], Streams::default()).unwrap();
            let own_session = rustix::process::getsid(None) == Ok(rustix::process::getpid());
            let expected = vec![0, 1, 2, kept.as_raw_fd().unsigned_abs()];
            let hidden = rustix::process::dumpable_behavior()
                .is_ok_and(|behavior| behavior == rustix::process::DumpableBehavior::NotDumpable);
            let piped = (0..3).all(|number| {
                std::fs::read_link(format!("/proc/self/fd/{number}"))
                    .is_ok_and(|link| link.to_string_lossy().starts_with("pipe:"))
            });
            let few = open_descriptors() == expected;
            [own_session, hidden, piped, few]
                .iter()
                .enumerate()
                .map(|(bit, holds)| i32::from(!holds) << bit)
                .sum()
        })
        .unwrap();
        assert_eq!(child.wait().unwrap(), 0);
    }
}
