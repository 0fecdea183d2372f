//! The seccomp profile (seccomp(2)), as OCI writes it.

mod compile;
pub mod machine;
#[cfg(test)]
mod model;
mod sockets;

pub use compile::{compile, export, instructions};

use libseccomp::ScmpSyscall;
use nicdock_audit::target::SystemCall;
use serde_json::{Value, json};

use crate::request::{Netlink, Sockets};
use nicdock_sys::closing::Closing;

/// What every container may call.
const SYSTEM_CALLS: &str = include_str!("seccomp/syscalls.txt");

/// What makes namespaces and mounts. A user namespace gives its maker every capability in it: with them a program could
/// mount a fresh cgroup file system and nest cgroups below its own.
const OF_SYS_ADMIN: [&str; 14] = [
    "clone",
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "setns",
    "umount",
    "umount2",
    "unshare",
];
/// Makes sockets, and more, that no filter sees; never allowed.
const OF_IO_URING: [&str; 3] = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
/// The kernel's log names every NIC.
const OF_SYSLOG: [&str; 1] = ["syslog"];
/// Every `CLONE_NEW*` that clone(2) takes (include/uapi/linux/sched.h); `CLONE_NEWTIME` is unshare's and clone3's only.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// `CLONE_NEWUSER` (include/uapi/linux/sched.h).
const NEW_USERS: u64 = 0x1000_0000;

/// What decides about its arguments, too (`profile/sockets.rs`).
const OF_SOCKETS: [&str; 3] = ["socket", "socketpair", "setsockopt"];

