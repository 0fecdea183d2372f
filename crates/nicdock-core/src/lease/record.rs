//! What a lease says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use nicdock_audit::weakness::Weakness;
use nicdock_sys::membership;
use serde::{Deserialize, Serialize};

use super::{DeviceNode, Draining, ProcessId, Reservation, Step};
use crate::keeper::Keeper;
use crate::kind::Kind;
use crate::plan::Grant;

/// One NIC given away, with the host's state before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Version of this format: 4; 3 before jobs could have NICs, 2 before NICs could be reserved.
    pub schema: u32,
    /// Nanoseconds since boot when it was given (`CLOCK_BOOTTIME`): no other lease ever has the same.
    pub generation: u64,
    /// The container that it was given to and those that joined it, as far as they have not ended.
    pub holders: Vec<Holder>,
    pub grant: Grant,
    /// What was begun, in order; written before it is done, so that it can be undone.
    pub journal: Vec<Step>,
    /// The NIC is the host's again, and not given to anybody while these can reach it.
    pub draining: Vec<Draining>,
    /// Why the NIC is not given to anybody until an administrator says so.
    pub quarantine: Option<String>,
    /// Why it, or a part of it, could not be given back: somebody keeps it away. Every command tries again, and none waits for it.
    #[serde(default)]
    pub stuck: Option<String>,
    /// Whom the NIC is set aside for, also while a container of theirs has it.
    #[serde(default)]
    pub reserved: Option<Reservation>,
}

/// A container that has the NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub container: String,
    /// By which it is told from a later container of the same name.
    pub generation: u64,
    /// What gave it: `nicdock`, its own launcher; `attach`, also while a NIC is taken away; `lxc`, `libvirt`, or what called `nicdock call`.
    pub engine: String,
    /// The process whose end is the container's end.
    pub supervisor: ProcessId,
    /// The control group that a job's processes are in: the job ends with the last of them, whichever that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<PathBuf>,
    /// Who asked for it: the user who logged in (`/proc/self/loginuid`), else the one whose process it is.
    pub user: u32,
    /// Seconds since 1970 when it came.
    pub since: u64,
    /// The supervisor's descriptor of the container's network namespace; `None` until the program is about to start.
    pub namespace: Option<i32>,
    /// What was chosen to be open to it.
    #[serde(default)]
    pub weaknesses: Vec<Weakness>,
    /// One that joined another: what was begun for it alone, in order. It is undone when it ends, while the others go on. `None` for the first, whose steps
    /// are the lease's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Vec<Step>>,
}

impl Holder {
    pub fn is_alive(&self) -> bool {
        self.supervisor.is_alive() || self.group.as_deref().is_some_and(membership::is_populated)
    }

    /// Whether the container is of nicdock's own launcher, so that what is left of it is nicdock's to end.
    pub fn is_launched(&self) -> bool {
        self.engine == LAUNCHER
    }

    /// The container's network namespace, as a path in /proc.
    pub fn network(&self) -> Option<String> {
        let pid = self.supervisor.pid;
        match self.namespace {
            Some(fd) => Some(format!("/proc/{pid}/fd/{fd}")),
            None => (!self.is_launched()).then(|| format!("/proc/{pid}/ns/net")),
        }
    }
}

/// The engines of [`Holder::engine`].
pub const LAUNCHER: &str = "nicdock";
pub const ATTACH: &str = "attach";

/// What a lease is, by what it says and which processes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is set aside for its owner, and no container has it.
    Reserved,
    /// A container is being made.
    Starting,
    /// A container runs.
    Held,
    /// It is on its way back.
    Returning,
    /// Its nicdock has ended and left it: the next command gives it back.
    Abandoned,
    /// It should be back, and somebody keeps it, or a part of it, away.
    Stuck,
    /// It is back, and somebody outside can still reach it.
    Draining,
    /// It is back, and not as it was.
    Quarantined,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reserved => "reserved",
            Self::Starting => "starting",
            Self::Held => "held",
            Self::Returning => "returning",
            Self::Abandoned => "abandoned",
            Self::Stuck => "stuck",
            Self::Draining => "draining",
            Self::Quarantined => "quarantined",
        })
    }
}

