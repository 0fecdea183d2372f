//! What the plan promised of the process that becomes the program, looked at in that process, last of all.

use rustix::process::{Resource, getgid, getrlimit, getuid};
use rustix::thread::{CapabilitySet, SecureComputingMode};

use nicdock_core::plan::Plan;
use nicdock_core::plan::capabilities::number;
use nicdock_core::request::User;

pub struct Promise {
    user: User,
    capabilities: CapabilitySet,
    memlock: Option<u64>,
}

impl Promise {
    pub fn of(plan: &Plan) -> Self {
        let container = &plan.container;
        let numbered = container.capabilities.iter().filter_map(|name| number(name));
        let capabilities = numbered.map(|number| CapabilitySet::from_bits_retain(1 << number)).collect();
        Self { user: container.user, capabilities, memlock: container.memlock.bytes() }
    }

    /// Says what differs.
    pub fn is_kept(&self) -> Result<(), String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |errno: rustix::io::Errno| format!("{what}: {errno}")
        };
        let filter = rustix::thread::secure_computing_mode().map_err(failed("seccomp"))?;
        expect(filter == SecureComputingMode::Filter, "it has no system call filter")?;
        let no_new = rustix::thread::no_new_privs().map_err(failed("no_new_privs"))?;
        expect(no_new, "it could gain privileges (no_new_privs is off)")?;
        let same_user = (getuid().as_raw(), getgid().as_raw()) == (self.user.uid, self.user.gid);
        expect(same_user, "it is another user")?;
        let groups = rustix::process::getgroups().map_err(failed("groups"))?;
        expect(groups.is_empty(), "it has supplementary groups")?;
        let sets = rustix::thread::capabilities(None).map_err(failed("capabilities"))?;
        let more = (sets.effective | sets.permitted | sets.inheritable).difference(self.capabilities);
        expect(more.is_empty(), "it has capabilities that the plan does not give")?;
        for bit in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            let bounding = rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false);
            expect(
                !bounding || self.capabilities.contains(one),
                "its bounding set has more than the plan gives",
            )?;
        }
        let limit = getrlimit(Resource::Memlock);
        expect(
            limit.maximum == self.memlock && limit.current == self.memlock,
            "its RLIMIT_MEMLOCK is another",
        )
    }
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}
