//! The caller's terminal while a container has one of its own.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

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

/// Takes the container's terminal, which libcontainer sends as a descriptor (unix(7), `SCM_RIGHTS`).
pub fn receive(listener: &std::os::unix::net::UnixListener) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let (stream, _) = listener.accept()?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 256];
    let mut data = [io::IoSliceMut::new(&mut name)];
    recvmsg(&stream, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    descriptors.flatten().next().ok_or_else(|| io::Error::other("libcontainer sent no terminal"))
}
