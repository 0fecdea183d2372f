//! The process that works inside the container's namespaces while the launcher makes the container: the NIC moves
//! and the container is created at the same time.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

use nicdock_core::lease::{Holder, Journal};
use nicdock_core::lifecycle::LaunchError;
use nicdock_core::phases::enter::Prepared;
use nicdock_core::phases::{Doing, PhaseError, enter, network, verify};
use nicdock_core::plan::Plan;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::child::Child;
use nicdock_sys::closing::Closing;
use nicdock_sys::secluded::{Said, Streams, seclude};
use nicdock_sys::signals::Signals;
use nicdock_sys::{netns, passing};

/// A child in a network namespace of its own, which it holds.
pub struct Worker {
    child: Child,
    stream: BufReader<UnixStream>,
    /// What it tells the user, as that it waits for a link.
    said: Said,
    /// By which it passes descriptors.
    passed: UnixStream,
}

impl Worker {
    /// Starts it and waits until its namespace is there. Every wait ends when `signals` has one that ends a program.
    ///
    /// `host` is the container whose network namespace is shared; without it there will be a new one.
    pub fn start(
        plan: &Plan,
        prepared: &Prepared,
        host: Option<&Holder>,
        journal: Journal<'_>,
        signals: &Signals,
    ) -> Result<Self, LaunchError> {
        let inside = |e: std::io::Error| {
            LaunchError::Inside(format!("starting the process for the container's namespaces: {e}"))
        };
        let (ours, theirs) = UnixStream::pair().map_err(inside)?;
        let (passed, passing) = UnixStream::pair().map_err(inside)?;
        let (said, errors) = Said::new().map_err(inside)?;
        let child = Child::fork(|| {
            let mut stream = BufReader::new(theirs);
            let mut keep = vec![stream.get_ref().as_fd(), passing.as_fd(), prepared.root.as_fd()];
            keep.extend(prepared.volumes.iter().map(AsFd::as_fd));
            let streams = Streams { output: None, errors: Some(errors.as_fd()) };
            let secluded =
                seclude(&keep, streams).doing(|| "keeping apart from the container's processes".into());
            match secluded.and_then(|()| work(plan, prepared, host, journal, &mut stream, &passing)) {
                Ok(()) => 0,
                Err(error) => {
                    let _ = writeln!(stream.get_mut(), "error {}", error.to_string().replace('\n', " "));
                    1
                }
            }
        })
        .map_err(inside)?;
        drop((errors, passing));
        let mut this = Self { child, stream: BufReader::new(ours), said, passed };
        this.expect("namespace", signals)?;
        Ok(this)
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits until the NICs are inside and configured.
    pub fn network_done(&mut self, signals: &Signals) -> Result<(), LaunchError> {
        self.expect("network", signals)
    }

    /// Lets it compose and verify the container whose first process is `init`; ends it. Gives the file system of its nodes ([`enter::Entered::nodes`]).
    pub fn finish(mut self, init: u32, signals: &Signals) -> Result<Option<OwnedFd>, LaunchError> {
        let _ = writeln!(self.stream.get_mut(), "{init}");
        self.expect("verified", signals)?;
        let inside = |e: std::io::Error| LaunchError::Inside(e.to_string());
        self.child.wait().map_err(inside)?;
        passing::receive(&self.passed).map_err(inside)
    }

    fn expect(&mut self, word: &str, signals: &Signals) -> Result<(), LaunchError> {
        self.wait(signals)?;
        let mut line = String::new();
        let _ = self.stream.read_line(&mut line);
        match line.trim_end().split_once(' ') {
            None if line.trim_end() == word => Ok(()),
            Some(("error", reason)) => Err(LaunchError::Inside(reason.to_owned())),
            _ => Err(LaunchError::Inside(format!(
                "the process for the container's namespaces ended before '{word}'"
            ))),
        }
    }

    /// Until the child has said something, or has ended.
    fn wait(&self, signals: &Signals) -> Result<(), LaunchError> {
        let inside = |e: std::io::Error| LaunchError::Inside(e.to_string());
        // It may have said two things at once.
        if !self.stream.buffer().is_empty() {
            return Ok(());
        }
        let mut tells = true;
        loop {
            let mut sources =
                vec![PollFd::new(self.stream.get_ref(), PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            if tells {
                sources.push(PollFd::new(&self.said, PollFlags::IN));
            }
            match poll(&mut sources, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(inside(errno.into())),
            }
            let has_spoken = !sources[0].revents().is_empty();
            tells = tells && self.said.pass_on();
            if let Some(signal) = signals.next_that_ends().map_err(inside)? {
                return Err(LaunchError::Signal(signal));
            }
            if has_spoken {
                return Ok(());
            }
        }
    }
}

/// What the child does.
fn work(
    plan: &Plan,
    prepared: &Prepared,
    host: Option<&Holder>,
    journal: Journal<'_>,
    stream: &mut BufReader<UnixStream>,
    passed: &UnixStream,
) -> Result<(), PhaseError> {
    let say = |stream: &mut BufReader<UnixStream>, word: &str| {
        writeln!(stream.get_mut(), "{word}").doing(|| "speaking with the launcher".into())
    };
    if let Some(other) = host {
        enter_namespace_of(other)
            .doing(|| format!("entering the network namespace of {}", other.container))?;
        say(stream, "namespace")?;
    } else {
        let mut host = Rtnl::open().doing(|| "opening rtnetlink".into())?;
        let home = netns::current().doing(|| "opening the host's network namespace".into())?;
        netns::enter_new().doing(|| "making a network namespace".into())?;
        let here = netns::current().doing(|| "opening the container's network namespace".into())?;
        say(stream, "namespace")?;
        network::set_loopback_up()?;
        network::fill(&mut host, &home, &here, &plan.grants, journal)?;
    }
    say(stream, "network")?;
    let mut line = String::new();
    stream.read_line(&mut line).doing(|| "listening to the launcher".into())?;
    let init = line.trim().parse().map_err(|_| std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
    let entered = enter::compose(plan, prepared, init.doing(|| "listening to the launcher".into())?)?;
    if !Closing::Verify.is_left_open() {
        verify::verify(plan, &entered)?;
    }
    if let Some(nodes) = &entered.nodes {
        passing::send(passed, nodes).doing(|| "speaking with the launcher".into())?;
    }
    say(stream, "verified")
}

/// By the descriptor of the other container's supervisor, which nothing inside that container can exchange.
fn enter_namespace_of(other: &Holder) -> std::io::Result<()> {
    let descriptor = other.namespace.ok_or(std::io::ErrorKind::NotFound)?;
    let handle = netns::of_descriptor(other.supervisor.pid, descriptor)?;
    // Its number may be another process's by now; the handle is not.
    if !other.supervisor.is_alive() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "it has just ended"));
    }
    netns::enter(handle)
}