impl Lease {
    /// The nodes that a container was given of it.
    pub fn given<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a DeviceNode> {
        let its = self
            .steps()
            .filter(move |step| matches!(step, Step::Give { container, .. } if container == name));
        its.flat_map(Step::nodes_given)
    }

    /// Every step: the lease's, and those of each container that joined.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let of_holders = self.holders.iter().flat_map(|holder| holder.journal.iter().flatten());
        self.journal.iter().chain(of_holders)
    }

    pub fn steps_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let of_holders = self.holders.iter_mut().flat_map(|holder| holder.journal.iter_mut().flatten());
        self.journal.iter_mut().chain(of_holders)
    }

    /// Adds a step for one container: to its own journal, or the lease's.
    pub fn note_for(&mut self, is_its: impl Fn(&Holder) -> bool, step: Step) {
        let own =
            self.holders.iter_mut().find(|holder| is_its(holder)).and_then(|holder| holder.journal.as_mut());
        match own {
            Some(journal) => journal.push(step),
            None => self.note(step),
        }
    }

    /// The way back begins. What was done for those that joined is the lease's from now on: whoever brings the NIC home notes all in one place.
    pub(super) fn begin_return(&mut self) {
        let own: Vec<Step> =
            self.holders.iter_mut().filter_map(|holder| holder.journal.take()).flatten().collect();
        self.journal.extend(own);
        self.note(Step::Return);
    }

    /// Takes containers out. What nodes they had stays known: a descriptor of one may have left the container.
    pub(super) fn dismiss(&mut self, is_one: impl Fn(&Holder) -> bool) {
        let (gone, kept): (Vec<Holder>, Vec<Holder>) =
            std::mem::take(&mut self.holders).into_iter().partition(|holder| is_one(holder));
        self.holders = kept;
        for step in gone.into_iter().flat_map(|holder| holder.journal.unwrap_or_default()) {
            let is_known = |node: &DeviceNode| {
                self.journal.iter().flat_map(Step::nodes_given).any(|known| known == node)
            };
            if step.nodes_given().iter().any(|node| !is_known(node)) {
                self.journal.push(step);
            }
        }
    }

    pub fn state(&self) -> State {
        if self.quarantine.is_some() {
            State::Quarantined
        } else if !self.draining.is_empty() {
            State::Draining
        } else if self.is_reserved() {
            State::Reserved
        } else if !self.is_live() {
            if self.stuck.is_some() { State::Stuck } else { State::Abandoned }
        } else if self.has_begun(&Step::Return) {
            State::Returning
        } else if self.holders.iter().any(|holder| holder.namespace.is_some())
            || self.has_begun(&Step::Attach)
        {
            State::Held
        } else {
            State::Starting
        }
    }

    /// Whether a container that has the NIC has a supervisor that lives.
    pub fn is_live(&self) -> bool {
        self.holders.iter().any(Holder::is_alive)
    }

    /// The containers whose supervisors were killed.
    pub fn dead_holders(&self) -> Vec<String> {
        let dead = self.holders.iter().filter(|holder| !holder.is_alive());
        dead.map(|holder| holder.container.clone()).collect()
    }

    /// Those of them whose containers are nicdock's own to end.
    pub fn dead_launched(&self) -> Vec<String> {
        let dead = self.holders.iter().filter(|holder| holder.is_launched() && !holder.is_alive());
        dead.map(|holder| holder.container.clone()).collect()
    }

    /// Whether it came to a container that ran already.
    pub fn was_attached(&self) -> bool {
        self.journal.iter().any(|step| matches!(step, Step::Show { .. }))
    }

    /// What of it a container has still: devices that have gone were taken from it, and one of the same name is another's.
    pub fn left(&self) -> Grant {
        let takes =
            |step: &Step, node: u64| matches!(step, Step::Revoke { nodes, .. } if nodes.contains(&node));
        self.without(|node| self.steps().any(|step| takes(step, node)))
    }

    /// What of it is still there, by the identities of the nodes that there are now.
    pub fn present(&self, nodes: &BTreeSet<u64>) -> Grant {
        self.without(|node| !nodes.contains(&node))
    }

    fn without(&self, is_gone: impl Fn(u64) -> bool) -> Grant {
        let given = self.steps().flat_map(Step::nodes_given);
        let gone: Vec<&str> =
            given.filter(|node| is_gone(node.identity)).map(|node| node.device.as_str()).collect();
        let mut grant = self.grant.clone();
        grant.rdma.retain(|rdma| !gone.contains(&rdma.device.name.as_str()));
        grant.rdma_cm &= !gone.contains(&"");
        grant
    }

    /// Adds a step. What is tried again by every command is there once.
    pub(super) fn note(&mut self, step: Step) {
        if self.stuck.is_some() {
            self.journal.retain(|noted| *noted != step);
        }
        self.journal.push(step);
    }

    pub fn has_begun(&self, step: &Step) -> bool {
        self.journal.contains(step)
    }

    /// The network namespace that a netdev or RDMA device of the NIC went to, by its inode number.
    pub fn namespace_of(&self, part: &str) -> Option<u64> {
        self.journal.iter().find_map(|step| match step {
            Step::TakeNetdev { netdev: name, netns } | Step::TakeRdma { device: name, netns }
                if name == part =>
            {
                Some(*netns)
            }
            _ => None,
        })
    }

    /// Whether it awaits a command that gives the NIC back or ends what is left of a container.
    pub fn is_broken(&self) -> bool {
        let settled = self.quarantine.is_some() || !self.draining.is_empty() || self.is_reserved();
        !settled && (self.holders.is_empty() || !self.dead_holders().is_empty())
    }

    /// The holder that another container can join: it runs, the NIC is inside, and stays there.
    pub fn joinable(&self, container: &str) -> Option<&Holder> {
        let is_given = |holder: &Holder| match &holder.journal {
            Some(journal) => journal.contains(&Step::Attach),
            None => self.has_begun(&Step::Attach),
        };
        let runs = |holder: &&Holder| holder.is_alive() && (holder.namespace.is_some() || is_given(holder));
        self.holder(container).filter(runs).filter(|_| !self.has_begun(&Step::Return))
    }

    pub fn holder(&self, container: &str) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.container == container)
    }

    /// Who keeps it from being given.
    pub fn keeper(&self) -> Keeper {
        let kind = match self.state() {
            State::Reserved | State::Starting | State::Held | State::Returning => Kind::Held,
            State::Draining => Kind::InUse,
            State::Abandoned | State::Stuck | State::Quarantined => Kind::NotRestored,
        };
        Keeper::new(self.kept_for().map(str::to_owned), kind, self.kept_by())
    }

    /// The container that has it, or the name of the claim or job that it is reserved for.
    pub fn kept_for(&self) -> Option<&str> {
        let reserved = self.reserved.as_ref().map(|reservation| reservation.owner.name.as_str());
        self.holders.first().map(|holder| holder.container.as_str()).or(reserved)
    }

    /// The same in words.
    pub fn kept_by(&self) -> String {
        if let Some(reason) = &self.quarantine {
            return format!("quarantine ({reason})");
        }
        if let Some(first) = self.draining.first() {
            return format!("a descriptor that left its container: {first}");
        }
        if let Some(reservation) = self.reserved.as_ref().filter(|_| self.is_reserved()) {
            return format!("reservation {}", reservation.owner);
        }
        let names: Vec<&str> = self.holders.iter().map(|holder| holder.container.as_str()).collect();
        let containers = format!("container {}", names.join(" and "));
        match &self.stuck {
            Some(reason) => format!("what {containers} has left: {reason}"),
            None => containers,
        }
    }
}

/// Who keeps it, by the name of the NIC.
pub fn holders(leases: &[Lease]) -> BTreeMap<String, Keeper> {
    leases.iter().map(|lease| (lease.grant.nic.name.clone(), lease.keeper())).collect()
}

/// What each container of nicdock's launcher that can be joined was given, in the order in which it was taken.
pub fn joinable(leases: &[Lease]) -> BTreeMap<String, Vec<Grant>> {
    let mut grants = BTreeMap::<String, Vec<Grant>>::new();
    for lease in leases {
        let runs = |h: &&Holder| h.is_launched() && lease.joinable(&h.container).is_some();
        for Holder { container, .. } in lease.holders.iter().filter(runs) {
            grants.entry(container.clone()).or_default().push(lease.grant.clone());
        }
    }
    grants
}
