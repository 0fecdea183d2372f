//! Interfaces by ioctl (netdevice(7)), whatever /sys and netlink say.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

use nicdock_netlink::name;

use super::socket;

/// The interface of an index, if this network namespace has it.
pub fn name_of(index: i32) -> Option<String> {
    let socket = socket::socket(1, 2, 0).ok()?;
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_ifru.ifru_ifindex = index;
    // SAFETY: the request lives until the call returns, which writes nothing beyond it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFNAME, &raw mut request) };
    (result == 0).then(|| {
        let bytes =
            request.ifr_name.iter().take_while(|c| **c != 0).map(|c| c.cast_unsigned()).collect::<Vec<u8>>();
        name::text(&bytes)
    })
}

/// An interface's flags by its name.
pub fn flags(name: &str) -> Option<i16> {
    let socket = socket::socket(1, 2, 0).ok()?;
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name::bytes(name).iter().take(15)) {
        *to = from.cast_signed();
    }
    // SAFETY: the request lives until the call returns, which writes nothing beyond it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    // SAFETY: the kernel has written the flags, or they are the zeros from above.
    (result == 0).then_some(unsafe { request.ifr_ifru.ifru_flags })
}
