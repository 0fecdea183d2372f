//! Between the caller's standard streams and the program's: a terminal of its own (`-t`), or pipes where the caller's streams are a terminal or a file.
//!
//! A program never has the caller's terminal itself. It could type into it (`TIOCSTI`, ioctl_tty(2)), and pass it to a process that
//! reads what is typed after the container has ended. Pipes and sockets are the program's as they are (`launch/streams.rs`).

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

use super::streams::{are_one, is_harmless};
use nicdock_core::say::notice;
use nicdock_sys::child;
use nicdock_sys::closing::Closing;

/// Bytes that a pipe takes without making its writer wait, if poll(2) says that it takes any (pipe(7), `PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// A regular file makes nobody wait for others.
const A_FILE_AT_ONCE: usize = 65536;

/// More than a terminal holds of what was written to it (drivers/tty/tty_buffer.c, `TTYB_DEFAULT_MEM_LIMIT`).
const TERMINAL_HOLDS: usize = 640 * 1024;

const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// How often is asked whether to go on waiting.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

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
        let printed = Way::new(printed, without_waiting(caller(io::stdout())?));
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

    /// Moves what the program has written, and no more than a stream holds: whoever got it passed may write for ever. It waits until the caller's streams take it,
    /// as long as `may_wait` says so. Gives whether nothing was lost for want of room in a file.
    pub fn finish(&mut self, mut may_wait: impl FnMut() -> bool) -> bool {
        for way in self.ways.iter_mut().filter(|way| !way.is_input) {
            let mut left = fcntl_getpipe_size(&way.from).unwrap_or(TERMINAL_HOLDS);
            loop {
                let writes = !way.pending.is_empty();
                if !writes && left == 0 {
                    break;
                }
                if way.waits(if writes { TICK } else { NO_TIME }) {
                    if !way.go_on() {
                        break;
                    }
                    let read = if writes { 0 } else { way.pending.len().max(1) };
                    left = left.saturating_sub(read);
                } else if !writes || !may_wait() {
                    break;
                }
            }
        }
        !self.ways.iter().any(|way| way.has_lost)
    }
}

/// Pipes in the place of those of our standard streams that the program may not have, for what is started meanwhile. Ours are the caller's
/// again at the end, and also when this is dropped early.
pub struct Diverted {
    caller: [Option<File>; 3],
    ways: Vec<Way>,
}

impl Diverted {
    /// `input` is what the program gets in the place of a file that is standard input ([`super::streams::read_only_input`]).
    pub fn begin(input: Option<File>) -> io::Result<Self> {
        let mut this = Self { caller: [None, None, None], ways: Vec::new() };
        if Closing::TerminalStreams.is_left_open() {
            return Ok(this);
        }
        let of_stderr = caller(io::stderr())?;
        let is_one = are_one(io::stdout(), &of_stderr);
        if let Some(input) = input {
            let file = caller(io::stdin())?;
            dup2_stdin(&input)?;
            this.caller[0] = Some(file);
        } else if !is_harmless(io::stdin())? {
            let (theirs, ours) = pipe()?;
            never_waits(&ours)?;
            let stream = caller(io::stdin())?;
            this.ways.push(Way { is_input: true, ..Way::new(stream.try_clone()?, ours) });
            dup2_stdin(&theirs)?;
            this.caller[0] = Some(stream);
        }
        this.caller[1] = this.divert_output(io::stdout(), |pipe| dup2_stdout(pipe))?;
        if is_one && this.caller[1].is_some() {
            // One pipe, so that what is written to both keeps its order.
            dup2_stderr(io::stdout())?;
            this.caller[2] = Some(of_stderr);
        } else {
            this.caller[2] = this.divert_output(io::stderr(), |pipe| dup2_stderr(pipe))?;
        }
        Ok(this)
    }

    /// A copy of the stream, if the program may not have it; then `place` has put a pipe in its place.
    fn divert_output(
        &mut self,
        stream: impl AsFd,
        place: fn(&File) -> rustix::io::Result<()>,
    ) -> io::Result<Option<File>> {
        if is_harmless(&stream)? {
            return Ok(None);
        }
        let (ours, theirs) = pipe()?;
        never_waits(&ours)?;
        let stream = caller(stream)?;
        self.ways.push(Way::new(ours, without_waiting(stream.try_clone()?)));
        place(&theirs)?;
        Ok(Some(stream))
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

/// The same terminal, opened once more so that no write to it waits: one that nobody reads (Ctrl-S, a connection that hangs) takes what fills it, and then nothing
/// (`n_tty_write()`, drivers/tty/n_tty.c). Its own flags are those of everybody who has it. What is no terminal, or cannot be opened, is as it was.
fn without_waiting(stream: File) -> File {
    if !stream.is_terminal() || Closing::NeverWaits.is_left_open() {
        return stream;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(child::proc_path(&stream), flags, Mode::empty()).map_or(stream, File::from)
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
    if Closing::NeverWaits.is_left_open() {
        return Ok(());
    }
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
    /// Towards a regular file.
    is_file: bool,
    /// A part of what the program has printed is lost.
    has_lost: bool,
}

impl Way {
    fn new(from: File, to: File) -> Self {
        let is_file = to.metadata().is_ok_and(|of| of.is_file());
        Self { from, to, pending: Vec::new(), is_input: false, at_end: &[], is_file, has_lost: false }
    }

    fn source(&self) -> PollFd<'_> {
        if !self.pending.is_empty() {
            return PollFd::new(&self.to, PollFlags::OUT);
        }
        // Who reads a terminal from its background is stopped (`SIGTTIN`, credentials(7)). A shell that brings us forward sends SIGCONT.
        let may_read = !self.is_input || tcgetpgrp(&self.from).map_or(true, |group| group == getpgrp());
        PollFd::new(&self.from, if may_read { PollFlags::IN } else { PollFlags::empty() })
    }

    /// Whether something can be moved, at once or before this time is over.
    fn waits(&self, limit: Timespec) -> bool {
        let mut source = [self.source()];
        poll(&mut source, Some(&limit)).is_ok_and(|ready| ready > 0)
    }

    /// Reads, or writes what was read; `false` when this way has come to its end.
    fn go_on(&mut self) -> bool {
        let writes = !self.pending.is_empty();
        let result = if writes {
            self.to.write(&self.pending).inspect(|&count| drop(self.pending.drain(..count)))
        } else {
            self.pending.resize(if self.is_file { A_FILE_AT_ONCE } else { AT_ONCE }, 0);
            let result = self.from.read(&mut self.pending);
            self.pending.truncate(*result.as_ref().unwrap_or(&0));
            result
        };
        match result {
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => true,
            Ok(1..) => true,
            // A program that writes to the file itself may go on after such an error (a disk that is full).
            Err(error) if writes && self.is_file => {
                self.pending.clear();
                if !self.has_lost {
                    notice(format_args!("warning: a part of what the program printed is lost: {error}"));
                }
                self.has_lost = true;
                true
            }
            Ok(0) | Err(_) => {
                let _ = self.to.write_all(self.at_end);
                false
            }
        }
    }
}
