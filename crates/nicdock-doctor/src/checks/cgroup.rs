//! Checks which limits control groups can set here (cgroups(7)).

use nicdock_host::environment::Reading;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const CONTROLLERS: Check = Check {
    id: "cgroup.controllers",
    asks: "that the controllers by which containers are kept apart are there",
    why: "the rdma controller keeps a container from other NICs' objects (rdma.max), pids and memory keep it from the host's; on version 1 \
          devices are refused by a controller, on version 2 by a BPF program",
    judge: controllers,
    #[cfg(test)]
    cases: || Cases {
        fires: unified("cpuset cpu io memory pids"),
        ok: unified("cpuset cpu io memory hugetlb pids rdma misc"),
        unknown: Case::usnic(),
    },
};

const UNIFIED: &str = "sys/fs/cgroup/cgroup.controllers";
/// `proc_cgroupstats_show()` of kernel/cgroup/cgroup-v1.c.
const ALL: &str = "proc/cgroups";

fn controllers(subject: &Subject) -> Vec<Finding> {
    let (path, there, wanted) = match subject.environment.text(UNIFIED) {
        Reading::Known(text) => {
            let there: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            (UNIFIED, there, &["rdma", "pids", "memory"][..])
        }
        Reading::Unknown(why) => return vec![Finding::unknown(why)],
        Reading::Absent => match subject.environment.text(ALL) {
            Reading::Known(text) => (ALL, enabled(&text), &["devices", "rdma", "pids", "memory"][..]),
            Reading::Absent => {
                return vec![Finding::problem("/proc/cgroups is not there", "a kernel with CONFIG_CGROUPS")];
            }
            Reading::Unknown(why) => return vec![Finding::unknown(why)],
        },
    };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|name| !there.iter().any(|one| one == name)).collect();
    if missing.is_empty() {
        return vec![Finding::ok(format!("/{path}: {}", wanted.join(", ")))];
    }
    let evidence = format!("/{path} has no {}", missing.join(", "));
    let fix = format!(
        "no cgroup_disable={} on the kernel's command line, or a kernel with {}",
        missing[0],
        missing.iter().map(|name| option(name)).collect::<Vec<_>>().join(", ")
    );
    // Without devices nothing keeps a container from a node that it makes.
    vec![if missing.contains(&"devices") {
        Finding::problem(evidence, fix)
    } else {
        Finding::hint(evidence, fix)
    }]
}

fn option(name: &str) -> &'static str {
    match name {
        "devices" => "CONFIG_CGROUP_DEVICE",
        "rdma" => "CONFIG_CGROUP_RDMA",
        "pids" => "CONFIG_CGROUP_PIDS",
        _ => "CONFIG_MEMCG",
    }
}

/// `#subsys_name hierarchy num_cgroups enabled`.
fn enabled(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 4 && words[3] == "1").then(|| words[0].to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
fn unified(text: &str) -> Case {
    Case::usnic().environment(|environment| environment.with_file(UNIFIED, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Status;

    #[test]
    fn on_version_1_a_missing_devices_controller_is_a_problem() {
        let version_1 = |text: &str| {
            Case::usnic().environment(|environment| environment.without_file(UNIFIED).with_file(ALL, text))
        };
        let all =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t1\t1\t1\npids\t2\t1\t1\nrdma\t3\t1\t1\n";
        assert_eq!(version_1(&format!("{all}devices\t4\t1\t0\n")).ask(&CONTROLLERS).0, Status::Problem);
        assert_eq!(version_1(&format!("{all}devices\t4\t1\t1\n")).ask(&CONTROLLERS).0, Status::Ok);
    }
}
