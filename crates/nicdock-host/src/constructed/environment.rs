use super::Machine;
use crate::source::Fact;

impl Machine {
    /// A NUMA node with its processors and its distances to all nodes.
    pub fn numa_node(&mut self, number: u32, cpus: &str, distances: &str) -> &mut Self {
        let path = format!("devices/system/node/node{number}");
        self.sysfs(&format!("{path}/cpulist"), cpus);
        self.sysfs(&format!("{path}/distance"), distances);
        self
    }

    /// A file below `/`, as it is: nothing that the other parts describe.
    pub fn with_file(&mut self, path: &str, text: &str) -> &mut Self {
        self.file(path, text);
        self
    }

    /// The lines of a fact.
    pub fn fact(&mut self, fact: Fact, lines: &str) -> &mut Self {
        let bytes = lines.as_bytes().to_vec();
        self.entries.insert(fact.file(), crate::source::Entry::File(bytes));
        self
    }

    /// The PCIe link of a function that was described before: what it has, and what it could have.
    pub fn pcie_link(&mut self, address: &str, has: (&str, u32), max: (&str, u32)) -> &mut Self {
        let path = self.path_of(address);
        for (which, (speed, width)) in [("current", has), ("max", max)] {
            self.sysfs(&format!("{path}/{which}_link_speed"), &format!("{speed} GT/s PCIe"));
            self.sysfs(&format!("{path}/{which}_link_width"), &width.to_string());
        }
        self
    }

    /// The PCIe registers of a function that was described before, as root reads them.
    pub fn pci_config(&mut self, address: &str, device_control: u16, acs_control: u16) -> &mut Self {
        let mut config = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| config[at..at + bytes.len()].copy_from_slice(bytes);
        // PCI_CAPABILITY_LIST; PCI_CAP_ID_EXP with its Device Control; PCI_EXT_CAP_ID_ACS with its control.
        put(0x34, &[0x60]);
        put(0x60, &[0x10, 0]);
        put(0x68, &device_control.to_le_bytes());
        put(0x100, &0x0001_000d_u32.to_le_bytes());
        put(0x106, &acs_control.to_le_bytes());
        let path = format!("sys/{}/config", self.path_of(address));
        self.entries.insert(path, crate::source::Entry::File(config));
        self
    }

    /// A GID of port 1 of an RDMA device, which is on this function.
    pub fn gid(
        &mut self,
        function: &str,
        device: &str,
        index: u32,
        gid: &str,
        kind: &str,
        netdev: &str,
    ) -> &mut Self {
        let port = format!("{}/infiniband/{device}/ports/1", self.path_of(function));
        self.sysfs(&format!("{port}/gids/{index}"), gid);
        self.sysfs(&format!("{port}/gid_attrs/types/{index}"), kind);
        if !netdev.is_empty() {
            self.sysfs(&format!("{port}/gid_attrs/ndevs/{index}"), netdev);
        }
        self
    }

    /// A machine of which everything around the NICs is known: a server of today, with systemd and without engines, where nothing is
    /// wrong. [`Fact::Nodes`] are those of `nodes`.
    pub fn surroundings(&mut self, cpus: &str, nodes: &[String]) -> &mut Self {
        let lines = nodes.iter().map(|line| format!("0666 0 0 {line}\n")).collect::<Vec<_>>().concat();
        let unlimited = "Max locked memory         unlimited            unlimited            bytes";
        self.fact(Fact::Version, "1\n")
            .fact(Fact::KernelArguments, "intel_iommu=on\niommu=pt\n")
            .fact(Fact::Nodes(None), &lines)
            .fact(Fact::SharedMemory(None), "1081101176832 1081101176832\n")
            .fact(Fact::Cpus(None), &format!("{cpus}\n"))
            .fact(Fact::LinkModes, "")
            .fact(Fact::FlowControl, "")
            .fact(Fact::Daemons, "systemd 67108864\n")
            .fact(Fact::Engines, "")
            .fact(Fact::Managers, "")
            .fact(Fact::Firewall, "")
            .fact(Fact::Namespaces, "1 all\n")
            .fact(Fact::SecurityModules, "lockdown,capability,apparmor,bpf\n")
            .fact(Fact::ServiceLimits, "default infinity /etc/systemd/system.conf.d/90-rdma.conf\n")
            .with_file("proc/self/limits", unlimited)
            .with_file("proc/1/limits", unlimited)
            .with_file(
                "proc/sys/kernel/seccomp/actions_avail",
                "kill_process kill_thread trap errno user_notif trace log allow",
            )
            .with_file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc")
    }
}
