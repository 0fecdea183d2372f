//! The seccomp profile for engines, as they take it (`--security-opt seccomp=FILE`), and what a container's own profile lets through.

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nicdock_core::phases::filters::{self, Opening};
use nicdock_core::request::Netlink;
use nicdock_core::seccomp;
use nicdock_sys::tracee::Instruction;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};
use serde_json::{Value, json};
use std::io;

/// nicdock's profile: what a container of `nicdock run` may call.
pub fn profile(netlink: &[Netlink]) -> Value {
    let mut profile = seccomp::of_engine(false, netlink);
    profile["architectures"] =
        json!([if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" }]);
    for rule in profile["syscalls"].as_array_mut().into_iter().flatten() {
        for arg in rule["args"].as_array_mut().into_iter().flatten() {
            if arg["op"] == "SCMP_CMP_MASKED_EQ" {
                // The specification has the mask first; `of_engine()` writes for libcontainer, which has it second.
                let (value, mask) = (arg["value"].take(), arg["valueTwo"].take());
                (arg["value"], arg["valueTwo"]) = (mask, value);
            }
        }
    }
    profile
}

/// What a program under a profile could make of sockets that bring others' NICs: the profile is compiled as a runtime would, and run. `None` is a container without one.
pub fn sockets(profile: Option<&LinuxSeccomp>, allowed: &[Netlink]) -> io::Result<Option<Opening>> {
    let filters: Vec<Vec<Instruction>> = match profile {
        Some(profile) => vec![seccomp::instructions(&compile(profile)?)],
        None => Vec::new(),
    };
    Ok(filters::opening(&filters, allowed))
}

fn compile(profile: &LinuxSeccomp) -> io::Result<Vec<u8>> {
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut filter = ScmpFilterContext::new(default).map_err(io::Error::other)?;
    for architecture in profile.architectures().iter().flatten() {
        // Others than the machine's are nothing to it.
        if let Some(architecture) = known(*architecture) {
            filter.add_arch(architecture).map_err(io::Error::other)?;
        }
    }
    for rule in profile.syscalls().iter().flatten() {
        add(&mut filter, default, rule)?;
    }
    seccomp::export(&filter)
}

fn add(filter: &mut ScmpFilterContext, default: ScmpAction, rule: &LinuxSyscall) -> io::Result<()> {
    let action = action(rule.action(), rule.errno_ret());
    // libseccomp takes no rule that says what holds anyway.
    if action == default {
        return Ok(());
    }
    let comparisons: Vec<ScmpArgCompare> =
        rule.args().iter().flatten().map(comparison).collect::<io::Result<_>>()?;
    // Several comparisons of one argument are alternatives to runtimes (runc, `matchCall()`), since libseccomp takes one each.
    let mut indices: Vec<usize> = rule.args().iter().flatten().map(LinuxSeccompArg::index).collect();
    indices.sort_unstable();
    let alternatives = indices.windows(2).any(|pair| pair[0] == pair[1]);
    for name in rule.names() {
        // Runtimes pass over names that libseccomp does not know, too.
        let Ok(call) = ScmpSyscall::from_name(name) else { continue };
        let added = if alternatives {
            comparisons
                .iter()
                .try_for_each(|one| filter.add_rule_conditional(action, call, &[*one]).map(drop))
        } else {
            filter.add_rule_conditional(action, call, &comparisons).map(drop)
        };
        added.map_err(io::Error::other)?;
    }
    Ok(())
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> ScmpAction {
    let errno = errno.and_then(|errno| i32::try_from(errno).ok()).unwrap_or(libc::EPERM);
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno),
        // Whoever is asked may allow it.
        LinuxSeccompAction::ScmpActNotify
        | LinuxSeccompAction::ScmpActTrace
        | LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
    }
}

fn comparison(arg: &LinuxSeccompArg) -> io::Result<ScmpArgCompare> {
    let second = arg.value_two().unwrap_or(0);
    let (op, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (ScmpCompareOp::MaskedEqual(arg.value()), second),
    };
    let index = u32::try_from(arg.index()).map_err(io::Error::other)?;
    Ok(ScmpArgCompare::new(index, op, value))
}

/// Those of the machine that have an entry of their own; `None` for the native one, which libseccomp has of itself.
fn known(architecture: Arch) -> Option<ScmpArch> {
    match architecture {
        Arch::ScmpArchX86 if cfg!(target_arch = "x86_64") => Some(ScmpArch::X86),
        Arch::ScmpArchX32 if cfg!(target_arch = "x86_64") => Some(ScmpArch::X32),
        Arch::ScmpArchArm if cfg!(target_arch = "aarch64") => Some(ScmpArch::Arm),
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;
    use nicdock_core::seccomp::machine;

    fn read(value: Value) -> LinuxSeccomp {
        serde_json::from_value(value).unwrap()
    }

    /// `AUDIT_ARCH_X86_64` (include/uapi/linux/audit.h), `SECCOMP_RET_ALLOW` (include/uapi/linux/seccomp.h).
    const NATIVE: u32 = 0xc000_003e;
    const ALLOW: u32 = 0x7fff_0000;

    #[test]
    fn nicdocks_own_profile_lets_nothing_through_and_programs_start() {
        let own = read(profile(&[]));
        assert_eq!(sockets(Some(&own), &[]).unwrap(), None);
        let filter = seccomp::instructions(&compile(&own).unwrap());
        let answer = |call: libc::c_long, arguments| {
            machine::run(&filter, NATIVE, u32::try_from(call).unwrap(), arguments).unwrap()
        };
        for call in [libc::SYS_execve, libc::SYS_read, libc::SYS_capset, libc::SYS_setuid, libc::SYS_prctl] {
            assert_eq!(answer(call, [0; 3]), ALLOW, "{call}");
        }
        // UNIX, inet.
        assert_eq!(answer(libc::SYS_socket, [1, 1, 0]), ALLOW);
        assert_eq!(answer(libc::SYS_socket, [2, 1, 6]), ALLOW);
        for (call, arguments) in [
            (libc::SYS_unshare, [0x1000_0000, 0, 0]),
            (libc::SYS_mount, [0; 3]),
            (libc::SYS_bpf, [0; 3]),
            (libc::SYS_io_uring_setup, [1, 0, 0]),
        ] {
            assert_ne!(answer(call, arguments), ALLOW, "{call}");
        }
        let generic = read(profile(&[Netlink::Generic]));
        assert!(sockets(Some(&generic), &[]).unwrap().is_some());
        assert_eq!(sockets(Some(&generic), &[Netlink::Generic]).unwrap(), None);
    }

    #[test]
    fn without_a_profile_every_socket_is_let_through() {
        assert!(sockets(None, &[]).unwrap().is_some());
    }

    /// As Docker and Podman have it: any socket.
    #[test]
    fn a_default_profile_lets_sockets_through() {
        let default = read(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{ "names": ["read", "socket", "setsockopt", "nonsense"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 0x7e02_0000_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] }],
        }));
        assert!(sockets(Some(&default), &[]).unwrap().is_some());
        let none = read(
            json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW" }] }),
        );
        assert_eq!(sockets(Some(&none), &[]).unwrap(), None);
    }
}
