//! Checks the permissions of the character devices (drivers/infiniband/core/{uverbs_main,ucma}.c make them with mode 0666; udev's rules may say otherwise).

use nicdock_host::environment::Reading;
use nicdock_host::model::{Nic, NicKind, Node};
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const UVERBS: Check = Check {
    id: "nodes.uverbs",
    asks: "that the uverbs node is there, is the device's, and can be opened by users",
    why: "libibverbs leaves out a device without its node, and an ordinary user who may not open it gets EACCES",
    judge: uverbs,
    #[cfg(test)]
    cases: || Cases {
        fires: nodes(Case::usnic(), "0600 0 0 231:192 uverbs0\n0666 0 0 231:193 uverbs1\n"),
        ok: nodes(Case::usnic(), "0666 0 0 231:192 uverbs0\n0666 0 0 231:193 uverbs1\n"),
        unknown: Case::usnic(),
    },
};

pub const RDMA_CM: Check = Check {
    id: "nodes.rdma_cm",
    asks: "that the rdma_cm node is there",
    why: "librdmacm connects by IP address through it; MPI, NFS and storage over RDMA need that (usNIC cannot use it)",
    judge: rdma_cm,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::infiniband().host(|host| host.rdma_cm = None),
        ok: nodes(Case::infiniband(), "0666 0 0 10:122 rdma_cm\n"),
        unknown: Case::infiniband(),
    },
};

fn uverbs(subject: &Subject) -> Vec<Finding> {
    subject.each_device(|nic, device| {
        Some(match &device.uverbs {
            None => {
                Finding::problem(format!("/sys/{} has no uverbs node", device.sysfs), "modprobe ib_uverbs")
            }
            Some(node) => of_node(subject, nic, node),
        })
    })
}

/// `MODE UID GID MAJOR:MINOR NAME`.
fn of_node(subject: &Subject, nic: &Nic, node: &Node) -> Finding {
    let process = subject.environment.process;
    let fact = Fact::Nodes(process);
    let place = fact.place();
    let lines = match subject.environment.fact(fact) {
        Reading::Known(lines) => lines,
        Reading::Absent => String::new(),
        Reading::Unknown(why) => return Finding::unknown(why),
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let line = lines.lines().map(words).find(|words| words.get(4).is_some_and(|name| name == node.name()));
    let Some(line) = line else {
        let evidence = format!("{place}/{} is not there", node.name());
        return if process.is_some() {
            Finding::hint(evidence, format!("nicdock attach --nic {} gives it to the container", nic.name))
        } else {
            Finding::problem(evidence, format!("udevadm trigger --action=add /sys/{}", node.sysfs))
        };
    };
    let (mode, owner, numbers) = (&line[0], &line[1], &line[3]);
    let evidence = format!("{place}/{}: mode {mode}, owner {owner}, {numbers}", node.name());
    let own = format!("{}:{}", node.major, node.minor);
    let permits = u32::from_str_radix(mode, 8).unwrap_or(0) & 0o006 == 0o006;
    if *numbers != own {
        let fix = format!(
            "rm {place}/{0} && mknod -m 0666 {place}/{0} c {1} {2}",
            node.name(),
            node.major,
            node.minor
        );
        return Finding::problem(format!("{evidence}, but the device's number is {own}"), fix);
    }
    match permits {
        true => Finding::ok(evidence),
        false if process.is_none() && subject.is_held(nic) => Finding::ok(format!(
            "{evidence}: a container has the NIC, and the host's own node is closed meanwhile"
        )),
        false => Finding::hint(
            evidence,
            format!(
                "chmod 0666 {place}/{}; for ever: KERNEL==\"{}\", MODE=\"0666\" in /etc/udev/rules.d/90-rdma.rules",
                node.name(),
                node.name().trim_end_matches(|c: char| c.is_ascii_digit()).to_owned() + "*"
            ),
        ),
    }
}

fn rdma_cm(subject: &Subject) -> Vec<Finding> {
    let uses = |nic: &&&Nic| {
        matches!(
            nic.kind,
            NicKind::Roce | NicKind::Ib | NicKind::Iwarp | NicKind::SoftRoce | NicKind::SoftIwarp
        )
    };
    let Some(nic) = subject.nics.iter().find(uses) else { return Vec::new() };
    vec![match &subject.host.rdma_cm {
        None => Finding::hint(
            "/sys/class/misc/rdma_cm is not there",
            "modprobe rdma_ucm; at each boot: echo rdma_ucm > /etc/modules-load.d/rdma.conf",
        ),
        Some(node) => match (subject.environment.process, of_node(subject, nic, node)) {
            // A container has it only where somebody wanted it.
            (Some(_), found) if found.evidence.ends_with("is not there") => {
                Finding::hint(found.evidence, "nicdock run --rdma-cm, or nicdock attach --rdma-cm")
            }
            (_, found) => found,
        },
    }]
}

#[cfg(test)]
fn nodes(case: Case, lines: &str) -> Case {
    case.environment(|environment| environment.with_fact(Fact::Nodes(None), lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Status;

    #[test]
    fn a_node_with_another_devices_number_is_a_problem() {
        let case = nodes(Case::usnic(), "0666 0 0 231:200 uverbs0\n0666 0 0 231:193 uverbs1\n");
        assert_eq!(case.ask(&UVERBS).0, Status::Problem);
    }

    #[test]
    fn a_node_that_is_closed_while_a_container_has_the_nic_is_right() {
        use crate::subject::LeaseState;
        let mut case = nodes(Case::usnic(), "0600 0 0 231:192 uverbs0\n0666 0 0 231:193 uverbs1\n");
        let lease = LeaseState { nic: "usnic_0".into(), state: "held".into(), what: "container a".into() };
        case.leases = Ok(vec![lease]);
        assert_eq!(case.ask(&UVERBS).0, Status::Ok);
    }
}
