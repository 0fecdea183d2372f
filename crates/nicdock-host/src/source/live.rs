use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use netlink_sys::protocols::NETLINK_ROUTE;
use nicdock_netlink::rdma::{Request, Socket};
use nicdock_netlink::wire::Connection;
use nicdock_sys::{processes, tables};

use super::{Dump, OpenNode, OpenNodes, Source};

// include/uapi/linux/rtnetlink.h
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
/// `sizeof(struct ifinfomsg)`; zeroes ask for every family and interface.
const IFINFOMSG_LEN: usize = 16;
/// `sizeof(struct ifaddrmsg)`.
const IFADDRMSG_LEN: usize = 8;
/// `sizeof(struct rtmsg)`.
const RTMSG_LEN: usize = 12;

const NODE_DIRECTORY: &str = "/dev/infiniband/";

/// This machine, in the network namespace of the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Source for Live {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(Path::new("/").join(path))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = fs::read_dir(Path::new("/").join(directory))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        Ok(fs::read_link(Path::new("/").join(path))?.to_string_lossy().into_owned())
    }

    fn dump(&self, dump: Dump) -> io::Result<Vec<u8>> {
        let route = |kind, payload: &[u8]| Connection::open(NETLINK_ROUTE)?.dump(kind, payload);
        let rdma = |request: &Request| Socket::open()?.dump(request);
        match dump {
            Dump::Links => route(RTM_GETLINK, &[0; IFINFOMSG_LEN]),
            Dump::Addresses => route(RTM_GETADDR, &[0; IFADDRMSG_LEN]),
            Dump::Routes => route(RTM_GETROUTE, &[0; RTMSG_LEN]),
            Dump::RdmaDevices => rdma(&Request::devices()),
            Dump::RdmaPorts(index) => rdma(&Request::ports(index)),
            Dump::RdmaUverbs(index) => rdma(&Request::uverbs(index)),
            Dump::RdmaSystem => rdma(&Request::system()),
        }
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

/// The nodes that a thread has open.
fn nodes_of(pid: u32, thread: u32) -> io::Result<Vec<String>> {
    let targets = tables::descriptors(pid, thread)?.filter_map(|path| fs::read_link(path).ok());
    Ok(targets.filter_map(|target| target.to_str().and_then(node_of_link)).collect())
}

/// The node that a descriptor's link names, if it is an RDMA one. A node removed since ends in ` (deleted)`.
fn node_of_link(target: &str) -> Option<String> {
    let path = target.strip_suffix(" (deleted)").unwrap_or(target);
    let inside = &path[path.find(NODE_DIRECTORY)?..];
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name(inside.strip_prefix(NODE_DIRECTORY)?).then(|| inside.to_owned())
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
        assert_eq!(node_of_link("anon_inode:[infinibandevent]"), None);
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
