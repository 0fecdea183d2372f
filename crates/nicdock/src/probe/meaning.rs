//! What an error at a step means, and what to do next: a pure function.

use std::net::Ipv4Addr;
use std::path::Path;

use super::judge::limit;
use super::report::Step;
use super::surroundings::{Node, Process};

/// What is known when a step fails.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub process: &'a Process,
    /// Name of the RDMA device.
    pub device: &'a str,
    pub usnic: bool,
    /// The node as it was found; `None` when it was not.
    pub node: Option<&'a Node>,
    pub node_path: &'a Path,
    /// Version of the driver's own ABI.
    pub abi: Option<&'a str>,
    /// The netdev's name and the address that the UDP socket is to have.
    pub netdev: Option<&'a str>,
    pub address: Option<Ipv4Addr>,
    /// How much memory is registered, in bytes.
    pub memory: u64,
}

/// A sentence for a failure with this errno.
pub fn meaning(step: Step, errno: i32, known: &Circumstances) -> String {
    let specific = match step {
        Step::Node | Step::Open => open(errno, known),
        Step::GetContext => get_context(errno, known),
        Step::QueryPort if known.usnic && errno == libc::EINVAL => {
            Some("the driver cannot tell the link's speed: is the netdev still there?".into())
        }
        Step::AllocPd if known.usnic && errno == libc::ENOMEM => {
            Some("the kernel made no IOMMU domain: is the IOMMU on (intel_iommu=on)?".into())
        }
        Step::RegMr => reg_mr(errno, known),
        Step::UdpSocket => udp_socket(errno, known),
        Step::CreateQp => create_qp(errno, known),
        _ => None,
    };
    specific.unwrap_or_else(|| anywhere(step, errno, known))
}

fn open(errno: i32, known: &Circumstances) -> Option<String> {
    let path = known.node_path.display();
    let device = known.device;
    Some(match (errno, known.node) {
        (libc::ENOENT, _) => format!(
            "{path} is not there: this container was not given it (nicdock run --nic {device}), or udev has not made it"
        ),
        (libc::EACCES, Some(node)) if node.permits => format!(
            "{path} may be opened by its mode {:04o}, so its file system does not allow devices (mount option nodev) or a \
             security module refuses it (AppArmor, SELinux)",
            node.mode
        ),
        (libc::EACCES, Some(node)) => format!(
            "uid {} may not read and write {path}: its mode is {:04o}, its owner {}:{}; a uverbs node is meant to be 0666 \
             (rdma-core's udev rules), as the driver limits what can be done with it",
            known.process.uid, node.mode, node.uid, node.gid
        ),
        (libc::EACCES, None) => format!("uid {} may not look into the folder of {path}", known.process.uid),
        // ib_uverbs_open() and the device cgroup (devcgroup_check_permission()) give the same error.
        (libc::EPERM, _) => match known.process.shared_mode {
            Some(true) => format!(
                "the device cgroup refuses {path}: this container was not given {device} (nicdock run --nic {device})"
            ),
            Some(false) => format!(
                "RDMA network namespaces are in exclusive mode and {device} is in another one, or the device cgroup refuses it: \
                 move it here (rdma dev set {device} netns NAME), or use shared mode (rdma system set netns shared)"
            ),
            None => format!(
                "the device cgroup refuses {path} (this container was not given {device}: nicdock run --nic {device}), or RDMA \
                 network namespaces are in exclusive mode and {device} is in another one (rdma system show, on the host)"
            ),
        },
        (libc::ENXIO | libc::EIO | libc::ENODEV, _) => format!(
            "there is no device behind {path} any more: its driver was unloaded or the NIC unplugged, or the node is an old \
             one; make the node again"
        ),
        _ => return None,
    })
}

fn get_context(errno: i32, known: &Circumstances) -> Option<String> {
    let abi = known.abi.map_or_else(String::new, |abi| format!(", which speaks version {abi} of its ABI"));
    match errno {
        libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSPC => Some(format!(
            "the driver{abi}, expects a request that this nicdock does not make: try the device's own tools (ibv_devinfo)"
        )),
        libc::EACCES => Some("the process has changed its credentials since it opened the node".into()),
        _ => None,
    }
}

