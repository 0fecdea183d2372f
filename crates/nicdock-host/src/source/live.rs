use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use netlink_sys::protocols::NETLINK_ROUTE;
use nicdock_netlink::name;
use nicdock_netlink::rdma::{Request, Socket};
use nicdock_netlink::wire::Connection;
use nicdock_sys::{processes, tables};

use super::{Dump, Fact, OpenNode, OpenNodes, Source, facts};

// include/uapi/linux/rtnetlink.h
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEXTHOP: u16 = 106;
/// `sizeof(struct ifinfomsg)`; zeroes ask for every family and interface.
const IFINFOMSG_LEN: usize = 16;
/// `sizeof(struct ifaddrmsg)`.
const IFADDRMSG_LEN: usize = 8;
/// `sizeof(struct rtmsg)`.
const RTMSG_LEN: usize = 12;
/// `sizeof(struct nhmsg)` (include/uapi/linux/nexthop.h).
const NHMSG_LEN: usize = 8;

/// The RDMA core's nodes.
const NODE_DIRECTORY: &str = "/dev/infiniband/";
/// Drivers' own, and VFIO's: what is before their number.
const NUMBERED_NODES: [&str; 5] =
    ["/dev/hfi1_", "/dev/ipath", "/dev/cxi", "/dev/vfio/devices/vfio", "/dev/vfio/"];

/// This machine, in the network namespace of the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Source for Live {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(place(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(place(directory))?
            .map(|entry| Ok(name::text(entry?.file_name().as_bytes())))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        Ok(name::text(fs::read_link(place(path))?.as_os_str().as_bytes()))
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        let route = |kind, payload: &[u8]| Connection::open(NETLINK_ROUTE)?.dump(kind, payload);
        let rdma = |request: &Request| Socket::open()?.dump(request);
        match dump {
            Dump::Links => route(RTM_GETLINK, &[0; IFINFOMSG_LEN]),
            Dump::Addresses => route(RTM_GETADDR, &[0; IFADDRMSG_LEN]),
            Dump::Routes => route(RTM_GETROUTE, &[0; RTMSG_LEN]),
            Dump::Nexthops => match route(RTM_GETNEXTHOP, &[0; NHMSG_LEN]) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    Err(io::ErrorKind::NotFound.into())
                }
                answer => answer,
            },
            Dump::RdmaDevices => rdma(&Request::devices()),
            Dump::RdmaPorts(index) => rdma(&Request::ports(index)),
            Dump::RdmaUverbs(index) => rdma(&Request::uverbs(index)),
            Dump::RdmaQueuePairs(index) => rdma(&Request::queue_pairs(index)),
            Dump::RdmaSystem => rdma(&Request::system()),
        }
    }

    fn fact(&self, fact: Fact) -> io::Result<String> {
        facts::read(fact)
    }

    /// Reads every table of descriptors of every process. That one ends meanwhile is no error.
    fn open_nodes(&self) -> io::Result<OpenNodes> {
        let mut open = OpenNodes { nodes: Vec::new(), complete: true };
        for pid in processes::all()? {
            let mut nodes = BTreeSet::new();
            for thread in tables::threads(pid).into_iter().flatten() {
                match nodes_of(pid, thread) {
                    Ok(found) => nodes.extend(found),
                    Err(error) => open.complete &= error.kind() != io::ErrorKind::PermissionDenied,
                }
            }
            if !nodes.is_empty() {
                let command = processes::command(pid);
                let found = nodes.into_iter().map(|node| OpenNode { pid, command: command.clone(), node });
                open.nodes.extend(found);
            }
        }
        open.nodes.sort_unstable();
        Ok(open)
    }
}

fn place(path: &str) -> PathBuf {
    name::path(&format!("/{path}"))
}

/// The nodes that a thread has open.
fn nodes_of(pid: u32, thread: u32) -> io::Result<Vec<String>> {
    let targets = tables::descriptors(pid, thread)?.filter_map(|path| fs::read_link(path).ok());
    Ok(targets.filter_map(|target| target.to_str().and_then(node_of_link)).collect())
}

/// The node that a descriptor's link names, if programs use NICs by it. A node removed since ends in ` (deleted)`.
fn node_of_link(target: &str) -> Option<String> {
    let path = target.strip_suffix(" (deleted)").unwrap_or(target);
    let behind = |prefix: &str| {
        let inside = &path[path.find(prefix)?..];
        Some((inside, inside.strip_prefix(prefix)?))
    };
    if let Some((inside, name)) = behind(NODE_DIRECTORY) {
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return is_name.then(|| inside.to_owned());
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let numbered = NUMBERED_NODES.iter().filter_map(|prefix| behind(prefix));
    numbered.filter(|(_, number)| is_number(number)).map(|(inside, _)| inside.to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_a_node_is_found_wherever_dev_is_mounted() {
        assert_eq!(node_of_link("/dev/infiniband/uverbs0").as_deref(), Some("/dev/infiniband/uverbs0"));
        assert_eq!(
            node_of_link("/run/c/dev/infiniband/umad1 (deleted)").as_deref(),
            Some("/dev/infiniband/umad1")
        );
        for node in ["/dev/hfi1_0", "/dev/cxi12", "/dev/vfio/42", "/dev/vfio/devices/vfio3"] {
            assert_eq!(node_of_link(node).as_deref(), Some(node));
            assert_eq!(node_of_link(&format!("/run/c{node} (deleted)")).as_deref(), Some(node));
        }
        for other in ["anon_inode:[infinibandevent]", "/dev/vfio/vfio", "/dev/hfi1_", "/dev/cxi0/a"] {
            assert_eq!(node_of_link(other), None, "{other}");
        }
    }

    #[test]
    fn every_machine_has_a_loopback_link() {
        assert!(!Live.dump(Dump::Links).unwrap().is_empty());
        assert!(Live.list("sys/class/net").unwrap().contains(&"lo".to_owned()));
    }

    #[test]
    fn a_kernel_without_an_rdma_core_has_no_devices_and_no_error() {
        assert!(Live.dump(Dump::RdmaDevices).is_ok());
    }
}
