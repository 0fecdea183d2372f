//! Waits for the program, passes signals on, and relays its terminal.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use super::watch::Watch;
use crate::kernel::pidfd::Process;
use crate::kernel::signals::{self, Signals};
use crate::kernel::terminal::{self, RawMode};
use crate::say::notice;

/// Gives the program's exit status in shell terms.
///
/// What `watch` hears of the NICs meanwhile is told on standard error.
pub fn supervise(
    init: &Process,
    signals: &Signals,
    mut watch: Watch<'_>,
    console: Option<OwnedFd>,
) -> io::Result<i32> {
    watch.begin().iter().for_each(notice);
    let _raw = console.as_ref().and_then(|_| RawMode::enter().ok());
    let mut console = console.map(std::fs::File::from);
    if let Some(master) = &console {
        let _ = terminal::copy_size(master);
    }
    let (mut input_open, mut ended_by) = (true, None);
    loop {
        let stdin = io::stdin();
        let handle = init.handle();
        let mut sources = vec![PollFd::new(&handle, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        sources.extend(watch.handles().map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)));
        if let Some(master) = &console {
            sources.push(PollFd::new(master, PollFlags::IN));
            if input_open {
                sources.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
        }
        match poll(&mut sources, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = sources.iter().map(|s| !s.revents().is_empty()).collect();
        drop(sources);
        while let Some(signal) = signals.next()? {
            if let (Some(master), libc::SIGWINCH) = (&console, signal) {
                drop(terminal::copy_size(master));
                continue;
            }
            let in_flight = watch.queue_pairs();
            if let Some(signal) = forward(init, signal) {
                ended_by = Some(signal);
                for line in in_flight {
                    notice(format_args!("ended while {line}"));
                }
            }
        }
        if ready[2] || ready[3] {
            watch.news().iter().for_each(notice);
        }
        if ready.get(4) == Some(&true) && !relay_output(&mut console) {
            console = None;
        }
        if ready.get(5) == Some(&true) {
            input_open = relay_input(&mut console);
        }
        if ready.first() == Some(&true)
            && let Some(status) = init.try_wait()?
        {
            while has_output(console.as_ref()) && relay_output(&mut console) {}
            return Ok(ended_by.filter(|_| status == KILLED).map_or(status, |signal| 128 + signal));
        }
    }
}

/// 128 + SIGKILL.
const KILLED: i32 = 137;

/// Passes a signal on. The kernel lets no signal end the first process of a PID namespace unless that has a handler
/// (pid_namespaces(7)); where a plain run would have ended, the program is killed, and the signal given back.
fn forward(init: &Process, signal: i32) -> Option<i32> {
    if signals::ends(signal) && !init.has_a_say_in(signal) {
        return init.signal(Signal::KILL).ok().map(|()| signal);
    }
    let _ = Signal::from_named_raw(signal).map(|signal| init.signal(signal));
    None
}

/// Whether there is something to copy now: others may keep the terminal open, and their words are not waited for.
fn has_output(console: Option<&std::fs::File>) -> bool {
    let Some(master) = console else { return false };
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut source = [PollFd::new(master, PollFlags::IN)];
    poll(&mut source, Some(&now)).is_ok_and(|ready| ready > 0) && source[0].revents().contains(PollFlags::IN)
}

/// Copies what the program printed; `false` when its terminal is closed.
fn relay_output(console: &mut Option<std::fs::File>) -> bool {
    let Some(master) = console else { return false };
    let mut buffer = [0; 8192];
    match master.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(count) => io::stdout().write_all(&buffer[..count]).and_then(|()| io::stdout().flush()).is_ok(),
    }
}

/// Copies what the user typed; `false` at the end of the input.
fn relay_input(console: &mut Option<std::fs::File>) -> bool {
    let Some(master) = console else { return false };
    let mut buffer = [0; 4096];
    match rustix::io::read(io::stdin().as_fd(), &mut buffer) {
        Ok(0) | Err(_) => {
            // End of transmission, as a terminal would give it.
            let _ = master.write_all(&[4]);
            false
        }
        Ok(count) => master.write_all(&buffer[..count]).is_ok(),
    }
}
