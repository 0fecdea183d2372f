//! The rdma_cm node's own protocol (include/uapi/rdma/rdma_user_cm.h).
#![allow(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use super::errno::Errno;
use super::node;

const CREATE_ID: u32 = 0;
const BIND_IP: u32 = 2;
const RESOLVE_IP: u32 = 3;
const BIND: u32 = 20;
/// `RDMA_PS_TCP`, `IB_QPT_RC`.
const PORT_SPACE: u16 = 0x0106;
const RELIABLE: u8 = 2;

/// `AF_IB`; `sizeof(struct sockaddr_ib)` and of the room for it (include/rdma/ib.h).
const FAMILY: u16 = 27;
const ADDRESS: u16 = 48;
const ROOM: usize = 128;
/// The partition that every port is in, and the service identifiers of `RDMA_PS_TCP` (`RDMA_IB_IP_PS_TCP`).
const PARTITION: u16 = 0xffff;
const SERVICES: u64 = 0x0106_0000;

/// An identifier of the connection manager's; it ends with the descriptor.
pub struct Connection {
    node: OwnedFd,
    id: u32,
}

impl Connection {
    pub fn open(path: &str) -> Result<Self, Errno> {
        let node = node::open(path, OFlags::RDWR)?;
        let mut id = 0_u32;
        let mut body = Vec::new();
        body.extend_from_slice(&0_u64.to_ne_bytes());
        body.extend_from_slice(&(&raw mut id as u64).to_ne_bytes());
        body.extend_from_slice(&PORT_SPACE.to_ne_bytes());
        body.extend_from_slice(&[RELIABLE, 0, 0, 0, 0, 0]);
        command(&node, CREATE_ID, 4, &body)?;
        // SAFETY: the kernel wrote the answer there while `id` lived; it is read as what it is.
        let id = unsafe { std::ptr::read_volatile(&raw const id) };
        Ok(Self { node, id })
    }

    /// `RDMA_USER_CM_CMD_BIND_IP`.
    pub fn bind(&self, address: IpAddr) -> Result<(), Errno> {
        let mut body = vec![0; 8];
        body.extend_from_slice(&socket_address(address));
        body.extend_from_slice(&self.id.to_ne_bytes());
        command(&self.node, BIND_IP, 0, &body)
    }

    /// `RDMA_USER_CM_CMD_BIND` to an InfiniBand port, by its GID.
    pub fn bind_infiniband(&self, gid: Ipv6Addr) -> Result<(), Errno> {
        let mut body = self.id.to_ne_bytes().to_vec();
        body.extend_from_slice(&ADDRESS.to_ne_bytes());
        body.extend_from_slice(&[0; 2]);
        body.extend_from_slice(&FAMILY.to_ne_bytes());
        body.extend_from_slice(&PARTITION.to_be_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&gid.octets());
        body.extend_from_slice(&SERVICES.to_be_bytes());
        body.extend_from_slice(&u64::MAX.to_be_bytes());
        body.resize(8 + ROOM, 0);
        command(&self.node, BIND, 0, &body)
    }

    /// `RDMA_USER_CM_CMD_RESOLVE_IP` from an address, with a timeout of 1 ms.
    pub fn resolve_from(&self, address: IpAddr) -> Result<(), Errno> {
        let mut body = socket_address(address).to_vec();
        body.extend_from_slice(&socket_address(address));
        body.extend_from_slice(&self.id.to_ne_bytes());
        body.extend_from_slice(&1_u32.to_ne_bytes());
        command(&self.node, RESOLVE_IP, 0, &body)
    }
}

/// `struct rdma_ucm_cmd_hdr` and the command's structure.
fn command(node: &OwnedFd, number: u32, answer: u16, body: &[u8]) -> Result<(), Errno> {
    let length = u16::try_from(body.len()).map_err(|_| Errno(libc::E2BIG))?;
    let mut bytes = number.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&answer.to_ne_bytes());
    bytes.extend_from_slice(body);
    rustix::io::write(node, &bytes)?;
    Ok(())
}

/// `struct sockaddr_in6`, also with room for a `struct sockaddr_in`.
fn socket_address(address: IpAddr) -> [u8; 28] {
    let mut bytes = [0; 28];
    match address {
        IpAddr::V4(address) => {
            bytes[..2].copy_from_slice(&2_u16.to_ne_bytes());
            bytes[4..8].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            let octets: [u8; 16] = Ipv6Addr::octets(&address);
            bytes[..2].copy_from_slice(&10_u16.to_ne_bytes());
            bytes[8..24].copy_from_slice(&octets);
        }
    }
    bytes
}
