//! The plan in sentences: what each phase does, and why.

use serde::{Deserialize, Serialize};

use super::{Container, Grant};

/// One of the five phases: reserve, prepare, enter, verify, return.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseSteps {
    pub phase: String,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    pub what: String,
    pub why: String,
}

pub fn explain(container: &Container, grants: &[Grant]) -> Vec<PhaseSteps> {
    let phase = |phase: &str, steps| PhaseSteps { phase: phase.to_owned(), steps };
    vec![
        phase("reserve", reserve(grants)),
        phase("prepare", prepare()),
        phase("enter", enter(container, grants)),
        phase("verify", verify()),
        phase("return", give_back(grants)),
    ]
}

fn step(what: impl Into<String>, why: impl Into<String>) -> Step {
    Step { what: what.into(), why: why.into() }
}

fn reserve(grants: &[Grant]) -> Vec<Step> {
    grants
        .iter()
        .map(|g| {
            step(
                format!("lease {}", g.nic.name),
                "written before anything changes, so that nothing is lost and nothing given twice",
            )
        })
        .collect()
}

fn prepare() -> Vec<Step> {
    vec![
        step(
            "make a network namespace",
            "held by descriptors only: the kernel gives the NIC back when the last is closed",
        ),
        step("make a private mount namespace", "nothing of the container's file system appears on the host"),
    ]
}

fn enter(container: &Container, grants: &[Grant]) -> Vec<Step> {
    let mut steps = Vec::new();
    for grant in grants {
        for netdev in &grant.netdevs {
            steps.push(step(
                format!("move {} into the container as {}", netdev.host.name, netdev.name),
                "name and namespace change in one message; MTU, MAC, addresses and routes go along",
            ));
        }
        for rdma in &grant.rdma {
            let name = &rdma.device.name;
            match &rdma.remake {
                Some(soft) => steps.push(step(
                    format!("make {name} ({}) anew inside", soft.kind),
                    "moving its netdev destroys a soft RDMA device",
                )),
                None if rdma.moves => {
                    steps.push(step(format!("move {name} into the container"), &grant.nic.isolation.reason));
                }
                None => steps.push(step(
                    format!("leave {name} in place and hide the others"),
                    &grant.nic.isolation.reason,
                )),
            }
        }
        let inside = grant.inside();
        if !inside.nodes.is_empty() {
            steps.push(step(
                format!("make {}", inside.nodes.join(", ")),
                "numbers from sysfs at start; the device cgroup refuses every other device",
            ));
        }
    }
    steps.push(step(
        "compose /sys of this NIC alone",
        "neither class/infiniband_verbs nor the PCI tree knows namespaces",
    ));
    steps.push(step(
        format!("refuse {}", container.refused.join(", ")),
        "in shared mode a container's root could list, rename and delete the host's RDMA devices",
    ));
    steps
}

fn verify() -> Vec<Step> {
    vec![step(
        "compare interfaces, nodes and /sys inside with this plan",
        "a difference refuses the start and undoes everything",
    )]
}

fn give_back(grants: &[Grant]) -> Vec<Step> {
    let mut steps =
        vec![step("end every process of the container's cgroup", "none may keep the NIC's node open")];
    for grant in grants {
        for netdev in &grant.netdevs {
            steps.push(step(
                format!("move {} back as {}", netdev.name, netdev.host.name),
                "with MTU, MAC, addresses, routes and link state as they were",
            ));
        }
    }
    steps.push(step("free the lease", "the NIC can be given again"));
    steps
}
