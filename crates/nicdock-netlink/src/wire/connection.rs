use std::cell::Cell;
use std::io;

use netlink_sys::{Socket, SocketAddr};

use super::{Message, Messages, encode};

// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// What is there already is replaced.
pub const NLM_F_REPLACE: u16 = 0x100;
/// What is there already is an error (`EEXIST`).
pub const NLM_F_EXCL: u16 = 0x200;
/// What is not there is made.
pub const NLM_F_CREATE: u16 = 0x400;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

/// A list that keeps changing while it is read is given up after so many attempts.
const DUMP_ATTEMPTS: usize = 16;

/// A netlink socket of one family, in the network namespace of the thread that opened it.
pub struct Connection {
    socket: Socket,
    sequence: Cell<u32>,
}

impl Connection {
    /// `protocol` is `NETLINK_*` of `include/uapi/linux/netlink.h`.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: Cell::new(0) })
    }

    /// Everything that the kernel lists in answer to the request, as raw messages laid end to end.
    ///
    /// Starts anew when the list changed while it was read (`NLM_F_DUMP_INTR`).
    pub fn dump(&self, kind: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(bytes) = self.exchange(kind, NLM_F_DUMP, payload)? {
                return Ok(bytes);
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the list changed each time while it was read"))
    }

    /// Asks for something that is done or answered once; an errno comes back as [`io::Error::raw_os_error`].
    pub fn request(&self, kind: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.order(kind, 0, payload)
    }

    /// The same with flags beside those of a request: `NLM_F_CREATE`, `NLM_F_EXCL`, `NLM_F_REPLACE`.
    pub fn order(&self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<Vec<u8>> {
        self.exchange(kind, NLM_F_ACK | flags, payload).map(Option::unwrap_or_default)
    }

    /// `None`: the list changed while it was read.
    fn exchange(&self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        self.socket.send(&encode(kind, NLM_F_REQUEST | flags, sequence, payload), 0)?;

        let mut collected = Vec::new();
        let mut consistent = true;
        loop {
            let datagram = self.receive()?;
            for message in Messages::new(&datagram) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_NOOP => {}
                    NLMSG_ERROR | NLMSG_DONE => {
                        return errno(&message).map(|()| consistent.then_some(collected));
                    }
                    NLMSG_OVERRUN => return Err(io::Error::other("netlink data was lost (NLMSG_OVERRUN)")),
                    _ => {
                        collected.extend_from_slice(message.bytes);
                        collected.resize(super::align(collected.len()), 0);
                    }
                }
            }
        }
    }

    /// The next datagram, whole: an answer with the settings of many virtual functions is longer than what the kernel lists at once (`rtnl_getlink()`,
    /// `net/core/rtnetlink.c`), so its length is asked for first.
    fn receive(&self) -> io::Result<Vec<u8>> {
        loop {
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => return Ok(datagram),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// `struct nlmsgerr` and the end of a dump both begin with a negative errno, or 0.
fn errno(message: &Message) -> io::Result<()> {
    match message.payload().first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(code) if code < 0 => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `RTM_GETLINK` of `include/uapi/linux/rtnetlink.h`, answered on every machine.
    const RTM_GETLINK: u16 = 18;

    #[test]
    fn a_dump_gives_every_message_and_no_end_marker() {
        let connection = Connection::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        let links = connection.dump(RTM_GETLINK, &[0; 16]).unwrap();
        let kinds: Vec<u16> = Messages::new(&links).map(|m| m.unwrap().kind).collect();
        assert!(!kinds.is_empty());
        assert!(kinds.iter().all(|kind| *kind == 16), "{kinds:?}");
    }

    #[test]
    fn a_refused_request_gives_its_errno_and_leaves_the_connection_usable() {
        let connection = Connection::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        // struct ifinfomsg of an interface that cannot be there.
        let mut payload = [0; 16];
        payload[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        let error = connection.request(RTM_GETLINK, &payload).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(19), "ENODEV");
        assert!(connection.dump(RTM_GETLINK, &[0; 16]).is_ok());
    }
}
