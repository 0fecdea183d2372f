//! Between the caller's standard streams and the program's: a terminal of its own (`-t`), or pipes where the caller's streams are a terminal.
//!
//! A program never has the caller's terminal itself. It could type into it (`TIOCSTI`, ioctl_tty(2)), and pass it to a process that
//! reads what is typed after the container has ended. Streams that are no terminal are the program's as they are.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fchmod, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, pipe_with};
use rustix::process::getpgrp;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::tcgetpgrp;

use crate::closing::Closing;

/// Bytes that a pipe takes without making its writer wait, if poll(2) says that it takes any (pipe(7), `PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// More than a terminal holds of what was written to it (drivers/tty/tty_buffer.c, `TTYB_DEFAULT_MEM_LIMIT`).
const TERMINAL_HOLDS: usize = 640 * 1024;

/// The end of the input as a program types it: end of transmission (termios(3), `VEOF`).
const TYPED_END: &[u8] = &[4];

#[derive(Default)]
pub struct Relay {
    /// Each way that bytes go, in the order in which [`Relay::sources`] gives them.
    ways: Vec<Way>,
    /// The other end of the program's own.
    terminal: Option<File>,
}

impl Relay {
    /// For a program whose terminal's other end is `master`.
    pub fn of_terminal(master: OwnedFd) -> io::Result<Self> {
        let master = File::from(master);
        never_waits(&master)?;
        let (printed, typed) = (master.try_clone()?, master.try_clone()?);
        let typed = Way { is_input: true, at_end: TYPED_END, ..Way::new(caller(io::stdin())?, typed) };
        let printed = Way::new(printed, caller(io::stdout())?);
        Ok(Self { ways: vec![printed, typed], terminal: Some(master) })
    }

    /// The other end of the program's terminal, if it has one of its own.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// What to poll for, one a way.
    pub fn sources(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.ways.iter().map(Way::source)
    }

    /// Moves what can be moved at once; `ready` says which of the sources are.
    pub fn go_on(&mut self, ready: &[bool]) {
        let mut ready = ready.iter();
        self.ways.retain_mut(|way| ready.next() != Some(&true) || way.go_on());
    }

    /// Moves what the program has written, and no more than a stream holds: whoever got it passed may write for ever.
    pub fn finish(&mut self) {
        for way in self.ways.iter_mut().filter(|way| !way.is_input) {
            let mut left = fcntl_getpipe_size(&way.from).unwrap_or(TERMINAL_HOLDS);
            while way.flush() && left > 0 && way.is_ready() && way.go_on() {
                left = left.saturating_sub(way.pending.len().max(1));
            }
        }
    }
}

/// Pipes in the place of those of our standard streams that are a terminal, for what is started meanwhile. Ours are the terminal
/// again at the end, and also when this is dropped early.
pub struct Diverted {
    caller: [Option<File>; 3],
    ways: Vec<Way>,
}

impl Diverted {
    pub fn begin() -> io::Result<Self> {
        let mut this = Self { caller: [None, None, None], ways: Vec::new() };
        if Closing::TerminalStreams.is_left_open() {
            return Ok(this);
        }
        if io::stdin().is_terminal() {
            let (theirs, ours) = pipe()?;
            never_waits(&ours)?;
            let terminal = caller(io::stdin())?;
            this.ways.push(Way { is_input: true, ..Way::new(terminal.try_clone()?, ours) });
            dup2_stdin(&theirs)?;
            this.caller[0] = Some(terminal);
        }
        this.caller[1] = this.divert_output(io::stdout(), |pipe| dup2_stdout(pipe))?;
        this.caller[2] = this.divert_output(io::stderr(), |pipe| dup2_stderr(pipe))?;
        Ok(this)
    }

    /// A copy of the stream, if it is a terminal; then `place` has put a pipe in its place.
    fn divert_output(
        &mut self,
        stream: impl AsFd + IsTerminal,
        place: fn(&File) -> rustix::io::Result<()>,
    ) -> io::Result<Option<File>> {
        if !stream.is_terminal() {
            return Ok(None);
        }
        let (ours, theirs) = pipe()?;
        never_waits(&ours)?;
        let terminal = caller(stream)?;
        self.ways.push(Way::new(ours, terminal.try_clone()?));
        place(&theirs)?;
        Ok(Some(terminal))
    }

    pub fn end(mut self) -> Relay {
        Relay { ways: mem::take(&mut self.ways), terminal: None }
    }
}

impl Drop for Diverted {
    fn drop(&mut self) {
        let [stdin, stdout, stderr] = &self.caller;
        // dup2(2) of open descriptors fails for want of nothing.
        let _ = stdin.as_ref().map(dup2_stdin);
        let _ = stdout.as_ref().map(dup2_stdout);
        let _ = stderr.as_ref().map(dup2_stderr);
    }
}

/// A copy of one of our standard streams.
fn caller(stream: impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// The reading end and the writing end. A program of any user may open its own end by /dev/stdout, as it may a terminal; who reaches
/// that name can read the program's memory (proc_pid_fd(5)).
fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    fchmod(&writer, Mode::from_raw_mode(0o666))?;
    Ok((reader.into(), writer.into()))
}

/// A program can open the other end as well, and take away what is there to read, or fill what is free, after poll(2) has said so: nobody
/// must be able to hold up who supervises it.
fn never_waits(ours: &File) -> io::Result<()> {
    let flags = fcntl_getfl(ours)?;
    Ok(fcntl_setfl(ours, flags | OFlags::NONBLOCK)?)
}

/// From one stream to another.
struct Way {
    from: File,
    to: File,
    /// What was read and waits until it can be written.
    pending: Vec<u8>,
    /// Towards the program.
    is_input: bool,
    /// What is written after the last byte.
    at_end: &'static [u8],
}

impl Way {
    fn new(from: File, to: File) -> Self {
        Self { from, to, pending: Vec::new(), is_input: false, at_end: &[] }
    }

    fn source(&self) -> PollFd<'_> {
        if !self.pending.is_empty() {
            return PollFd::new(&self.to, PollFlags::OUT);
        }
        // Who reads a terminal from its background is stopped (`SIGTTIN`, credentials(7)). A shell that brings us forward sends SIGCONT.
        let may_read = !self.is_input || tcgetpgrp(&self.from).map_or(true, |group| group == getpgrp());
        PollFd::new(&self.from, if may_read { PollFlags::IN } else { PollFlags::empty() })
    }

    /// Whether something can be moved without waiting.
    fn is_ready(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut source = [self.source()];
        poll(&mut source, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Writes what was read, however long the caller's terminal takes for it; `false` if it takes no more.
    fn flush(&mut self) -> bool {
        let pending = mem::take(&mut self.pending);
        self.to.write_all(&pending).is_ok()
    }

    /// Reads, or writes what was read; `false` when this way has come to its end.
    fn go_on(&mut self) -> bool {
        let result = if self.pending.is_empty() {
            let mut buffer = [0; AT_ONCE];
            self.from.read(&mut buffer).inspect(|&count| self.pending.extend(&buffer[..count]))
        } else {
            self.to.write(&self.pending).inspect(|&count| drop(self.pending.drain(..count)))
        };
        match result {
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => true,
            Ok(1..) => true,
            Ok(0) | Err(_) => {
                let _ = self.to.write_all(self.at_end);
                false
            }
        }
    }
}
