//! What keeps the audit's own process from the processes among which it runs.
//!
//! They stand still while it runs; this is for what they could do if one did not. The program is executed, and becomes the audited process,
//! outside of the container's process namespace, where nothing of the container can name it. Only then it forks into that namespace: the child has
//! no privilege that the audited process lacks, no descriptor but three pipes, and nothing in memory but what the audit looks for.

use serde::{Deserialize, Serialize};

use crate::kernel::call;
use crate::kernel::capability::prctl;
use crate::kernel::errno::Errno;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seclusion {
    /// The process on the host that keeps the container's processes still. The audit ends with it.
    pub keeper: i32,
    pub not_dumpable: bool,
    pub few_descriptors: bool,
}

impl Seclusion {
    /// Leaves nothing open but the standard streams.
    pub fn close_descriptors(self) -> Result<(), String> {
        if !self.few_descriptors {
            return Ok(());
        }
        call::with_numbers(libc::SYS_close_range, &[3, u32::MAX as usize, 0])
            .map(drop)
            .map_err(|errno| format!("closing descriptors: {errno}"))
    }

    /// After each change of credentials, which undoes both (`commit_creds()`, kernel/cred.c).
    ///
    /// A process that is not dumpable cannot be traced, nor its files in /proc be opened, but with CAP_SYS_PTRACE in the user namespace of its memory
    /// (`__ptrace_may_access()`, kernel/ptrace.c): so this protects from processes of the same user, not from a container's root that has it.
    pub fn renew(self) -> Result<(), Errno> {
        if self.not_dumpable {
            prctl(libc::PR_SET_DUMPABLE, [0, 0])?;
        }
        prctl(libc::PR_SET_PDEATHSIG, [libc::SIGKILL as u64, 0])?;
        let keeper = rustix::process::Pid::from_raw(self.keeper);
        if keeper.is_some() && rustix::process::getppid() != keeper {
            // It has ended before the signal was asked for.
            return Err(Errno(libc::ESRCH));
        }
        Ok(())
    }
}
