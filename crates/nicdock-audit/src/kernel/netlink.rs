//! Netlink requests as bytes, and what the kernel answers (netlink(7)).

use std::os::fd::OwnedFd;
use std::time::Duration;

use nicdock_netlink::name;
use rustix::net::{RecvFlags, SendFlags};

use super::errno::Errno;
use super::socket;

const AF_NETLINK: u64 = 16;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The parts of one answer.
pub struct Message {
    pub kind: u16,
    /// Without the netlink header.
    pub body: Vec<u8>,
}

pub struct Socket(OwnedFd);

impl Socket {
    /// A raw netlink socket whose answers are waited for two seconds at most.
    pub fn open(protocol: u64) -> Result<Self, Errno> {
        let fd = socket::socket(AF_NETLINK, 3, protocol)?;
        rustix::net::sockopt::set_socket_timeout(
            &fd,
            rustix::net::sockopt::Timeout::Recv,
            Some(Duration::from_secs(2)),
        )?;
        Ok(Self(fd))
    }

    /// Joins multicast groups by their bits.
    pub fn listen(&self, groups: u32) -> Result<(), Errno> {
        let address = rustix::net::netlink::SocketAddrNetlink::new(0, groups);
        Ok(rustix::net::bind(&self.0, &address)?)
    }

    /// A request with an acknowledgement: `Ok` if the kernel did it.
    pub fn ask(&self, kind: u16, body: &[u8]) -> Result<Vec<Message>, Errno> {
        self.exchange(kind, REQUEST | ACK, body)
    }

    /// A list.
    pub fn dump(&self, kind: u16, body: &[u8]) -> Result<Vec<Message>, Errno> {
        self.exchange(kind, REQUEST | DUMP, body)
    }

    fn exchange(&self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Message>, Errno> {
        let length = u32::try_from(16 + body.len()).map_err(|_| Errno(libc::E2BIG))?;
        let mut request = Vec::with_capacity(16 + body.len());
        request.extend_from_slice(&length.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&flags.to_ne_bytes());
        request.extend_from_slice(&1_u32.to_ne_bytes());
        request.extend_from_slice(&0_u32.to_ne_bytes());
        request.extend_from_slice(body);
        rustix::net::send(&self.0, &request, SendFlags::empty())?;
        let mut found = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let (_, length) = rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())?;
            let mut rest = &buffer[..length.min(1 << 16)];
            while let Some((kind, body, more)) = split(rest) {
                rest = more;
                match kind {
                    ERROR => {
                        let errno = i32::from_ne_bytes(word(body, 0).unwrap_or_default());
                        return if errno == 0 { Ok(found) } else { Err(Errno(-errno)) };
                    }
                    DONE => return Ok(found),
                    _ => found.push(Message { kind, body: body.to_vec() }),
                }
            }
        }
    }
}

fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(word(bytes, 0)?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    let next = length.next_multiple_of(4).min(bytes.len());
    Some((kind, body, &bytes[next..]))
}

fn word(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

/// One attribute (`struct nlattr`, padded to four bytes).
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A text with its final zero.
pub fn text_attribute(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// The attributes of a message, after a header of `skip` bytes.
pub fn attributes(body: &[u8], skip: usize) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = body.get(skip..).unwrap_or_default();
    while let Some(&[a, b, c, d]) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(value) = rest.get(4..length) else { break };
        // The two high bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
        found.push((u16::from_ne_bytes([c, d]) & 0x3fff, value.to_vec()));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// A text attribute's value.
pub fn text_of(attributes: &[(u16, Vec<u8>)], kind: u16) -> Option<String> {
    let (_, value) = attributes.iter().find(|(found, _)| *found == kind)?;
    Some(name::text(value.split(|byte| *byte == 0).next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let bytes = [text_attribute(2, "rxe0"), attribute(1, &7_u32.to_ne_bytes())].concat();
        let read = attributes(&bytes, 0);
        assert_eq!(text_of(&read, 2).as_deref(), Some("rxe0"));
        assert_eq!(read[1], (1, 7_u32.to_ne_bytes().to_vec()));
        assert!(attributes(&[9, 0, 1], 0).is_empty());
    }
}
