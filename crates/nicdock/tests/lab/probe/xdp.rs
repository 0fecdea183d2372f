//! Puts a BPF program that does nothing on an interface: XDP's by rtnetlink(7), tc's (tcx, Linux 6.6) by bpf(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nicdock_netlink::wire::{encode, push_attribute};

// include/uapi/linux/bpf.h
const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_TCX_INGRESS: u32 = 46;
// include/uapi/linux/if_link.h, netlink.h
const IFLA_XDP: u16 = 43;
const NLA_F_NESTED: u16 = 0x8000;
const XDP_PASS: u64 = 2;

pub fn xdp(interface: &str) -> io::Result<()> {
    let program = load(BPF_PROG_TYPE_XDP, XDP_PASS)?;
    // RTM_SETLINK with IFLA_XDP { IFLA_XDP_FD, IFLA_XDP_FLAGS: XDP_FLAGS_SKB_MODE }.
    let mut inner = Vec::new();
    push_attribute(&mut inner, 1, &program.as_raw_fd().to_ne_bytes());
    push_attribute(&mut inner, 3, &2u32.to_ne_bytes());
    let mut body = [[0; 4], index(interface)?.to_ne_bytes(), [0; 4], [0; 4]].concat();
    push_attribute(&mut body, IFLA_XDP | NLA_F_NESTED, &inner);
    let message = encode(19, 1 | 4, 1, &body);
    // NETLINK_ROUTE is protocol 0.
    let (family, kind) = (rustix::net::AddressFamily::NETLINK, rustix::net::SocketType::RAW);
    let socket = rustix::net::socket(family, kind, None)?;
    rustix::io::write(&socket, &message)?;
    let mut answer = [0; 4096];
    rustix::io::read(&socket, &mut answer)?;
    let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-errno)) }
}

pub fn tcx(interface: &str) -> io::Result<()> {
    let program = load(BPF_PROG_TYPE_SCHED_CLS, 0)?;
    let attr = [index(interface)?, program.as_raw_fd().cast_unsigned(), BPF_TCX_INGRESS, 0, 0, 0, 0, 0];
    bpf(BPF_PROG_ATTACH, &attr).map(drop)
}

fn load(kind: u32, answer: u64) -> io::Result<OwnedFd> {
    // r0 = answer; exit
    let program = [0xb7 | answer << 32, 0x95u64];
    let (instructions, license) = (program.as_ptr() as u64, c"GPL".as_ptr() as u64);
    let mut attr = [0u32; 32];
    attr[0] = kind;
    attr[1] = 2;
    for (at, pointer) in [(2, instructions), (4, license)] {
        let bytes = pointer.to_ne_bytes();
        attr[at] = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        attr[at + 1] = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    }
    let fd = bpf(BPF_PROG_LOAD, &attr)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf(command: u32, attr: &[u32]) -> io::Result<i32> {
    // SAFETY: the words are the kernel's layout for `command`, and its pointers are valid for the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(attr)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(i32::MAX)) }
}

fn index(interface: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(interface)?;
    // SAFETY: the name is a C string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}
