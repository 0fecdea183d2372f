//! Checks the kernel's means against a container's system calls: seccomp, the BPF hook, io_uring.

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const SECCOMP: Check = Check {
    id: "kernel.seccomp",
    asks: "that the kernel filters system calls",
    why: "in shared RDMA mode every network namespace can list, and root in one without a user namespace can rename and delete, the host's RDMA \
          devices by netlink, unless socket(2) is filtered",
    judge: seccomp,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::usnic().environment(|environment| environment.without_file(ACTIONS)),
        ok: file(ACTIONS, "kill_process kill_thread trap errno user_notif trace log allow"),
        unknown: Case::usnic(),
    },
};

pub const BPF_HOOK: Check = Check {
    id: "kernel.bpf_hook",
    asks: "that BPF programs can be asked about sockets (the BPF LSM, cgroup version 2)",
    why: "seccomp does not see what io_uring does, nor another architecture's calls; a program in security_socket_create() sees all of them",
    judge: bpf_hook,
    #[cfg(test)]
    cases: || Cases {
        fires: hook("capability,apparmor"),
        ok: hook("capability,apparmor,bpf"),
        unknown: Case::usnic(),
    },
};

pub const IO_URING: Check = Check {
    id: "kernel.io_uring",
    asks: "that containers of other engines cannot make sockets by io_uring",
    why: "IORING_OP_SOCKET makes sockets that a seccomp filter on socket(2) refuses; nicdock's own profile has no io_uring, others' may",
    judge: io_uring,
    #[cfg(test)]
    cases: || Cases {
        fires: hook("capability").environment(|environment| environment.with_file(DISABLED, "0")),
        ok: file(DISABLED, "2"),
        unknown: Case::usnic(),
    },
};

const ACTIONS: &str = "proc/sys/kernel/seccomp/actions_avail";
/// Linux 6.6 (Documentation/admin-guide/sysctl/kernel.rst).
const DISABLED: &str = "proc/sys/kernel/io_uring_disabled";
const UNIFIED: &str = "sys/fs/cgroup/cgroup.controllers";

fn seccomp(subject: &Subject) -> Vec<Finding> {
    vec![match subject.environment.text(ACTIONS) {
        Reading::Known(actions) if actions.split_whitespace().any(|one| one == "errno") => {
            Finding::ok(format!("/{ACTIONS}: {actions}"))
        }
        Reading::Known(actions) => {
            Finding::problem(format!("/{ACTIONS}: {actions}"), "a kernel with CONFIG_SECCOMP_FILTER")
        }
        Reading::Absent => {
            Finding::problem(format!("/{ACTIONS} is not there"), "a kernel with CONFIG_SECCOMP_FILTER")
        }
        Reading::Unknown(why) => Finding::unknown(why),
    }]
}

/// `Ok(Some(_))`: why there is no hook.
fn without_hook(subject: &Subject) -> Result<Option<String>, String> {
    match subject.environment.fact(Fact::SecurityModules) {
        Reading::Known(list) if !list.trim().split(',').any(|one| one == "bpf") => {
            return Ok(Some(format!("{}: {}", Fact::SecurityModules.place(), list.trim())));
        }
        Reading::Known(_) => {}
        Reading::Absent => return Ok(Some(format!("{} is not there", Fact::SecurityModules.place()))),
        Reading::Unknown(why) => return Err(why),
    }
    match subject.environment.text(UNIFIED) {
        Reading::Known(_) => Ok(None),
        Reading::Absent => Ok(Some(format!("/{UNIFIED} is not there: control groups are of version 1"))),
        Reading::Unknown(why) => Err(why),
    }
}

fn bpf_hook(subject: &Subject) -> Vec<Finding> {
    vec![match without_hook(subject) {
        Ok(None) => Finding::ok("the BPF LSM is active, and control groups are of version 2"),
        Ok(Some(evidence)) => Finding::hint(
            evidence,
            "lsm=…,bpf (the list of /sys/kernel/security/lsm with bpf at its end) and systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
        ),
        Err(why) => Finding::unknown(why),
    }]
}

fn io_uring(subject: &Subject) -> Vec<Finding> {
    let value = match subject.environment.text(DISABLED) {
        Reading::Known(value) => value,
        Reading::Absent => "not there (Linux before 6.6)".to_owned(),
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
    };
    let evidence = format!("/{DISABLED}: {value}");
    vec![match (value.as_str(), without_hook(subject)) {
        // 1: for processes without a group of io_uring_group.
        ("1" | "2", _) => Finding::ok(evidence),
        (_, Ok(None)) => Finding::ok(format!("{evidence}; the BPF LSM sees io_uring's sockets")),
        (_, Ok(Some(_))) => Finding::hint(
            evidence,
            "sysctl kernel.io_uring_disabled=2, where no program of the host needs io_uring",
        ),
        (_, Err(why)) => Finding::unknown(format!("{evidence}; {why}")),
    }]
}

#[cfg(test)]
fn file(path: &str, text: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_file(path, text))
}

#[cfg(test)]
fn hook(modules: &str) -> Case {
    file(UNIFIED, "rdma").environment(|environment| environment.with_fact(Fact::SecurityModules, modules))
}
