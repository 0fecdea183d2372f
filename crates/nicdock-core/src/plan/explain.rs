//! The plan in sentences: what each phase does, and why.

use serde::{Deserialize, Serialize};

use nicdock_host::model::NicKind;

use super::{Container, Grant, come_anew};
use crate::request::Profile;
use crate::request::{PROCESSES, Processes, Root, Size};

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

/// `join` is the container whose NICs are shared; without it they are the host's.
pub fn explain(container: &Container, grants: &[Grant], join: Option<&str>) -> Vec<PhaseSteps> {
    let phase = |phase: &str, steps| PhaseSteps { phase: phase.to_owned(), steps };
    let mut enter = join.map_or_else(|| take(grants), |_| Vec::new());
    enter.extend(show(container, grants));
    vec![
        phase("reserve", reserve(grants, join)),
        phase("prepare", prepare(container, join)),
        phase("enter", enter),
        phase("verify", verify()),
        phase("return", give_back(grants, join)),
    ]
}

fn step(what: impl Into<String>, why: impl Into<String>) -> Step {
    Step { what: what.into(), why: why.into() }
}

fn reserve(grants: &[Grant], join: Option<&str>) -> Vec<Step> {
    let lease = |grant: &Grant| match join {
        Some(other) => step(
            format!("join container {other}'s lease of {}", grant.nic.name),
            "the NIC goes back when the last of its containers has ended",
        ),
        None => step(
            format!("lease {}", grant.nic.name),
            "written before anything changes, so that nothing is lost and nothing given twice",
        ),
    };
    grants.iter().map(lease).collect()
}

fn prepare(container: &Container, join: Option<&str>) -> Vec<Step> {
    let namespace = match join {
        Some(other) => step(
            format!("enter the network namespace of container {other}"),
            "through its supervisor's descriptor, which nothing inside the container can exchange",
        ),
        None => step(
            "make a network namespace",
            "held by descriptors only: the kernel gives the NIC back when the last is closed",
        ),
    };
    let root = match &container.root {
        Root::Host => Some(step(
            "show the host's own / below a writable layer in memory",
            "nothing is written to the host",
        )),
        Root::Directory(path) | Root::Bundle(path) => {
            Some(step(format!("show {} as /", path.display()), "writable, without devices"))
        }
        Root::Unnamed => None,
    };
    let volumes = container.volumes.iter().map(|volume| {
        let (access, but) = if volume.read_only {
            ("read-only", "; sockets and pipes in it can be used all the same")
        } else {
            ("WRITABLE", "")
        };
        step(
            format!("show {} on {}, {access}", volume.source.display(), volume.destination),
            format!("asked for; without devices, set-user-ID programs and what is mounted in it{but}"),
        )
    });
    let mut steps = vec![
        namespace,
        step("make a private mount namespace", "nothing of the container's file system appears on the host"),
    ];
    steps.extend(root);
    steps.extend(volumes);
    steps
}

/// Netdevs and RDMA devices go in and settle.
fn take(grants: &[Grant]) -> Vec<Step> {
    let mut steps = Vec::new();
    for grant in grants {
        let anew = come_anew(grant);
        let netdevs = grant.netdevs.iter().map(|netdev| {
            let why = if anew {
                "the kernel makes it anew when its RDMA device is moved; mode, MTU, addresses and routes are set as they were; children in other network namespaces are lost"
            } else {
                "name and namespace change in one message; MTU, MAC, addresses and routes go along"
            };
            step(format!("move {} into the container as {}", netdev.host.name, netdev.name), why)
        });
        let (netdevs, later): (Vec<Step>, Vec<Step>) = netdevs.partition(|_| !anew);
        steps.extend(netdevs);
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
        steps.extend(later);
        steps.extend(wait_for_link(grant));
    }
    steps
}

fn wait_for_link(grant: &Grant) -> Option<Step> {
    let (name, seconds) = (&grant.nic.name, grant.link_timeout?);
    Some(if grant.nic.kind == NicKind::Usnic {
        step(
            format!("wait until {name}'s port is ACTIVE and its GID has the address, at most {seconds} s"),
            "the driver learns of carrier and address from events; a queue pair made earlier fails or dies with them",
        )
    } else {
        step(
            format!("wait for the link of {name}, at most {seconds} s"),
            "a move takes it away for a moment, and a program that starts without it gives up",
        )
    })
}

