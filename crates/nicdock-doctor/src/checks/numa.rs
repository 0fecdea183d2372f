//! Checks that NICs are near the CPUs and devices that use them.

use nicdock_host::environment::Reading;
use nicdock_host::model::{CpuSet, Device, Nic};
use nicdock_host::source::Fact;

use crate::check::Check;
use crate::finding::Finding;
use crate::subject::Subject;
#[cfg(test)]
use crate::testing::{Case, Cases};

pub const CPUS: Check = Check {
    id: "numa.cpus",
    asks: "that the NIC is on a NUMA node of the processors that may use it",
    why: "each packet and each doorbell of a NIC on another node crosses the processors' link: less bandwidth, and hundreds of nanoseconds more",
    judge: cpus,
    #[cfg(test)]
    cases: || Cases { fires: on("32-63"), ok: on("0-63"), unknown: Case::infiniband() },
};

pub const DEVICES: Check = Check {
    id: "numa.devices",
    asks: "that the NIC has a GPU below its root port, where there are GPUs, or else a disk on its node",
    why: "GPUDirect and storage move data between devices: below one switch at full speed, over the processors' link at a fraction",
    judge: devices,
    #[cfg(test)]
    cases: || Cases {
        fires: Case::infiniband()
            .host(|host| host.topology.devices.iter_mut().for_each(|device| device.bridges.clear())),
        ok: Case::infiniband(),
        unknown: Case::infiniband().host(|host| {
            host.nics.iter_mut().for_each(|nic| nic.numa_node = None);
            host.topology.devices.iter_mut().for_each(|device| device.bridges.clear());
        }),
    },
};

fn cpus(subject: &Subject) -> Vec<Finding> {
    let process = subject.environment.process;
    let fact = Fact::Cpus(process);
    subject.each(|nic| {
        // A virtual NIC is nowhere.
        nic.pci?;
        let topology = &subject.host.topology;
        let list = match subject.environment.fact(fact) {
            Reading::Known(list) => list.trim().to_owned(),
            Reading::Absent => return Some(Finding::unknown(format!("{} are not told", fact.place()))),
            Reading::Unknown(why) => return Some(Finding::unknown(why)),
        };
        let Ok(allowed) = list.parse::<CpuSet>() else {
            return Some(Finding::unknown(format!("{}: '{list}' is not understood", fact.place())));
        };
        if topology.nodes.len() == 1 {
            return Some(Finding::ok("/sys/devices/system/node: one NUMA node, and all is near"));
        }
        let Some(node) = nic.numa_node else {
            return Some(Finding::unknown("numa_node of its PCI function: the firmware does not say"));
        };
        let Some(own) = topology.nodes.iter().find(|one| one.number == node) else {
            return Some(Finding::unknown(format!("/sys/devices/system/node/node{node} is not told")));
        };
        let evidence = format!("{}: {allowed}; NUMA node {node} of the NIC has {}", fact.place(), own.cpus);
        Some(if own.cpus.overlaps(&allowed) {
            Finding::ok(evidence)
        } else {
            let fix = match process {
                Some(_) => format!("start the container with --cpuset-cpus {0} --cpuset-mems {node}, or give it a NIC near=cpu:{allowed}", own.cpus),
                None => format!("numactl --cpunodebind={node} --membind={node} PROGRAM, or a NIC near=cpu:{allowed}"),
            };
            if process.is_some() { Finding::problem(evidence, fix) } else { Finding::hint(evidence, fix) }
        })
    })
}

fn devices(subject: &Subject) -> Vec<Finding> {
    let devices = &subject.host.topology.devices;
    // Where there are GPUs, those are what rails are for.
    let gpus = devices.iter().filter(|device| device.kind == nicdock_host::model::DeviceKind::Gpu);
    let gpus: Vec<&Device> = gpus.collect();
    let wanted: Vec<&Device> = if gpus.is_empty() { devices.iter().collect() } else { gpus.clone() };
    if wanted.is_empty() {
        return Vec::new();
    }
    subject.each(|nic| {
        let function = subject.host.function(nic.pci?)?;
        let root = function.bridges.first();
        let shares = |device: &&&Device| root.is_some() && device.bridges.first() == root;
        if let Some(near) = wanted.iter().find(shares) {
            return Some(Finding::ok(format!("{} {} is below its root port {}", near.kind.as_str(), near.address, near.bridges[0])));
        }
        let Some(node) = nic.numa_node else {
            return Some(Finding::unknown(format!("/sys/{}/numa_node: the firmware does not say", function.sysfs)));
        };
        let on_node = wanted.iter().find(|device| device.numa_node == Some(node));
        Some(match on_node {
            Some(near) if gpus.is_empty() => {
                Finding::ok(format!("{} {} is on its NUMA node {node}", near.kind.as_str(), near.address))
            }
            near => {
                let kind = wanted[0].kind.as_str();
                let whose = near.map_or_else(
                    || format!("none is on its NUMA node {node} either"),
                    |near| format!("the nearest is {} on NUMA node {node}", near.address),
                );
                let fix = near.unwrap_or(&wanted[0]).address;
                Finding::hint(
                    format!("no {kind} is below the root port of {}; {whose}", describe(nic)),
                    format!("nicdock topo shows what is near to what; --nic near={fix} takes a NIC that is nearest to {fix}"),
                )
            }
        })
    })
}

fn describe(nic: &Nic) -> String {
    nic.pci.map_or_else(|| nic.name.clone(), |address| address.to_string())
}

/// A rail on node 0 (processors 0-31) of two, and these processors.
#[cfg(test)]
fn on(cpus: &str) -> Case {
    use nicdock_host::model::NumaNode;
    let one = Case::infiniband().host(|host| {
        host.nics.retain(|nic| nic.name == "mlx5_0");
        let node =
            |number, cpus: &str| NumaNode { number, cpus: cpus.parse().unwrap(), distances: vec![10, 21] };
        host.topology.nodes = vec![node(0, "0-31"), node(1, "32-63")];
    });
    one.environment(|environment| environment.with_fact(Fact::Cpus(None), cpus))
}
