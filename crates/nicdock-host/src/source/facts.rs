//! [`Fact`]s of this machine.

mod cpus;
mod daemons;
mod engines;
mod firewall;
mod flow_control;
mod link_modes;
mod managers;
mod namespaces;
mod nodes;
mod security_modules;
mod service_limits;
mod shared_memory;

use std::fs;
use std::io;

use super::Fact;

/// The lines of a fact.
pub fn read(fact: Fact) -> io::Result<String> {
    match fact {
        Fact::Version => Ok("1\n".to_owned()),
        Fact::KernelArguments => Ok(kernel_arguments(&fs::read_to_string("/proc/cmdline")?)),
        Fact::Nodes(process) => nodes::lines(&root(process)),
        Fact::SharedMemory(process) => shared_memory::line(&root(process)),
        Fact::Cpus(process) => cpus::line(process),
        Fact::LinkModes => link_modes::lines(),
        Fact::FlowControl => flow_control::lines(),
        Fact::Daemons => daemons::lines(),
        Fact::Engines => Ok(engines::lines()),
        Fact::Managers => managers::lines(),
        Fact::Firewall => firewall::lines(),
        Fact::Namespaces => namespaces::line(),
        Fact::ServiceLimits => service_limits::lines(),
        Fact::SecurityModules => security_modules::line(),
    }
}

/// The root folder of a process, or of the host; ends without a slash.
fn root(process: Option<u32>) -> String {
    process.map_or_else(String::new, |pid| format!("/proc/{pid}/root"))
}

/// The names of the netdevs in this network namespace.
fn netdevs() -> io::Result<Vec<String>> {
    let names = fs::read_dir("/sys/class/net")?.flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Others (a root's identity, servers' addresses) are nobody's business (kernel-parameters.txt).
fn kernel_arguments(all: &str) -> String {
    const TOLD: [&str; 8] = [
        "intel_iommu",
        "amd_iommu",
        "iommu",
        "iommu.passthrough",
        "pci",
        "lsm",
        "security",
        "cgroup_disable",
    ];
    let is_told = |word: &&str| TOLD.contains(&word.split('=').next().unwrap_or_default());
    all.split_whitespace().filter(is_told).map(|word| format!("{word}\n")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_kernels_arguments_only_those_that_matter_are_told() {
        let all = "root=UUID=0f0f ip=10.1.0.5::10.1.0.1 intel_iommu=on iommu=pt quiet\n";
        assert_eq!(kernel_arguments(all), "intel_iommu=on\niommu=pt\n");
    }

    #[test]
    fn every_fact_of_this_machine_is_told_or_refused_with_an_errno() {
        for fact in [Fact::Version, Fact::KernelArguments, Fact::Cpus(None), Fact::Daemons, Fact::Namespaces]
        {
            assert!(read(fact).is_ok(), "{fact:?}");
        }
        for fact in [Fact::LinkModes, Fact::FlowControl, Fact::Managers, Fact::Firewall, Fact::Engines] {
            let _ = read(fact);
        }
    }
}
