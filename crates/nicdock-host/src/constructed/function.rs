use super::Machine;

/// `PCI_CLASS_BRIDGE_PCI` of `include/linux/pci_ids.h`, normal decode.
const CLASS_BRIDGE: u32 = 0x06_0400;

/// A PCI function.
pub struct Function<'a> {
    path: &'a str,
    identity: (u16, u16),
    subsystem: (u16, u16),
    class: u32,
    driver: Option<&'a str>,
    numa_node: i32,
    iommu_group: Option<u32>,
    pf: Option<&'a str>,
}

impl<'a> Function<'a> {
    /// `path` is where it is below `/sys/devices`: `pci0000:00/0000:00:1c.0/0000:06:00.0`.
    pub fn new(path: &'a str, identity: (u16, u16), class: u32) -> Self {
        Self {
            path,
            identity,
            subsystem: (0, 0),
            class,
            driver: None,
            numa_node: -1,
            iommu_group: None,
            pf: None,
        }
    }

    /// A root port or a switch's port.
    pub fn bridge(path: &'a str, identity: (u16, u16)) -> Self {
        Self::new(path, identity, CLASS_BRIDGE).driver("pcieport")
    }

    #[must_use]
    pub fn subsystem(mut self, vendor: u16, device: u16) -> Self {
        self.subsystem = (vendor, device);
        self
    }

    #[must_use]
    pub fn driver(mut self, driver: &'a str) -> Self {
        self.driver = Some(driver);
        self
    }

    #[must_use]
    pub fn numa_node(mut self, node: i32) -> Self {
        self.numa_node = node;
        self
    }

    #[must_use]
    pub fn iommu_group(mut self, group: u32) -> Self {
        self.iommu_group = Some(group);
        self
    }

    /// A virtual function of the physical function at this address, which was described before.
    #[must_use]
    pub fn vf_of(mut self, pf: &'a str) -> Self {
        self.pf = Some(pf);
        self
    }
}

impl Machine {
    /// Adds a PCI function.
    pub fn function(&mut self, function: &Function) -> &mut Self {
        let path = format!("devices/{}", function.path);
        let address = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.symlink(&format!("bus/pci/devices/{address}"), &path);
        let numbers = [
            ("vendor", format!("{:#06x}", function.identity.0)),
            ("device", format!("{:#06x}", function.identity.1)),
            ("subsystem_vendor", format!("{:#06x}", function.subsystem.0)),
            ("subsystem_device", format!("{:#06x}", function.subsystem.1)),
            ("class", format!("{:#08x}", function.class)),
            ("numa_node", function.numa_node.to_string()),
        ];
        for (name, text) in numbers {
            self.sysfs(&format!("{path}/{name}"), &text);
        }
        self.symlink(&format!("{path}/subsystem"), "bus/pci");
        if let Some(driver) = function.driver {
            self.symlink(&format!("{path}/driver"), &format!("bus/pci/drivers/{driver}"));
        }
        if let Some(group) = function.iommu_group {
            self.symlink(&format!("{path}/iommu_group"), &format!("kernel/iommu_groups/{group}"));
        }
        if let Some(pf) = function.pf {
            let pf_path = self.path_of(pf);
            let count = self.vf_counts.entry(pf.to_owned()).or_default();
            let number = *count;
            *count += 1;
            self.symlink(&format!("{pf_path}/virtfn{number}"), &path);
            self.sysfs(&format!("{pf_path}/sriov_numvfs"), &(number + 1).to_string());
            self.symlink(&format!("{path}/physfn"), &pf_path);
        }
        self.functions.insert(address, path);
        self
    }

    /// Adds a sub-function to a function. Netdevs and RDMA devices are put on it as on a function, at `0000:c1:00.0/mlx5_core.sf.4`.
    pub fn subfunction(&mut self, function: &str, auxiliary: &str) -> &mut Self {
        let path = format!("{}/{auxiliary}", self.path_of(function));
        self.symlink(&format!("{path}/subsystem"), "bus/auxiliary");
        self.functions.insert(format!("{function}/{auxiliary}"), path);
        self
    }
}
