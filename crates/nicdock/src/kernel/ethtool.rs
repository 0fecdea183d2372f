//! Which device an interface is of, by ioctl (ethtool(8), `ETHTOOL_GDRVINFO`): needs no /sys of the same network namespace.
#![allow(unsafe_code)]

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// `ETHTOOL_GDRVINFO` (include/uapi/linux/ethtool.h).
const GET_DRIVER_INFO: u32 = 3;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rest: [u8; 64],
}

/// The place on the bus (`0000:01:00.0`) of an interface of the caller's network namespace.
pub fn bus_address(interface: &str) -> Option<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("0.0.0.0:0")).ok()?;
    let mut info = DriverInfo {
        command: GET_DRIVER_INFO,
        driver: [0; 32],
        version: [0; 32],
        firmware: [0; 32],
        bus: [0; 32],
        rest: [0; 64],
    };
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes().take(15)) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    // SAFETY: the request and what it points to live until the call returns, and have the kernel's layout and size.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    let length = info.bus.iter().position(|byte| *byte == 0)?;
    (result == 0 && length > 0).then(|| String::from_utf8_lossy(&info.bus[..length]).into_owned())
}