/// Nodes, view and limits of the container.
fn show(container: &Container, grants: &[Grant]) -> Vec<Step> {
    let mut steps = Vec::new();
    for grant in grants {
        let inside = grant.inside();
        if !inside.nodes.is_empty() {
            steps.push(step(
                format!("make {}", inside.nodes.join(", ")),
                "numbers from sysfs at start, read-only; the device cgroup refuses every other device",
            ));
        }
    }
    let limits = container.rdma_limits;
    if !limits.is_none() {
        let text = |limit: Option<u32>| limit.map_or_else(|| "any number of".to_owned(), |n| n.to_string());
        steps.push(step(
            format!(
                "allow {} contexts and {} objects of each RDMA device",
                text(limits.handles),
                text(limits.objects)
            ),
            "the rdma cgroup counts them for the container as a whole",
        ));
    }
    if container.root != Root::Unnamed {
        steps.extend(bounds(container));
    }
    if grants.iter().any(|grant| !grant.rdma.is_empty()) {
        steps.push(step(
            "allow nothing of every other RDMA device, where there is the rdma cgroup",
            "a descriptor of one that comes in by a socket makes no context",
        ));
    }
    steps.push(match container.view {
        Profile::Nic => step(
            "compose /sys of this NIC alone, with CPUs and memory",
            "neither class/infiniband_verbs nor the PCI tree knows namespaces",
        ),
        Profile::Open => step("compose /sys without other NICs", "asked for with --view open"),
        Profile::Off => step("show the whole /sys, read-only", "asked for with --view off"),
    });
    steps.push(step(
        "cover what /proc shows beside processes, CPUs, memory and the own network",
        "interrupts, modules, iomem, bus/pci, the kernel's log and command line name every NIC",
    ));
    let families: Vec<&str> = container.sockets.families.iter().map(|family| family.name.as_str()).collect();
    let netlink: Vec<&str> = container.sockets.netlink.iter().map(|protocol| protocol.name()).collect();
    steps.push(step(
        format!("allow sockets of {} and of netlink's {}", families.join(", "), netlink.join(", ")),
        if container.socket_program {
            "by seccomp and by a BPF program on the container's cgroup, which sees io_uring and 32-bit calls too"
        } else {
            "by seccomp; there is no BPF LSM with cgroup version 2 here, so io_uring and 32-bit calls are refused altogether"
        },
    ));
    steps.push(step(
        format!("refuse {}", container.refused.join(", ")),
        "in shared mode a container's root could list, rename and delete the host's RDMA devices",
    ));
    if container.userns {
        steps.push(step(
            "put it into a user namespace of its own",
            "its capabilities count for what that namespace owns, which the NIC and the network namespace are not",
        ));
    }
    steps
}

/// What the container may use up of the host.
fn bounds(container: &Container) -> Vec<Step> {
    let limits = container.limits;
    let processes = match limits.processes {
        Some(Processes::Unlimited) => None,
        Some(Processes::AtMost(most)) => Some((most, "asked for")),
        None => Some((
            PROCESSES,
            "where there is the cgroup controller pids: it cannot fill the host's table of processes",
        )),
    };
    let processes = processes.map(|(most, why)| step(format!("allow {most} processes and threads"), why));
    let memory = limits.memory.map(|Size(bytes)| {
        step(format!("allow {bytes} bytes of memory"), "asked for; swap and files in memory count")
    });
    let shm = limits
        .shm
        .map_or_else(|| "half of the host's memory".to_owned(), |Size(bytes)| format!("{bytes} bytes"));
    let files = step(format!("let files in /dev/shm have {shm}"), "MPI, UCX and NCCL share memory by them");
    let own = (container.root == Root::Host).then(|| {
        step(
            "let files in /tmp have 20 %, in /run 5 % and in the layer over the root 10 % of the host's memory",
            "what they hold no end of a process frees",
        )
    });
    processes.into_iter().chain(memory).chain([files]).chain(own).collect()
}

fn verify() -> Vec<Step> {
    vec![step(
        "compare namespaces, mounts, interfaces, nodes, /sys, system call filter and capabilities with this plan",
        "a difference refuses the start and undoes everything",
    )]
}

fn give_back(grants: &[Grant], join: Option<&str>) -> Vec<Step> {
    let mut steps =
        vec![step("end every process of the container's cgroup", "none may keep the NIC's node open")];
    if join.is_some() {
        steps.push(step(
            "leave the lease",
            "if this is the last of its containers, what follows is done; else by the last",
        ));
    }
    if grants.iter().any(|grant| grant.nic.kind == NicKind::Usnic) {
        steps.push(step(
            "report queue pairs that are cut off",
            "a program that is ended with queue pairs open loses what it had sent",
        ));
    }
    for grant in grants {
        for netdev in &grant.netdevs {
            steps.push(step(
                format!("move {} back as {}", netdev.name, netdev.host.name),
                "with MTU, MAC, addresses, routes, link state and its other settings as they were",
            ));
        }
    }
    steps.push(step("free the lease", "the NIC can be given again"));
    steps
}
