//! Messages as bytes: what is read on the host and put back later, without knowing what every attribute means.

use std::collections::BTreeMap;
use std::io;

use rdma_netlink::wire::{Attributes, Messages, encode};

use super::{Rtnl, invalid};

/// `NLMSG_ERROR`, `NLMSG_DONE` (include/uapi/linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;

impl Rtnl {
    /// Sends one message and collects the payloads that answer it, until the acknowledgement or the dump's end.
    pub(super) fn exchange(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let flags = netlink_packet_core::NLM_F_REQUEST | flags;
        self.socket.send(&encode(kind, flags, self.sequence, body), 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for message in Messages::new(&datagram) {
                let message = message.map_err(invalid)?;
                if message.sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    // Both begin with an errno, which is 0 for an acknowledgement; NLMSG_DONE may come without.
                    ERROR | DONE => {
                        let errno =
                            message.payload().first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                        return if errno == 0 {
                            Ok(answers)
                        } else {
                            Err(io::Error::from_raw_os_error(-errno))
                        };
                    }
                    _ => answers.push(message.payload().to_vec()),
                }
            }
        }
    }
}

/// The attributes in `bytes` by their kind; of one that is there twice the last.
pub fn attributes(bytes: &[u8]) -> io::Result<BTreeMap<u16, Vec<u8>>> {
    Attributes::new(bytes)
        .map(|attribute| attribute.map(|a| (a.kind, a.payload.to_vec())).map_err(invalid))
        .collect()
}
