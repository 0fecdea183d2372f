//! The container's first process is in namespaces of its own, and in the network namespace that the NIC went to.

use std::fs;
use std::io;

use super::super::{Doing, PhaseError};
use crate::kind::Kind;

/// Never shared with the host.
const OWN: [&str; 5] = ["mnt", "pid", "ipc", "uts", "cgroup"];

/// Compares those of `init` with the caller's, who is in the container's network namespace and else on the host.
pub fn check(init: u32, userns: bool) -> Result<(), PhaseError> {
    let differs = |kind: &str| -> Result<bool, PhaseError> {
        let of = |process: &str| {
            let path = format!("/proc/{process}/ns/{kind}");
            fs::read_link(&path).doing(|| format!("reading {path}"))
        };
        Ok(of("self")? != of(&init.to_string())?)
    };
    for kind in OWN {
        expect(differs(kind)?, kind, "the host's")?;
    }
    expect(!differs("net")?, "net", "not the one that the NIC is in")?;
    expect(differs("user")? == userns, "user", if userns { "the host's" } else { "not the host's" })
}

fn expect(holds: bool, kind: &str, what: &str) -> Result<(), PhaseError> {
    if holds {
        return Ok(());
    }
    let error = io::Error::other(format!("the container's {kind} namespace is {what}"));
    Err(PhaseError::new("verifying namespaces", error).of_kind(Kind::NotClosed))
}
