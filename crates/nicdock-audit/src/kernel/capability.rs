//! Capability sets (capabilities(7)).
#![allow(unsafe_code)]

use serde::{Deserialize, Serialize};

use super::errno::Errno;

/// All five sets, as bit masks.
#[allow(clippy::unsafe_derive_deserialize, reason = "every mask is one that the kernel can judge")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sets {
    pub bounding: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub effective: u64,
    pub ambient: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3` (include/uapi/linux/capability.h).
const VERSION: u32 = 0x2008_0522;

impl Sets {
    /// Of a process, by the text of its `/proc/PID/status`.
    pub fn of_status(status: &str) -> Option<Self> {
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            u64::from_str_radix(line.trim(), 16).ok()
        };
        Some(Self {
            bounding: mask("CapBnd:")?,
            inheritable: mask("CapInh:")?,
            permitted: mask("CapPrm:")?,
            effective: mask("CapEff:")?,
            ambient: mask("CapAmb:")?,
        })
    }

    /// Takes what is not in the bounding set out of the caller's.
    pub fn bound(&self) -> Result<(), Errno> {
        for capability in 0..64_u64 {
            if self.bounding >> capability & 1 == 0 && prctl(libc::PR_CAPBSET_READ, [capability, 0]) == Ok(1)
            {
                prctl(libc::PR_CAPBSET_DROP, [capability, 0])?;
            }
        }
        Ok(())
    }

    /// Makes the caller's other sets these.
    pub fn take(&self) -> Result<(), Errno> {
        let header: [u32; 2] = [VERSION, 0];
        let half = |set: u64, high: bool| {
            u32::try_from(if high { set >> 32 } else { set & 0xffff_ffff }).unwrap_or(u32::MAX)
        };
        let data = [false, true]
            .map(|high| [self.effective, self.permitted, self.inheritable].map(|set| half(set, high)));
        // SAFETY: header and data have the layout of version 3 and live until the call returns.
        let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
        if result < 0 {
            return Err(Errno::last());
        }
        prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0])?;
        for capability in (0..64_u64).filter(|capability| self.ambient >> capability & 1 == 1) {
            prctl(libc::PR_CAP_AMBIENT, [libc::PR_CAP_AMBIENT_RAISE as u64, capability])?;
        }
        Ok(())
    }
}

/// The caller's permitted set, wherever it is.
pub fn permitted() -> Result<u64, Errno> {
    let header: [u32; 2] = [VERSION, 0];
    let mut data = [[0_u32; 3]; 2];
    // SAFETY: header and data have the layout of version 3 and live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) };
    if result < 0 { Err(Errno::last()) } else { Ok(u64::from(data[1][1]) << 32 | u64::from(data[0][1])) }
}

/// prctl(2) with numbers.
pub fn prctl(option: i32, a: [u64; 2]) -> Result<i32, Errno> {
    // SAFETY: the options used take numbers only.
    let result = unsafe { libc::prctl(option, a[0], a[1], 0_u64, 0_u64) };
    if result < 0 { Err(Errno::last()) } else { Ok(result) }
}

/// The names by number (include/uapi/linux/capability.h), without `CAP_`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
