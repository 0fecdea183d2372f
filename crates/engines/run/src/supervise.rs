//! Waits for the program, passes signals on, and relays its streams.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use super::relay::Relay;
use super::watch::Watch;
use nicdock_core::say::notice;
use nicdock_sys::pidfd::Process;
use nicdock_sys::signals::{self, Signals};
use nicdock_sys::terminal::{self, RawMode};

/// Gives the program's exit status in shell terms.
///
/// What `watch` hears of the NICs meanwhile is told on standard error.
pub fn supervise(
    init: &Process,
    signals: &Signals,
    mut watch: Watch<'_>,
    mut relay: Relay,
) -> io::Result<i32> {
    watch.begin().iter().for_each(notice);
    let _raw = relay.terminal().and_then(|_| RawMode::enter().ok());
    if let Some(terminal) = relay.terminal() {
        let _ = terminal::copy_size(terminal);
    }
    let mut ended_by = None;
    loop {
        let handle = init.handle();
        let mut sources = vec![PollFd::new(&handle, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        sources.extend(watch.handles().map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)));
        let streams = sources.len();
        sources.extend(relay.sources());
        match poll(&mut sources, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = sources.iter().map(|s| !s.revents().is_empty()).collect();
        drop(sources);
        while let Some(signal) = signals.next()? {
            if let (Some(terminal), libc::SIGWINCH) = (relay.terminal(), signal) {
                drop(terminal::copy_size(terminal));
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
        relay.go_on(&ready[streams..]);
        if ready.first() == Some(&true)
            && let Some(status) = init.try_wait()?
        {
            // Whoever has ended it does not wait for a terminal that takes nothing.
            let is_whole =
                relay.finish(|| ended_by.is_none() && matches!(signals.next_that_ends(), Ok(None)));
            if status == 0 && !is_whole {
                return Ok(INCOMPLETE);
            }
            return Ok(ended_by.filter(|_| status == KILLED).map_or(status, |signal| 128 + signal));
        }
    }
}

/// The program ended well, and not all of its output could be written.
const INCOMPLETE: i32 = 125;

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
