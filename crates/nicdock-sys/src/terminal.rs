//! The caller's terminal while a container has one of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::passing;

/// The terminal in raw mode; the old settings come back when this is dropped.
pub struct RawMode {
    old: Termios,
}

impl RawMode {
    /// Errors: `ENOTTY` when standard input is no terminal.
    pub fn enter() -> io::Result<Self> {
        let old = tcgetattr(io::stdin().as_fd())?;
        let mut raw = old.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &raw)?;
        Ok(Self { old })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.old);
    }
}

/// Gives the container's terminal the size of the caller's.
pub fn copy_size(terminal: impl AsFd) -> io::Result<()> {
    Ok(tcsetwinsize(terminal, tcgetwinsize(io::stdin().as_fd())?)?)
}

/// Takes the container's terminal, which libcontainer sends as a descriptor.
pub fn receive(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    passing::receive(&stream)?.ok_or_else(|| io::Error::other("libcontainer sent no terminal"))
}
