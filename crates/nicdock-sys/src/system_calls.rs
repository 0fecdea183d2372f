//! Which system calls the running kernel has.
//!
//! Nothing lists them by number, so they are made: by a process without any right, in a session of its own, with all bits of every argument set, which
//! is no pointer, no descriptor, no process and no set of flags. What the kernel does not have is `ENOSYS` (`sys_ni_syscall()`,
//! kernel/sys_ni.c).
#![allow(unsafe_code)]

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::child::{Child, die_with_parent};
use super::secluded::{Streams, hide_memory, seclude};

/// Beyond the numbers of every kernel so far: those that it does not have are soon asked.
pub const END: u32 = 1024;
/// A call that does not return by then is there, and waits.
const A_CALL: Duration = Duration::from_secs(5);
const NOBODY: u32 = 65534;

/// Those of `numbers` that the kernel has. None of them may be one that does something by its mere number (as fork, pause, exit, sync).
///
/// # Errors
///
/// No process can be made, or it cannot be kept apart.
pub fn had(numbers: &[u32]) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    let mut rest = numbers;
    while !rest.is_empty() {
        let told = ask(rest)?;
        found.extend(told.had);
        match told.last {
            // It has ended, or hung, in this one, which therefore did something.
            Some(last) => {
                found.push(last);
                let place = rest.iter().position(|number| *number == last).unwrap_or(rest.len() - 1);
                rest = &rest[place + 1..];
            }
            None => break,
        }
    }
    Ok(found)
}

#[derive(Default)]
struct Told {
    had: Vec<u32>,
    /// The one that was begun and not ended.
    last: Option<u32>,
}

const APART: u8 = 0;
const BEGUN: u8 = 1;
const HAD: u8 = 2;
const NOT_HAD: u8 = 3;

/// Asks a process of its own, until that ends or waits. What it says is what happened, and with which number.
fn ask(numbers: &[u32]) -> io::Result<Told> {
    let (reader, writer) = io::pipe()?;
    let _child = Child::fork(|| {
        let mut output = &writer;
        let mut say = |what: u8, number: u32| {
            let [a, b, c, d] = number.to_le_bytes();
            output.write_all(&[what, a, b, c, d]).is_ok()
        };
        if seclude(&[writer.as_fd()], Streams::default()).and_then(|()| become_nobody()).is_err()
            || !say(APART, 0)
        {
            return 1;
        }
        let mut ask = |number: u32| {
            // Nothing more is asked when nobody hears it.
            say(BEGUN, number) && say(if is_there(number) { HAD } else { NOT_HAD }, number)
        };
        i32::from(!numbers.iter().all(|number| ask(*number)))
    })?;
    drop(writer);
    let mut told = Told::default();
    let mut is_apart = false;
    while let Some((what, number)) = next(&reader) {
        match what {
            APART => is_apart = true,
            BEGUN => told.last = Some(number),
            answer => {
                told.last = None;
                told.had.extend((answer == HAD).then_some(number));
            }
        }
    }
    // The child ends with this function, whatever it waits for.
    if is_apart {
        return Ok(told);
    }
    Err(io::Error::other("the process that asks for the kernel's system calls could not be kept apart"))
}

/// The next thing that was said; `None` if nothing was in time.
fn next(reader: &PipeReader) -> Option<(u8, u32)> {
    let deadline = Instant::now() + A_CALL;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(reader, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1..) => break,
            _ => return None,
        }
    }
    let mut said = [0; 5];
    let mut reader = reader;
    // Written as a whole, since it is less than PIPE_BUF (pipe(7)).
    reader.read_exact(&mut said).ok()?;
    let [what, a, b, c, d] = said;
    Some((what, u32::from_le_bytes([a, b, c, d])))
}

/// Gives up every right that the caller has.
fn become_nobody() -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        // SAFETY: the calls take numbers; no groups are given, and the process has one thread.
        let results = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, 0_usize, 0_usize),
                libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
                libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
            ]
        };
        if results.iter().any(|result| *result != 0) {
            return Err(io::Error::last_os_error());
        }
    }
    rustix::thread::set_no_new_privs(true)?;
    // A change of the user undoes both. What is not dumpable leaves no core either.
    die_with_parent()?;
    hide_memory()
}

fn is_there(number: u32) -> bool {
    let ones = usize::MAX;
    // SAFETY: no address is valid that has all bits set, so the kernel neither reads nor writes this process's memory. What makes a
    // process or unmaps memory by its mere number is the caller's to leave out.
    let result = unsafe { libc::syscall(libc::c_long::from(number), ones, ones, ones, ones, ones, ones) };
    result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_is_told_from_what_it_has_not() {
        let [dup, read] = [libc::SYS_dup, libc::SYS_read].map(|number| u32::try_from(number).unwrap());
        assert_eq!(had(&[dup, END, read, END + 1]).unwrap(), [dup, read]);
    }

    #[test]
    fn a_call_that_ends_its_process_is_one_and_the_next_are_asked_all_the_same() {
        let [exit, read] =
            [libc::SYS_exit_group, libc::SYS_read].map(|number| u32::try_from(number).unwrap());
        assert_eq!(had(&[exit, read, END]).unwrap(), [exit, read]);
        assert_eq!(had(&[]).unwrap(), []);
    }
}
