//! How much memory programs may pin for a NIC (getrlimit(2), `RLIMIT_MEMLOCK`; `ib_umem_get()` and `usnic_uiom_get_pages()` count it).

use nicdock_host::environment::Reading;
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

const WHY: &str = "a program that may not pin its buffers fails with ENOMEM when it registers memory; CAP_IPC_LOCK lifts the limit only \
                   for who has it in the host's own user namespace";

/// With less, libfabric's usnic provider fails at `fi_enable` (measured: 4,096 KiB fail, 8,192 KiB work); MPI wants far more.
const LEAST: u64 = 8 << 20;
/// What systemd gives a service that says nothing (systemd-system.conf(5), `DefaultLimitMEMLOCK`).
const SYSTEMD_DEFAULT: &str = "8M";

pub const CALLER: Check = Check {
    id: "memlock.caller",
    asks: "RLIMIT_MEMLOCK of whoever asks, or of the container's process",
    why: WHY,
    judge: caller,
    #[cfg(test)]
    cases: || Cases {
        fires: limits("65536", "65536"),
        ok: limits("unlimited", "unlimited"),
        unknown: Case::usnic(),
    },
};

pub const SYSTEMD: Check = Check {
    id: "memlock.systemd",
    asks: "what systemd gives to services that say nothing",
    why: WHY,
    judge: systemd,
    #[cfg(test)]
    cases: || Cases {
        fires: fact(Fact::ServiceLimits, "default 64K /etc/systemd/system.conf\n"),
        ok: fact(Fact::ServiceLimits, "default infinity /etc/systemd/system.conf\n"),
        unknown: Case::usnic(),
    },
};

pub const ENGINE: Check = Check {
    id: "memlock.engine",
    asks: "RLIMIT_MEMLOCK of the daemons that start containers and jobs, which hand it on",
    why: WHY,
    judge: engine,
    #[cfg(test)]
    cases: || Cases {
        fires: fact(Fact::Daemons, "dockerd 8388608\n"),
        ok: fact(Fact::Daemons, "dockerd unlimited\nzebra 8388608\n"),
        unknown: fact(Fact::Daemons, "dockerd ?\n"),
    },
};

pub const USER_NAMESPACE: Check = Check {
    id: "memlock.user_namespace",
    asks: "the hard limit, above which nothing in a user namespace gets",
    why: "in a container with a user namespace, rootless ones among them, no capability lifts RLIMIT_MEMLOCK: the hard limit is the end",
    judge: user_namespace,
    #[cfg(test)]
    cases: || Cases {
        fires: limits("65536", "65536"),
        ok: limits("65536", "unlimited"),
        unknown: Case::usnic(),
    },
};

fn limits_path(subject: &Subject) -> String {
    subject
        .environment
        .process
        .map_or_else(|| "proc/self/limits".to_owned(), |pid| format!("proc/{pid}/limits"))
}

fn caller(subject: &Subject) -> Vec<Finding> {
    vec![of_column(subject, 0, "soft", &start(subject))]
}

fn user_namespace(subject: &Subject) -> Vec<Finding> {
    if let Some(pid) = subject.environment.process {
        match subject.environment.text(&format!("proc/{pid}/uid_map")) {
            // user_namespaces(7): the host's own maps every number to itself.
            Reading::Known(map) if map.split_whitespace().eq(["0", "0", "4294967295"]) => {
                return vec![Finding::ok(format!("/proc/{pid}/uid_map: the host's own user namespace"))];
            }
            Reading::Known(_) => {}
            Reading::Absent => return vec![Finding::unknown(format!("process {pid} has ended"))],
            Reading::Unknown(why) => return vec![Finding::unknown(why)],
        }
    }
    let fix = "echo '* hard memlock unlimited' >> /etc/security/limits.d/90-rdma.conf, then log in anew";
    vec![of_column(subject, 1, "hard", fix)]
}

fn start(subject: &Subject) -> String {
    if subject.environment.process.is_some() {
        "start the container with --ulimit memlock=-1 (podman, docker), or by nicdock run, whose --memlock is unlimited".to_owned()
    } else {
        "echo '* - memlock unlimited' > /etc/security/limits.d/90-rdma.conf, then log in anew".to_owned()
    }
}

