//! What is around a device and the process that wants to use it, as /sys, /dev and the kernel tell anybody.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;

use super::found::Target;
use super::gid;
use nicdock_netlink::name;
use nicdock_netlink::rtnl::Rtnl;
use nicdock_sys::uverbs::DeviceNumber;

/// GID tables have up to 1,024 entries, of which only the first few are ever of interest.
const GIDS_READ: u32 = 64;

/// The process that probes.
#[derive(Clone, Debug)]
pub struct Process {
    pub uid: u32,
    /// RLIMIT_MEMLOCK in bytes; `None` is unlimited.
    pub memlock: Option<u64>,
    /// Whether it may pin more than that: CAP_IPC_LOCK, which counts in the initial user namespace only (`capable()`).
    pub exceeds_memlock: bool,
    /// `uname -r`.
    pub kernel: String,
    /// Whether RDMA network namespaces are in shared mode; `None` where that is not told, as in most containers.
    pub shared_mode: Option<bool>,
}

impl Process {
    pub fn read() -> io::Result<Self> {
        let capabilities = rustix::thread::capabilities(None)?.effective;
        let user_ids = fs::read_to_string("/proc/self/uid_map")?;
        // The initial user namespace maps every id to itself (user_namespaces(7)).
        let initial = user_ids.split_whitespace().eq(["0", "0", "4294967295"]);
        let shared = fs::read_to_string("/sys/module/ib_core/parameters/netns_mode").ok();
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            memlock: getrlimit(Resource::Memlock).current,
            exceeds_memlock: initial && capabilities.contains(CapabilitySet::IPC_LOCK),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            shared_mode: shared.map(|text| text.trim() == "Y"),
        })
    }
}

/// A node as stat(2) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub path: PathBuf,
    /// Permission bits, owner, group.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// `None` when it is no character device.
    pub number: Option<DeviceNumber>,
    /// Whether the mode lets this process read and write (access(2)).
    pub permits: bool,
}

pub fn node(path: &Path) -> io::Result<Node> {
    let status = fs::metadata(path)?;
    let number = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    Ok(Node {
        path: path.to_owned(),
        mode: status.mode() & 0o7777,
        uid: status.uid(),
        gid: status.gid(),
        number: status.file_type().is_char_device().then_some(number),
        permits: rustix::fs::access(path, access).is_ok(),
    })
}

/// A netdev in this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netdev {
    pub name: String,
    /// Carrier is there and the interface is up.
    pub running: bool,
    pub addresses: Vec<(IpAddr, u8)>,
}

/// The folder of one RDMA device in /sys.
pub struct Folder {
    uverbs: PathBuf,
    device: PathBuf,
    pub usnic: bool,
}

impl Folder {
    pub fn of(target: &Target) -> Self {
        let uverbs = Path::new("/sys/class/infiniband_verbs").join(&target.uverbs);
        let device = Path::new("/sys/class/infiniband").join(name::path(&target.name));
        let node_type = fs::read_to_string(device.join("node_type")).unwrap_or_default();
        // node_type_show() of drivers/infiniband/core/sysfs.c: 5 is usNIC, 6 usNIC UDP.
        Self { uverbs, device, usnic: node_type.starts_with("5:") || node_type.starts_with("6:") }
    }

    /// Reads what the device's library reads to find it: libfabric's usnic provider, or libibverbs where it may not ask
    /// netlink. Gives the first that cannot be read.
    pub fn read_as_libraries_do(&self) -> Result<usize, (PathBuf, io::Error)> {
        let of_usnic = ["iface", "ports/1/gids/0", "max_vf", "qp_per_vf", "cq_per_vf", "fw_ver"];
        // libfabric goes by way of the uverbs entry (usd_ib_get_devlist()).
        let by_uverbs =
            self.uverbs.join("device/infiniband").join(self.device.file_name().unwrap_or_default());
        let files: Vec<PathBuf> = if self.usnic {
            of_usnic.iter().map(|file| by_uverbs.join(file)).collect()
        } else {
            vec![
                "/sys/class/infiniband_verbs/abi_version".into(),
                self.uverbs.join("abi_version"),
                self.uverbs.join("dev"),
                self.device.join("node_type"),
            ]
        };
        for file in &files {
            fs::read(file).map_err(|error| (file.clone(), error))?;
        }
        Ok(files.len())
    }

    /// Version of the driver's own ABI.
    pub fn driver_abi(&self) -> Option<String> {
        Some(fs::read_to_string(self.uverbs.join("abi_version")).ok()?.trim().to_owned())
    }

    /// The driver of the PCI function.
    pub fn driver(&self) -> Option<String> {
        let driver = fs::read_link(self.device.join("device/driver")).ok()?;
        Some(driver.file_name()?.to_string_lossy().into_owned())
    }

    /// Entries of the first port's GID table that are not zero, with their indices.
    pub fn gids(&self) -> Vec<(u32, Ipv6Addr)> {
        let entry = |index: u32| {
            let text = fs::read_to_string(self.device.join(format!("ports/1/gids/{index}"))).ok()?;
            Some((index, gid::parse(&text)?))
        };
        (0..GIDS_READ).filter_map(entry).filter(|(_, gid)| !gid.is_unspecified()).collect()
    }

    /// The name of the first port's netdev, wherever that is; `gid` is the index of a GID of it.
    pub fn netdev_name(&self, gid: Option<u32>) -> Option<String> {
        let file =
            if self.usnic { "iface".into() } else { format!("ports/1/gid_attrs/ndevs/{}", gid.unwrap_or(0)) };
        let name = name::text(fs::read(self.device.join(file)).ok()?.trim_ascii());
        Some(name).filter(|name| !name.is_empty())
    }
}

/// The netdev of that name in this network namespace, if it is there.
pub fn netdev(name: &str) -> io::Result<Option<Netdev>> {
    let mut rtnl = Rtnl::open()?;
    let Some(link) = rtnl.links()?.into_iter().find(|link| link.name == name) else { return Ok(None) };
    Ok(Some(Netdev { addresses: rtnl.addresses(link.ifindex)?, running: link.running, name: link.name }))
}
