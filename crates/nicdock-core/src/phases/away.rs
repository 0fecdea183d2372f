//! What went into a network namespace that nicdock has no handle on: the kernel gives it back when that namespace dies, unless somebody keeps it.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nicdock_sys::processes::command;

use super::PhaseError;
use nicdock_sys::netns::{self, Keepers};

/// How long what cannot be done at once is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nobody has waited before.
    First,
    /// It did not come then, and the lease says so: every command tries, and none is kept from its work.
    Again,
}

impl Patience {
    /// For the kernel, which returns a NIC whose namespace has died in the background (`cleanup_net()`, `rdma_dev_exit_net()`).
    pub fn kernel(self) -> Duration {
        match self {
            Self::First => Duration::from_secs(20),
            Self::Again => Duration::from_millis(100),
        }
    }

    /// For something of a process's that does not answer, in a look at every process.
    fn search(self) -> Duration {
        match self {
            Self::First => Duration::from_secs(2),
            Self::Again => Duration::from_millis(500),
        }
    }
}

/// The wait for something, and the search for who keeps it away.
pub struct Away {
    /// The namespace's inode number.
    number: u64,
    patience: Patience,
    /// For a keeper; whoever has a handle on the namespace has fetched by it already.
    searches: bool,
    begin: Instant,
    /// When it is looked for next, from the beginning.
    next: Duration,
    /// Why the last search found nothing, if it was not for lack of a keeper.
    failed: Option<io::Error>,
}

/// The first search that takes sockets into account; before, the kernel may just need its time.
const THOROUGH: Duration = Duration::from_millis(250);

impl Away {
    pub fn in_namespace(number: u64, patience: Patience, searches: bool) -> Self {
        Self { number, patience, searches, begin: Instant::now(), next: Duration::ZERO, failed: None }
    }

    /// A handle on the namespace, if it is time to look for one and somebody keeps it. To be asked again and again.
    fn find(&mut self) -> Option<OwnedFd> {
        let elapsed = self.begin.elapsed();
        if elapsed < self.next {
            return None;
        }
        let is_first = self.next.is_zero();
        let keepers =
            if is_first && self.patience == Patience::First { Keepers::Handles } else { Keepers::Any };
        let found = netns::find(self.number, keepers, self.patience.search());
        self.next = if is_first { THOROUGH } else { self.begin.elapsed() * 2 };
        match found {
            Ok(found) => {
                self.failed = None;
                found
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// What is to be done while `what` is not there: fetch it by a handle on the namespace, or look again, a moment later.
    ///
    /// Errors: it has not come, and nobody waits any longer.
    pub fn wait(&mut self, what: &str) -> Result<Option<OwnedFd>, PhaseError> {
        let found = if self.searches { self.find() } else { None };
        if found.is_none() {
            if self.begin.elapsed() > self.patience.kernel() {
                return Err(self.error(what));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(found)
    }

    /// That `what` has not come.
    fn error(&self, what: &str) -> PhaseError {
        let looked = match &self.failed {
            Some(error) => {
                format!("looking for who keeps the container's, net:[{}], failed: {error}", self.number)
            }
            None => format!(
                "no process has the container's, net:[{}], by a descriptor, a mount or a socket that nicdock can reach: \
                 a message that nobody has received may keep it{}",
                self.number,
                suspects()
            ),
        };
        let reason = format!("it is not in the host's network namespace, and {looked}");
        PhaseError::new(
            format!("waiting for the kernel to give back {what}"),
            io::Error::new(io::ErrorKind::TimedOut, reason),
        )
        .with_advice(
            "end the process that could receive it: the next nicdock command then gives the NIC back",
        )
    }
}

/// Those that could receive such a message.
fn suspects() -> String {
    let pids = netns::with_unread_descriptors();
    let named: Vec<String> = pids.iter().take(3).map(|pid| format!("{pid} ({})", command(*pid))).collect();
    if named.is_empty() {
        return String::new();
    }
    format!(" (one with descriptors lies in a socket of process {})", named.join(", "))
}
