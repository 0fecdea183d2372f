//! How a container is given NICs: what its engine has closed, and what is accepted.

use std::path::PathBuf;

use nicdock_audit::weakness::Weakness;

use super::job;
use crate::request::{Memlock, Netlink, Profile, User};

/// The weakness of a container whose root can use RDMA netlink.
pub const NETLINK_RDMA: &str = "netlink.rdma";

/// How they are given.
#[derive(Clone)]
pub struct Terms {
    /// Who gives it: `attach`, `lxc`, `libvirt`, …
    pub engine: String,
    /// What the container is shown of /sys.
    pub view: Profile,
    /// Take a container whose root can use RDMA netlink.
    pub accept_netlink: bool,
    /// Protocols of netlink that it may use although they show more than its own.
    pub netlink: Vec<Netlink>,
    /// What it may lock of memory, as far as its engine was told.
    pub memlock: Memlock,
    /// Its engine waits for nicdock before it starts the container's program: what the first process may not do now, nothing in it ever may.
    pub starts: bool,
    /// Cover what is not to be seen in /proc; only for one that [`Terms::starts`].
    pub cover_proc: bool,
    /// For one whose first process is its engine's program still.
    pub created: Option<Created>,
}

/// A container whose first process is its engine's program still, as an OCI runtime's hooks find it: what that process may do says nothing of the
/// container's program, whose configuration does.
#[derive(Clone)]
pub struct Created {
    /// Where its root is mounted, in its mount namespace; pivot_root(2) is still to come.
    pub root: PathBuf,
    /// Its program's user, as the host numbers it.
    pub user: User,
    /// What its configuration leaves open.
    pub weaknesses: Vec<Weakness>,
    /// What the seccomp profile in its configuration lets through of sockets that bring others' NICs: its first process is given nicdock's profile, too, but programs
    /// that its engine starts in it later (exec) are not.
    pub sockets: Option<String>,
    /// Its runtime writes to /proc/sys after its hooks, and makes it read-only then.
    pub sys_later: bool,
}

impl Terms {
    /// For a container whose engine waits for nicdock. With `keep_privileges` capabilities and mounts are its own affair.
    pub fn of_start(
        engine: &str,
        view: Profile,
        accept_netlink: bool,
        keep_privileges: bool,
        netlink: Vec<Netlink>,
        memlock: Memlock,
    ) -> Self {
        Self {
            engine: engine.to_owned(),
            view,
            accept_netlink,
            netlink,
            memlock,
            starts: true,
            cover_proc: !keep_privileges,
            created: None,
        }
    }

    /// For a container of which an OCI runtime calls hooks.
    pub fn of_created(
        engine: &str,
        view: Profile,
        accept_netlink: bool,
        netlink: Vec<Netlink>,
        memlock: Memlock,
        created: Created,
    ) -> Self {
        let created = Some(created);
        Self { created, ..Self::of_start(engine, view, accept_netlink, false, netlink, memlock) }
    }

    /// For a job of user `user`, whose processes nicdock closes itself: they wait for it, and no engine has.
    pub fn of_job(engine: &str, view: Profile, netlink: Vec<Netlink>, memlock: Memlock, user: User) -> Self {
        let root = PathBuf::from("/");
        let created = Created { root, user, weaknesses: job::weaknesses(), sockets: None, sys_later: false };
        Self::of_created(engine, view, false, netlink, memlock, created)
    }

    /// For a container that runs, whose capabilities and limits are what they are.
    pub fn of_running(engine: &str, view: Profile, accept_netlink: bool, netlink: Vec<Netlink>) -> Self {
        let started = Self::of_start(engine, view, accept_netlink, true, netlink, Memlock::Unlimited);
        Self { starts: false, ..started }
    }

    /// Are capabilities and mounts the container's own affair?
    pub fn keeps_privileges(&self) -> bool {
        !self.cover_proc
    }
}
