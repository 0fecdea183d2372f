//! A hostile container in which each process makes the next one and ends: whoever looks for one finds none.

use std::io::{self, Write};
use std::time::Duration;

/// Says `ready`, then `link` for each process, for ever.
pub fn run() -> io::Result<()> {
    // Whose parent has ended is the first process's, which need not wait for it then (wait(2)).
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    say("ready")?;
    if is_next()? {
        loop {
            say("link")?;
            if !is_next()? {
                // SAFETY: ends the process without the handlers that the first one has installed.
                unsafe { libc::_exit(0) };
            }
        }
    }
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn say(line: &str) -> io::Result<()> {
    io::stdout().write_all(format!("{line}\n").as_bytes())
}

/// Makes the next process, which who traces this one does not get (clone(2), CLONE_UNTRACED). `true` in the next one.
fn is_next() -> io::Result<bool> {
    let flags = libc::c_long::from(libc::CLONE_UNTRACED | libc::SIGCHLD);
    // SAFETY: as fork(2) does, in a process of one thread.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) } {
        0 => Ok(true),
        pid if pid > 0 => Ok(false),
        _ => Err(io::Error::last_os_error()),
    }
}
