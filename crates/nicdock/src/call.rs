//! `nicdock call`: for programs that cannot link nicdock, because they have threads and it forks. One JSON request in, one JSON answer out, as
//! podman calls netavark. The shapes are in docs/call.md.

mod answer;
mod request;

use std::io::Read;
use std::time::Duration;

use nicdock_core::attach::{Target, TargetError};
use nicdock_core::kind::Kind;
use nicdock_core::lease::{Lease, Ledger, ProcessId};
use nicdock_core::lifecycle::{self, Recovered};
use nicdock_core::node::{Given, HostSnapshot, Node, NodeError, Wanted, check_as_told, harden_job};
use serde_json::Value;

use crate::failure::{Failure, need_root};
use crate::listing;
use request::{Call, Give, Moment, Net};

/// More than any request needs.
const LARGEST: u64 = 1 << 20;

/// Reads one request and does what it asks.
pub fn call(input: impl Read) -> Result<Value, Failure> {
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::new(Kind::BadInput, format!("the request has more than {LARGEST} bytes")));
    }
    let call =
        Call::parse(&bytes).map_err(|why| Failure::new(Kind::BadInput, format!("the request: {why}")))?;
    let node = Node::of_machine();
    match call {
        Call::Check(check) => {
            let offer = node.check(&check.owner.name, &check.wanted())?;
            Ok(answer::offer(&offer))
        }
        Call::Reserve(check) => {
            root()?;
            Ok(answer::offer(&node.reserve(&check.owner, &check.wanted())?))
        }
        Call::Give(give) => {
            root()?;
            Ok(answer::given(&self::give(&node, &give)?))
        }
        Call::Release(release) => {
            root()?;
            let mut recovered = node.release(&release.owner.name, Duration::from_secs(release.wait))?;
            still_held(&release.owner.name)?;
            let Recovered { done, failed } = node.withdraw(&release.owner)?;
            recovered.done.extend(done);
            recovered.failed.extend(failed);
            answer::recovered(recovered)
        }
        Call::Recover => {
            root()?;
            answer::recovered(lifecycle::recover(&Ledger::of_machine())?)
        }
        Call::List => {
            Ok(listing::leases_value(&Ledger::of_machine().each()?, &nicdock_core::phases::names::pending())?)
        }
        Call::Host => {
            let snapshot = HostSnapshot::of_machine()?;
            Ok(listing::value(&snapshot.host, &listing::holders(&snapshot.leases))?)
        }
    }
}

fn root() -> Result<(), Failure> {
    need_root("this method needs root, as nicdock attach does")
}

fn give(node: &Node, give: &Give) -> Result<Given, NodeError> {
    let terms = give.terms();
    let name = &give.owner.name;
    let who = |leases: &[Lease]| match give.net {
        Net::Process(process) => {
            let target = Target::of_process(process.pid, Some(name), leases)?;
            is_that_one(process)?;
            Ok(target)
        }
        Net::Host => Target::of_job(&give.access, name, leases),
    };
    let asked = give.wanted();
    let wanted = give.reservation.as_ref().map_or(Wanted::Asked(&asked), Wanted::ReservedBy);
    node.give(who, wanted, &terms, |target| {
        // By its own name it could not be released.
        if target.name != *name {
            let why = format!("process {} is container {}'s, not {name}'s", target.process.pid, target.name);
            return Err(NodeError::refused(Kind::Held, why));
        }
        if target.job.is_some() {
            return harden_job(target, &terms.netlink, terms.memlock);
        }
        match give.moment {
            Moment::Running => Ok(()),
            // The engine waits, so what is open now stays so.
            Moment::Created => {
                check_as_told(target, &terms, "Have the engine close that, or set keep_privileges")
            }
        }
    })
}

/// A number may be another process's by now.
fn is_that_one(process: ProcessId) -> Result<(), TargetError> {
    if process.is_alive() {
        return Ok(());
    }
    let why = format!("it has ended, or is not the one that started at tick {}", process.start);
    Err(TargetError::Process {
        pid: process.pid,
        error: std::io::Error::new(std::io::ErrorKind::NotFound, why),
    })
}

/// Never answers that a container is released while it has the NIC.
fn still_held(name: &str) -> Result<(), Failure> {
    let leases = Ledger::of_machine().readable()?;
    let held =
        leases.iter().find(|lease| lease.holder(name).is_some_and(nicdock_core::lease::Holder::is_alive));
    held.map_or(Ok(()), |lease| {
        let why = format!("container {name} runs and has {}: end it first, or detach", lease.grant.nic.name);
        Err(Failure::new(Kind::Held, why).about(&lease.grant.nic.name, name))
    })
}