/// The profile for a program with `capabilities` that makes the sockets of `allowed`: what is not named gets `ENOSYS`, as if the kernel
/// were older; io_uring is not named, since it makes sockets that no filter sees.
pub fn profile(capabilities: &[String], allowed: &Sockets) -> Value {
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let names: Vec<&str> = SYSTEM_CALLS.lines().filter(|line| !line.starts_with('#')).collect();
    let mut rules = vec![json!({ "names": names, "action": "SCMP_ACT_ALLOW" })];
    for persona in [0_u32, 8, 0x2_0000, 0x2_0008, u32::MAX] {
        let argument = json!({ "index": 0, "value": persona, "op": "SCMP_CMP_EQ" });
        rules.push(json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [argument] }));
    }
    if has("CAP_SYS_ADMIN") || Closing::SeccompNamespaces.is_left_open() {
        rules.push(json!({ "names": OF_SYS_ADMIN, "action": "SCMP_ACT_ALLOW" }));
    } else {
        // clone3's flags are in memory, where no filter sees them: its callers fall back to clone.
        let argument = masked(0, 0, NEW_NAMESPACES);
        rules.push(json!({ "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [argument] }));
    }
    if has("CAP_SYSLOG") || Closing::SeccompLog.is_left_open() {
        rules.push(json!({ "names": OF_SYSLOG, "action": "SCMP_ACT_ALLOW" }));
    }
    if Closing::SeccompIoUring.is_left_open() {
        rules.push(json!({ "names": OF_IO_URING, "action": "SCMP_ACT_ALLOW" }));
    }
    // For i386, whose calls for sockets are one, libseccomp takes no rule about their arguments that has an error of its own.
    if Closing::SeccompSockets.is_left_open() || Closing::SeccompArchitectures.is_left_open() {
        rules.push(json!({ "names": OF_SOCKETS, "action": "SCMP_ACT_ALLOW" }));
    } else {
        rules.extend(sockets::rules(allowed));
    }
    filter(&rules)
}

/// The native call of this number, if no rule of a program without capabilities allows it, whatever its arguments.
pub fn refused(number: u32) -> Option<SystemCall> {
    let call = ScmpSyscall::from(i32::try_from(number).ok()?);
    // What libseccomp does not know it makes no rule for either.
    let Ok(name) = call.get_name() else {
        return Some(SystemCall { name: format!("number_{number}"), number });
    };
    let decided_by_arguments = ["clone", "personality"];
    let is_allowed =
        SYSTEM_CALLS.lines().chain(OF_SOCKETS).chain(decided_by_arguments).any(|line| line == name);
    (!is_allowed).then_some(SystemCall { name, number })
}

/// What a system's own init calls beside; reboot(2) ends its process namespace and no more (kernel/pid_namespace.c, `reboot_pid_ns()`).
const OF_A_SYSTEM: [&str; 3] = ["reboot", "sethostname", "setdomainname"];

/// The profile of a container that an engine starts; with `keep_privileges` for a system with an init, that makes namespaces and mounts,
/// too; with these protocols of netlink beside the default ones.
pub fn of_engine(keep_privileges: bool, netlink: &[Netlink]) -> Value {
    let allowed = Sockets::with(&[], netlink);
    if !keep_privileges {
        return profile(&[], &allowed);
    }
    let mut profile = profile(&["CAP_SYS_ADMIN".to_owned()], &allowed);
    if let Some(names) = profile["syscalls"][0]["names"].as_array_mut() {
        names.extend(OF_A_SYSTEM.map(Into::into));
    }
    profile
}

/// The profile that is added to the first process of a container while an OCI runtime's hooks are called: the runtime has to mount, pivot and execute yet, so that is
/// let through. To a program without `CAP_SYS_ADMIN` the kernel refuses it; that none has it in a user namespace of its own is refused here.
pub fn of_created(netlink: &[Netlink]) -> Value {
    let mut profile = of_engine(true, netlink);
    if let Some(rules) = profile["syscalls"].as_array_mut() {
        for rule in rules.iter_mut() {
            if let Some(names) = rule["names"].as_array_mut() {
                names.retain(|name| !["clone", "clone3", "unshare"].iter().any(|left| name == left));
            }
        }
        let argument = masked(0, 0, NEW_USERS);
        rules.push(json!({ "names": ["clone", "unshare"], "action": "SCMP_ACT_ALLOW", "args": [argument] }));
        rules.push(json!({ "names": ["pivot_root"], "action": "SCMP_ACT_ALLOW" }));
    }
    profile
}

fn filter(rules: &[Value]) -> Value {
    let mut architectures = vec!["SCMP_ARCH_NATIVE"];
    if Closing::SeccompArchitectures.is_left_open() {
        architectures.extend(["SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::ENOSYS,
        "architectures": architectures,
        "syscalls": rules,
    })
}

/// The bits `mask` of an argument are `value`.
///
/// libcontainer 0.7 takes `value` as the datum and `valueTwo` as the mask (seccomp/mod.rs, `translate_op`); runc and
/// the OCI specification have them the other way round. This profile is for libcontainer only.
fn masked(index: u32, value: u64, mask: u64) -> Value {
    json!({ "index": index, "value": value, "valueTwo": mask, "op": "SCMP_CMP_MASKED_EQ" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_names_is_refused_and_what_nobody_knows() {
        let number =
            |name: &str| u32::try_from(ScmpSyscall::from_name(name).unwrap().as_raw_syscall()).unwrap();
        let profile = profile(&[], &Sockets::with(&[], &[]));
        let rules = profile["syscalls"].as_array().unwrap();
        let named =
            |name: &str| rules.iter().any(|rule| rule["names"].as_array().unwrap().contains(&json!(name)));
        for name in
            ["read", "clone", "socket", "personality", "mount", "kcmp", "io_uring_setup", "syslog", "vhangup"]
        {
            assert_eq!(refused(number(name)).is_none(), named(name), "{name}");
        }
        assert_eq!(refused(1000), Some(SystemCall { name: "number_1000".to_owned(), number: 1000 }));
    }

    #[test]
    fn nothing_that_makes_sockets_is_allowed_without_a_look_at_its_arguments() {
        let profile = profile(&[], &Sockets::with(&[], &[]));
        let unconditional = profile["syscalls"][0]["names"].as_array().unwrap();
        let by_capability = OF_SYS_ADMIN.iter().chain(&OF_SYSLOG).copied();
        for name in ["socketcall", "io_uring_setup", "io_uring_enter", "personality"]
            .into_iter()
            .chain(by_capability)
            .chain(OF_SOCKETS)
        {
            assert!(!unconditional.contains(&json!(name)), "{name}");
        }
        assert!(unconditional.contains(&json!("execve")) && unconditional.len() > 300);
    }
}