/// `proc_pid_limits()` of fs/proc/base.c: name, soft limit, hard limit, unit.
fn of_column(subject: &Subject, column: usize, name: &str, fix: &str) -> Finding {
    let path = limits_path(subject);
    let limits = match subject.environment.text(&path) {
        Reading::Known(limits) => limits,
        Reading::Absent => return Finding::unknown(format!("/{path} is not there: is /proc mounted?")),
        Reading::Unknown(why) => return Finding::unknown(why),
    };
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let Some(limit) = line.and_then(|line| line.split_whitespace().nth(column)) else {
        return Finding::unknown(format!("/{path} does not tell 'Max locked memory'"));
    };
    judge(&format!("/{path}: Max locked memory, {name}, {limit}"), limit, fix)
}

fn judge(evidence: &str, limit: &str, fix: &str) -> Finding {
    match bytes(limit) {
        None => Finding::unknown(format!("{evidence}: not understood")),
        Some(u64::MAX) => Finding::ok(evidence),
        Some(bytes) if bytes < LEAST => Finding::problem(evidence, fix),
        Some(_) => Finding::hint(format!("{evidence}: large jobs need more"), fix),
    }
}

/// `unlimited`, `infinity`, bytes, or systemd's sizes with K, M, G, T to the base 1024 (systemd.exec(5)).
fn bytes(limit: &str) -> Option<u64> {
    if matches!(limit, "unlimited" | "infinity") {
        return Some(u64::MAX);
    }
    let shift = match limit.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return limit.parse().ok(),
    };
    limit[..limit.len() - 1].parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn systemd(subject: &Subject) -> Vec<Finding> {
    let lines = match subject.environment.fact(Fact::ServiceLimits) {
        Reading::Known(lines) => lines,
        Reading::Absent => return vec![Finding::ok("systemd has not started this machine")],
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let told: Vec<Vec<String>> = lines.lines().map(words).collect();
    let mut found = Vec::new();
    let fix = "printf '[Manager]\\nDefaultLimitMEMLOCK=infinity\\n' > /etc/systemd/system.conf.d/90-rdma.conf && systemctl daemon-reexec";
    if !told.iter().any(|words| words[0] == "default") {
        let evidence = format!("no DefaultLimitMEMLOCK= in systemd's configuration: {SYSTEMD_DEFAULT}");
        found.push(judge(&evidence, SYSTEMD_DEFAULT, fix));
    }
    for words in &told {
        let [what, limit, file] = words.as_slice() else { continue };
        let unit = what != "default";
        let key = if unit { "LimitMEMLOCK" } else { "DefaultLimitMEMLOCK" };
        let own = format!(
            "systemctl edit {what}, with [Service] LimitMEMLOCK=infinity; then systemctl restart {what}"
        );
        found.push(judge(&format!("{file}: {key}={limit}"), limit, if unit { &own } else { fix }));
    }
    found
}

fn engine(subject: &Subject) -> Vec<Finding> {
    const STARTERS: [&str; 8] =
        ["dockerd", "containerd", "crio", "libvirtd", "virtlxcd", "incusd", "lxd", "slurmd"];
    let lines = match subject.environment.fact(Fact::Daemons) {
        Reading::Known(lines) => lines,
        Reading::Absent => String::new(),
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
    };
    let daemons = lines.lines().filter_map(|line| line.split_once(' '));
    let mut found: Vec<Finding> = daemons
        .filter(|(name, _)| STARTERS.contains(name))
        .map(|(name, limit)| {
            let fix = format!(
                "systemctl edit {name}, with [Service] LimitMEMLOCK=infinity; then systemctl restart {name}"
            );
            judge(&format!("{name} runs with a hard limit of {limit}"), limit, &fix)
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok("no daemon that starts containers or jobs runs"));
    }
    found
}

#[cfg(test)]
fn limits(soft: &str, hard: &str) -> Case {
    let line = format!(
        "Limit  Soft  Hard  Units\nMax locked memory         {soft}              {hard}              bytes\n"
    );
    Case::usnic().environment(|environment| environment.with_file("proc/self/limits", line))
}

#[cfg(test)]
fn fact(fact: Fact, lines: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_fact(fact, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_kernel_and_systemd_write_them() {
        for (text, size) in [
            ("8388608", Some(8 << 20)),
            ("64K", Some(65536)),
            ("infinity", Some(u64::MAX)),
            ("8 M", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }
}
