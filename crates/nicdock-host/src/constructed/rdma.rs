use super::{Machine, messages};
use crate::source::Dump;

/// An RDMA device.
#[derive(Clone)]
pub struct Rdma<'a> {
    pub name: &'a str,
    /// The PCI function's address; `None` for rxe.
    pub function: Option<&'a str>,
    /// As sysfs prints it: `1: CA`.
    pub node_type: &'a str,
    pub node_guid: u64,
    pub firmware: &'a str,
    pub board_id: &'a str,
    /// `RDMA_NLDEV_ATTR_DEV_PROTOCOL`: `ib`, `iw`, `usnic`, `roce`.
    pub protocol: &'a str,
    /// `enum rdma_driver_id`; `None` for drivers that keep it to themselves.
    pub driver_id: Option<u32>,
    pub ports: &'a [Port<'a>],
    /// Number of the uverbs node.
    pub uverbs: u32,
    /// Number of the umad and issm nodes; `None` where the device has no management datagrams.
    pub umad: Option<u32>,
    /// usNIC's VFs, and queue pairs and completion queues of each.
    pub usnic: Option<(u32, u32, u32)>,
}

/// A port of an RDMA device.
#[derive(Clone)]
pub struct Port<'a> {
    /// As sysfs prints it: `4: ACTIVE`.
    pub state: &'a str,
    pub link_layer: &'a str,
    /// As sysfs prints it: `100 Gb/sec (4X EDR)`.
    pub rate: &'a str,
    pub lid: u16,
    /// What netlink names as its netdev; nothing for InfiniBand.
    pub netdev: Option<&'a str>,
}

/// `IB_UVERBS_MAJOR`, `IB_UMAD_MAJOR` and the first minors (`uverbs_main.c`, `user_mad.c`).
const IB_MAJOR: u32 = 231;
const UVERBS_BASE_MINOR: u32 = 192;
const ISSM_BASE_MINOR: u32 = 64;

impl Machine {
    /// Adds an RDMA device; [`Machine::rdma_core`] comes before.
    pub fn rdma(&mut self, rdma: &Rdma) -> &mut Self {
        let index = self.rdma_devices;
        self.rdma_devices += 1;
        let parent =
            rdma.function.map_or_else(|| "devices/virtual".to_owned(), |address| self.path_of(address));
        let path = format!("{parent}/infiniband/{}", rdma.name);
        self.symlink(&format!("class/infiniband/{}", rdma.name), &path);
        let guid = rdma.node_guid.to_be_bytes();
        let guid: Vec<String> =
            guid.chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1])).collect();
        self.sysfs(&format!("{path}/node_type"), rdma.node_type);
        self.sysfs(&format!("{path}/node_guid"), &guid.join(":"));
        self.sysfs(&format!("{path}/fw_ver"), rdma.firmware);
        if !rdma.board_id.is_empty() {
            self.sysfs(&format!("{path}/board_id"), rdma.board_id);
        }
        if let Some((vfs, queue_pairs, completion_queues)) = rdma.usnic {
            self.sysfs(&format!("{path}/max_vf"), &vfs.to_string());
            self.sysfs(&format!("{path}/qp_per_vf"), &queue_pairs.to_string());
            self.sysfs(&format!("{path}/cq_per_vf"), &completion_queues.to_string());
        }
        self.append(Dump::RdmaDevices, messages::rdma_device(index, rdma));
        self.append(Dump::RdmaPorts(index), Vec::new());
        for (port, number) in rdma.ports.iter().zip(1..) {
            let path = format!("{path}/ports/{number}");
            self.sysfs(&format!("{path}/state"), port.state);
            self.sysfs(&format!("{path}/link_layer"), port.link_layer);
            self.sysfs(&format!("{path}/rate"), port.rate);
            self.sysfs(&format!("{path}/lid"), &format!("{:#x}", port.lid));
            let netdev = port.netdev.map(|name| (name, self.index(name)));
            self.append(Dump::RdmaPorts(index), messages::rdma_port(index, rdma.name, number, port, netdev));
        }
        self.nodes(&parent, rdma, index);
        self
    }

    /// A uverbs node of a device that is in another RDMA network namespace: the class lists it all the same.
    pub fn uverbs_of_another_netns(&mut self, function: &str, device: &str, number: u32) -> &mut Self {
        let parent = self.path_of(function);
        let minor = UVERBS_BASE_MINOR + number;
        self.node("infiniband_verbs", &parent, &format!("uverbs{number}"), minor, device);
        self
    }

    /// Adds queue pairs of a device, each of this module of the kernel; devices are numbered as they are described.
    pub fn kernel_queue_pairs(&mut self, index: u32, module: &str, count: usize) -> &mut Self {
        let message = messages::queue_pairs(index, module, count);
        self.append(Dump::RdmaQueuePairs(index), message);
        self
    }

    fn nodes(&mut self, parent: &str, rdma: &Rdma, index: u32) {
        // There on every machine that has the module, and no node.
        self.sysfs("class/infiniband_verbs/abi_version", "6");
        let minor = UVERBS_BASE_MINOR + rdma.uverbs;
        self.node("infiniband_verbs", parent, &format!("uverbs{}", rdma.uverbs), minor, rdma.name);
        let uverbs = messages::rdma_uverbs(index, rdma, u64::from(IB_MAJOR << 8 | minor));
        self.append(Dump::RdmaUverbs(index), uverbs);
        if let Some(number) = rdma.umad {
            self.sysfs("class/infiniband_mad/abi_version", "5");
            self.node("infiniband_mad", parent, &format!("umad{number}"), number, rdma.name);
            self.node(
                "infiniband_mad",
                parent,
                &format!("issm{number}"),
                ISSM_BASE_MINOR + number,
                rdma.name,
            );
        }
    }

    fn node(&mut self, class: &str, parent: &str, name: &str, minor: u32, device: &str) {
        let path = format!("{parent}/{class}/{name}");
        self.symlink(&format!("class/{class}/{name}"), &path);
        self.sysfs(&format!("{path}/ibdev"), device);
        self.sysfs(&format!("{path}/dev"), &format!("{IB_MAJOR}:{minor}"));
    }
}
