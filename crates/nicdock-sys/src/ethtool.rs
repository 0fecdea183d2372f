//! ethtool(8) by ioctl(2) (`SIOCETHTOOL`): which device an interface is of, and what is set on it.
//!
//! Structures are lists of 32-bit words here, as all of include/uapi/linux/ethtool.h are: the first is the command.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nicdock_netlink::name;

/// `ETHTOOL_GDRVINFO` (include/uapi/linux/ethtool.h).
const GET_DRIVER_INFO: u32 = 3;

/// Where `bus_info` is in `struct ethtool_drvinfo`, which ends with five words after it and 12 reserved bytes.
const BUS: std::ops::Range<usize> = 4 + 3 * 32..4 + 4 * 32;
const DRIVER_INFO_WORDS: usize = 49;

/// The most words that any command here may write; the kernel never writes more than it was told there is room for.
const ROOM: usize = 64 * 1024;

/// Questions about one interface of the network namespace in which this was opened.
pub struct Ethtool {
    socket: UdpSocket,
    /// Its name.
    interface: Vec<u8>,
}

impl Ethtool {
    pub fn open(interface: &str) -> io::Result<Self> {
        // Any socket will do (netdevice(7)); a namespace may have no loopback address.
        let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
        Ok(Self { socket, interface: name::bytes(interface) })
    }

    /// Hands `words` to the kernel and gets back what it made of them.
    ///
    /// Errors: `EOPNOTSUPP` when the driver has no such thing.
    pub fn call(&self, words: &[u32]) -> io::Result<Vec<u32>> {
        // Whatever the kernel writes beyond a structure that the caller knows stays in memory that is ours.
        let mut data = words.to_vec();
        data.resize(words.len().max(ROOM), 0);
        // SAFETY: all zeros is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.interface.iter().take(15)) {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
        // SAFETY: the request and the words, more than any command writes, live until the call returns.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        data.truncate(words.len());
        Ok(data)
    }
}

/// The place on the bus (`0000:01:00.0`) of an interface of the caller's network namespace: needs no /sys of it.
pub fn bus_address(interface: &str) -> Option<String> {
    let mut words = vec![0; DRIVER_INFO_WORDS];
    words[0] = GET_DRIVER_INFO;
    let info = Ethtool::open(interface).ok()?.call(&words).ok()?;
    let bytes: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let bus = bytes[BUS].split(|byte| *byte == 0).next()?;
    (!bus.is_empty()).then(|| String::from_utf8_lossy(bus).into_owned())
}
