use std::io;
use std::os::fd::BorrowedFd;

use netlink_sys::protocols::NETLINK_RDMA;

use super::{Device, NetnsMode, Port, Request, parse_contexts, parse_devices, parse_netns_mode, parse_ports};
use crate::wire::Connection;

/// `EPROTONOSUPPORT`: no module has registered the family.
const EPROTONOSUPPORT: i32 = 93;

/// A `NETLINK_RDMA` socket in the network namespace of the thread that opened it.
///
/// On a kernel without the RDMA core it opens all the same: lists are empty then, and orders fail with
/// `EPROTONOSUPPORT`.
pub struct Socket {
    connection: Option<Connection>,
}

impl Socket {
    /// May load the module `ib_core`, as any use of the family does.
    pub fn open() -> io::Result<Self> {
        match Connection::open(NETLINK_RDMA) {
            Ok(connection) => Ok(Self { connection: Some(connection) }),
            Err(error) if error.raw_os_error() == Some(EPROTONOSUPPORT) => Ok(Self { connection: None }),
            Err(error) => Err(error),
        }
    }

    /// Sends a request that asks, and gives the raw messages of the answer; none without an RDMA core.
    pub fn dump(&self, request: &Request) -> io::Result<Vec<u8>> {
        match &self.connection {
            None => Ok(Vec::new()),
            Some(connection) if request.is_dump => connection.dump(request.kind, &request.payload),
            Some(connection) => connection.request(request.kind, &request.payload),
        }
    }

    fn order(&self, request: &Request) -> io::Result<()> {
        let absent = || io::Error::from_raw_os_error(EPROTONOSUPPORT);
        self.connection.as_ref().ok_or_else(absent)?.request(request.kind, &request.payload).map(drop)
    }

    /// Every RDMA device that the namespace may see.
    pub fn devices(&self) -> io::Result<Vec<Device>> {
        Ok(parse_devices(&self.dump(&Request::devices())?)?)
    }

    /// The ports of the device with this index.
    pub fn ports(&self, device: u32) -> io::Result<Vec<Port>> {
        Ok(parse_ports(&self.dump(&Request::ports(device))?)?)
    }

    /// How many user contexts the device has: one for each descriptor by which it can be used. `None` from kernels that do not
    /// count them (before 5.10).
    pub fn contexts(&self, device: u32) -> io::Result<Option<u64>> {
        Ok(parse_contexts(&self.dump(&Request::resources(device))?)?)
    }

    /// `None` without an RDMA core, and from kernels before 5.2, which share.
    pub fn netns_mode(&self) -> io::Result<Option<NetnsMode>> {
        Ok(parse_netns_mode(&self.dump(&Request::system())?)?)
    }

    /// Moves a device into another network namespace.
    ///
    /// `EOPNOTSUPP` in shared mode, and from drivers that cannot take a device away from its users
    /// (`disassociate_ucontext`). Needs `CAP_NET_ADMIN` in both namespaces' user namespaces.
    pub fn set_netns(&self, device: u32, netns: BorrowedFd<'_>) -> io::Result<()> {
        self.order(&Request::set_netns(device, netns))
    }

    /// Gives a device another name; `EEXIST` where it is taken.
    pub fn rename(&self, device: u32, name: &str) -> io::Result<()> {
        self.order(&Request::rename(device, name))
    }

    /// Makes a software RDMA device of `link_type` (`rxe`, `siw`) called `name` on `netdev`.
    ///
    /// `ENODEV` where the netdev is not in the init network namespace and the driver wants it there (rxe of
    /// older kernels),
    /// `EOPNOTSUPP` for an unknown link type, `EEXIST` where name or netdev has one already.
    pub fn new_link(&self, link_type: &str, name: &str, netdev: &str) -> io::Result<()> {
        self.order(&Request::new_link(link_type, name, netdev))
    }

    /// Removes a software RDMA device; `EINVAL` for hardware.
    pub fn delete_link(&self, device: u32) -> io::Result<()> {
        self.order(&Request::delete_link(device))
    }
}