fn reg_mr(errno: i32, known: &Circumstances) -> Option<String> {
    let has = limit(known.process.memlock);
    let asked = limit(Some(known.memory));
    match errno {
        // can_do_mlock() of mm/mlock.c
        libc::EPERM if known.process.memlock == Some(0) => Some(
            "RLIMIT_MEMLOCK is 0, so no memory may be pinned: start the container with more (nicdock run: without --memlock; \
             ulimit -l)"
                .into(),
        ),
        libc::ENOMEM if known.process.memlock.is_some() && !known.process.exceeds_memlock => Some(format!(
            "{asked} do not fit into RLIMIT_MEMLOCK, {has}: start the container with more (nicdock run: without --memlock; \
             ulimit -l)"
        )),
        libc::ENOMEM => Some(format!("the kernel could not pin {asked}: is memory short (the memory cgroup's limit)?")),
        _ => None,
    }
}

fn udp_socket(errno: i32, known: &Circumstances) -> Option<String> {
    let address = known.address.map_or_else(|| "the address".to_owned(), |ip| ip.to_string());
    match errno {
        libc::EADDRNOTAVAIL => Some(format!(
            "{address} is no address of this network namespace any more: it was taken off just now"
        )),
        libc::EPERM | libc::EACCES | libc::ENOSYS => {
            Some("UDP sockets are refused here: by a seccomp profile or a security module".into())
        }
        _ => None,
    }
}

/// `usnic_ib_create_qp()` and what it calls, `drivers/infiniband/hw/usnic`.
fn create_qp(errno: i32, known: &Circumstances) -> Option<String> {
    if !known.usnic {
        return None;
    }
    let netdev = known.netdev.unwrap_or("the netdev");
    let address = known.address.map_or_else(String::new, |ip| format!(" {ip}"));
    Some(match errno {
        // find_free_vf_and_create_qp_grp()
        libc::ENOMEM => format!(
            "no VF of {} is free: each protection domain, so each process, takes one for itself (max_vf in \
             /sys/class/infiniband/{}); end a process that has one, or give the NIC more VFs (CIMC, UCS Manager)",
            known.device, known.device
        ),
        // usnic_fwd_dev_ready_locked()
        libc::EPERM => {
            format!("{netdev} has no carrier: set it up (ip link set {netdev} up), check cable and switch")
        }
        // validate_filter_locked(); usnic_uiom_attach_dev_to_pd()
        libc::EINVAL => format!(
            "the driver knows no IPv4 address of {netdev} (ip address add), or its VFs are not each alone in an IOMMU group \
             (intel_iommu=on; ACS on the way to the NIC)"
        ),
        // validate_filter_locked(); usnic_fwd_alloc_flow()
        libc::EFAULT => format!(
            "the socket's address{address} is not the one that the driver knows of {netdev} (it keeps one only, see GID 0), or \
             the NIC's firmware refused the flow (dmesg: Filter add failed)"
        ),
        // iommu_attach_device()
        libc::EBUSY => {
            format!("the IOMMU group of a free VF of {} is in use by somebody else: vfio?", known.device)
        }
        libc::ENODEV => {
            "the VF cannot be attached to an IOMMU domain: is the IOMMU on (intel_iommu=on)?".into()
        }
        _ => return None,
    })
}

/// What an error means at every step.
fn anywhere(step: Step, errno: i32, known: &Circumstances) -> String {
    let system = std::io::Error::from_raw_os_error(errno).to_string();
    let system = system.split(" (os error").next().unwrap_or_default().to_lowercase();
    match errno {
        // rdmacg_try_charge()
        libc::EAGAIN => format!(
            "the rdma cgroup's limit for {} is reached (rdma.max: hca_handle counts contexts, hca_object everything else)",
            known.device
        ),
        libc::EIO | libc::ENODEV | libc::ENXIO => {
            format!("{system}: the device has gone meanwhile: was its driver unloaded or the NIC unplugged?")
        }
        libc::EOPNOTSUPP | libc::ENOSYS => {
            format!("{system}: this driver does not have {} through write()", step.name())
        }
        libc::EMFILE | libc::ENFILE => format!("{system}: raise ulimit -n"),
        libc::ENOMEM => format!("{system}: the kernel had none left"),
        _ => format!("{system}: look into the kernel's log (dmesg) for {}", known.device),
    }
}

#[cfg(test)]
mod tests;
