//! What nicdock makes has modes of its own. Every mode is cut by the umask (umask(2)), also those of what libcontainer and the standard
//! library make, as sockets and control groups; the caller's could be 0, and everybody could write a lease, or 0777. So nicdock has one of
//! its own from its first line on.

use std::io;
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::umask;

use crate::closing::Closing;

/// Others may read, and write nothing.
const OWN: u32 = 0o022;

static CALLERS: OnceLock<Mode> = OnceLock::new();

/// Before anything is made.
pub fn take_own() {
    if !Closing::Modes.is_left_open() {
        let _ = CALLERS.set(umask(Mode::from_raw_mode(OWN)));
    }
}

/// For the container's program, which is the caller's, as from a shell.
pub fn give_callers() {
    if let Some(mode) = CALLERS.get() {
        umask(*mode);
    }
}

/// Makes a file that the caller asked for, who decides who may read it.
pub fn with_callers<T>(make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    give_callers();
    let result = make();
    if CALLERS.get().is_some() {
        umask(Mode::from_raw_mode(OWN));
    }
    result
}
