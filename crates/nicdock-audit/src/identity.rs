//! Becoming the process in whose place the audit is to run: its users, capabilities and seccomp filters.
//!
//! Namespaces, cgroups, root and limits are entered before this program is executed. The rest is for here, since an exec changes
//! capabilities and a filter may refuse it.

use serde::{Deserialize, Serialize};

pub use crate::kernel::capability::Sets as Capabilities;
use crate::kernel::capability::{Sets, prctl};
use crate::kernel::errno::Errno;
pub use crate::kernel::seccomp::Instruction;
use crate::kernel::{call, capability, seccomp};
use crate::seclusion::Seclusion;

/// A process's credentials (credentials(7)) and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Real, effective, saved set-user-ID, as the user namespace has them.
    pub uid: [u32; 3],
    pub gid: [u32; 3],
    pub groups: Vec<u32>,
    pub capabilities: Sets,
    pub no_new_privs: bool,
    /// In the order in which they were installed.
    pub filters: Vec<Vec<Instruction>>,
}

/// What a program needs that runs in another process's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InPlace {
    pub identity: Identity,
    pub seclusion: Seclusion,
}

/// `SECBIT_KEEP_CAPS` (prctl(2), `PR_SET_KEEPCAPS`).
const KEEP: u64 = 1;

impl Identity {
    /// Makes the caller this. What could not be done is an error: the audit would not see what the process sees.
    ///
    /// Nothing is looked up in /proc, where the caller need not be.
    pub fn take(&self, seclusion: Seclusion) -> Result<(), String> {
        let step = |what: &'static str| move |errno: Errno| format!("{what}: {errno}");
        let renew = || seclusion.renew().map_err(step("keeping apart from the container's processes"));
        renew()?;
        self.capabilities.bound().map_err(step("dropping from the bounding set"))?;
        prctl(libc::PR_SET_KEEPCAPS, [KEEP, 0]).map_err(step("keeping capabilities"))?;
        self.take_users()?;
        // Without no_new_privs a filter is only for who has CAP_SYS_ADMIN: filters first, capabilities after.
        if self.no_new_privs {
            self.capabilities.take().map_err(step("setting capabilities"))?;
            renew()?;
            seccomp::no_new_privileges().map_err(step("setting no_new_privs"))?;
        } else if !self.filters.is_empty() {
            let permitted = capability::permitted().map_err(step("reading capabilities"))?;
            let all = Sets { effective: permitted, permitted, ..self.capabilities };
            all.take().map_err(step("regaining capabilities for the filters"))?;
        }
        if !self.no_new_privs {
            // A filter may refuse it later. That fewer capabilities are left then undoes nothing (`cred_cap_issubset()`).
            renew()?;
        }
        for (number, filter) in self.filters.iter().enumerate() {
            seccomp::install(filter)
                .map_err(|errno| format!("installing seccomp filter {number}: {errno}"))?;
        }
        if !self.no_new_privs {
            self.capabilities.take().map_err(step("setting capabilities"))?;
        }
        Ok(())
    }

    fn take_users(&self) -> Result<(), String> {
        let numbers = |ids: [u32; 3]| ids.map(|id| id as usize);
        set_groups(&self.groups).map_err(|errno| format!("setting groups: {errno}"))?;
        call::with_numbers(libc::SYS_setresgid, &numbers(self.gid))
            .map_err(|errno| format!("becoming group {:?}: {errno}", self.gid))?;
        call::with_numbers(libc::SYS_setresuid, &numbers(self.uid))
            .map_err(|errno| format!("becoming user {:?}: {errno}", self.uid))?;
        Ok(())
    }

    /// What the kernel says we are now, in the process namespace of the /proc that is mounted.
    pub fn check(&self) -> Result<(), String> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default()
        };
        if status.is_empty() {
            // No procfs inside: nothing to compare with, and each step has succeeded.
            return Ok(());
        }
        if Sets::of_status(&status) != Some(self.capabilities) {
            return Err(format!("capabilities became {:?}", Sets::of_status(&status)));
        }
        let filters = field("Seccomp_filters:");
        if !filters.is_empty() && filters != self.filters.len().to_string() {
            return Err(format!("{filters} seccomp filters, not {}", self.filters.len()));
        }
        Ok(())
    }
}

fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    let groups: Vec<_> = groups.iter().map(|id| rustix::process::Gid::from_raw(*id)).collect();
    Ok(rustix::thread::set_thread_groups(&groups)?)
}
