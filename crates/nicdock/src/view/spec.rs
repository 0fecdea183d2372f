//! Which part of /sys is whose: a pure function of what the container has.

/// What a container has, by name, in its own network namespace.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub netdevs: Vec<String>,
    pub rdma_devices: Vec<String>,
    /// Node names: `uverbs0`, `umad0`, `issm0`, `rdma_cm`.
    pub nodes: Vec<String>,
    /// PCI functions with the bridges above them, as addresses.
    pub functions: Vec<String>,
    pub bridges: Vec<String>,
}

/// A /sys to compose; every path is relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Folders shown whole, whatever is in them.
    pub subtrees: Vec<String>,
    /// Links shown together with the whole folder that they lead to.
    pub links: Vec<String>,
    /// Links to bridges, of which only [`BRIDGE_FILES`] are shown.
    pub bridges: Vec<String>,
    /// Single files, copied.
    pub files: Vec<String>,
    /// Folders that exist even if nothing is in them.
    pub folders: Vec<String>,
}

/// What topology libraries read of a bridge (hwloc, `topology-linux.c`; UCX, `ucs_topo`).
pub const BRIDGE_FILES: [&str; 12] = [
    "class",
    "vendor",
    "device",
    "subsystem_vendor",
    "subsystem_device",
    "revision",
    "numa_node",
    "local_cpus",
    "local_cpulist",
    "current_link_speed",
    "current_link_width",
    "config",
];

impl View {
    pub fn of(shown: &Shown) -> Self {
        let below = |folder: &'static str, names: &[String]| {
            names.iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
        };
        let of_class =
            |prefix: &str| shown.nodes.iter().filter(|n| n.starts_with(prefix)).cloned().collect::<Vec<_>>();
        let mut management = of_class("umad");
        management.extend(of_class("issm"));
        let mut links = vec!["class/net/lo".to_owned()];
        links.extend(below("class/net", &shown.netdevs));
        links.extend(below("class/infiniband", &shown.rdma_devices));
        links.extend(below("class/infiniband_verbs", &of_class("uverbs")));
        links.extend(below("class/infiniband_mad", &management));
        links.extend(below("bus/pci/devices", &shown.functions));
        let mut files = Vec::new();
        if !shown.rdma_devices.is_empty() {
            files.push("class/infiniband_verbs/abi_version".to_owned());
        }
        if !management.is_empty() {
            files.push("class/infiniband_mad/abi_version".to_owned());
        }
        links.extend(below("class/misc", &of_class("rdma_cm")));
        Self {
            // CPU, cache, memory and NUMA topology; huge pages.
            subtrees: vec!["devices/system".into(), "kernel/mm".into()],
            links,
            bridges: below("bus/pci/devices", &shown.bridges),
            files,
            folders: vec![
                "class/infiniband".into(),
                "class/infiniband_verbs".into(),
                "bus/pci/devices".into(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_container_has_is_linked() {
        let shown = Shown {
            netdevs: vec!["eth1".into()],
            rdma_devices: vec!["rxe1".into()],
            nodes: vec!["uverbs1".into()],
            functions: vec!["0000:02:00.0".into()],
            bridges: vec!["0000:00:04.0".into()],
        };
        let view = View::of(&shown);
        assert_eq!(
            view.links,
            [
                "class/net/lo",
                "class/net/eth1",
                "class/infiniband/rxe1",
                "class/infiniband_verbs/uverbs1",
                "bus/pci/devices/0000:02:00.0"
            ]
        );
        assert_eq!(view.bridges, ["bus/pci/devices/0000:00:04.0"]);
    }
}
